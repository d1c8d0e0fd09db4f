//! From a group's path to a pod and a container. Pure.
//!
//! The kubelet makes one group a pod, the runtime one a container below it, in the notation of
//! either driver:
//!
//! - cgroupfs: `…/kubepods[/burstable|/besteffort]/pod<uid>/<64 hex>`
//! - systemd: `…-pod<uid with _ for ->.slice/{cri-containerd-|crio-|docker-}<64 hex>.scope`
//!
//! What stands before depends on `--cgroup-root` and on nesting, so only the end of the path is
//! matched. Groups that a container makes within its own are nobody's: their figures are in their
//! parent's already, and a second series with the container's name would count them twice.

/// Whose group it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The pod's UID, with dashes; for a static pod the hash of its manifest.
    pub pod_uid: String,
    /// The container's id at the runtime; absent for the pod's own group.
    pub container_id: Option<String>,
}

impl Membership {
    /// Reads a path; nothing where it belongs to no pod.
    pub fn of_path(path: &str) -> Option<Self> {
        let (above, last) = path.rsplit_once('/')?;
        if let Some(pod_uid) = pod_uid(last) {
            return Some(Self {
                pod_uid,
                container_id: None,
            });
        }
        let above = above.rsplit('/').next()?;
        Some(Self {
            pod_uid: pod_uid(above)?,
            container_id: Some(container_id(last)?.to_owned()),
        })
    }
}

fn pod_uid(component: &str) -> Option<String> {
    let uid = match component.strip_suffix(".slice") {
        Some(slice) => {
            let (before, uid) = slice.rsplit_once("-pod")?;
            if !before.contains("kubepods") {
                return None;
            }
            uid.replace('_', "-")
        }
        None => component.strip_prefix("pod")?.to_owned(),
    };
    let hex = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|b| *b == b'-').count();
    (hex == 32 && hex + dashes == uid.len()).then_some(uid)
}

fn container_id(component: &str) -> Option<&str> {
    let id = match component.strip_suffix(".scope") {
        Some(scope) => scope.rsplit_once('-').map_or(scope, |(_, id)| id),
        None => component,
    };
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_both_drivers_name_their_pod() {
        let uid = "8f5dcbd4-1c4e-4a3b-9a9e-0123456789ab";
        let under = uid.replace('-', "_");
        let id = "0123456789abcdef".repeat(4);
        let hash = "0123456789abcdef0123456789abcdef";
        let pod = |uid: &str| Some((uid.to_owned(), None));
        let container = |uid: &str| Some((uid.to_owned(), Some(id.clone())));
        for (path, want) in [
            (format!("/kubepods/burstable/pod{uid}/{id}"), container(uid)),
            (format!("/kubepods/pod{uid}"), pod(uid)),
            (
                format!("/kubepods/besteffort/pod{hash}/{id}"),
                container(hash),
            ),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"
                ),
                container(uid),
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"),
                container(uid),
            ),
            (
                format!("/a.slice/a-kubepods.slice/a-kubepods-pod{under}.slice/docker-{id}.scope"),
                container(uid),
            ),
            (format!("/kubepods/pod{uid}/{id}/init.scope"), None),
            (
                format!("/docker/{id}/kubelet/kubepods/pod{uid}/{id}"),
                container(uid),
            ),
            ("/".to_owned(), None),
            ("/kubepods.slice".to_owned(), None),
            ("/podman.service".to_owned(), None),
            (format!("/docker/{id}"), None),
            (format!("/user.slice/x-pod{under}.slice"), None),
        ] {
            let got = Membership::of_path(&path)
                .map(|membership| (membership.pod_uid, membership.container_id));
            assert_eq!(got, want, "{path}");
        }
    }
}
