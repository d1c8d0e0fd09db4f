//! CPU time by mode, load averages, scheduler totals and pressure.

use crate::cgroup::parse::{number, pressure};
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// The clock ticks in which the kernel counts CPU time for programs; 100 on every Linux.
const USER_HZ: f64 = 100.0;
/// The columns of a `cpuN` line.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
/// Lines of `/proc/stat` that are one number, and their families.
const TOTALS: [(&str, &str, Kind, &str); 5] = [
    (
        "ctxt",
        "node_context_switches_total",
        Kind::Counter,
        "Context switches.",
    ),
    (
        "intr",
        "node_intr_total",
        Kind::Counter,
        "Interrupts serviced.",
    ),
    ("processes", "node_forks_total", Kind::Counter, "Forks."),
    (
        "procs_running",
        "node_procs_running",
        Kind::Gauge,
        "Processes that can run.",
    ),
    (
        "procs_blocked",
        "node_procs_blocked",
        Kind::Gauge,
        "Processes blocked on I/O.",
    ),
];

/// Writes the families.
pub fn write(host: &HostFiles, body: &mut Exposition) {
    if let Some(stat) = host.proc("stat") {
        write_stat(&stat, body);
    }
    if let Some(loadavg) = host.proc("loadavg") {
        write_load(&loadavg, body);
    }
    for (resource, waiting, stalled) in [
        ("cpu", "node_pressure_cpu_waiting_seconds_total", None),
        (
            "memory",
            "node_pressure_memory_waiting_seconds_total",
            Some("node_pressure_memory_stalled_seconds_total"),
        ),
        (
            "io",
            "node_pressure_io_waiting_seconds_total",
            Some("node_pressure_io_stalled_seconds_total"),
        ),
    ] {
        let text = host.proc(&format!("pressure/{resource}"));
        let (some, full) = pressure(&text.unwrap_or_default());
        let help = format!("Time in which processes waited for {resource}.");
        for (name, micros) in [(Some(waiting), some), (stalled, full)] {
            if let (Some(name), Some(micros)) = (name, micros) {
                body.single(name, Kind::Counter, &help, micros as f64 / 1e6);
            }
        }
    }
}

fn write_stat(stat: &str, body: &mut Exposition) {
    body.family(
        "node_cpu_seconds_total",
        Kind::Counter,
        "Seconds the CPUs spent in each mode.",
    );
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let cpu = words
            .next()
            .and_then(|word| word.strip_prefix("cpu"))
            .filter(|cpu| !cpu.is_empty());
        if let Some(cpu) = cpu {
            for (mode, ticks) in MODES.iter().zip(words.filter_map(number::<f64>)) {
                body.sample(&[("cpu", cpu), ("mode", mode)], ticks / USER_HZ);
            }
        }
    }
    for (key, name, kind, help) in TOTALS {
        let value = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(word, _)| *word == key)
            .and_then(|(_, rest)| number(rest.split_ascii_whitespace().next()?));
        if let Some(value) = value {
            body.single(name, kind, help, value);
        }
    }
}

fn write_load(loadavg: &str, body: &mut Exposition) {
    let families = [
        ("node_load1", "1m load average."),
        ("node_load5", "5m load average."),
        ("node_load15", "15m load average."),
    ];
    let loads = loadavg.split_ascii_whitespace().map_while(number);
    for ((name, help), load) in families.into_iter().zip(loads) {
        body.single(name, Kind::Gauge, help, load);
    }
}
