//! What a member says about its rows so that a store can keep them.
//!
//! The store moves bytes, files and locks; the table knows what is in them. A batch becomes a
//! record for the log ([`Memtable::encode`]), a record changes a memtable ([`Memtable::apply`], the same
//! code when it is written and when it is replayed, so that both lead to the same state), a memtable
//! becomes parts ([`Table::flush`]) and parts become one ([`Table::merge`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use model::time::{TimeRange, Timestamp};

use crate::codec::Malformed;
use crate::part::PartError;
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;

/// The number of a time partition: partition `n` holds the instants from `n * width` up to, not
/// including, `(n + 1) * width`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Partition(pub i64);

impl Partition {
    /// The partition an instant lies in.
    pub const fn of(at: Timestamp, width_ms: i64) -> Self {
        Self(at.0.div_euclid(width_ms))
    }

    /// The instants of the partition.
    pub const fn range(self, width_ms: i64) -> TimeRange {
        let start = self.0.saturating_mul(width_ms);
        TimeRange {
            start: Timestamp(start),
            end: Timestamp(start.saturating_add(width_ms - 1)),
        }
    }
}

/// What a written part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSummary {
    /// Samples or lines.
    pub rows: u64,
    /// The instants of the first and the last row.
    pub range: TimeRange,
}

/// Rows that are only in memory and in the log.
pub trait Memtable: Default + Send + Sync + 'static {
    /// What is written at once.
    type Batch: ?Sized;

    /// Appends the record that makes `batch` durable.
    ///
    /// It may refer to what earlier records of this memtable said, and must itself name what it
    /// introduces (a series' number, say) so that the loss of one record to a damaged disk never
    /// gives another record a different meaning.
    fn encode(&self, batch: &Self::Batch, record: &mut Vec<u8>);

    /// Applies a record. On an error the memtable holds what could be read of it.
    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed>;

    /// What the memtable takes in memory, in bytes.
    fn bytes(&self) -> usize;

    /// How many rows it holds.
    fn rows(&self) -> u64;

    /// The partitions its rows lie in.
    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition>;
}

/// A kind of rows: samples or log lines.
pub trait Table: Send + Sync + Sized + 'static {
    /// The kind's name, in the manifest and in messages.
    const NAME: &'static str;
    /// Its memtable.
    type Memtable: Memtable;
    /// Its opened part: what of it stays in memory.
    type Part: Send + Sync;

    /// Opens a part.
    fn open(file: PartFile) -> Result<Self::Part, PartError>;

    /// Writes the rows of `memtable` that lie in `range`; there is at least one.
    fn flush(
        memtable: &Self::Memtable,
        range: TimeRange,
        writer: &mut PartWriter,
    ) -> Result<PartSummary, PartError>;

    /// Writes the rows of `parts`, which go from the oldest to the newest: of two rows that are
    /// the same row the one of the later part stays.
    fn merge(parts: &[Arc<Self::Part>], writer: &mut PartWriter) -> Result<PartSummary, PartError>;
}
