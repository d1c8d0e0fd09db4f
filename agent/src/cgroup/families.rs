//! The figures as families, in the names of the kubelet's cAdvisor endpoint.

use super::network::Interface;
use super::parse::DeviceIo;
use super::stats::CgroupStats;
use super::{Cgroup, parse};
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// A family of one figure a group.
struct Figure {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&CgroupStats) -> Option<f64>,
}

const fn counter(
    name: &'static str,
    help: &'static str,
    of: fn(&CgroupStats) -> Option<f64>,
) -> Figure {
    Figure {
        name,
        kind: Kind::Counter,
        help,
        of,
    }
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    of: fn(&CgroupStats) -> Option<f64>,
) -> Figure {
    Figure {
        name,
        kind: Kind::Gauge,
        help,
        of,
    }
}

#[rustfmt::skip] // a table
const FIGURES: &[Figure] = &[
    counter("container_cpu_user_seconds_total", "Cumulative user CPU time in seconds.", |s| s.cpu_user_seconds),
    counter("container_cpu_system_seconds_total", "Cumulative system CPU time in seconds.", |s| s.cpu_system_seconds),
    counter("container_cpu_cfs_periods_total", "Enforcement periods that have passed.", |s| s.cfs_periods),
    counter("container_cpu_cfs_throttled_periods_total", "Enforcement periods in which the group was throttled.", |s| s.cfs_throttled_periods),
    counter("container_cpu_cfs_throttled_seconds_total", "Time for which the group was throttled.", |s| s.cfs_throttled_seconds),
    gauge("container_memory_usage_bytes", "Memory in use, caches included.", |s| s.memory_usage_bytes),
    gauge("container_memory_working_set_bytes", "Memory in use without inactive file pages.", |s| s.memory_working_set_bytes),
    gauge("container_memory_rss", "Anonymous memory in bytes.", |s| s.memory_rss),
    gauge("container_memory_cache", "Page cache in bytes.", |s| s.memory_cache),
    gauge("container_memory_mapped_file", "Memory-mapped files in bytes.", |s| s.memory_mapped_file),
    gauge("container_memory_swap", "Swap in use in bytes.", |s| s.memory_swap),
    counter("container_memory_events_high_total", "Times the group was throttled for exceeding memory.high.", |s| s.memory_events_high),
    counter("container_memory_events_max_total", "Times the group was about to exceed memory.max.", |s| s.memory_events_max),
    counter("container_oom_events_total", "Processes killed for want of memory.", |s| s.oom_events),
    counter("container_pressure_cpu_waiting_seconds_total", "Time in which some task waited for CPU.", |s| s.cpu_waiting_seconds),
    counter("container_pressure_cpu_stalled_seconds_total", "Time in which all tasks waited for CPU.", |s| s.cpu_stalled_seconds),
    counter("container_pressure_memory_waiting_seconds_total", "Time in which some task waited for memory.", |s| s.memory_waiting_seconds),
    counter("container_pressure_memory_stalled_seconds_total", "Time in which all tasks waited for memory.", |s| s.memory_stalled_seconds),
    counter("container_pressure_io_waiting_seconds_total", "Time in which some task waited for I/O.", |s| s.io_waiting_seconds),
    counter("container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O.", |s| s.io_stalled_seconds),
    gauge("container_spec_cpu_quota", "CPU quota in microseconds a period.", |s| s.spec_cpu_quota),
    gauge("container_spec_cpu_period", "CPU period in microseconds.", |s| s.spec_cpu_period),
    gauge("container_spec_cpu_shares", "CPU shares.", |s| s.spec_cpu_shares),
    gauge("container_spec_memory_limit_bytes", "Memory limit, 0 for none.", |s| s.spec_memory_limit_bytes),
];

/// What a device did, and how it is called.
type DeviceFigure = (&'static str, &'static str, fn(&DeviceIo) -> u64);

