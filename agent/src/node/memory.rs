//! Memory: every line of meminfo, and the few of vmstat that dashboards draw.

use crate::cgroup::parse::number;
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// The counters of vmstat that are exposed, as node_exporter chooses them.
const VMSTAT: [&str; 7] = [
    "oom_kill",
    "pgfault",
    "pgmajfault",
    "pgpgin",
    "pgpgout",
    "pswpin",
    "pswpout",
];

/// Writes the families.
pub fn write(host: &HostFiles, body: &mut Exposition) {
    for line in host.proc("meminfo").unwrap_or_default().lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let mut words = value.split_ascii_whitespace();
        let Some(value) = words.next().and_then(number::<f64>) else {
            continue;
        };
        // `Active(anon)` becomes `Active_anon`.
        let key = key.replace('(', "_").replace(')', "");
        let help = format!("Memory information field {key}.");
        if words.next() == Some("kB") {
            let name = format!("node_memory_{key}_bytes");
            body.single(&name, Kind::Gauge, &help, value * 1024.0);
        } else {
            body.single(&format!("node_memory_{key}"), Kind::Gauge, &help, value);
        }
    }
    for line in host.proc("vmstat").unwrap_or_default().lines() {
        let Some((key, value)) = line.split_once(' ') else {
            continue;
        };
        let wanted = VMSTAT.contains(&key);
        if let Some(value) = number(value).filter(|_| wanted) {
            let help = format!("/proc/vmstat field {key}.");
            body.single(&format!("node_vmstat_{key}"), Kind::Counter, &help, value);
        }
    }
}
