//! What there is to read at a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::time::{TimeRange, Timestamp};
use parking_lot::RwLock;

use super::lazy::LazyPart;
use crate::manifest::PartRecord;
use crate::part::PartError;
use crate::table::{Erasure, Memtable as _, Table};
use crate::wal::SegmentId;

/// An immutable list of the parts and memtables of a store. Rows that are in a part are in no
/// memtable of the same view, so nothing is read twice.
pub struct View<T: Table> {
    /// The parts, ordered by partition, then from the oldest to the newest.
    pub parts: Vec<Arc<StoredPart<T>>>,
    /// The memtables, from the oldest to the newest generation. Those of the last one are being
    /// written to. A series is in at most one memtable of a generation, or of a segment of the log that was
    /// replayed, so their order is the order in which its rows were written.
    pub memtables: Vec<Arc<Memory<T>>>,
}

/// A part: open, or opened when it is first read.
pub struct StoredPart<T: Table> {
    /// What the manifest says of it.
    pub record: PartRecord,
    /// The table's own reader, or how to get it.
    pub(super) part: Arc<LazyPart<T>>,
    /// What was deleted of it and is still in it. Whoever reads the part leaves these rows out.
    pub erasures: Arc<[Erasure]>,
}

impl<T: Table> StoredPart<T> {
    /// The table's own reader, opened if it is not yet. The error is that of opening it: the
    /// caller's rows are not complete without the part.
    pub fn part(&self) -> Result<&Arc<T::Part>, PartError> {
        self.part.get()
    }
}

/// The number of memtables that were begun, and are sealed and flushed, together: one of each shard.
/// What is replayed from a segment of the log is a generation of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub(super) u64);

impl Generation {
    /// The one after it.
    #[must_use]
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A memtable.
pub struct Memory<T: Table> {
    /// The segment of the log that holds its rows.
    pub(super) segment: SegmentId,
    /// Which memtables it is flushed with.
    pub(super) generation: Generation,
    /// When it was begun.
    pub(super) since: Timestamp,
    /// What it was last found to take, so that nobody needs the lock to add it up.
    bytes: AtomicUsize,
    /// Its rows.
    pub table: RwLock<T::Memtable>,
}

impl<T: Table> Memory<T> {
    pub(super) fn new(
        segment: SegmentId,
        generation: Generation,
        since: Timestamp,
        table: T::Memtable,
    ) -> Self {
        Self {
            segment,
            generation,
            since,
            bytes: AtomicUsize::new(table.bytes()),
            table: RwLock::new(table),
        }
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Remembers what it takes; only the shard's writer says so.
    pub(super) fn set_bytes(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl<T: Table> View<T> {
    /// The parts with rows in `range`, from the oldest to the newest within a partition.
    pub fn parts_in(&self, range: TimeRange) -> impl Iterator<Item = &Arc<StoredPart<T>>> {
        self.parts
            .iter()
            .filter(move |part| part.record.range().overlaps(&range))
    }

    /// The memtables that are being written to, one of each shard.
    pub fn active(&self) -> &[Arc<Memory<T>>] {
        self.generations().last().unwrap_or_default()
    }

    /// The oldest memtables that are not written to any more.
    pub(super) fn oldest_sealed(&self) -> Option<&[Arc<Memory<T>>]> {
        let mut generations = self.generations();
        let oldest = generations.next();
        oldest.filter(|_| generations.next().is_some())
    }

    fn generations(&self) -> impl Iterator<Item = &[Arc<Memory<T>>]> {
        self.memtables.chunk_by(|a, b| a.generation == b.generation)
    }
}

impl<T: Table> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            memtables: self.memtables.clone(),
        }
    }
}
