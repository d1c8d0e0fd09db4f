//! Block devices: `/proc/diskstats`, without those that only repeat another.

use crate::cgroup::parse::number;
use crate::expose::{Exposition, Kind};
use crate::host::HostFiles;

/// The kernel counts in sectors of this size, whatever the device's own.
const SECTOR_BYTES: f64 = 512.0;
const MILLIS: f64 = 1e-3;

/// Column (after the name), family, factor to its unit, help.
type Column = (usize, &'static str, f64, &'static str);

#[rustfmt::skip] // a table
const COLUMNS: [Column; 10] = [
    (0, "node_disk_reads_completed_total", 1.0, "Reads completed."),
    (1, "node_disk_reads_merged_total", 1.0, "Reads merged."),
    (2, "node_disk_read_bytes_total", SECTOR_BYTES, "Bytes read."),
    (3, "node_disk_read_time_seconds_total", MILLIS, "Seconds spent by all reads."),
    (4, "node_disk_writes_completed_total", 1.0, "Writes completed."),
    (5, "node_disk_writes_merged_total", 1.0, "Writes merged."),
    (6, "node_disk_written_bytes_total", SECTOR_BYTES, "Bytes written."),
    (7, "node_disk_write_time_seconds_total", MILLIS, "Seconds spent by all writes."),
    (9, "node_disk_io_time_seconds_total", MILLIS, "Seconds in which I/O was under way."),
    (10, "node_disk_io_time_weighted_seconds_total", MILLIS, "Seconds of I/O, weighted by how much was under way."),
];
/// The column of I/O under way, the only gauge.
const IO_NOW: usize = 8;

/// Writes the families.
pub fn write(host: &HostFiles, body: &mut Exposition) {
    let text = host.proc("diskstats").unwrap_or_default();
    let disks = parse(&text);
    for (column, name, factor, help) in COLUMNS {
        body.family(name, Kind::Counter, help);
        for (device, values) in &disks {
            if let Some(value) = values.get(column) {
                body.sample(&[("device", device)], value * factor);
            }
        }
    }
    body.family("node_disk_io_now", Kind::Gauge, "I/O under way.");
    for (device, values) in &disks {
        if let Some(value) = values.get(IO_NOW) {
            body.sample(&[("device", device)], *value);
        }
    }
}

/// Device and columns of each line.
pub(crate) fn parse(text: &str) -> Vec<(&str, Vec<f64>)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace().skip(2);
            let device = words.next()?;
            (!is_excluded(device)).then(|| (device, words.filter_map(number).collect()))
        })
        .collect()
}

/// RAM disks, loop devices, floppies and partitions, as node_exporter leaves them out.
fn is_excluded(device: &str) -> bool {
    let digits_after = |prefix: &str| {
        device
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_partition = || {
        let disk = device.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered = disk.len() < device.len();
        let letters = ["sd", "hd", "vd", "xvd"]
            .iter()
            .any(|bus| disk.strip_prefix(bus).is_some_and(|rest| !rest.is_empty()));
        let behind_p = disk
            .strip_suffix('p')
            .is_some_and(|disk| disk.starts_with("nvme") || disk.starts_with("mmcblk"));
        numbered && (letters || behind_p)
    };
    ["ram", "loop", "fd", "zram"].into_iter().any(digits_after) || is_partition()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_loops_are_left_out() {
        for (device, excluded) in [
            ("sda", false),
            ("sda1", true),
            ("vdb12", true),
            ("xvda", false),
            ("nvme0n1", false),
            ("nvme0n1p2", true),
            ("mmcblk0", false),
            ("dm-0", false),
            ("md127", false),
            ("loop7", true),
            ("ram0", true),
        ] {
            assert_eq!(is_excluded(device), excluded, "{device}");
        }
    }
}
