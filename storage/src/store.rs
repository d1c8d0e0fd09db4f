//! A durable store of one kind of rows.
//!
//! Invariants, each with a test in `tests/` that tries to break it:
//!
//! 1. **Acknowledged is durable.** [`Store::append`] returns when the kernel has the records (a killed
//!    process loses nothing), with `FsyncPolicy::Always` when the medium has them. No acknowledged row is
//!    lost or repeated by a crash at any point. Of a batch that was refused some shards may have their rows.
//! 2. **Parts are whole.** A part is written, synced, then named by the manifest, which changes by one
//!    atomic rename together with the log's floor. Nothing is modified in place; what a crash leaves
//!    half-done is swept at the start.
//! 3. **Memory is bounded, the log is short.** The log holds only what no part holds yet. Room is taken of
//!    the budget before a record is written; where there is none `append` waits for the flush, and refuses with
//!    [`AppendError::Overloaded`] where that stays behind.
//! 4. **Every byte read is checksummed.** Corruption names file and offset, quarantines that part, and
//!    the rest goes on being served.
//! 5. **Any timestamp is accepted;** of the same row written twice the later one wins.
//! 6. **Deleted is gone.** When [`Store::delete`] has returned no reader sees the rows any more, nor does
//!    any after a crash or a merge that ran meanwhile; what is written afterwards stays, even at the same
//!    instants.
//! 7. **A disk that takes no writes costs writes and nothing else.** Full or read-only, it is named, reads go
//!    on, and everything goes on by itself when it takes them again.
//! 8. **A snapshot is of one moment,** and opens as a store or not at all.
//!
//! Shape: memory and log are divided in shards, by series. A shard's writer lock orders its log and its
//! memtable, so that replay repeats exactly what happened. The memtables of all shards are sealed and
//! flushed together, as a generation; each belongs to exactly one segment of the log. Readers take a
//! [`View`], an immutable list of parts and memtables, and hold no lock of
//! the store while they work; a memtable is behind its own lock, and once sealed is never written
//! again. Flushes and merges each run one at a time, beside each other, and write their parts without a
//! lock that others need; the manifest's lock is held only while parts are named, and the view changes
//! in the same step. Locks are taken in the order snapshot, flush or merge, manifest, writers by number.
//!
//! The store starts no thread by itself but those that replay the log: [`background::Background`] does,
//! and tests call the same methods by hand.
//!
//! Modules, in the order data flows:
//!
//! - `options`, `error`: what whoever opens a store decides, and why it does not do what it was asked.
//! - `recover`: opening, replay of the log.
//! - `append`, `budget`: a batch on its way into log and memory, and what memory there is.
//! - [`view`], `lazy`: what there is to read at a moment.
//! - `flush`: memtables become parts. `change`: the one step in which parts change.
//! - `merge`, `pace`: parts become fewer, and give way meanwhile.
//! - `erase`, `retain`: what was deleted, and what is old.
//! - `snapshot`: a copy that costs no bytes.
//! - [`background`]: the threads.

mod append;
pub mod background;
mod budget;
mod change;
mod erase;
mod error;
mod flush;
mod lazy;
mod merge;
mod options;
mod pace;
mod recover;
mod retain;
mod snapshot;
mod tier;
pub mod view;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use model::time::Timestamp;
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::manifest::{Manifest, PartId};
use crate::part::PartError;
use crate::part::cache::PartCache;
use crate::table::Table;
use append::ShardLog;
use budget::Budget;
use pace::MergePace;
use snapshot::Removals;
use tier::Tiered;
use view::View;

pub use erase::{Deleted, ERASURES_MAX};
pub use error::{AppendError, MaintainError, OpenError};
pub use options::{RetentionRule, SHARDS_MAX, StoreOptions};
pub use pace::Reading;
pub use recover::Recovered;
pub use snapshot::SnapshotReport;

/// Counters of a store, since it was opened.
#[derive(Debug, Default)]
pub struct StoreCounters {
    /// Rows acknowledged by `append` are the table's business; these are records.
    pub records: AtomicU64,
    /// Bytes of acknowledged records.
    pub record_bytes: AtomicU64,
    /// Writes that waited for memory.
    pub waited: AtomicU64,
    /// Writes that were refused.
    pub refused: AtomicU64,
    /// Memtables that became parts.
    pub flushes: AtomicU64,
    /// Merges that were committed.
    pub merges: AtomicU64,
    /// Parts that retention dropped.
    pub expired: AtomicU64,
    /// Flushes, merges and syncs that failed.
    pub maintenance_errors: AtomicU64,
    /// Parts that were quarantined.
    pub quarantined: AtomicU64,
}

