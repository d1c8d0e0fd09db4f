//! The formats in which the kernel writes a group's figures. Pure; what does not parse is absent.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

/// A number on its own.
pub fn number<N: FromStr>(text: &str) -> Option<N> {
    text.trim().parse().ok()
}

/// Lines of `key value`: `memory.stat`, `cpu.stat`, `memory.events`, `cpuacct.stat`.
#[derive(Debug, Default)]
pub struct Keyed<'a>(HashMap<&'a str, u64>);

impl<'a> Keyed<'a> {
    /// Reads the lines.
    pub fn parse(text: &'a str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| {
                    let (key, value) = line.split_once(' ')?;
                    Some((key, number(value)?))
                })
                .collect(),
        )
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<u64> {
        self.0.get(key).copied()
    }
}

/// `cpu.max`: the quota, where there is one, and the period, in microseconds.
pub fn cpu_max(text: &str) -> Option<(Option<u64>, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = match quota {
        "max" => None,
        quota => Some(number(quota)?),
    };
    Some((quota, number(period)?))
}

/// A limit in bytes, 0 where there is none: `max` in version 2, a number near 2^63 in version 1.
pub fn limit_bytes(text: &str) -> Option<u64> {
    /// What version 1 shows for no limit is `i64::MAX` rounded down to a page, of any size.
    const UNLIMITED: u64 = 1 << 62;
    match text.trim() {
        "max" => Some(0),
        text => number(text).map(|bytes: u64| if bytes >= UNLIMITED { 0 } else { bytes }),
    }
}

/// Version 2's weight as version 1's shares. Source: the kubelet's conversion, inverted.
pub fn shares_of_weight(weight: u64) -> u64 {
    2 + weight.saturating_sub(1).saturating_mul(262_142) / 9_999
}

/// A pressure file: the totals of `some` and `full`, in microseconds.
pub fn pressure(text: &str) -> (Option<u64>, Option<u64>) {
    let total = |kind: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(kind))
            .and_then(|line| line.rsplit_once("total="))
            .and_then(|(_, total)| number(total))
    };
    (total("some "), total("full "))
}

/// What a group read and wrote on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` per device.
pub fn io_stat(text: &str) -> BTreeMap<String, DeviceIo> {
    let mut devices = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(device) = words.next() else { continue };
        let mut io = DeviceIo::default();
        let mut known = false;
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let field = match key {
                "rbytes" => &mut io.read_bytes,
                "wbytes" => &mut io.written_bytes,
                "rios" => &mut io.reads,
                "wios" => &mut io.writes,
                _ => continue,
            };
            *field = number(value).unwrap_or_default();
            known = true;
        }
        if known {
            devices.insert(device.to_owned(), io);
        }
    }
    devices
}

/// Version 1's `blkio.*` files: `8:0 Read 123` per device and operation, of bytes and of counts.
pub fn blkio(bytes: &str, counts: &str) -> BTreeMap<String, DeviceIo> {
    let mut devices: BTreeMap<String, DeviceIo> = BTreeMap::new();
    for (text, bytes) in [(bytes, true), (counts, false)] {
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(device), Some(operation), Some(value)) =
                (words.next(), words.next(), words.next().and_then(number))
            else {
                continue;
            };
            let io = devices.entry(device.to_owned()).or_default();
            match (operation, bytes) {
                ("Read", true) => io.read_bytes = value,
                ("Write", true) => io.written_bytes = value,
                ("Read", false) => io.reads = value,
                ("Write", false) => io.writes = value,
                _ => {}
            }
        }
    }
    devices
}

/// `/proc/diskstats` as names by `major:minor`.
pub fn device_names(diskstats: &str) -> HashMap<String, String> {
    diskstats
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (major, minor, name) = (words.next()?, words.next()?, words.next()?);
            Some((format!("{major}:{minor}"), format!("/dev/{name}")))
        })
        .collect()
}

/// `/proc/meminfo` in bytes.
pub fn meminfo(text: &str) -> HashMap<&str, u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            let mut words = value.split_ascii_whitespace();
            let count: u64 = number(words.next()?)?;
            let unit = if words.next() == Some("kB") { 1024 } else { 1 };
            Some((key, count.saturating_mul(unit)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_formats_are_read() {
        assert_eq!(cpu_max("max 100000\n"), Some((None, 100_000)));
        assert_eq!(cpu_max("50000 100000\n"), Some((Some(50_000), 100_000)));
        assert_eq!(cpu_max("max\n"), None);
        assert_eq!(limit_bytes("max\n"), Some(0));
        assert_eq!(limit_bytes("9223372036854771712\n"), Some(0));
        assert_eq!(limit_bytes("1048576\n"), Some(1_048_576));
        assert_eq!(shares_of_weight(1), 2);
        assert_eq!(shares_of_weight(100), 2597);
        assert_eq!(shares_of_weight(10_000), 262_144);
        assert_eq!(
            pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 total=3\n"),
            (Some(12), Some(3))
        );
        assert_eq!(pressure(""), (None, None));
        assert_eq!(Keyed::parse("a 1\nb x\nc 3").get("c"), Some(3));
        assert_eq!(
            meminfo("MemTotal:  2 kB\nHugePages_Total:  3\n").get("MemTotal"),
            Some(&2048)
        );
    }

    #[test]
    fn both_kinds_of_device_figures_are_read() {
        let want = DeviceIo {
            read_bytes: 1,
            written_bytes: 2,
            reads: 3,
            writes: 4,
        };
        let v2 = io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n");
        assert_eq!(v2, BTreeMap::from([("8:0".to_owned(), want)]));
        let v1 = blkio(
            "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
            "8:0 Read 3\n8:0 Write 4\nTotal 7\n",
        );
        assert_eq!(v1, BTreeMap::from([("8:0".to_owned(), want)]));
        let names = device_names("   8       0 sda 1 2 3\n");
        assert_eq!(names.get("8:0").map(String::as_str), Some("/dev/sda"));
    }
}
