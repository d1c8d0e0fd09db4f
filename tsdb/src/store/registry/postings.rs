//! Label pairs to series: the index of what is in memory.
//!
//! Writers do not keep it up; a query does, for the series that came since the last one. After a start these
//! are all, so it asks on the way whether somebody still waits; what is done by then stays, but for an order
//! of values that is not whole yet.

use std::collections::BTreeMap;
use std::time::Duration;

use model::labels::Labels;
use parking_lot::RwLockReadGuard;
use roaring::RoaringBitmap;
use storage::index::runs::Runs;
use storage::index::{LabelIndex, SeriesRef, VisitValue};
use storage::part::PartError;
use storage::patience::Patience;

use super::pairs::{PairNumber, Pairs};
use super::{Registry, Shared};
use crate::ingest::named::Fingerprints;
use crate::query::order::sort_by;
use crate::query::{Guard, Interrupted};

/// How long a lock is waited for before it is asked whether somebody still waits.
const LOCK_WAIT: Duration = Duration::from_millis(10);
/// Values that are shown between two such questions, and how much of their postings is as long as one.
const STEPS_PER_CHECK: usize = 1024;
const WORDS_PER_STEP: usize = 16;

/// Postings of the series `0..indexed`.
#[derive(Debug, Default)]
pub(super) struct Postings {
    indexed: u32,
    /// By pair.
    series: Vec<Posting>,
    /// By label name: its pairs, in order of value.
    names: BTreeMap<Box<str>, Vec<PairNumber>>,
}

/// The series that have a pair. Many a pair is one series' own.
#[derive(Debug, Default)]
enum Posting {
    #[default]
    None,
    One(SeriesRef),
    Many(Box<Runs>),
}

impl Posting {
    fn push(&mut self, series: SeriesRef) {
        match self {
            Self::None => *self = Self::One(series),
            Self::One(first) => {
                let mut runs = Runs::default();
                runs.push(*first);
                runs.push(series);
                *self = Self::Many(Box::new(runs));
            }
            Self::Many(runs) => {
                runs.push(series);
            }
        }
    }

    /// How long the list of its series is.
    fn words(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(runs) => runs.words(),
        }
    }

    fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::None => RoaringBitmap::new(),
            Self::One(series) => RoaringBitmap::from([*series]),
            Self::Many(runs) => runs.to_bitmap(),
        }
    }
}

impl Postings {
    fn catch_up(&mut self, registry: &Registry, guard: &Guard) -> Result<(), Interrupted> {
        let known = self.series.len() as PairNumber;
        let mut grown: BTreeMap<&str, Vec<PairNumber>> = BTreeMap::new();
        for pair in known..registry.pairs.len() {
            guard.check_at(pair as usize)?;
            let (name, _) = registry.pairs.parts_of(pair);
            grown.entry(name).or_default().push(pair);
        }
        for (name, new) in &mut grown {
            let known = self.names.get(*name).map(Vec::as_slice);
            let mut pairs = known.unwrap_or_default().to_vec();
            pairs.append(new);
            // Two runs, of which the first is in order: this finds and merges them.
            sort_by(&mut pairs, guard, |a, b| registry.pairs.compare(*a, *b))?;
            *new = pairs;
        }
        // From here on the pairs are known.
        for (name, pairs) in grown {
            self.names.insert(name.into(), pairs);
        }
        self.series
            .resize_with(registry.pairs.len() as usize, Posting::default);
        for series in self.indexed..registry.len() {
            guard.check_at(series as usize)?;
            for pair in registry.pairs_of(series) {
                if let Some(posting) = self.series.get_mut(*pair as usize) {
                    posting.push(series);
                }
            }
            self.indexed = series + 1;
        }
        Ok(())
    }

    fn of(&self, pair: PairNumber) -> RoaringBitmap {
        let posting = self.series.get(pair as usize);
        posting.map(Posting::to_bitmap).unwrap_or_default()
    }
}

impl Shared {
    /// The index of the series that there are now.
    pub(in crate::store) fn index(&self, guard: &Guard) -> Result<RegistryIndex<'_>, Interrupted> {
        let registry = self.read();
        loop {
            guard.check()?;
            // Another query may be at it, for long.
            let Some(postings) = self.postings.try_read_recursive_for(LOCK_WAIT) else {
                continue;
            };
            if postings.indexed >= registry.len() {
                // The registry is held, so nothing is added.
                let patience = guard.patience();
                return Ok(RegistryIndex {
                    registry,
                    postings,
                    patience,
                });
            }
            drop(postings);
            if let Some(mut postings) = self.postings.try_write_for(LOCK_WAIT) {
                postings.catch_up(&registry, guard)?;
            }
        }
    }
}

/// The index of a memtable. While it is held no new series is taken in.
#[derive(Debug)]
pub struct RegistryIndex<'a> {
    registry: RwLockReadGuard<'a, Registry>,
    postings: RwLockReadGuard<'a, Postings>,
    patience: Patience,
}

impl RegistryIndex<'_> {
    /// The labels of a series.
    pub fn labels(&self, series: SeriesRef) -> Option<Labels> {
        self.registry.labels(series)
    }

    /// The number of a series, if it is known.
    pub fn get(&self, labels: &Labels) -> Option<SeriesRef> {
        let text = labels.as_encoded();
        let hash = Fingerprints::default().of(text);
        self.registry.find(hash, text)
    }

    fn pairs(&self) -> &Pairs {
        &self.registry.pairs
    }
}

impl LabelIndex for RegistryIndex<'_> {
    fn len(&self) -> u32 {
        self.registry.len()
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        let pair = self.pairs().find(name, value);
        Ok(pair.map(|pair| self.postings.of(pair)).unwrap_or_default())
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let Some(pairs) = self.postings.names.get(name) else {
            return Ok(());
        };
        let value_of = |pair: PairNumber| self.pairs().parts_of(pair).1;
        let start = pairs.partition_point(|pair| value_of(*pair) < prefix);
        let mut unasked = 0_usize;
        for pair in pairs.get(start..).unwrap_or_default() {
            let value = value_of(*pair);
            if !value.starts_with(prefix) {
                break;
            }
            unasked += 1;
            visit(value, &mut || {
                let posting = self.postings.series.get(*pair as usize);
                unasked += posting.map_or(0, Posting::words) / WORDS_PER_STEP;
                Ok(self.postings.of(*pair))
            })?;
            if unasked >= STEPS_PER_CHECK {
                unasked = 0;
                self.patience.check()?;
            }
        }
        Ok(())
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        let names = self.postings.names.keys();
        Ok(names.map(ToString::to_string).collect())
    }
}
