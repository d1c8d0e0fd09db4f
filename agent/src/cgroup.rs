//! What the kernel accounts to each control group, under the names of the kubelet's cAdvisor
//! endpoint: `container_*`, and `machine_*` beside them.
//!
//! The groups are read by ourselves: the kubelet asks for nothing that a file does not say, and its
//! endpoint loses the pod labels with container runtimes it does not know. A group's series carry
//! `id` (its path); a pod's also `namespace` and `pod`, a container's also `container` and `name`
//! (its id at the runtime). A pod's own group and its sandbox have no `container`, which is how the
//! usual dashboards tell them apart.
//!
//! Version 1, version 2 and hybrid hierarchies differ in where a number is, not in what it means:
//! reading fills one [`stats::CgroupStats`] from version 1 first and version 2 where that left a
//! gap. The root group of version 2 has no memory figures, and some hierarchies hide the rest: then
//! the machine's own files in proc speak for the root.
//!
//! - [`hierarchy`]: where the controllers are mounted, and which groups exist.
//! - [`parse`]: the kernel's file formats, pure.
//! - [`stats`]: one group's figures, and what fills them.
//! - [`pod`]: from a group's path to a pod and a container id, pure.
//! - [`names`]: from ids to names, by the names of log files.
//! - [`runtime`]: images and names, by what the container runtime wrote down.
//! - [`network`]: interfaces of a pod's network namespace.
//! - [`families`]: the figures as an exposition.

pub mod families;
pub mod hierarchy;
pub mod names;
pub mod network;
pub mod parse;
pub mod pod;
pub mod runtime;
pub mod stats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::config::Roots;
use crate::expose::Exposition;
use crate::host::HostFiles;
use hierarchy::Hierarchies;
use names::Names;
use network::Interface;
use pod::Membership;
use runtime::Specifications;
use stats::CgroupStats;

/// Reads every group of the machine.
#[derive(Debug)]
pub struct CgroupCollector {
    host: HostFiles,
    specifications: Specifications,
}

/// One group, read and named.
#[derive(Debug, Default)]
pub struct Cgroup {
    /// Its path below the root of the hierarchy: `/`, `/system.slice`.
    pub id: String,
    /// The container id at the runtime.
    pub name: String,
    /// The container's image, where its runtime left word of it.
    pub image: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; empty for the pod's own group and its sandbox.
    pub container: String,
    /// Its figures.
    pub stats: CgroupStats,
    /// Its network, for pods and the root.
    pub interfaces: Vec<Interface>,
}

impl CgroupCollector {
    /// A collector below these roots.
    pub fn new(roots: Roots) -> Self {
        Self {
            host: HostFiles::new(roots),
            specifications: Specifications::default(),
        }
    }

    /// The figures of now, as an exposition. Blocks on files.
    pub fn expose(&self) -> Result<String, String> {
        let mut body = Exposition::default();
        families::write_cgroups(&self.read(), &mut body);
        families::write_machine(&self.host, &mut body);
        Ok(body.into_text())
    }

    /// Reads all groups, the root first.
    pub fn read(&self) -> Vec<Cgroup> {
        let hierarchies = Hierarchies::find(&self.host);
        let names = Names::read(&self.host);
        let devices = parse::device_names(&self.host.proc("diskstats").unwrap_or_default());
        let mut networks: HashMap<String, Vec<Interface>> = HashMap::new();
        let mut cgroups: Vec<Cgroup> = Vec::new();
        for id in hierarchies.ids() {
            let mut stats = hierarchies.stats(&self.host, &id, &devices);
            let mut cgroup = Cgroup::default();
            if id == "/" {
                stats.fill_root(&self.host);
                cgroup.interfaces = network::of_host(&self.host);
            } else if let Some(membership) = Membership::of_path(&id) {
                names.apply(&membership, &mut cgroup);
                self.specify(&membership, &mut cgroup);
                self.network_of_pod(&hierarchies, &id, &membership, &mut networks);
            }
            cgroup.id = id;
            cgroup.stats = stats;
            cgroups.push(cgroup);
        }
        let present = cgroups.iter().map(|cgroup| cgroup.name.clone()).collect();
        self.specifications.retain(&present);
        for cgroup in &mut cgroups {
            if let Some(membership) = Membership::of_path(&cgroup.id)
                && membership.container_id.is_none()
                && let Some(interfaces) = networks.remove(&membership.pod_uid)
            {
                cgroup.interfaces = interfaces;
            }
        }
        cgroups
    }

    /// Adds what the runtime knows of a container: its image, and the names that no log file gave.
    fn specify(&self, membership: &Membership, cgroup: &mut Cgroup) {
        let Some(id) = &membership.container_id else {
            return;
        };
        let Some(known) = self.specifications.get(&self.host, id) else {
            return;
        };
        cgroup.image = known.image;
        for (name, known) in [
            (&mut cgroup.container, known.container),
            (&mut cgroup.namespace, known.namespace),
            (&mut cgroup.pod, known.pod),
        ] {
            if name.is_empty() {
                *name = known;
            }
        }
    }

    /// A pod has one network: the first process found in any of its containers shows it.
    fn network_of_pod(
        &self,
        hierarchies: &Hierarchies,
        id: &str,
        membership: &Membership,
        networks: &mut HashMap<String, Vec<Interface>>,
    ) {
        if membership.container_id.is_none() || networks.contains_key(&membership.pod_uid) {
            return;
        }
        if let Some(interfaces) = hierarchies
            .first_process(&self.host, id)
            .and_then(|process| network::of_process(&self.host, process))
        {
            networks.insert(membership.pod_uid.clone(), interfaces);
        }
    }
}
