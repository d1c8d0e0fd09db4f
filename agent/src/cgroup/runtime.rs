//! What the container runtime wrote down about a container: its image, and its names.
//!
//! containerd and CRI-O keep the specification they start a container with below `/run`, and put
//! the names the kubelet gave it into its annotations. That is the only place on the node where the
//! image's name can be read without asking a socket, and recording rules in use everywhere select
//! `image!=""`. A specification never changes, so each is read once.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use serde::Deserialize;

use crate::host::HostFiles;

/// Where a runtime keeps the specification of a container, below `/run`.
const SPECIFICATIONS: [(&str, &str); 2] = [
    (
        "containerd/io.containerd.runtime.v2.task/k8s.io",
        "config.json",
    ),
    (
        "containers/storage/overlay-containers",
        "userdata/config.json",
    ),
];

/// What is known of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specification {
    /// The image, as the pod names it.
    pub image: String,
    /// The container; empty for a sandbox.
    pub container: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
}

/// Specifications by container id.
#[derive(Debug, Default)]
pub struct Specifications(Mutex<HashMap<String, Option<Specification>>>);

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

impl Specifications {
    /// The specification of a container, where its runtime left one.
    pub fn get(&self, host: &HostFiles, container_id: &str) -> Option<Specification> {
        self.0
            .lock()
            .entry(container_id.to_owned())
            .or_insert_with(|| read(host, container_id))
            .clone()
    }

    /// Forgets all containers but these.
    pub fn retain(&self, container_ids: &HashSet<String>) {
        self.0.lock().retain(|id, _| container_ids.contains(id));
    }
}

fn read(host: &HostFiles, container_id: &str) -> Option<Specification> {
    SPECIFICATIONS.iter().find_map(|(folder, file)| {
        let path = host.roots.run.join(folder).join(container_id).join(file);
        parse(&host.read(&path)?)
    })
}

/// Reads the annotations of either runtime.
fn parse(config: &str) -> Option<Specification> {
    let mut annotations = serde_json::from_str::<Config>(config).ok()?.annotations;
    let mut take = |keys: [&str; 2]| {
        keys.iter()
            .find_map(|key| annotations.remove(*key))
            .unwrap_or_default()
    };
    let specification = Specification {
        image: take([
            "io.kubernetes.cri.image-name",
            "io.kubernetes.cri-o.ImageName",
        ]),
        container: take([
            "io.kubernetes.cri.container-name",
            "io.kubernetes.container.name",
        ]),
        namespace: take([
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
        ]),
        pod: take(["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]),
    };
    (specification != Specification::default()).then(|| Specification {
        // CRI-O calls the sandbox's container so; cAdvisor calls it nothing.
        container: if specification.container == "POD" {
            String::new()
        } else {
            specification.container
        },
        ..specification
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runtimes_annotations_are_read() {
        let want = |image: &str, container: &str| {
            Some(Specification {
                image: image.to_owned(),
                container: container.to_owned(),
                namespace: "shop".to_owned(),
                pod: "web-0".to_owned(),
            })
        };
        for (config, want) in [
            (
                r#"{"ociVersion":"1","annotations":{"io.kubernetes.cri.image-name":"docker.io/nginx:1","io.kubernetes.cri.container-name":"app","io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-name":"web-0"}}"#,
                want("docker.io/nginx:1", "app"),
            ),
            (
                r#"{"annotations":{"io.kubernetes.cri-o.ImageName":"pause","io.kubernetes.container.name":"POD","io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.name":"web-0"}}"#,
                want("pause", ""),
            ),
            (r#"{"annotations":{"other":"x"}}"#, None),
            ("{}", None),
            ("not json", None),
        ] {
            assert_eq!(parse(config), want, "{config}");
        }
    }
}
