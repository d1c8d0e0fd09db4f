//! Which series matchers find in the parts of a view, and where each of them lies.
//!
//! Dashboards ask for the same series again and again, and a part never changes: what was found in a list of
//! parts holds for as long as that is the list. So small findings are kept, by parts and matchers, and a query
//! whose findings are kept asks no index. A part that is added, merged or in quarantine makes another list;
//! what was found for the former leaves the cache by chance.

use std::sync::Arc;

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use storage::index::SeriesRef;
use storage::manifest::PartId;

use super::cache::{Cache, Weigh};
use crate::query::order::sort_by;
use crate::query::{Guard, SelectError};

/// Where a series has samples: the place of the part or memtable in the selection's list, and the
/// number of the series there.
pub(super) type Place = (u32, SeriesRef);

/// Places as they are come by, each with its series.
pub(super) type List = Vec<(Labels, Place)>;

/// Series in the order of their labels, each with its places from the oldest to the newest.
#[derive(Debug, Default)]
pub(super) struct Findings {
    labels: Vec<Labels>,
    /// The places of all series, one behind another.
    places: Vec<Place>,
    /// Where the places of each series end.
    ends: Vec<usize>,
    bytes: usize,
}

/// Whose findings these are: the parts in their order, and the matchers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    parts: Vec<PartId>,
    matchers: Vec<(String, MatchOp, String)>,
}

/// Findings that are kept.
pub(crate) type FindingsCache = Cache<Asked, Arc<Findings>>;

/// Findings of more places are not kept: few of them would fit.
pub(super) const KEPT_PLACES_MAX: usize = 8192;

impl Findings {
    /// Of places in the order of writing, which are in the order of labels within each part.
    pub(super) fn of(mut list: List, guard: &Guard) -> Result<Self, SelectError> {
        // Stable, so that the places of a series stay in the order of writing; and a merge of what
        // is sorted already.
        sort_by(&mut list, guard, |(a, _), (b, _)| a.cmp(b))?;
        let mut all = Self {
            places: Vec::with_capacity(list.len()),
            ..Self::default()
        };
        for (at, (labels, place)) in list.into_iter().enumerate() {
            guard.check_at(at)?;
            if all.labels.last() != Some(&labels) {
                all.bytes += size_of::<(Labels, usize)>() + labels.as_encoded().len();
                all.labels.push(labels);
                all.ends.push(all.places.len());
            }
            all.bytes += size_of::<Place>();
            all.places.push(place);
            if let Some(end) = all.ends.last_mut() {
                *end = all.places.len();
            }
        }
        Ok(all)
    }

    /// The series.
    pub(super) fn labels(&self) -> &[Labels] {
        &self.labels
    }

    /// The places of a series.
    pub(super) fn places_of(&self, series: usize) -> &[Place] {
        let start = series
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(series).copied().unwrap_or_default();
        let start = start.copied().unwrap_or_default();
        self.places.get(start..end).unwrap_or_default()
    }

    /// What it takes, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Each series with each of its places.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Labels, Place)> {
        let labels = self.labels.iter().enumerate();
        labels.flat_map(|(series, labels)| {
            let places = self.places_of(series).iter();
            places.map(move |place| (labels.clone(), *place))
        })
    }
}

impl Asked {
    pub(super) fn new(parts: Vec<PartId>, matchers: &[Matcher]) -> Self {
        let matchers = matchers.iter();
        let text = |m: &Matcher| (m.name().to_owned(), m.op(), m.value().to_owned());
        Self {
            parts,
            matchers: matchers.map(text).collect(),
        }
    }
}

impl Weigh for Asked {
    fn bytes(&self) -> usize {
        let texts = self.matchers.iter();
        let texts =
            texts.map(|(name, _, value)| size_of_val(&(name, value)) + name.len() + value.len());
        size_of_val(&*self.parts) + texts.sum::<usize>()
    }
}

impl Weigh for Arc<Findings> {
    fn bytes(&self) -> usize {
        Findings::bytes(self)
    }
}
