//! The kernel at large: its name, its time, its file handles and tracked connections.

use model::time::Timestamp;

use crate::cgroup::parse::number;
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// Writes the families.
pub fn write(host: &HostFiles, now: Timestamp, body: &mut Exposition) {
    let help = "Seconds since the epoch.";
    body.single("node_time_seconds", Kind::Gauge, help, now.seconds());
    let stat = host.proc("stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
    if let Some(seconds) = boot.and_then(number) {
        let help = "When the machine started, in seconds since the epoch.";
        body.single("node_boot_time_seconds", Kind::Gauge, help, seconds);
    }
    write_uname(host, body);
    let handles = host.proc("sys/fs/file-nr").unwrap_or_default();
    let mut handles = handles.split_ascii_whitespace().map(number::<f64>);
    if let (Some(Some(allocated)), Some(Some(maximum))) = (handles.next(), handles.nth(1)) {
        let help = "File handles in use.";
        body.single("node_filefd_allocated", Kind::Gauge, help, allocated);
        let help = "File handles at most.";
        body.single("node_filefd_maximum", Kind::Gauge, help, maximum);
    }
    for (file, name, help) in [
        ("count", "node_nf_conntrack_entries", "Connections tracked."),
        (
            "max",
            "node_nf_conntrack_entries_limit",
            "Connections tracked at most.",
        ),
    ] {
        let text = host.proc(&format!("sys/net/netfilter/nf_conntrack_{file}"));
        if let Some(value) = text.and_then(|text| number(&text)) {
            body.single(name, Kind::Gauge, help, value);
        }
    }
}

fn write_uname(host: &HostFiles, body: &mut Exposition) {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    let read = |file: &str| {
        let text = host.proc(&format!("sys/kernel/{file}")).unwrap_or_default();
        text.trim().to_owned()
    };
    // Only the machine type is not in proc.
    let (sysname, release, version) = (read("ostype"), read("osrelease"), read("version"));
    let (nodename, domainname) = (read("hostname"), read("domainname"));
    let help = "Labels say what the kernel is; the value is 1.";
    body.family("node_uname_info", Kind::Gauge, help).sample(
        &[
            ("domainname", &domainname),
            ("machine", &machine),
            ("nodename", &nodename),
            ("release", &release),
            ("sysname", &sysname),
            ("version", &version),
        ],
        1.0,
    );
}
