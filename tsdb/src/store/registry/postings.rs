//! Label pairs to series: the index of what is in memory.
//!
//! Writers do not keep it up; a query does, for the series that came since the last one.

use std::collections::BTreeMap;

use model::labels::Labels;
use parking_lot::RwLockReadGuard;
use roaring::RoaringBitmap;
use storage::index::runs::Runs;
use storage::index::{LabelIndex, SeriesRef, VisitValue};
use storage::part::PartError;

use super::pairs::{PairNumber, Pairs};
use super::{Registry, Shared};
use crate::ingest::named::Fingerprints;

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

    fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::None => RoaringBitmap::new(),
            Self::One(series) => RoaringBitmap::from([*series]),
            Self::Many(runs) => runs.to_bitmap(),
        }
    }
}

impl Postings {
    fn catch_up(&mut self, registry: &Registry) {
        let known = self.series.len() as PairNumber;
        let mut grown: BTreeMap<&str, Vec<PairNumber>> = BTreeMap::new();
        for pair in known..registry.pairs.len() {
            let (name, _) = registry.pairs.parts_of(pair);
            grown.entry(name).or_default().push(pair);
        }
        for (name, new) in grown {
            let pairs = self.names.entry(name.into()).or_default();
            pairs.extend(new);
            // Two runs, of which the first is in order: this finds and merges them.
            pairs.sort_by(|a, b| registry.pairs.compare(*a, *b));
        }
        self.series
            .resize_with(registry.pairs.len() as usize, Posting::default);
        for series in self.indexed..registry.len() {
            for pair in registry.pairs_of(series) {
                if let Some(posting) = self.series.get_mut(*pair as usize) {
                    posting.push(series);
                }
            }
        }
        self.indexed = registry.len();
    }

    fn of(&self, pair: PairNumber) -> RoaringBitmap {
        let posting = self.series.get(pair as usize);
        posting.map(Posting::to_bitmap).unwrap_or_default()
    }
}

impl Shared {
    /// The index of the series that there are now.
    pub(in crate::store) fn index(&self) -> RegistryIndex<'_> {
        let registry = self.read();
        let postings = self.postings.read_recursive();
        let is_behind = postings.indexed < registry.len();
        drop(postings);
        if is_behind {
            let mut postings = self.postings.write();
            postings.catch_up(&registry);
        }
        // The registry is held, so nothing is added in between.
        let postings = self.postings.read_recursive();
        RegistryIndex { registry, postings }
    }
}

/// The index of a memtable. While it is held no new series is taken in.
#[derive(Debug)]
pub struct RegistryIndex<'a> {
    registry: RwLockReadGuard<'a, Registry>,
    postings: RwLockReadGuard<'a, Postings>,
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
        for pair in pairs.get(start..).unwrap_or_default() {
            let value = value_of(*pair);
            if !value.starts_with(prefix) {
                break;
            }
            visit(value, &mut || Ok(self.postings.of(*pair)))?;
        }
        Ok(())
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        let names = self.postings.names.keys();
        Ok(names.map(ToString::to_string).collect())
    }
}
