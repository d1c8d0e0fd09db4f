//! One group's figures, in the units they are exposed in, and the three sources that fill them.
//!
//! A figure that a source has is never overwritten by the next: version 1 comes first, version 2
//! fills what it left, and proc fills the root.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::parse::{self, DeviceIo, Keyed};
use crate::host::HostFiles;
use crate::node::disk;

/// The clock ticks in which version 1 counts user and system time; 100 on every Linux.
const USER_HZ: f64 = 100.0;
const NANOS: f64 = 1e9;
const MICROS: f64 = 1e6;

/// What a group used and may use. Absent is what the kernel does not say.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // each field is the metric of its name
pub struct CgroupStats {
    pub cpu_usage_seconds: Option<f64>,
    pub cpu_user_seconds: Option<f64>,
    pub cpu_system_seconds: Option<f64>,
    pub cfs_periods: Option<f64>,
    pub cfs_throttled_periods: Option<f64>,
    pub cfs_throttled_seconds: Option<f64>,
    pub memory_usage_bytes: Option<f64>,
    pub memory_working_set_bytes: Option<f64>,
    pub memory_rss: Option<f64>,
    pub memory_cache: Option<f64>,
    pub memory_mapped_file: Option<f64>,
    pub memory_swap: Option<f64>,
    pub memory_events_high: Option<f64>,
    pub memory_events_max: Option<f64>,
    pub oom_events: Option<f64>,
    pub cpu_waiting_seconds: Option<f64>,
    pub cpu_stalled_seconds: Option<f64>,
    pub memory_waiting_seconds: Option<f64>,
    pub memory_stalled_seconds: Option<f64>,
    pub io_waiting_seconds: Option<f64>,
    pub io_stalled_seconds: Option<f64>,
    pub spec_cpu_quota: Option<f64>,
    pub spec_cpu_period: Option<f64>,
    pub spec_cpu_shares: Option<f64>,
    pub spec_memory_limit_bytes: Option<f64>,
    /// By device name.
    pub io: BTreeMap<String, DeviceIo>,
}

