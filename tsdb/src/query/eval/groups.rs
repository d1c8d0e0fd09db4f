//! Which series belong together: those of which the same labels are left.
//!
//! Aggregations, operators and histograms all ask this once for each series. What is left of the labels
//! is written into one buffer and looked up there, so that only a group that is new makes a label set
//! of its own.

use hashbrown::HashTable;
use model::labels::{Labels, METRIC_NAME};
use xxhash_rust::xxh3::xxh3_64;

use super::Result;
use crate::query::ast::{Aggregate, Grouping, Matching};
use crate::query::giving_up::let_go;
use crate::query::source::{Guard, touch};

/// Which labels are left of a series.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left<'n> {
    /// These.
    Only(&'n [String]),
    /// All but the metric's name and these.
    AllBut(&'n [String]),
    /// All but this one.
    Without(&'n str),
    /// All.
    All,
}

impl<'n> Left<'n> {
    /// Of the series of an aggregation.
    pub(super) fn by(node: &'n Aggregate) -> Self {
        match node.grouping {
            Grouping::By => Self::Only(&node.labels),
            Grouping::Without => Self::AllBut(&node.labels),
        }
    }

    /// Of the series of an operator: by these its sides find each other.
    pub(super) fn matched(matching: &'n Matching) -> Self {
        if matching.on {
            Self::Only(&matching.labels)
        } else {
            Self::AllBut(&matching.labels)
        }
    }

    fn keeps(self, name: &str) -> bool {
        let named = |labels: &[String]| labels.iter().any(|label| label == name);
        match self {
            Self::Only(labels) => named(labels),
            Self::AllBut(labels) => name != METRIC_NAME && !named(labels),
            Self::Without(label) => name != label,
            Self::All => true,
        }
    }

    /// What is left of `labels`.
    pub(super) fn of(self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.keeps(name))
    }
}

/// How many tables groups are looked up in.
const TABLES: usize = 16;

/// The table of a hash, by bits that places in a table are not made of.
const fn table_of(hash: u64) -> usize {
    (hash >> 40) as usize % TABLES
}

/// The groups so far, by number in order of appearance.
#[derive(Debug)]
pub(super) struct Groups<'n> {
    left: Left<'n>,
    /// What is left of the series at hand.
    text: String,
    /// Several tables, so that none is large when it grows: that cannot be interrupted.
    numbers: [HashTable<(u64, usize)>; TABLES],
    labels: Vec<Labels>,
}

impl<'n> Groups<'n> {
    pub(super) fn new(left: Left<'n>) -> Self {
        Self {
            left,
            text: String::new(),
            numbers: std::array::from_fn(|_| HashTable::new()),
            labels: Vec::new(),
        }
    }

    /// The number of the group of a series, if there is one.
    pub(super) fn find(&mut self, labels: &Labels) -> Option<usize> {
        self.look_up(labels).1
    }

    /// The number of the group of a series, which is the next one where the group is new.
    pub(super) fn number(&mut self, labels: &Labels) -> usize {
        let (hash, known) = self.look_up(labels);
        if let Some(number) = known {
            return number;
        }
        let number = self.labels.len();
        self.labels.push(match self.left {
            Left::All => labels.clone(),
            left => left.of(labels),
        });
        let hash_of = |(hash, _): &(u64, usize)| *hash;
        if let Some(numbers) = self.numbers.get_mut(table_of(hash)) {
            numbers.insert_unique(hash, (hash, number), hash_of);
        }
        number
    }

    fn look_up(&mut self, labels: &Labels) -> (u64, Option<usize>) {
        touch();
        let left = self.left;
        let text = if let Left::All = left {
            labels.as_encoded()
        } else {
            labels.write_filtered(&mut self.text, |name| left.keeps(name));
            &self.text
        };
        let hash = xxh3_64(text.as_bytes());
        let all = &self.labels;
        let is_it = |(of, number): &(u64, usize)| {
            *of == hash
                && all
                    .get(*number)
                    .is_some_and(|labels| labels.as_encoded() == text)
        };
        let numbers = self.numbers.get(table_of(hash));
        let known = numbers.and_then(|numbers| numbers.find(hash, is_it));
        (hash, known.map(|(_, number)| *number))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels of a group.
    pub(super) fn labels(&self, number: usize) -> Labels {
        self.labels.get(number).cloned().unwrap_or_default()
    }

    /// The labels of all groups, in order of their numbers.
    pub(super) fn all_labels(&self) -> &[Labels] {
        &self.labels
    }

    /// Drops them, of which there may be many.
    pub(super) fn let_go(self, guard: &Guard) -> Result<()> {
        Ok(let_go(self.labels, guard)?)
    }

    /// The labels of all groups, in order of their numbers.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        self.labels
    }
}
