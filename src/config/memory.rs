//! How much memory the program may use, and what of it goes to whom.
//!
//! A limit of the machine or of the container ends the program where it is crossed, so everything that can
//! be bounded is bounded by a share of it. The shares are of what is there: on a large machine they are what
//! is useful, in a small container what fits. A limit that is set by name wins over its share.
//!
//! What is not shared out (a third) is for what grows with the number of series and streams, for requests on
//! their way, and for the allocator.

use std::path::{Path, PathBuf};

use storage::store::StoreOptions;
use tsdb::TsdbOptions;

/// The least that the program is said to work in.
pub(super) const BYTES_MIN: u64 = 128 << 20;

/// What of the memory queries of metrics may hold together, unless it is set.
const QUERIES: u64 = 4;
/// More is of no use to a default: a query that needs it should be asked for by name.
const QUERIES_BYTES_MAX: u64 = 8 << 30;
/// What one memtable of metrics may grow to; three of them may wait to be flushed.
const METRICS_FLUSH: u64 = 16;
/// The same of lines; four may wait.
const LINES_FLUSH: u64 = 24;
/// What of indexes is kept, in each store.
const INDEXES: u64 = 16;
/// What of decoded samples is kept.
const SAMPLES: u64 = 32;
/// What a write may be as it arrives; many may wait.
const WRITE: u64 = 64;
/// What it may be once it is unpacked, and once it is decoded; some are at once.
const WRITE_UNPACKED: u64 = 24;
const WRITE_DECODED: u64 = 16;

/// The memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    bytes: u64,
}

impl Memory {
    /// So much as was said, or as the machine and its groups of control allow.
    pub(super) fn of(said: Option<u64>) -> Self {
        let bytes = said.unwrap_or_else(|| available(Path::new("/")));
        Self {
            bytes: bytes.max(BYTES_MIN),
        }
    }

    /// How much it is.
    pub(crate) fn bytes(self) -> u64 {
        self.bytes
    }

    /// What queries of metrics may hold together.
    pub(crate) fn queries(self) -> u64 {
        (self.bytes / QUERIES).min(QUERIES_BYTES_MAX)
    }

    /// The options of the metrics store, none larger than its share.
    pub(crate) fn metrics(self, default: TsdbOptions) -> TsdbOptions {
        let mut options = default;
        options.store = self.store(options.store, METRICS_FLUSH);
        let ingest = &mut options.ingest;
        ingest.request_bytes_max = self.share(WRITE, ingest.request_bytes_max);
        ingest.unpacked_bytes_max = self.share(WRITE_UNPACKED, ingest.unpacked_bytes_max);
        ingest.decoded_bytes_max = self.share(WRITE_DECODED, ingest.decoded_bytes_max);
        options.read.cache_bytes = self.share(SAMPLES, options.read.cache_bytes);
        options
    }

    /// The options of the log store's tables.
    pub(crate) fn lines(self, default: StoreOptions) -> StoreOptions {
        self.store(default, LINES_FLUSH)
    }

    /// Keeps the proportion of what is flushed to what may wait for it.
    fn store(self, default: StoreOptions, flush: u64) -> StoreOptions {
        let memtables = default.memory_bytes_max / default.flush_bytes.max(1);
        let flush_bytes = self.share(flush, default.flush_bytes);
        StoreOptions {
            flush_bytes,
            memory_bytes_max: flush_bytes.saturating_mul(memtables),
            cache_bytes_max: self.share(INDEXES, default.cache_bytes_max),
            ..default
        }
    }

    fn share(self, part: u64, most: usize) -> usize {
        usize::try_from(self.bytes / part).map_or(most, |share| share.min(most))
    }
}

/// What the machine has, or less where a group of control of this process says so.
fn available(root: &Path) -> u64 {
    let machine = std::fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = machine.as_deref().and_then(total_of);
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(root, &groups).into_iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        // `max`, or version 1's number beyond any machine, is no limit.
        text.trim().parse().ok()
    });
    limits.chain(machine).min().unwrap_or(u64::MAX)
}

