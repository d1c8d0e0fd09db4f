//! Labels to series.
//!
//! A series (or a stream) has a number within its memtable or part, a [`SeriesRef`]. The index
//! answers which numbers have which labels. There are two kinds of them behind one trait,
//! [`LabelIndex`]: [`memory::MemoryIndex`] grows with a memtable, [`reader::IndexReader`] reads what
//! [`writer::write_index`] put into a part. What a set of matchers means is written once, in
//! [`select`], and holds for every index.
//!
//! An index belongs to its part, so that a partition that expires takes its index along and churned
//! series cost nothing afterwards. The bytes of a part's index are described in `index/FORMAT.md`.
//!
//! - [`memory`]: the index of a memtable; [`runs`] are the series of a label in it.
//! - [`writer`]: the index of a part, from the label sets of its series: [`apart`] and [`postings`] hold
//!   them until they are written; [`dictionary`], [`tails`] and [`groups`] are what an index is made of,
//!   [`set`] and [`block`] what those are made of; [`bits`] are sets while they are worked on.
//! - [`reader`]: the index of a part, of the present version or of an earlier one ([`version_1`]).
//! - [`pattern`]: a regular expression as an index asks it.
//! - [`select`]: what matchers select.
//! - [`values`]: the values of a label, of one index and of many.

mod apart;
mod bits;
mod block;
mod dictionary;
mod groups;
pub mod memory;
pub mod pattern;
mod postings;
pub mod reader;
pub mod runs;
pub mod select;
mod set;
mod tails;
#[cfg(test)]
mod tests;
pub mod values;
mod version_1;
pub mod writer;

use model::matcher::Matcher;
use roaring::RoaringBitmap;

use crate::part::PartError;
use pattern::Pattern;
use values::Values;

/// The number of a series within its memtable or part.
pub type SeriesRef = u32;

/// What gives the values of a label one by one: the value and the numbers that have it. The
/// numbers are made only when they are asked for.
pub type VisitValue<'a> = dyn FnMut(&str, &mut dyn FnMut() -> Result<RoaringBitmap, PartError>) -> Result<(), PartError>
    + 'a;

/// Labels to series, in memory or in a part.
///
/// An index says what it has of a label; what matchers mean follows from that. It may answer the
/// latter itself where it knows a shorter way.
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

    /// The series that have a label of that name.
    fn presence(&self, name: &str) -> Result<RoaringBitmap, PartError> {
        let mut all = RoaringBitmap::new();
        self.each_value(name, "", &mut |_, postings| {
            all |= postings()?;
            Ok(())
        })?;
        Ok(all)
    }

    /// Every value of `name` that a pattern matches, in order.
    fn each_match(
        &self,
        name: &str,
        pattern: &Pattern<'_>,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        self.each_value(name, pattern.prefix(), &mut |value, postings| {
            if pattern.matches(value) {
                visit(value, postings)?;
            }
            Ok(())
        })
    }

    /// The series whose value of `name` a pattern matches.
    fn matching(&self, name: &str, pattern: &Pattern<'_>) -> Result<RoaringBitmap, PartError> {
        select::matching_by_postings(self, name, pattern)
    }

    /// The series that pass every matcher.
    fn select(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, PartError> {
        select::by_postings(self, matchers)
    }

    /// The values of `name` that series passing every matcher have, in order.
    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &[Matcher],
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        if matchers.is_empty() {
            return select::values_by_postings(self, name, None);
        }
        self.label_values_among(name, &self.select(matchers)?)
    }

    /// The label names that series passing every matcher have, in order.
    fn label_names_of(&self, matchers: &[Matcher]) -> Result<Vec<String>, PartError> {
        if matchers.is_empty() {
            return self.label_names();
        }
        self.label_names_among(&self.select(matchers)?)
    }

    /// The values of `name` that some of these series have, in order.
    fn label_values_among<'a>(
        &'a self,
        name: &'a str,
        series: &RoaringBitmap,
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        select::values_by_postings(self, name, Some(series))
    }

    /// The label names that some of these series have, in order.
    fn label_names_among(&self, series: &RoaringBitmap) -> Result<Vec<String>, PartError> {
        select::names_by_postings(self, series)
    }
}
