//! A durable store of one kind of rows.
//!
//! Invariants, each with a test in `tests/` that tries to break it:
//!
//! 1. **Acknowledged is durable.** [`Store::append`] returns when the kernel has the record (a killed
//!    process loses nothing), with [`FsyncPolicy::Always`] when the medium has it. No
//!    acknowledged row is lost or repeated by a crash at any point.
//! 2. A part is written whole, synced, then named by the manifest, which changes by one atomic
//!    rename together with the log's floor. Nothing is modified in place.
//! 3. The log holds only what no part holds yet, and memtables are bounded: at the budget
//!    `append` refuses with [`AppendError::Overloaded`].
//! 4. Every byte read is checksummed. Corruption names file and offset, quarantines that part, and
//!    the rest goes on being served.
//! 5. Any timestamp is accepted; of the same row written twice the later one wins.
//! 6. A full disk refuses writes with a clear error and nothing else: reads go on, and writes go on
//!    when room returns.
//!
//! Shape: one writer lock orders the log and the memtable, so that replay repeats exactly what
//! happened. Readers take a [`View`], an immutable list of parts and memtables, and hold no lock of
//! the store while they work; a memtable is behind its own lock, and once sealed is never written
//! again. Flushes and merges each run one at a time, beside each other, and write their parts without a
//! lock that others need; the manifest's lock is held only while parts are named, and the view changes
//! in the same step. Locks are taken in the order flush or merge, manifest, writer.
//!
//! The store starts no thread by itself: [`background::Background`] does, and tests call the same
//! methods by hand.

pub mod background;
mod flush;
mod lazy;
mod merge;
mod recover;
pub mod view;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use model::time::Timestamp;
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::manifest::{Manifest, ManifestError, PartId};
use crate::part::PartError;
use crate::table::{Memtable, Shard, Table};
use crate::wal::SegmentId;
use crate::wal::sync::{FsyncPolicy, Syncer};
use crate::wal::writer::WalWriter;
use view::{Memory, View};

pub use recover::Recovered;

/// How a store behaves. Every field has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Width of a time partition.
    pub partition_ms: i64,
    /// When a write is durable against power loss.
    pub fsync: FsyncPolicy,
    /// A memtable of this size is flushed.
    pub flush_bytes: usize,
    /// A memtable of this age is flushed.
    pub flush_interval_ms: i64,
    /// What all memtables together may take; beyond it writes are refused.
    pub memory_bytes_max: usize,
    /// Parts whose newest row is older than this are dropped.
    pub retention_ms: Option<i64>,
    /// How many parts of one level become one of the next.
    pub merge_fan_in: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            partition_ms: 24 * 3_600_000,
            fsync: FsyncPolicy::Interval(100),
            flush_bytes: 64 << 20,
            flush_interval_ms: 60_000,
            memory_bytes_max: 256 << 20,
            retention_ms: None,
            merge_fan_in: 8,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{}: in use by another process; stop it, or choose another data folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There are parts and nothing says which of them count.
    #[error("{}: there are parts but no manifest; restore MANIFEST from a backup, or move the folder away to start empty", dir.display())]
    ManifestMissing {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The folder holds rows of another kind.
    #[error("{}: holds {found}, not {expected}; choose another data folder", dir.display())]
    OtherTable {
        /// The store's folder.
        dir: PathBuf,
        /// What the manifest says.
        found: String,
        /// What was to be opened.
        expected: &'static str,
    },
    /// A part cannot be read for a reason other than its bytes.
    #[error(transparent)]
    Part(PartError),
}

/// Why a write was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The medium is full.
    #[error("disk full: {}: {source}; free some room, or lower the retention; writes go on by themselves", path.display())]
    DiskFull {
        /// The log's segment.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The disk refused for another reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log's segment.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Memtables are at their budget and the flush is behind.
    #[error(
        "too much is waiting to be flushed: {bytes} bytes of at most {bytes_max}; try again later"
    )]
    Overloaded {
        /// What memtables hold.
        bytes: usize,
        /// What they may hold.
        bytes_max: usize,
    },
    /// The batch encodes to more than one record may hold.
    #[error("{0}")]
    TooLarge(io::Error),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a flush, merge or other change of the parts failed. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// A part cannot be written or read.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The manifest cannot be replaced.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The log cannot go on in a new segment, or the folder cannot be synced.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// Counters of a store, since it was opened.
#[derive(Debug, Default)]
pub struct StoreCounters {
    /// Rows acknowledged by `append` are the table's business; these are records.
    pub records: AtomicU64,
    /// Bytes of acknowledged records.
    pub record_bytes: AtomicU64,
    /// Writes that were refused.
    pub refused: AtomicU64,
    /// Memtables that became parts.
    pub flushes: AtomicU64,
    /// Merges that were committed.
    pub merges: AtomicU64,
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
    clock: Arc<dyn Clock>,
    view: ArcSwap<View<T>>,
    writer: Mutex<Writer>,
    syncer: Arc<Syncer>,
    /// Held by the one flush that runs.
    flushing: Mutex<()>,
    /// Held by the one merge that runs.
    merging: Mutex<()>,
    /// Held while parts are named or forgotten.
    manifest: Mutex<Manifest>,
    counters: StoreCounters,
    wake: Wake,
    closed: AtomicBool,
    _lock: Box<dyn Any + Send + Sync>,
}

