//! Labels to series.
//!
//! A series (or a stream) has a number within its memtable or part, a [`SeriesRef`]. The index
//! answers which numbers have which labels: label name → values → a roaring bitmap of numbers.
//! There are two of them behind one trait, [`LabelIndex`]: [`memory::MemoryIndex`] grows with a
//! memtable, [`reader::IndexReader`] reads what [`writer::write_index`] put into a part. What a set of
//! matchers means is written once, in [`select`].
//!
//! An index belongs to its part, so that a partition that expires takes its index along and churned
//! series cost nothing afterwards.

pub mod memory;
pub mod reader;
pub mod select;
pub mod writer;

use roaring::RoaringBitmap;

use crate::part::PartError;

/// The number of a series within its memtable or part.
pub type SeriesRef = u32;

/// What gives the values of a label one by one: the value and the numbers that have it. The
/// numbers are made only when they are asked for.
pub type VisitValue<'a> = dyn FnMut(&str, &mut dyn FnMut() -> Result<RoaringBitmap, PartError>) -> Result<(), PartError>
    + 'a;

/// Labels to series, in memory or in a part.
pub trait LabelIndex {
    /// How many series there are; their numbers are `0..len`.
    fn len(&self) -> u32;

    /// Whether there is no series.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The series with `name="value"`; none where `value` is empty.
    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError>;

    /// Every value of `name` that starts with `prefix`, in order.
    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError>;

    /// Every label name, in order.
    fn label_names(&self) -> Result<Vec<String>, PartError>;
}
