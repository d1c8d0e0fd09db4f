//! Label sets taken apart, in few bytes: what a part's index is written from.
//!
//! A part is written series by series, and its index behind the last of them. Until then a series is the
//! number of its tail (what its label set is behind the metric name), a tail is the numbers of its
//! pairs, and the text of a pair is there once: some fifty bytes a series, where its label set takes
//! two hundred and more.
//!
//! When the last series has come, [`Apart::ordered`] gives pairs and tails the numbers that they are
//! written under, which are their places in order.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::ops::Range;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use model::labels::{Labels, METRIC_NAME, decode_pair};

use crate::pages::{Pages, RunPlace, Runs, Texts};

/// Label sets on their way into an index.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pairs: Pairs,
    tails: Tails,
    /// By series: its tail.
    series: Vec<u32>,
    groups: Vec<Group>,
    /// The pairs of the series that came last: the next one has most of them too.
    previous: Vec<u32>,
}

/// Series side by side that have one metric name, or none in front.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The number of that pair.
    pub(super) name: Option<u32>,
    /// The series.
    pub(super) series: Range<u32>,
}

/// Pairs to numbers, as they come.
#[derive(Debug, Default)]
struct Pairs {
    /// Their durable form.
    text: Texts,
    places: Pages<RunPlace>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

/// Tails to numbers, as they come.
#[derive(Debug, Default)]
struct Tails {
    /// The pairs of each.
    pairs: Runs<u32>,
    places: Pages<RunPlace>,
    by_pairs: HashTable<u32>,
    hasher: RandomState,
}

/// Why label sets cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("a label set comes twice")]
    Twice,
    #[error("there are more labels than an index can number")]
    TooMany,
}

/// Label sets as they are written: pairs and tails are known by their places in order.
#[derive(Debug)]
pub(super) struct Ordered {
    pairs: Pairs,
    /// By place in order: the pair as it came.
    pair_order: Vec<u32>,
    tails: Tails,
    /// By place in order: the tail as it came.
    tail_order: Vec<u32>,
    series: Vec<u32>,
    groups: Vec<Group>,
}

impl Pairs {
    fn text_of(&self, pair: u32) -> &str {
        let place = self.places.get(pair);
        place.map_or("", |place| self.text.get(*place))
    }

    fn parts_of(&self, pair: u32) -> (&str, &str) {
        decode_pair(self.text_of(pair)).unwrap_or_default()
    }

    /// The number of a pair, given now if it is new. `None` where there is no number left.
    fn intern(&mut self, pair: &str) -> Option<u32> {
        let next = u32::try_from(self.places.len()).ok()?;
        let (places, text, hasher) = (&self.places, &self.text, &self.hasher);
        let text_of = |number: u32| places.get(number).map_or("", |at| text.get(*at));
        let entry = self.by_text.entry(
            hasher.hash_one(pair),
            |number| text_of(*number) == pair,
            |number| hasher.hash_one(text_of(*number)),
        );
        match entry {
            Entry::Occupied(known) => return Some(*known.get()),
            Entry::Vacant(vacant) => vacant.insert(next),
        };
        self.places.push(self.text.push(pair)?);
        Some(next)
    }
}

impl Tails {
    fn of(&self, tail: u32) -> &[u32] {
        let place = self.places.get(tail);
        place.map_or(&[], |place| self.pairs.get(*place))
    }

    fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// The number of a tail, given now if it is new. `None` where there is no number left.
    fn intern(&mut self, tail: &[u32]) -> Option<u32> {
        let next = u32::try_from(self.places.len()).ok()?;
        let (places, pairs, hasher) = (&self.places, &self.pairs, &self.hasher);
        let of = |number: u32| places.get(number).map_or(&[][..], |at| pairs.get(*at));
        let entry = self.by_pairs.entry(
            hasher.hash_one(tail),
            |number| of(*number) == tail,
            |number| hasher.hash_one(of(*number)),
        );
        match entry {
            Entry::Occupied(known) => return Some(*known.get()),
            Entry::Vacant(vacant) => vacant.insert(next),
        };
        self.places.push(self.pairs.push(tail)?);
        Some(next)
    }
}

impl Apart {
    /// Takes the labels of the next series apart. `None` where there are too many.
    pub(super) fn push(&mut self, labels: &Labels) -> Option<()> {
        let mut count = 0;
        for text in labels.encoded_pairs() {
            match self.previous.get_mut(count) {
                Some(previous) if self.pairs.text_of(*previous) == text => {}
                Some(previous) => *previous = self.pairs.intern(text)?,
                None => self.previous.push(self.pairs.intern(text)?),
            }
            count += 1;
        }
        self.previous.truncate(count);
        let first = self.previous.first().copied();
        let name = first.filter(|pair| self.pairs.parts_of(*pair).0 == METRIC_NAME);
        let tail = self.previous.get(usize::from(name.is_some())..)?;
        let tail = self.tails.intern(tail)?;
        let number = u32::try_from(self.series.len()).ok()?;
        let end = number.checked_add(1)?;
        self.series.push(tail);
        match self.groups.last_mut() {
            Some(group) if group.name == name => group.series.end = end,
            _ => self.groups.push(Group {
                name,
                series: number..end,
            }),
        }
        Some(())
    }