/// Fills a figure that has not been filled.
fn fill(slot: &mut Option<f64>, value: Option<f64>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn per(value: Option<u64>, unit: f64) -> Option<f64> {
    value.map(|value| value as f64 / unit)
}

impl CgroupStats {
    /// From version 1; `folder` gives the group's folder in a controller's hierarchy.
    pub fn fill_v1(
        &mut self,
        host: &HostFiles,
        folder: &dyn Fn(&str) -> Option<PathBuf>,
        devices: &HashMap<String, String>,
    ) {
        let read = |controller: &str, file: &str| host.read(&folder(controller)?.join(file));
        let whole = |controller: &str, file: &str| {
            parse::number::<u64>(&read(controller, file)?).map(|value| value as f64)
        };
        fill(
            &mut self.cpu_usage_seconds,
            whole("cpuacct", "cpuacct.usage").map(|nanos| nanos / NANOS),
        );
        if let Some(text) = read("cpuacct", "cpuacct.stat") {
            let stat = Keyed::parse(&text);
            fill(&mut self.cpu_user_seconds, per(stat.get("user"), USER_HZ));
            fill(
                &mut self.cpu_system_seconds,
                per(stat.get("system"), USER_HZ),
            );
        }
        fill(&mut self.spec_cpu_shares, whole("cpu", "cpu.shares"));
        fill(&mut self.spec_cpu_period, whole("cpu", "cpu.cfs_period_us"));
        // Without a quota the file says -1, which is no whole number.
        fill(&mut self.spec_cpu_quota, whole("cpu", "cpu.cfs_quota_us"));
        if self.spec_cpu_quota.is_some()
            && let Some(text) = read("cpu", "cpu.stat")
        {
            let stat = Keyed::parse(&text);
            self.fill_throttling(&stat, per(stat.get("throttled_time"), NANOS));
        }
        let usage = whole("memory", "memory.usage_in_bytes");
        if let Some(text) = read("memory", "memory.stat") {
            let stat = Keyed::parse(&text);
            let get = |key: &str| per(stat.get(key), 1.0);
            self.fill_working_set(usage, get("total_inactive_file"));
            fill(&mut self.memory_rss, get("total_rss"));
            fill(&mut self.memory_cache, get("total_cache"));
            fill(&mut self.memory_mapped_file, get("total_mapped_file"));
            fill(&mut self.memory_swap, get("total_swap"));
        }
        fill(&mut self.memory_usage_bytes, usage);
        if let Some(text) = read("memory", "memory.oom_control") {
            fill(
                &mut self.oom_events,
                per(Keyed::parse(&text).get("oom_kill"), 1.0),
            );
        }
        let limit = read("memory", "memory.limit_in_bytes");
        let limit = limit.and_then(|text| parse::limit_bytes(&text));
        fill(&mut self.spec_memory_limit_bytes, per(limit, 1.0));
        self.fill_blkio(&read, devices);
    }

    /// The throttling layer counts on every kernel; the schedulers' own files, only where one that
    /// counts is in use, and then they are the fuller ones.
    fn fill_blkio(
        &mut self,
        read: &dyn Fn(&str, &str) -> Option<String>,
        devices: &HashMap<String, String>,
    ) {
        for prefix in ["blkio.throttle.", "blkio.", "blkio.bfq."] {
            let bytes = read("blkio", &format!("{prefix}io_service_bytes_recursive"));
            let counts = read("blkio", &format!("{prefix}io_serviced_recursive"));
            if let (Some(bytes), Some(counts)) = (bytes, counts) {
                let io = parse::blkio(&bytes, &counts);
                if io.values().any(|io| *io != DeviceIo::default()) {
                    self.fill_io(io, devices);
                    return;
                }
            }
        }
    }

    /// From version 2, in the group's folder.
    pub fn fill_v2(&mut self, host: &HostFiles, folder: &Path, devices: &HashMap<String, String>) {
        let read = |file: &str| host.read(&folder.join(file));
        let whole = |file: &str| parse::number::<u64>(&read(file)?).map(|value| value as f64);
        if let Some((quota, period)) = read("cpu.max").and_then(|text| parse::cpu_max(&text)) {
            fill(&mut self.spec_cpu_quota, per(quota, 1.0));
            fill(&mut self.spec_cpu_period, per(Some(period), 1.0));
        }
        if let Some(text) = read("cpu.stat") {
            let stat = Keyed::parse(&text);
            let seconds = |key: &str| per(stat.get(key), MICROS);
            fill(&mut self.cpu_usage_seconds, seconds("usage_usec"));
            fill(&mut self.cpu_user_seconds, seconds("user_usec"));
            fill(&mut self.cpu_system_seconds, seconds("system_usec"));
            if self.spec_cpu_quota.is_some() {
                self.fill_throttling(&stat, seconds("throttled_usec"));
            }
        }
        let shares =
            whole("cpu.weight").map(|weight| parse::shares_of_weight(weight as u64) as f64);
        fill(&mut self.spec_cpu_shares, shares);
        let usage = whole("memory.current");
        if let Some(text) = read("memory.stat") {
            let stat = Keyed::parse(&text);
            let get = |key: &str| per(stat.get(key), 1.0);
            self.fill_working_set(usage, get("inactive_file"));
            fill(&mut self.memory_rss, get("anon"));
            fill(&mut self.memory_cache, get("file"));
            fill(&mut self.memory_mapped_file, get("file_mapped"));
        }
        fill(&mut self.memory_usage_bytes, usage);
        fill(&mut self.memory_swap, whole("memory.swap.current"));
        if let Some(text) = read("memory.events") {
            let events = Keyed::parse(&text);
            fill(&mut self.memory_events_high, per(events.get("high"), 1.0));
            fill(&mut self.memory_events_max, per(events.get("max"), 1.0));
            fill(&mut self.oom_events, per(events.get("oom_kill"), 1.0));
        }
        let limit = read("memory.max").and_then(|text| parse::limit_bytes(&text));
        fill(&mut self.spec_memory_limit_bytes, per(limit, 1.0));
        self.fill_pressure(&|resource| read(&format!("{resource}.pressure")));
        if self.io.is_empty()
            && let Some(text) = read("io.stat")
        {
            self.fill_io(parse::io_stat(&text), devices);
        }
    }

    /// From proc, for the root group, whose folder lacks some of this in version 2.
    pub fn fill_root(&mut self, host: &HostFiles) {
        if self.cpu_usage_seconds.is_none() {
            self.fill_root_cpu(&host.proc("stat").unwrap_or_default());
        }
        let meminfo = host.proc("meminfo").unwrap_or_default();
        let meminfo = parse::meminfo(&meminfo);
        let get = |key: &str| meminfo.get(key).map(|bytes| *bytes as f64);
        let less = |whole: &str, part: &str| Some((get(whole)? - get(part)?).max(0.0));
        let usage = self
            .memory_usage_bytes
            .or_else(|| less("MemTotal", "MemFree"));
        // A root with its own memory.stat but no usage could not subtract; proc's figure is the same.
        self.fill_working_set(usage, get("Inactive(file)"));
        fill(&mut self.memory_usage_bytes, usage);
        fill(&mut self.memory_rss, get("AnonPages"));
        fill(&mut self.memory_cache, get("Cached"));
        fill(&mut self.memory_mapped_file, get("Mapped"));
        fill(&mut self.memory_swap, less("SwapTotal", "SwapFree"));
        self.fill_pressure(&|resource| host.proc(&format!("pressure/{resource}")));
        if self.io.is_empty() {
            self.fill_root_io(&host.proc("diskstats").unwrap_or_default());
        }
    }

    /// The disks of the machine, as the root of a hierarchy would count them.
    fn fill_root_io(&mut self, diskstats: &str) {
        /// The kernel counts in sectors of this size, whatever the device's own.
        const SECTOR_BYTES: u64 = 512;
        for (device, columns) in disk::parse(diskstats) {
            if let [reads, _, sectors_read, _, writes, _, sectors_written, ..] = *columns {
                let io = DeviceIo {
                    read_bytes: sectors_read as u64 * SECTOR_BYTES,
                    written_bytes: sectors_written as u64 * SECTOR_BYTES,
                    reads: reads as u64,
                    writes: writes as u64,
                };
                self.io.insert(format!("/dev/{device}"), io);
            }
        }
    }

    /// `/proc/stat`'s first line: user, nice, system, idle, iowait, irq, softirq, steal.
    fn fill_root_cpu(&mut self, stat: &str) {
        let ticks: Vec<f64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))
            .unwrap_or_default()
            .split_ascii_whitespace()
            .filter_map(parse::number)
            .collect();
        if let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks.as_slice() {
            let user = (user + nice) / USER_HZ;
            let system = (system + irq + softirq) / USER_HZ;
            fill(&mut self.cpu_user_seconds, Some(user));
            fill(&mut self.cpu_system_seconds, Some(system));
            fill(&mut self.cpu_usage_seconds, Some(user + system));
        }
    }

    fn fill_working_set(&mut self, usage: Option<f64>, inactive_file: Option<f64>) {
        let working_set = usage.map(|usage| (usage - inactive_file.unwrap_or(0.0)).max(0.0));
        fill(&mut self.memory_working_set_bytes, working_set);
    }

    fn fill_throttling(&mut self, stat: &Keyed<'_>, seconds: Option<f64>) {
        fill(&mut self.cfs_periods, per(stat.get("nr_periods"), 1.0));
        fill(
            &mut self.cfs_throttled_periods,
            per(stat.get("nr_throttled"), 1.0),
        );
        fill(&mut self.cfs_throttled_seconds, seconds);
    }

    fn fill_pressure(&mut self, read: &dyn Fn(&str) -> Option<String>) {
        for (resource, waiting, stalled) in [
            (
                "cpu",
                &mut self.cpu_waiting_seconds,
                &mut self.cpu_stalled_seconds,
            ),
            (
                "memory",
                &mut self.memory_waiting_seconds,
                &mut self.memory_stalled_seconds,
            ),
            (
                "io",
                &mut self.io_waiting_seconds,
                &mut self.io_stalled_seconds,
            ),
        ] {
            if waiting.is_none()
                && let Some(text) = read(resource)
            {
                let (some, full) = parse::pressure(&text);
                fill(waiting, per(some, MICROS));
                fill(stalled, per(full, MICROS));
            }
        }
    }

    fn fill_io(&mut self, io: BTreeMap<String, DeviceIo>, devices: &HashMap<String, String>) {
        self.io = io
            .into_iter()
            .map(|(number, io)| (devices.get(&number).cloned().unwrap_or(number), io))
            .collect();
    }
}
