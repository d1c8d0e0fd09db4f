//! What whoever opens a store decides.

use model::matcher::Matcher;

use crate::manifest::RuleId;
use crate::wal::sync::FsyncPolicy;

/// The most shards a store has.
pub const SHARDS_MAX: u32 = 64;

/// How a store behaves. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Width of a time partition.
    pub partition_ms: i64,
    /// Into how many shards memory and log are divided, so that writers of different series do not
    /// wait for each other; from 1 to [`SHARDS_MAX`].
    pub shards: u32,
    /// When a write is durable against power loss.
    pub fsync: FsyncPolicy,
    /// Memtables that together are of this size are flushed.
    pub flush_bytes: usize,
    /// Memtables of this age are flushed.
    pub flush_interval_ms: i64,
    /// What all memtables together may take; at that a write waits.
    pub memory_bytes_max: usize,
    /// How long a write waits for memory before it is refused.
    pub overload_wait_ms: u64,
    /// Parts whose newest row is older than this are dropped.
    pub retention_ms: Option<i64>,
    /// Bytes that all parts on the disk together may take; beyond it the oldest partitions are dropped.
    pub retention_bytes: Option<u64>,
    /// Series that are kept for a shorter time than the others.
    pub retention_rules: Vec<RetentionRule>,
    /// How many parts of one level become one of the next.
    pub merge_fan_in: usize,
    /// How fast merges write; as fast as they can where nothing is said.
    pub merge_bytes_per_second: Option<u64>,
    /// What is kept in memory of the parts' indexes while nobody reads them.
    pub cache_bytes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            partition_ms: 24 * 3_600_000,
            shards: 1,
            fsync: FsyncPolicy::Interval(100),
            flush_bytes: 64 << 20,
            flush_interval_ms: 60_000,
            memory_bytes_max: 256 << 20,
            overload_wait_ms: 5_000,
            retention_ms: None,
            retention_bytes: None,
            retention_rules: Vec::new(),
            merge_fan_in: 8,
            merge_bytes_per_second: Some(64 << 20),
            cache_bytes_max: 128 << 20,
        }
    }
}

/// Series that are kept for a shorter time than the others. They go when the whole of a partition is older
/// than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Which series: those that pass every matcher.
    pub matchers: Vec<Matcher>,
    /// How long they are kept.
    pub keep_ms: i64,
}

impl RetentionRule {
    /// What the manifest knows the rule by: a number of its matchers. A rule with another time is the same rule
    /// and is due at another time.
    pub(super) fn id(&self) -> RuleId {
        // FNV-1a, which is the same in every version of the program.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for matcher in &self.matchers {
            for byte in format!("{matcher},").bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        RuleId(hash)
    }
}
