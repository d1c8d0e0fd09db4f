//! What a member says about its rows so that a store can keep them.
//!
//! The store moves bytes, files and locks; the table knows what is in them. A batch becomes a
//! record for the log ([`Memtable::encode`]), a record changes a memtable ([`Memtable::apply`], the same
//! code when it is written and when it is replayed, so that both lead to the same state), a memtable
//! becomes parts ([`Table::flush`]) and parts become one ([`Table::merge`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use model::matcher::Matcher;
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

/// One of the shards that a store's memory is divided into, so that writers of different series
/// do not wait for each other. A series is always in the same shard while the store is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, below `of`.
    pub number: u32,
    /// How many there are; at least one.
    pub of: u32,
}

impl Shard {
    /// The only shard of a store that has one.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// Whether the shard holds the series whose labels have this hash.
    pub const fn holds(self, hash: u64) -> bool {
        Self::number_of(hash, self.of) == self.number
    }

    /// Which of `of` shards, at least one, holds the series whose labels have this hash.
    #[inline]
    pub const fn number_of(hash: u64, of: u32) -> u32 {
        // The high bits: tables within a shard use the low ones.
        ((hash >> 32) % (of as u64)) as u32
    }
}

/// Rows that are only in memory and in the log.
pub trait Memtable: Default + Send + Sync + 'static {
    /// What is written at once.
    type Batch: ?Sized;

    /// An empty memtable that takes this one's place. It may share what saves work (interned
    /// labels, say), never rows.
    #[must_use]
    fn successor(&self) -> Self {
        Self::default()
    }

    /// Appends the record that makes the rows of `batch` that belong to `shard` durable; nothing
    /// where no row does.
    ///
    /// It may refer to what earlier records of this memtable said, and must itself name what it
    /// introduces (a series' number, say) so that the loss of one record to a damaged disk never
    /// gives another record a different meaning.
    fn encode(&self, batch: &Self::Batch, shard: Shard, record: &mut Vec<u8>);

    /// How many bytes of memory applying `record`, which this memtable has just encoded, takes at the most; taken
    /// of the budget before the record is applied. A table whose records are denser than its memory says more
    /// than their length.
    fn growth(&self, record: &[u8]) -> usize {
        record.len()
    }

    /// Applies a record. On an error the memtable holds what could be read of it.
    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed>;

    /// What the memtable takes in memory, in bytes.
    fn bytes(&self) -> usize;

    /// How many rows it holds.
    fn rows(&self) -> u64;

    /// The partitions its rows lie in.
    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition>;
}

/// Rows that were deleted: those of the series that pass every matcher, within a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Which series; at least one matcher.
    pub matchers: Vec<Matcher>,
    /// Which instants.
    pub range: TimeRange,
}

/// What a part is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Density {
    /// It will soon be merged: written and read fast.
    #[default]
    Hot,
    /// It stays: as small as it can be.
    Settled,
}

impl Density {
    /// Whether it will soon be merged.
    pub fn is_hot(&self) -> bool {
        *self == Self::Hot
    }
}

/// A part that is merged, and the deletions that it does not know of yet.
#[derive(Debug)]
pub struct MergeInput<P> {
    /// The part.
    pub part: Arc<P>,
    /// What is left out of it.
    pub erasures: Arc<[Erasure]>,
}

/// What a merge is to do.
#[derive(Debug)]
pub struct MergePlan<P> {
    /// The parts, from the oldest to the newest: of two rows that are the same row the one of the
    /// later part stays.
    pub inputs: Vec<MergeInput<P>>,
    /// What the result is for.
    pub density: Density,
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

    /// Whether the part may hold rows of the series that pass every matcher, to spare it being written
    /// anew where it holds none.
    fn may_hold(_part: &Self::Part, _matchers: &[Matcher]) -> Result<bool, PartError> {
        Ok(true)
    }

    /// Writes the rows of `memtables` that lie in `range`; there is at least one. The memtables
    /// are the shards of one: no series is in two of them.
    fn flush(
        memtables: &[&Self::Memtable],
        range: TimeRange,
        writer: &mut PartWriter,
    ) -> Result<PartSummary, PartError>;

    /// Writes what the plan leaves of its parts; `None`, with nothing written, where that is no
    /// row.
    fn merge(
        plan: &MergePlan<Self::Part>,
        writer: &mut PartWriter,
    ) -> Result<Option<PartSummary>, PartError>;
}
