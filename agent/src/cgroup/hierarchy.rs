//! Where the controllers are mounted, and which groups exist below.
//!
//! The conventional layout below `sys/fs/cgroup` is followed, not the mount table: in a container
//! the table shows the container's mounts, while the host's folder is mounted whole. A folder with
//! `cgroup.controllers` is version 2; the other folders are version 1, named by their controllers
//! (`cpu,cpuacct`); version 2 beside them (`unified`) makes a hybrid.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::parse;
use super::stats::CgroupStats;
use crate::host::HostFiles;

/// How deep groups are followed.
const DEPTH_MAX: usize = 16;
/// The most groups that are read.
const CGROUPS_MAX: usize = 8192;

/// The mounted hierarchies.
#[derive(Debug, Default)]
pub struct Hierarchies {
    /// Version 1, by controller.
    v1: HashMap<String, PathBuf>,
    /// Version 2.
    v2: Option<PathBuf>,
}

impl Hierarchies {
    /// Finds them.
    pub fn find(host: &HostFiles) -> Self {
        let root = host.roots.sys.join("fs/cgroup");
        if root.join("cgroup.controllers").exists() {
            return Self {
                v1: HashMap::new(),
                v2: Some(root),
            };
        }
        let mut found = Self::default();
        for name in host.names(&root) {
            let path = root.join(&name);
            if path.join("cgroup.controllers").exists() {
                found.v2 = Some(path);
                continue;
            }
            for controller in name.split(',') {
                found
                    .v1
                    .entry(controller.to_owned())
                    .or_insert_with(|| path.clone());
            }
        }
        found
    }

    /// The paths of all groups in any hierarchy that accounts something, the root first.
    pub fn ids(&self) -> BTreeSet<String> {
        let accounting = ["cpuacct", "cpu", "memory", "blkio"];
        let roots: BTreeSet<&Path> = accounting
            .iter()
            .filter_map(|controller| self.v1.get(*controller))
            .chain(&self.v2)
            .map(PathBuf::as_path)
            .collect();
        let mut ids = BTreeSet::from(["/".to_owned()]);
        for root in roots {
            walk(root, "", DEPTH_MAX, &mut ids);
        }
        ids
    }

    /// The figures of one group, from wherever they are.
    pub fn stats(
        &self,
        host: &HostFiles,
        id: &str,
        devices: &HashMap<String, String>,
    ) -> CgroupStats {
        let mut stats = CgroupStats::default();
        let v1 = |controller: &str| self.v1.get(controller).map(|root| below(root, id));
        stats.fill_v1(host, &v1, devices);
        if let Some(root) = &self.v2 {
            stats.fill_v2(host, &below(root, id), devices);
        }
        stats
    }

    /// A process of the group.
    pub fn first_process(&self, host: &HostFiles, id: &str) -> Option<u32> {
        ["memory", "cpu", "pids"]
            .iter()
            .filter_map(|controller| self.v1.get(*controller))
            .chain(&self.v2)
            .find_map(|root| {
                let processes = host.read(&below(root, id).join("cgroup.procs"))?;
                parse::number(processes.lines().next()?)
            })
    }
}

fn below(root: &Path, id: &str) -> PathBuf {
    root.join(id.trim_start_matches('/'))
}

fn walk(root: &Path, id: &str, depth: usize, ids: &mut BTreeSet<String>) {
    if depth == 0 || ids.len() >= CGROUPS_MAX {
        return;
    }
    let Ok(entries) = std::fs::read_dir(below(root, id)) else {
        // Gone since its parent was listed.
        return;
    };
    for entry in entries.flatten() {
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        if folder {
            let child = format!("{id}/{name}");
            walk(root, &child, depth - 1, ids);
            ids.insert(child);
        }
    }
}
