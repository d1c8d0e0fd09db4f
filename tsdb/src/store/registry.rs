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
//! - [`postings`]: label pairs to series.
//! - [`order`]: the series in the order of their labels.

mod order;
mod pairs;
mod postings;

use std::sync::Arc;

use hashbrown::HashTable;
use model::labels::Labels;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use storage::index::SeriesRef;
use xxhash_rust::xxh3::xxh3_64;

use super::pages::{Pages, RunPlace, Runs};
use crate::ingest::census::{Census, Enrolment};

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

    /// The number of a pair of labels, given now if it is new.
    pub(super) fn intern(&mut self, pair: &str) -> Option<PairNumber> {
        self.pairs.intern(pair)
    }

    /// The number of the series with these pairs, given now if it is new. `None` where there is no
    /// number left. `labels` is the text of the pairs.
    pub(super) fn register(&mut self, pairs: &[PairNumber], labels: &str) -> Option<SeriesRef> {
        let hash = xxh3_64(labels.as_bytes());
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
        if let Some(enrolment) = &mut self.enrolment {
            enrolment.add(labels);
        }
        Some(number)
    }

    /// The pairs of a series, in order of name.
    pub(super) fn pairs_of(&self, series: SeriesRef) -> &[PairNumber] {
        let series = self.series.get(series);
        series.map_or(&[], |series| self.runs.get(series.pairs))
    }

    /// Writes the labels of a series, in their durable form.
    fn write_labels(&self, series: SeriesRef, text: &mut String) {
        text.clear();
        for pair in self.pairs_of(series) {
            text.push_str(self.pairs.text_of(*pair));
        }
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.series.get(series)?;
        let mut text = String::new();
        self.write_labels(series, &mut text);
        Labels::from_encoded(&text)
    }

    /// Whether the series are counted by `census`.
    pub(super) const fn is_enrolled(&self) -> bool {
        self.enrolment.is_some()
    }

    /// Has `census` count the series, those that are here already too.
    pub(super) fn enrol(&mut self, census: &Arc<Census>) {
        let mut enrolment = Enrolment::new(Arc::clone(census));
        let mut text = String::new();
        for series in 0..self.len() {
            self.write_labels(series, &mut text);
            enrolment.add(&text);
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