#[rustfmt::skip] // a table
const DEVICE_FIGURES: &[DeviceFigure] = &[
    ("container_fs_reads_bytes_total", "Bytes read.", |io| io.read_bytes),
    ("container_fs_writes_bytes_total", "Bytes written.", |io| io.written_bytes),
    ("container_fs_reads_total", "Reads completed.", |io| io.reads),
    ("container_fs_writes_total", "Writes completed.", |io| io.writes),
];

/// What an interface did, and how it is called.
type InterfaceFigure = (&'static str, &'static str, fn(&Interface) -> u64);

#[rustfmt::skip] // a table
const INTERFACE_FIGURES: &[InterfaceFigure] = &[
    ("container_network_receive_bytes_total", "Bytes received.", |i| i.receive.bytes),
    ("container_network_receive_packets_total", "Packets received.", |i| i.receive.packets),
    ("container_network_receive_errors_total", "Errors while receiving.", |i| i.receive.errors),
    ("container_network_receive_packets_dropped_total", "Packets dropped while receiving.", |i| i.receive.dropped),
    ("container_network_transmit_bytes_total", "Bytes sent.", |i| i.transmit.bytes),
    ("container_network_transmit_packets_total", "Packets sent.", |i| i.transmit.packets),
    ("container_network_transmit_errors_total", "Errors while sending.", |i| i.transmit.errors),
    ("container_network_transmit_packets_dropped_total", "Packets dropped while sending.", |i| i.transmit.dropped),
];

/// Writes the families of all groups.
pub fn write_cgroups(cgroups: &[Cgroup], body: &mut Exposition) {
    body.family(
        "container_cpu_usage_seconds_total",
        Kind::Counter,
        "Cumulative CPU time in seconds.",
    );
    for cgroup in cgroups {
        if let Some(seconds) = cgroup.stats.cpu_usage_seconds {
            write_one(body, cgroup, Some(("cpu", "total")), seconds);
        }
    }
    for figure in FIGURES {
        body.family(figure.name, figure.kind, figure.help);
        for cgroup in cgroups {
            if let Some(value) = (figure.of)(&cgroup.stats) {
                write_one(body, cgroup, None, value);
            }
        }
    }
    for (name, help, of) in DEVICE_FIGURES {
        body.family(name, Kind::Counter, help);
        for cgroup in cgroups {
            for (device, io) in &cgroup.stats.io {
                write_one(body, cgroup, Some(("device", device)), of(io) as f64);
            }
        }
    }
    for (name, help, of) in INTERFACE_FIGURES {
        body.family(name, Kind::Counter, help);
        for cgroup in cgroups {
            for interface in &cgroup.interfaces {
                let label = Some(("interface", interface.name.as_str()));
                write_one(body, cgroup, label, of(interface) as f64);
            }
        }
    }
}

/// Writes what the machine has.
pub fn write_machine(host: &HostFiles, body: &mut Exposition) {
    let stat = host.proc("stat").unwrap_or_default();
    let cores = stat
        .lines()
        .filter_map(|line| line.strip_prefix("cpu"))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .count();
    if cores > 0 {
        let help = "Number of logical CPU cores.";
        body.single("machine_cpu_cores", Kind::Gauge, help, cores as f64);
    }
    let meminfo = host.proc("meminfo").unwrap_or_default();
    if let Some(bytes) = parse::meminfo(&meminfo).get("MemTotal") {
        let help = "Memory of the machine in bytes.";
        body.single("machine_memory_bytes", Kind::Gauge, help, *bytes as f64);
    }
}

fn write_one(body: &mut Exposition, cgroup: &Cgroup, extra: Option<(&str, &str)>, value: f64) {
    let mut labels = vec![("id", cgroup.id.as_str())];
    let named = [
        ("name", &cgroup.name),
        ("image", &cgroup.image),
        ("namespace", &cgroup.namespace),
        ("pod", &cgroup.pod),
        ("container", &cgroup.container),
    ];
    labels.extend(
        named
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (*name, text.as_str())),
    );
    labels.extend(extra);
    body.sample(&labels, value);
}
