//! Sizes of mounted filesystems, by `statvfs`.
//!
//! Kernel filesystems without storage are left out, as node_exporter leaves them out, and so are
//! the mounts that container runtimes make. A mount that cannot be asked is reported by
//! `node_filesystem_device_error`, and its sizes are left out.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};

use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// Filesystems without storage.
const PSEUDO: [&str; 30] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "fuse.lxcfs",
    "efivarfs",
    "ramfs",
    "nfsd",
    "rootfs",
];
/// Folders whose mounts are not the machine's.
const FOREIGN: [&str; 7] = [
    "/dev",
    "/proc",
    "/sys",
    "/run/credentials",
    "/var/lib/docker",
    "/var/lib/containers/storage",
    "/var/lib/kubelet/pods",
];

/// A line of the mount table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    device: String,
    mountpoint: String,
    fstype: String,
}

/// A family of sizes.
type Size = (&'static str, &'static str, fn(&StatVfs) -> u64);

#[rustfmt::skip] // a table
const SIZES: [Size; 5] = [
    ("node_filesystem_size_bytes", "Size in bytes.", |s| s.f_blocks.saturating_mul(s.f_frsize)),
    ("node_filesystem_free_bytes", "Free space in bytes.", |s| s.f_bfree.saturating_mul(s.f_frsize)),
    ("node_filesystem_avail_bytes", "Space in bytes for users without privileges.", |s| s.f_bavail.saturating_mul(s.f_frsize)),
    ("node_filesystem_files", "File nodes.", |s| s.f_files),
    ("node_filesystem_files_free", "Free file nodes.", |s| s.f_ffree),
];

/// Writes the families.
pub fn write(host: &HostFiles, body: &mut Exposition) {
    let table = host.proc("1/mounts").or_else(|| host.proc("mounts"));
    let asked: Vec<(Mount, Option<StatVfs>)> = parse(&table.unwrap_or_default())
        .into_iter()
        .map(|mount| {
            let path = below(&host.roots.rootfs, &mount.mountpoint);
            let sizes = statvfs(&path);
            if let Err(error) = &sizes {
                host.say_once(&path, &(*error).into());
            }
            (mount, sizes.ok())
        })
        .collect();
    for (name, help, of) in SIZES {
        write_family(&asked, name, help, |sizes| Some(of(sizes?)), body);
    }
    let readonly = |sizes: Option<&StatVfs>| {
        Some(u64::from(sizes?.f_flag.contains(StatVfsMountFlags::RDONLY)))
    };
    let help = "Whether it is mounted read-only.";
    write_family(&asked, "node_filesystem_readonly", help, readonly, body);
    let failed = |sizes: Option<&StatVfs>| Some(u64::from(sizes.is_none()));
    let help = "Whether its sizes could not be read.";
    write_family(&asked, "node_filesystem_device_error", help, failed, body);
}

fn write_family(
    asked: &[(Mount, Option<StatVfs>)],
    name: &str,
    help: &str,
    of: impl Fn(Option<&StatVfs>) -> Option<u64>,
    body: &mut Exposition,
) {
    body.family(name, Kind::Gauge, &format!("Filesystem: {help}"));
    for (mount, sizes) in asked {
        if let Some(value) = of(sizes.as_ref()) {
            let labels = [
                ("device", mount.device.as_str()),
                ("fstype", mount.fstype.as_str()),
                ("mountpoint", mount.mountpoint.as_str()),
            ];
            body.sample(&labels, value as f64);
        }
    }
}

fn below(rootfs: &Path, mountpoint: &str) -> std::path::PathBuf {
    rootfs.join(mountpoint.trim_start_matches('/'))
}

/// Reads a mount table. Of several mounts in one place the last is the one that is seen.
fn parse(table: &str) -> BTreeSet<Mount> {
    let mut places = BTreeSet::new();
    table
        .lines()
        .rev()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (device, mountpoint, fstype) = (words.next()?, words.next()?, words.next()?);
            let foreign = FOREIGN.iter().any(|folder| {
                mountpoint
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if PSEUDO.contains(&fstype) || foreign {
                return None;
            }
            let mountpoint = unescape(mountpoint);
            places.insert(mountpoint.clone()).then(|| Mount {
                device: unescape(device),
                mountpoint,
                fstype: fstype.to_owned(),
            })
        })
        .collect()
}

/// The table writes blanks and backslashes in octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_storage_of_the_machine_is_listed() {
        let table = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n\
            tmpfs /dev/shm tmpfs rw 0 0\n/dev/b /mnt/a\\040b xfs ro 0 0\n\
            /dev/a /var/lib/kubelet/pods/x ext4 rw 0 0\n/dev/c / btrfs rw 0 0\nbroken\n";
        let mounts = parse(table);
        let places: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.device.as_str(), mount.mountpoint.as_str()))
            .collect();
        assert_eq!(
            places,
            [("/dev/b", "/mnt/a b"), ("/dev/c", "/"), ("tmpfs", "/run")]
        );
    }
}