struct Writer {
    wal: WalWriter,
    record: Vec<u8>,
}

/// Wakes the maintenance thread before its time.
#[derive(Default)]
struct Wake {
    due: Mutex<bool>,
    condition: Condvar,
}

impl<T: Table> Store<T> {
    /// Appends a batch. Returns when it is as durable as the options say.
    pub fn append(&self, batch: &<T::Memtable as Memtable>::Batch) -> Result<(), AppendError> {
        let appended = self.append_unsynced(batch);
        let result = appended.and_then(|(position, path)| match self.options.fsync {
            FsyncPolicy::Always => self
                .syncer
                .sync_to(position)
                .map_err(|source| append_error(path, source)),
            FsyncPolicy::Interval(_) => Ok(()),
        });
        if result.is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn append_unsynced(
        &self,
        batch: &<T::Memtable as Memtable>::Batch,
    ) -> Result<(crate::wal::writer::Position, PathBuf), AppendError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let bytes = self.memory_bytes();
        if bytes > self.options.memory_bytes_max {
            self.wake();
            return Err(AppendError::Overloaded {
                bytes,
                bytes_max: self.options.memory_bytes_max,
            });
        }
        let mut writer = self.writer.lock();
        if writer.wal.is_poisoned() {
            let path = writer.wal.path();
            self.seal(&mut writer)
                .map_err(|source| append_error(path, source))?;
            self.wake();
        }
        let view = self.view.load_full();
        let memory = view.active();
        let Writer { wal, record } = &mut *writer;
        record.clear();
        memory.table.read().encode(batch, Shard::WHOLE, record);
        let position = wal
            .append(record)
            .map_err(|source| append_error(wal.path(), source))?;
        let mut table = memory.table.write();
        if let Err(malformed) = table.apply(record) {
            // The record was made a line above, from the same memtable.
            tracing::error!(table = T::NAME, %malformed, "a record does not decode; this is a defect of the program");
            debug_assert!(false, "own record does not decode: {malformed}");
        }
        let full = table.bytes() >= self.options.flush_bytes;
        drop(table);
        self.counters.records.fetch_add(1, Ordering::Relaxed);
        self.counters
            .record_bytes
            .fetch_add(record.len() as u64, Ordering::Relaxed);
        let path = wal.path();
        drop(writer);
        if full {
            self.wake();
        }
        Ok((position, path))
    }

    /// Makes durable what was appended so far.
    pub fn sync(&self) -> io::Result<()> {
        self.syncer.sync()
    }

    /// What there is to read at this moment.
    pub fn view(&self) -> Arc<View<T>> {
        self.view.load_full()
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
        let view = self.view.load();
        view.memtables
            .iter()
            .map(|memory| memory.table.read().bytes())
            .sum()
    }

    /// Takes a part out because its bytes are wrong: the file moves to `quarantine/`, everything else
    /// goes on. Errors that are not corruption are left alone.
    pub fn quarantine(&self, part: PartId, error: &PartError) -> Result<(), MaintainError> {
        if !error.is_corruption() {
            return Ok(());
        }
        if !self.replace_parts(&[part], Vec::new(), None)? {
            return Ok(());
        }
        tracing::error!(table = T::NAME, %error, "a part is corrupt; it is moved to quarantine and the rest goes on being served");
        self.counters.quarantined.fetch_add(1, Ordering::Relaxed);
        recover::move_to_quarantine(self.disk.as_ref(), &self.dir, part);
        Ok(())
    }

    /// Refuses further writes, flushes and makes everything durable.
    pub fn close(&self) -> Result<(), MaintainError> {
        self.closed.store(true, Ordering::Release);
        self.flush()
    }

    fn wake(&self) {
        *self.wake.due.lock() = true;
        self.wake.condition.notify_one();
    }

    fn part_path(&self, part: PartId) -> PathBuf {
        recover::parts_dir(&self.dir).join(part.file_name())
    }

    /// Ends the active memtable and begins a new one in a new segment of the log.
    fn seal(&self, writer: &mut Writer) -> io::Result<SegmentId> {
        let segment = writer.wal.rotate()?;
        let memory = Arc::new(Memory::new(segment, self.clock.now()));
        self.view.rcu(|view| {
            let mut next = View::clone(view);
            next.memtables.push(Arc::clone(&memory));
            next
        });
        Ok(segment)
    }
}

fn append_error(path: PathBuf, source: io::Error) -> AppendError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            AppendError::DiskFull { path, source }
        }
        io::ErrorKind::InvalidInput => AppendError::TooLarge(source),
        _ => AppendError::Io { path, source },
    }
}
