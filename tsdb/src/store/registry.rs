//! The series that are active: labels, numbers, and what finds one by the other.
//!
//! A memtable lives a minute and its series live for days, so the successive memtables of a shard
//! share one registry: a flush costs no series anything. Numbers are given in the order series are
//! first seen and never change; a memtable may hold no sample of a series that is listed here. When
//! most of the series are idle the next memtable begins a registry of its own, and the old one goes with
//! the last memtable that refers to it: that is how idle series leave memory.
//!
//! Labels are interned pair by pair. Ten labels of two hundred bytes are ten numbers, because a pair
//! such as `job="node"` is there once however many series have it.
//!
//! Locks: the registry is written to by the one writer of its shard and read by everybody; the
//! postings, which only queries need, are caught up by the query that needs them; the order, which
//! only flushes need, by the flush. Whoever takes two of them takes the registry first.
//!
//! - [`pairs`]: label pairs to numbers.
//! - [`active`]: the registries that are written to, for whoever looks up what a write names.
//! - [`postings`]: label pairs to series.
//! - [`order`]: the series in the order of their labels.

mod active;
mod order;
mod pairs;
mod postings;

use std::sync::Arc;

use hashbrown::HashTable;
use model::labels::Labels;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use storage::index::SeriesRef;
use storage::pages::{Pages, RunPlace, Runs};

use crate::ingest::census::{Census, Enrolment};
use crate::ingest::named::{Fingerprints, strip_label};

pub(crate) use active::{ActiveRegistries, Lookup};
pub(super) use pairs::PairNumber;
use pairs::Pairs;
use postings::Postings;
pub use postings::RegistryIndex;

/// A registry and what is derived from it, as memtables share it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    registry: RwLock<Registry>,
    postings: RwLock<Postings>,
    /// Series in the order of their labels, as far as the last flush needed it.
    order: Mutex<Arc<Vec<SeriesRef>>>,
}

impl Shared {
    /// The registry, to read. A reader may hold it already.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read_recursive()
    }

    /// The registry, to read by whoever holds none yet, and does not pass a writer that waits.
    fn read_in_turn(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read()
    }

    /// Changes the registry.
    pub(super) fn write<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        change(&mut self.registry.write())
    }
}

/// The series that are active.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pairs: Pairs,
    series: Pages<Series>,
    /// The pairs of each series, in order of name.
    runs: Runs<PairNumber>,
    by_hash: HashTable<SeriesRef>,
    fingerprints: Fingerprints,
    enrolment: Option<Enrolment>,
    /// The memtable that is being written to, counted.
    pub(super) generation: u32,
    /// By series: the last generation it was written in.
    pub(super) last_written: Pages<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Series {
    hash: u64,
    pairs: RunPlace,
}

impl Registry {
    /// How many series there are; their numbers are `0..len`.
    pub(super) fn len(&self) -> u32 {
        self.series.len() as u32
    }

    /// The series with these labels, in their durable form.
    pub(super) fn find(&self, hash: u64, labels: &str) -> Option<SeriesRef> {
        let found = self
            .by_hash
            .find(hash, |number| self.is(*number, hash, labels));
        found.copied()
    }

    /// Whether a series has these labels.
    #[inline]
    pub(super) fn is(&self, series: SeriesRef, hash: u64, labels: &str) -> bool {
        let Some(series) = self.series.get(series) else {
            return false;
        };
        if series.hash != hash {
            return false;
        }
        let mut rest = labels.as_bytes();
        for pair in self.runs.get(series.pairs) {
            match rest.strip_prefix(self.pairs.bytes_of(*pair)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// The series with these labels, in their plain form. `guess` is looked at first.
    #[inline]
    fn find_plain(&self, guess: SeriesRef, hash: u64, labels: &[u8]) -> Option<SeriesRef> {
        if self.is_plain(guess, hash, labels) {
            return Some(guess);
        }
        let is_it = |number: &SeriesRef| self.is_plain(*number, hash, labels);
        self.by_hash.find(hash, is_it).copied()
    }

    /// Whether a series has these labels, in their plain form.
    #[inline]
    fn is_plain(&self, series: SeriesRef, hash: u64, labels: &[u8]) -> bool {
        let Some(series) = self.series.get(series) else {
            return false;
        };
        if series.hash != hash {
            return false;
        }
        let mut rest = labels;
        for pair in self.runs.get(series.pairs) {
            match strip_label(rest, self.pairs.bytes_of(*pair)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// The number of a pair of labels, given now if it is new.
    pub(super) fn intern(&mut self, pair: &str) -> Option<PairNumber> {
        self.pairs.intern(pair)
    }

    /// The number of the series with these pairs, given now if it is new. `None` where there is no
    /// number left.
    pub(super) fn register(&mut self, pairs: &[PairNumber]) -> Option<SeriesRef> {
        let texts = pairs.iter().map(|pair| self.pairs.bytes_of(*pair));
        let hash = self.fingerprints.of_pairs(texts);
        let is_it = |number: &SeriesRef| {
            let series = self.series.get(*number);
            series.is_some_and(|s| s.hash == hash && self.runs.get(s.pairs) == pairs)
        };
        if let Some(known) = self.by_hash.find(hash, is_it) {
            return Some(*known);
        }
        let number = u32::try_from(self.series.len()).ok()?;
        let pairs = self.runs.push(pairs)?;
        self.series.push(Series { hash, pairs });
        self.last_written.push(self.generation);
        let series = &self.series;
        self.by_hash.insert_unique(hash, number, |number| {
            series.get(*number).map_or(0, |series| series.hash)
        });
        if let Some(mut enrolment) = self.enrolment.take() {
            enrolment.add(|| self.text_of(number));
            self.enrolment = Some(enrolment);
        }
        Some(number)
    }

    /// The pairs of a series, in order of name.
    pub(super) fn pairs_of(&self, series: SeriesRef) -> &[PairNumber] {
        let series = self.series.get(series);
        series.map_or(&[], |series| self.runs.get(series.pairs))
    }

    /// The labels of a series, in their durable form.
    fn text_of(&self, series: SeriesRef) -> String {
        let mut text = String::new();
        self.write_labels(series, &mut text);
        text
    }

    /// Writes the labels of a series, in their durable form.
    pub(super) fn write_labels(&self, series: SeriesRef, text: &mut String) {
        text.clear();
        for pair in self.pairs_of(series) {
            text.push_str(self.pairs.text_of(*pair));
        }
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.series.get(series)?;
        Labels::from_encoded(&self.text_of(series))
    }

    /// Whether the series are counted by `census`.
    pub(super) const fn is_enrolled(&self) -> bool {
        self.enrolment.is_some()
    }

    /// Has `census` count the series, those that are here already too.
    pub(super) fn enrol(&mut self, census: &Arc<Census>) {
        let mut enrolment = Enrolment::new(Arc::clone(census));
        for series in 0..self.len() {
            enrolment.add(|| self.text_of(series));
        }
        self.enrolment = Some(enrolment);
    }

    /// No new series come; those here are counted where they are written next.
    pub(super) fn retire(&mut self) {
        self.enrolment = None;
    }

    /// What the registry takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pairs.bytes()
            + self.series.bytes()
            + self.runs.bytes()
            + self.by_hash.allocation_size()
            + self.last_written.bytes()
    }
}