    /// Gives everything its place in order. Label sets that are not in order have no groups: they
    /// are tails as a whole.
    pub(super) fn ordered(mut self) -> Result<Ordered, Unwritable> {
        let pairs = self.pairs;
        let mut pair_order: Vec<u32> = (0..pairs.places.len() as u32).collect();
        pair_order.sort_by(|a, b| pairs.parts_of(*a).cmp(&pairs.parts_of(*b)));
        let places = places_of(&pair_order);
        let place_of = |pair: u32| places.get(pair as usize).copied().unwrap_or_default();
        // Hashes are of the numbers before.
        self.tails.by_pairs = HashTable::new();
        for pair in self.tails.pairs.items_mut() {
            *pair = place_of(*pair);
        }
        for group in &mut self.groups {
            group.name = group.name.map(place_of);
        }
        drop(places);
        let tails = self.tails;
        let mut tail_order: Vec<u32> = (0..tails.len()).collect();
        // Stable, because it finds what is in order already.
        tail_order.sort_by(|a, b| tails.of(*a).cmp(tails.of(*b)));
        let mut ordered = Ordered {
            pairs,
            pair_order,
            tails,
            tail_order,
            series: self.series,
            groups: self.groups,
        };
        if !ordered.is_in_order() {
            return ordered.into_whole();
        }
        let places = places_of(&ordered.tail_order);
        for tail in &mut ordered.series {
            *tail = places.get(*tail as usize).copied().unwrap_or_default();
        }
        Ok(ordered)
    }
}

/// By number: its place in `order`.
fn places_of(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, number) in (0..).zip(order) {
        if let Some(at) = places.get_mut(*number as usize) {
            *at = place;
        }
    }
    places
}

impl Ordered {
    /// Whether the groups are in the order of their names, and the series of each in that of their
    /// tails. The series still have their tails as they came.
    fn is_in_order(&self) -> bool {
        let names = self.groups.iter().filter_map(|group| group.name);
        names.is_sorted_by(|a, b| a < b)
            && self.groups.iter().all(|group| {
                let tails = self.tails_of(group).iter();
                tails
                    .map(|tail| self.tails.of(*tail))
                    .is_sorted_by(|a, b| a < b)
            })
    }

    /// The same with whole label sets for tails, in the order in which they came.
    fn into_whole(self) -> Result<Ordered, Unwritable> {
        let mut tails = Tails::default();
        let mut whole = Vec::new();
        for group in &self.groups {
            for tail in self.tails_of(group) {
                whole.clear();
                whole.extend(group.name);
                whole.extend_from_slice(self.tails.of(*tail));
                let next = tails.len();
                let number = tails.intern(&whole).ok_or(Unwritable::TooMany)?;
                if number != next {
                    return Err(Unwritable::Twice);
                }
            }
        }
        tails.by_pairs = HashTable::new();
        let series = 0..tails.len();
        let group = Group {
            name: None,
            series: series.clone(),
        };
        Ok(Self {
            tails,
            tail_order: series.clone().collect(),
            series: series.collect(),
            groups: vec![group],
            ..self
        })
    }

    /// How many series there are.
    pub(super) const fn series(&self) -> usize {
        self.series.len()
    }

    /// The groups in the order of their series.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The tails of a group's series.
    pub(super) fn tails_of(&self, group: &Group) -> &[u32] {
        let series = group.series.start as usize..group.series.end as usize;
        self.series.get(series).unwrap_or_default()
    }

    /// How many tails there are.
    pub(super) const fn tails(&self) -> usize {
        self.tail_order.len()
    }

    /// The pairs of each tail, in order.
    pub(super) fn each_tail(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.tail_order.iter().map(|tail| self.tails.of(*tail))
    }

    /// How many pairs there are.
    pub(super) const fn pairs(&self) -> usize {
        self.pair_order.len()
    }

    /// The name and the value of a pair.
    pub(super) fn parts_of(&self, pair: u32) -> (&str, &str) {
        let came = self.pair_order.get(pair as usize);
        came.map_or(("", ""), |came| self.pairs.parts_of(*came))
    }

    /// The pairs of each label name, the names in order.
    pub(super) fn names(&self) -> Vec<Range<u32>> {
        let mut names: Vec<Range<u32>> = Vec::new();
        let mut before = None;
        for pair in 0..self.pairs() as u32 {
            let name = self.parts_of(pair).0;
            match names.last_mut() {
                Some(pairs) if before == Some(name) => pairs.end = pair + 1,
                _ => names.push(pair..pair + 1),
            }
            before = Some(name);
        }
        names
    }
}