/// A durable store of one kind of rows.
pub struct Store<T: Table> {
    dir: PathBuf,
    options: StoreOptions,
    disk: Arc<dyn Disk>,
    cache: Arc<PartCache>,
    clock: Arc<dyn Clock>,
    view: ArcSwap<View<T>>,
    /// In the order of their numbers, which is the order in which they are locked.
    shards: Vec<ShardLog<T>>,
    /// Where the next append begins.
    next_shard: AtomicUsize,
    /// What all memtables take, and may take.
    budget: Budget,
    /// What those that are being written to take.
    active_bytes: AtomicUsize,
    /// Held by the one flush that runs.
    flushing: Mutex<()>,
    /// Held by the one merge that runs.
    merging: Mutex<()>,
    pace: Arc<MergePace>,
    removals: Removals,
    /// Held while parts are named or forgotten.
    manifest: Mutex<Manifest>,
    /// The bucket that old parts move to.
    tiered: Option<Tiered<T>>,
    counters: StoreCounters,
    wake: Wake,
    closed: AtomicBool,
    _lock: Box<dyn Any + Send + Sync>,
}

/// Wakes the maintenance thread before its time.
#[derive(Default)]
struct Wake {
    due: Mutex<bool>,
    condition: Condvar,
}

impl<T: Table> Store<T> {
    /// Makes durable what was appended so far. Where a shard's log cannot be synced the others are
    /// nevertheless.
    pub fn sync(&self) -> io::Result<()> {
        let synced = self.shards.iter().map(|shard| shard.syncer.sync());
        synced.fold(Ok(()), io::Result::and)
    }

    /// Whether an fsync failed of a log that is being written to.
    fn sync_has_failed(&self) -> bool {
        self.shards.iter().any(|shard| shard.syncer.has_failed())
    }

    /// What there is to read at this moment.
    pub fn view(&self) -> Arc<View<T>> {
        self.view.load_full()
    }

    /// Says that a query runs: merges give way until what is returned is dropped.
    pub fn reading(&self) -> Reading {
        Reading::new(&self.pace)
    }

    /// How the store behaves.
    pub const fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Counters since the store was opened.
    pub const fn counters(&self) -> &StoreCounters {
        &self.counters
    }

    /// The oldest instant that is still accepted and kept.
    pub fn oldest_kept(&self) -> Timestamp {
        match self.options.retention_ms {
            Some(retention) => self.clock.now().saturating_sub(retention),
            None => Timestamp::MIN,
        }
    }

    /// What memtables take in memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Takes a part out because its bytes are wrong: the file moves to `quarantine/`, everything else
    /// goes on. Errors that are not corruption are left alone.
    pub fn quarantine(&self, part: PartId, error: &PartError) -> Result<(), MaintainError> {
        if !error.is_corruption() {
            return Ok(());
        }
        let is_remote = self.manifest.lock().remote_parts().any(|id| id == part);
        if is_remote {
            self.quarantine_remote(part)?;
        }
        if !self.replace_parts(&[part], Vec::new(), None)? {
            return Ok(());
        }
        tracing::error!(table = T::NAME, %error, "a part is corrupt; it is moved to quarantine and the rest goes on being served");
        self.counters.quarantined.fetch_add(1, Ordering::Relaxed);
        if !is_remote {
            recover::move_to_quarantine(self.disk.as_ref(), &self.dir, part);
        }
        Ok(())
    }

    /// Refuses further writes, flushes and makes everything durable.
    pub fn close(&self) -> Result<(), MaintainError> {
        self.closed.store(true, Ordering::Release);
        self.budget.wake_all();
        self.pace.hurry();
        self.flush()
    }

    fn wake(&self) {
        *self.wake.due.lock() = true;
        self.wake.condition.notify_one();
    }

    fn part_path(&self, part: PartId) -> PathBuf {
        recover::parts_dir(&self.dir).join(part.file_name())
    }
}
