//! What there is to read at a moment.

use std::sync::Arc;

use model::time::{TimeRange, Timestamp};
use parking_lot::RwLock;

use super::lazy::LazyPart;
use crate::manifest::PartRecord;
use crate::part::PartError;
use crate::table::Table;
use crate::wal::SegmentId;

/// An immutable list of the parts and memtables of a store. Rows that are in a part are in no
/// memtable of the same view, so nothing is read twice.
pub struct View<T: Table> {
    /// The parts, ordered by partition, then from the oldest to the newest.
    pub parts: Vec<Arc<StoredPart<T>>>,
    /// The memtables, from the oldest to the newest; the last one is being written to.
    pub memtables: Vec<Arc<Memory<T>>>,
}

/// A part: open, or opened when it is first read.
pub struct StoredPart<T: Table> {
    /// What the manifest says of it.
    pub record: PartRecord,
    /// The table's own reader, or how to get it.
    pub(super) part: LazyPart<T>,
}

impl<T: Table> StoredPart<T> {
    /// The table's own reader, opened if it is not yet. The error is that of opening it: the
    /// caller's rows are not complete without the part.
    pub fn part(&self) -> Result<&Arc<T::Part>, PartError> {
        self.part.get()
    }
}

/// A memtable.
pub struct Memory<T: Table> {
    /// The segment of the log that holds its rows.
    pub(super) segment: SegmentId,
    /// When it was begun.
    pub(super) since: Timestamp,
    /// Its rows.
    pub table: RwLock<T::Memtable>,
}

impl<T: Table> Memory<T> {
    pub(super) fn new(segment: SegmentId, since: Timestamp) -> Self {
        Self {
            segment,
            since,
            table: RwLock::new(T::Memtable::default()),
        }
    }
}

impl<T: Table> View<T> {
    /// The parts with rows in `range`, from the oldest to the newest within a partition.
    pub fn parts_in(&self, range: TimeRange) -> impl Iterator<Item = &Arc<StoredPart<T>>> {
        self.parts
            .iter()
            .filter(move |part| part.record.range().overlaps(&range))
    }

    /// The memtable that is being written to.
    pub(super) fn active(&self) -> &Memory<T> {
        // A view is made with a memtable, and flushing never takes the last one.
        #[allow(clippy::expect_used)] // an invariant of this module, not of any input
        self.memtables
            .last()
            .expect("a view has an active memtable")
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
