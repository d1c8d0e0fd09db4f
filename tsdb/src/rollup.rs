//! Roll-ups: what is old, in brief. Off unless configured.
//!
//! A roll-up keeps, for every series and every stretch of 5 minutes or an hour, how many samples
//! there were, their sum, least, greatest, first and last, and by how much a counter grew. Each of
//! these [`aspect::Aspect`]s is a series of its own, with the labels of the series it tells of and
//! one more, `__rollup__`; and a roll-up is a store like the one it is made from, beside it in the same
//! folder. So it has the same log, parts, index, merges, retention, deletion and recovery, and raw
//! samples and roll-ups can be kept for different times.
//!
//! - [`aspect`]: samples to what is told of them. Pure.
//! - [`make`]: whole partitions that are old enough are read and rolled up, again where what they
//!   were made from has changed.
//! - [`source`]: which queries are answered from roll-ups.
//!
//! Invariants:
//!
//! 1. A stretch is open at its start and closed at its end, as a window of a query is, and carries the
//!    instant of its end. Windows whose ends are such instants therefore hold whole stretches.
//! 2. A partition counts as rolled up only while the parts it was made from are the parts there are.
//! 3. A query is answered from a roll-up only where the answer is of the same kind: see [`source`].

pub mod aspect;
pub mod make;
pub mod source;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use parking_lot::Mutex;
use storage::clock::Clock;
use storage::disk::Disk;
use storage::manifest::PartId;
use storage::store::{MaintainError, OpenError, Recovered, StoreOptions};
use storage::table::{Erasure, Partition};

use crate::store::MetricStore;

/// Partitions of a roll-up are wide: a stretch of 5 minutes is twenty samples of 15 seconds.
const PARTITION_MS: i64 = 30 * 24 * 3_600_000;
/// Samples of a roll-up that wait in memory: it is written by one thread.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Says which partitions are rolled up.
const MADE_FILE: &str = "MADE";

/// A roll-up that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupOptions {
    /// How long a stretch is.
    pub resolution: Resolution,
    /// A partition is rolled up when its last instant is this long ago.
    pub after_ms: i64,
    /// How long the roll-up is kept; for ever where that is not said.
    pub retention_ms: Option<i64>,
}

/// How long a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
}

impl Resolution {
    /// In milliseconds.
    pub const fn millis(self) -> i64 {
        match self {
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }

    /// As it is written in the configuration and in the folder's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
}

/// The parts that a partition was rolled up from: its own and its neighbours'.
type Origin = Vec<(Partition, PartId)>;

/// A roll-up of a store.
pub struct Rollup {
    options: RollupOptions,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: Arc<MetricStore>,
    /// Which partitions of the raw store are rolled up, and from what.
    made: Mutex<Arc<BTreeMap<Partition, Origin>>>,
}

impl std::fmt::Debug for Rollup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rollup").field(&self.dir).finish()
    }
}

impl Rollup {
    /// Opens the roll-up beside the store in `dir`, making it if it is not there.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: RollupOptions,
        store: &StoreOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        let dir = dir.join(format!("rollup-{}", options.resolution.as_str()));
        let store = StoreOptions {
            partition_ms: PARTITION_MS,
            shards: 1,
            memory_bytes_max: MEMORY_BYTES_MAX,
            flush_bytes: MEMORY_BYTES_MAX / 4,
            retention_ms: options.retention_ms,
            // Of the raw samples: what is told of them is kept for a time of its own.
            retention_bytes: None,
            retention_rules: Vec::new(),
            ..store.clone()
        };
        let (store, recovered) = MetricStore::open(Arc::clone(&disk), clock, &dir, store)?;
        let made = read_made(disk.as_ref(), &dir);
        let rollup = Self {
            options,
            disk,
            dir,
            store: Arc::new(store),
            made: Mutex::new(Arc::new(made)),
        };
        Ok((rollup, recovered))
    }

    /// The store it is kept in.
    pub const fn store(&self) -> &Arc<MetricStore> {
        &self.store
    }

    /// Forgets what is told of the stretches that share an instant with `range`; what is left of
    /// them is rolled up anew.
    pub(crate) fn delete(
        &self,
        matchers: Vec<Matcher>,
        range: TimeRange,
    ) -> Result<(), MaintainError> {
        let resolution = self.options.resolution.millis();
        let range = TimeRange::new(range.start, range.end.saturating_add(resolution - 1));
        self.store.delete(Erasure { matchers, range })?;
        Ok(())
    }

    /// How it was configured.
    pub const fn options(&self) -> &RollupOptions {
        &self.options
    }

    /// Up to which instant every sample of `raw` from `start` on is rolled up; before `start` where
    /// that is none. What `raw` no longer holds was rolled up before it expired.
    fn covered(&self, raw: &MetricStore, start: Timestamp) -> Timestamp {
        let width = raw.options().partition_ms;
        let view = raw.view();
        let made = self.made();
        let parts = view.parts.iter().map(|part| part.record.partition);
        let mut later = parts.filter(|partition| partition.range(width).end >= start);
        let missing = later.find(|partition| {
            let made = made.get(partition);
            !made.is_some_and(|made| make::is_current(made, *partition, &view))
        });
        let end = match missing {
            Some(partition) => partition.range(width).start,
            None => made.last_key_value().map_or(Timestamp::MAX, |(last, _)| {
                last.range(width).end.saturating_add(1)
            }),
        };
        // What came late and is in no part yet is in no roll-up.
        let memtables = view.memtables.iter();
        let late = memtables.filter_map(|memory| memory.table.read().oldest());
        let end = late.fold(end, |end, late| end.min(late.saturating_sub(1)));
        let resolution = self.options.resolution.millis();
        Timestamp(end.0.div_euclid(resolution).saturating_mul(resolution))
    }

    fn made(&self) -> Arc<BTreeMap<Partition, Origin>> {
        Arc::clone(&self.made.lock())
    }

    fn set_made(&self, made: BTreeMap<Partition, Origin>) -> io::Result<()> {
        let text = serde_json::to_vec(&made.iter().collect::<Vec<_>>())?;
        self.disk.replace(&self.dir.join(MADE_FILE), &text)?;
        *self.made.lock() = Arc::new(made);
        Ok(())
    }
}

/// What the file says; nothing where it cannot be read: everything is then made again.
fn read_made(disk: &dyn Disk, dir: &Path) -> BTreeMap<Partition, Origin> {
    let text = disk.read(&dir.join(MADE_FILE)).unwrap_or_default();
    let made: Vec<(Partition, Origin)> = serde_json::from_slice(&text).unwrap_or_default();
    made.into_iter().collect()
}
