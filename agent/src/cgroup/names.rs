//! From ids to names, without asking the API: the kubelet writes both into the names of log files.
//!
//! `pods/NAMESPACE_POD_UID/` names a pod's UID, `containers/POD_NAMESPACE_CONTAINER-ID.log` a
//! container's id. None of the three names may hold an underscore, so the split is exact.

use std::collections::HashMap;

use super::Cgroup;
use super::pod::Membership;
use crate::host::HostFiles;

/// The names known now.
#[derive(Debug, Default)]
pub struct Names {
    /// Namespace and pod by UID.
    pods: HashMap<String, (String, String)>,
    /// Container name by container id.
    containers: HashMap<String, String>,
}

impl Names {
    /// Reads the names below the log root.
    pub fn read(host: &HostFiles) -> Self {
        let mut names = Self::default();
        for folder in host.names(&host.roots.var_log.join("pods")) {
            if let Some((namespace, pod, uid)) = split_pod(&folder) {
                names
                    .pods
                    .insert(uid.to_owned(), (namespace.to_owned(), pod.to_owned()));
            }
        }
        for file in host.names(&host.roots.var_log.join("containers")) {
            if let Some((container, id)) = split_container(&file) {
                names.containers.insert(id.to_owned(), container.to_owned());
            }
        }
        names
    }

    /// Names a group by its membership. A container without a log, as the sandbox, has no name.
    pub fn apply(&self, membership: &Membership, cgroup: &mut Cgroup) {
        if let Some((namespace, pod)) = self.pods.get(&membership.pod_uid) {
            cgroup.namespace.clone_from(namespace);
            cgroup.pod.clone_from(pod);
        }
        if let Some(id) = &membership.container_id {
            cgroup.name.clone_from(id);
            if let Some(container) = self.containers.get(id) {
                cgroup.container.clone_from(container);
            }
        }
    }
}

/// `NAMESPACE_POD_UID`.
pub fn split_pod(folder: &str) -> Option<(&str, &str, &str)> {
    let (namespace, rest) = folder.split_once('_')?;
    let (pod, uid) = rest.split_once('_')?;
    let whole = !namespace.is_empty() && !pod.is_empty() && !uid.is_empty();
    whole.then_some((namespace, pod, uid))
}

/// `POD_NAMESPACE_CONTAINER-ID.log`: the container and its id.
fn split_container(file: &str) -> Option<(&str, &str)> {
    let (_, container) = file.strip_suffix(".log")?.rsplit_once('_')?;
    container.rsplit_once('-')
}
