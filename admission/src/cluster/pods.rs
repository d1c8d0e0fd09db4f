//! What runs in a namespace, for whoever is about to make its level stricter.
//!
//! Of a pod the metadata and the spec are kept as far as Pod Security may look at them, as JSON text, and once
//! for all pods that are alike: ten thousand pods of a few hundred workloads take the room of a few
//! hundred. What is dropped ([`PodFields`]) is what no standard of any version reads; a rule of one's own that reads
//! it sees it in a review, and not here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use super::watch::Keep;
use super::watched::{Fields, Key};
use crate::evaluate::{RunningPod, RunningPods};

/// What is dropped of a pod.
#[derive(Debug, Clone)]
pub(crate) struct PodFields;

macro_rules! dropped {
    ($($of_container:literal),*; $($of_pod:expr),*) => {
        &[
            $(
                &["spec", "containers", $of_container],
                &["spec", "initContainers", $of_container],
                &["spec", "ephemeralContainers", $of_container],
            )*
            $($of_pod),*
        ]
    };
}

impl Fields for PodFields {
    const DROPPED: &'static [&'static [&'static str]] = dropped!(
        "args", "command", "env", "envFrom", "image", "imagePullPolicy", "resources", "terminationMessagePath",
        "terminationMessagePolicy", "volumeDevices", "volumeMounts";
        &["spec", "affinity"],
        &["spec", "dnsPolicy"],
        &["spec", "enableServiceLinks"],
        &["spec", "hostname"],
        &["spec", "imagePullSecrets"],
        &["spec", "nodeName"],
        &["spec", "nodeSelector"],
        &["spec", "preemptionPolicy"],
        &["spec", "priority"],
        &["spec", "schedulerName"],
        &["spec", "serviceAccount"],
        &["spec", "serviceAccountName"],
        &["spec", "terminationGracePeriodSeconds"],
        &["spec", "tolerations"],
        &["spec", "topologySpreadConstraints"],
        &["status", "conditions"],
        &["status", "containerStatuses"],
        &["status", "ephemeralContainerStatuses"],
        &["status", "initContainerStatuses"]
    );
}

/// The volume that every pod has, with a name of its own.
const API_ACCESS: &str = "kube-api-access";

/// Below this many texts nothing is swept.
const SWEEP_TEXTS_MIN: usize = 256;

struct Kept {
    controller: Option<Box<str>>,
    text: Arc<str>,
}

#[derive(Default)]
struct Everyone {
    namespaces: HashMap<String, BTreeMap<String, Kept>>,
    texts: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Everyone {
    fn share(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(text.as_str()) {
            return Arc::clone(known);
        }
        if self.texts.len() >= self.sweep_at.max(SWEEP_TEXTS_MIN) {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = self.texts.len() * 2;
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    fn remove(&mut self, key: &Key) {
        if let Some(pods) = self.namespaces.get_mut(&key.namespace) {
            pods.remove(&key.name);
            if pods.is_empty() {
                self.namespaces.remove(&key.namespace);
            }
        }
    }
}

/// The pods there are.
#[derive(Default)]
pub(crate) struct Pods(RwLock<Everyone>);

impl Keep for Pods {
    fn apply(&self, key: &Key, object: Value) {
        let controller = controller(&object).map(Box::from);
        let text = kept(object).to_string();
        let mut everyone = self.0.write();
        let text = everyone.share(text);
        let pods = everyone
            .namespaces
            .entry(key.namespace.clone())
            .or_default();
        pods.insert(key.name.clone(), Kept { controller, text });
    }

    fn remove(&self, key: &Key) {
        self.0.write().remove(key);
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let mut everyone = self.0.write();
        everyone.namespaces.retain(|namespace, pods| {
            pods.retain(|name, _| {
                let key = Key {
                    namespace: namespace.clone(),
                    name: name.clone(),
                };
                listed.contains(&key)
            });
            !pods.is_empty()
        });
    }
}

impl RunningPods for Pods {
    fn running(&self, namespace: &str) -> Vec<RunningPod> {
        let everyone = self.0.read();
        let pods = everyone.namespaces.get(namespace);
        let running = |(name, kept): (&String, &Kept)| RunningPod {
            name: name.clone(),
            controller: kept.controller.as_deref().map(str::to_string),
            pod: Arc::clone(&kept.text),
        };
        pods.into_iter().flatten().map(running).collect()
    }
}

/// The uid of what made it, if something did.
fn controller(object: &Value) -> Option<&str> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let is_controller = |owner: &&Value| owner.get("controller") == Some(&Value::Bool(true));
    owners.iter().find(is_controller)?.get("uid")?.as_str()
}

/// What Pod Security may look at.
fn kept(mut object: Value) -> Value {
    let judged = |name: &str| name.contains("seccomp") || name.contains("apparmor");
    let annotations: Map<String, Value> = (object.pointer("/metadata/annotations"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, _)| judged(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut spec = object.get_mut("spec").map(Value::take).unwrap_or_default();
    for volume in (spec.get_mut("volumes").and_then(Value::as_array_mut))
        .into_iter()
        .flatten()
    {
        let name = volume.get("name").and_then(Value::as_str);
        if name.is_some_and(|name| name.starts_with(API_ACCESS)) {
            *volume = json!({"name": API_ACCESS, "projected": {}});
        }
    }
    json!({"kind": "Pod", "metadata": {"annotations": annotations}, "spec": spec})
}
