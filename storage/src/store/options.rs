//! What whoever opens a store decides.

use crate::wal::sync::FsyncPolicy;

/// The most shards a store has.
pub const SHARDS_MAX: u32 = 64;

/// How a store behaves. Every field has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// How many parts of one level become one of the next.
    pub merge_fan_in: usize,
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
            merge_fan_in: 8,
        }
    }
}