/// `MemTotal` of `/proc/meminfo`.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The files that may limit a process in such groups: of its own group and of every one above it, for each
/// bounds those below. In a container, which sees its own group as the root, these are the root's.
fn limit_files(root: &Path, groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        // `HIERARCHY:CONTROLLERS:PATH`; version 2 has no controllers.
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mount, name) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers
            .split(',')
            .any(|controller| controller == "memory")
        {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let mount = root.join(mount);
        let group = Path::new(path.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| mount.join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_machine_and_its_groups_is_what_there_is() {
        let meminfo = "MemTotal:        2000 kB\nMemFree:          10 kB\n";
        let limit = |group: &str, text: &str| (format!("{group}/memory.max"), text.to_owned());
        for (groups, limits, expected) in [
            ("", vec![], 2_048_000),
            ("0::/\n", vec![], 2_048_000),
            ("0::/\n", vec![limit("", "max\n")], 2_048_000),
            ("0::/\n", vec![limit("", "1000\n")], 1000),
            (
                "0::/a/b\n",
                vec![limit("a/b", "max\n"), limit("a", "7000\n")],
                7000,
            ),
            (
                "0::/a/b\n",
                vec![limit("a/b", "600\n"), limit("a", "7000\n")],
                600,
            ),
            ("0::/a\n", vec![limit("a", "9000000000\n")], 2_048_000),
            ("0::/a\n", vec![limit("other", "5\n")], 2_048_000),
            (
                "4:cpu,cpuacct:/x\n5:memory:/x/y\n",
                vec![(
                    "memory/x/memory.limit_in_bytes".to_owned(),
                    "300\n".to_owned(),
                )],
                300,
            ),
            (
                "5:memory:/x\n",
                vec![(
                    "memory/x/memory.limit_in_bytes".to_owned(),
                    "9223372036854771712\n".to_owned(),
                )],
                2_048_000,
            ),
        ] {
            let root = tempfile::tempdir().expect("temporary folder");
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("writes");
                std::fs::write(path, text).expect("writes");
            };
            write("proc/meminfo", meminfo);
            write("proc/self/cgroup", groups);
            for (path, text) in &limits {
                write(
                    &format!("sys/fs/cgroup/{}", path.trim_start_matches('/')),
                    text,
                );
            }
            assert_eq!(available(root.path()), expected, "{groups}{limits:?}");
        }
    }

    #[test]
    fn a_small_container_gets_small_shares_and_a_large_machine_the_defaults() {
        let default = TsdbOptions::default;
        let small = Memory::of(Some(512 << 20));
        assert_eq!(small.queries(), 128 << 20);
        let metrics = small.metrics(default());
        assert_eq!(metrics.store.flush_bytes, 32 << 20);
        assert_eq!(metrics.store.memory_bytes_max, 96 << 20);
        assert_eq!(metrics.read.cache_bytes, 16 << 20);
        let lines = small.lines(StoreOptions::default());
        let of_stores = metrics.store.memory_bytes_max
            + metrics.store.cache_bytes_max
            + metrics.read.cache_bytes
            + lines.memory_bytes_max
            + lines.cache_bytes_max;
        let shared_out = of_stores as u64 + small.queries();
        assert!(shared_out <= small.bytes() * 5 / 6, "{shared_out}");
        let large = Memory::of(Some(64 << 30));
        assert_eq!(large.queries(), QUERIES_BYTES_MAX);
        let metrics = large.metrics(default());
        assert_eq!(
            metrics.store.memory_bytes_max,
            default().store.memory_bytes_max
        );
        assert_eq!(
            metrics.ingest.decoded_bytes_max,
            default().ingest.decoded_bytes_max
        );
        assert_eq!(metrics.read.cache_bytes, default().read.cache_bytes);
    }
}
