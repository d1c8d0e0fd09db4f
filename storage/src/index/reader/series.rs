//! Series of an index: of tails and groups, and their labels.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

use model::labels::{Labels, METRIC_NAME, encode_pair};
use model::matcher::Matcher;
use roaring::RoaringBitmap;

use super::super::dictionary::{Dictionary, ValueBlock};
use super::super::groups::{Group, GroupBlock};
use super::super::tails::{TailBlock, TailPlaces};
use super::super::values::Values;
use super::super::{LabelIndex, SeriesRef, VisitValue};
use super::chosen::Chosen;
use super::spaces::{Passing, Tails};
use super::{Version2, cursor};
use crate::part::PartError;

/// How many elements of a set are passed over for the price of a search in it.
const SEARCH_COST: u64 = 8;
/// Texts of tails that are kept while labels are read, in bytes.
const TEXTS_BYTES_MAX: usize = 32 << 20;

impl Version2 {
    /// The series of what passes.
    fn series_of(&self, passing: &Passing) -> Result<RoaringBitmap, PartError> {
        let places = self.group_places()?;
        let mut series = RoaringBitmap::new();
        let mut held = None;
        for (number, group) in places.groups.iter().enumerate() {
            let of_name = group.name.is_some();
            if of_name
                && passing
                    .groups
                    .as_ref()
                    .is_some_and(|all| !all.contains(number as u32))
            {
                continue;
            }
            let tails = if of_name {
                &passing.tails
            } else {
                &passing.whole
            };
            match tails {
                None => {
                    series.insert_range(group.first..group.first + group.series);
                }
                Some(tails) if tails.is_empty() => {}
                Some(tails) => {
                    let set = places.set(&self.file, number, self.tails, &mut held)?;
                    self.check(group, set)?;
                    add_ranks(&mut series, group, set, tails);
                }
            }
        }
        Ok(series)
    }

    /// The label names that the chosen series have.
    fn names_of(&self, chosen: &Chosen<'_>) -> Result<Vec<String>, PartError> {
        let mut names = self.label_names()?;
        let Some(tails) = self.tails_in(chosen)? else {
            return Ok(names);
        };
        let mut kept = Vec::new();
        for name in names.drain(..) {
            let has_it = (name == METRIC_NAME
                && cursor::values(self, METRIC_NAME, chosen)?.next()?.is_some())
                || !Tails(self).presence(&name)?.is_disjoint(&tails);
            if has_it {
                kept.push(name);
            }
        }
        Ok(kept)
    }

    pub(super) fn check(&self, group: &Group, set: &RoaringBitmap) -> Result<(), PartError> {
        if set.len() == u64::from(group.series) {
            return Ok(());
        }
        Err(self.corrupt("a group does not have as many tails as series"))
    }

    pub(super) fn labels_of(
        &self,
        series: &RoaringBitmap,
        visit: &mut dyn FnMut(SeriesRef, Labels) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        let places = self.group_places()?;
        let mut texts = Texts::new(self)?;
        let mut held: Option<(usize, Arc<GroupBlock>)> = None;
        let mut rest = series
            .iter()
            .take_while(|series| *series < self.series)
            .peekable();
        while let Some(first) = rest.peek().copied() {
            let number = places.group_of(first);
            let Some(group) = places.groups.get(number).filter(|group| group.series > 0) else {
                return Err(self.corrupt("a series is in no group"));
            };
            let end = group.first + group.series;
            let head = match group.name {
                Some(ordinal) => encode_pair(METRIC_NAME, &texts.metric_name(ordinal)?),
                None => String::new(),
            };
            let set = places.set(&self.file, number, self.tails, &mut held)?;
            self.check(group, set)?;
            let wanted = series.range_cardinality(group.first..end);
            let mut in_turn =
                (wanted * SEARCH_COST > set.len()).then(|| set.iter().zip(group.first..));
            while let Some(series) = rest.next_if(|series| *series < end) {
                let tail = match &mut in_turn {
                    Some(tails) => tails
                        .find(|(_, number)| *number == series)
                        .map(|(tail, _)| tail),
                    None => set.select(series - group.first),
                };
                let Some(tail) = tail else {
                    return Err(self.corrupt("a series has no tail"));
                };
                let mut text = head.clone();
                text.push_str(texts.tail(tail)?);
                let labels = Labels::from_encoded(&text)
                    .ok_or_else(|| self.corrupt("labels of a series are not in order"))?;
                if visit(series, labels).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Adds the series of a group whose tails pass: their ranks among the group's tails.
fn add_ranks(
    series: &mut RoaringBitmap,
    group: &Group,
    set: &RoaringBitmap,
    tails: &RoaringBitmap,
) {
    let passing = set & tails;
    if passing.len() == set.len() {
        series.insert_range(group.first..group.first + group.series);
    } else if passing.len() * SEARCH_COST < set.len() {
        series.extend(
            passing
                .iter()
                .map(|tail| group.first + (set.rank(tail) as u32).saturating_sub(1)),
        );
    } else {
        let mut passing = passing.iter().peekable();
        for (tail, number) in set.iter().zip(group.first..) {
            if passing.next_if_eq(&tail).is_some() {
                // Series come in order, from group to group too.
                let _ = series.try_push(number);
            }
        }
    }
}

/// Makes texts of tails, and keeps what the next ones need too.
struct Texts<'a> {
    index: &'a Version2,
    dictionary: Arc<Dictionary>,
    places: Arc<TailPlaces>,
    block: Option<(usize, Arc<TailBlock>)>,
    /// The block of values that each label needed last.
    values: HashMap<u32, (usize, Arc<ValueBlock>)>,
    /// Several tables: none is large when it grows, or is emptied, for that cannot be interrupted.
    by_tail: [KeptTexts; TABLES],
}

/// Texts of tails that are kept.
#[derive(Default)]
struct KeptTexts {
    by_tail: HashMap<u32, String>,
    bytes: usize,
}

/// How many tables texts are kept in.
const TABLES: usize = 16;

impl<'a> Texts<'a> {
    fn new(index: &'a Version2) -> Result<Self, PartError> {
        Ok(Self {
            index,
            dictionary: index.dictionary()?,
            places: index.tail_places()?,
            block: None,
            values: HashMap::new(),
            by_tail: <[KeptTexts; TABLES]>::default(),
        })
    }

    fn metric_name(&mut self, ordinal: u32) -> Result<String, PartError> {
        let label = self
            .dictionary
            .labels
            .binary_search_by(|label| (*label.name).cmp(METRIC_NAME))
            .map_err(|_| self.index.corrupt("there are no metric names"))?;
        self.value(label as u32, ordinal)
    }

    fn value(&mut self, label: u32, ordinal: u32) -> Result<String, PartError> {
        let mut text = String::new();
        self.with_value(label, ordinal, |_, value| text.push_str(value))?;
        Ok(text)
    }

    fn with_value(
        &mut self,
        label: u32,
        ordinal: u32,
        show: impl FnOnce(&str, &str),
    ) -> Result<(), PartError> {
        let missing = || self.index.corrupt("a label is not in the dictionary");
        let of = self
            .dictionary
            .labels
            .get(label as usize)
            .ok_or_else(missing)?;
        let number = of.block_at(ordinal);
        let read = || {
            let block = of.read(&self.index.file, number)?.ok_or_else(missing)?;
            Ok::<_, PartError>((number, block))
        };
        let held = match self.values.entry(label) {
            Entry::Occupied(mut held) => {
                if held.get().0 != number {
                    held.insert(read()?);
                }
                held.into_mut()
            }
            Entry::Vacant(vacant) => vacant.insert(read()?),
        };
        let first = of.blocks.get(number).map_or(0, |place| place.ordinal);
        let value = held.1.value(ordinal.saturating_sub(first) as usize);
        show(&of.name, value.ok_or_else(missing)?);
        Ok(())
    }

    /// The text of a tail.
    fn tail(&mut self, tail: u32) -> Result<&str, PartError> {
        let table = tail as usize % TABLES;
        let is_kept = |kept: &KeptTexts| kept.by_tail.contains_key(&tail);
        if !self.by_tail.get(table).is_some_and(is_kept) {
            let text = self.make(tail)?;
            if let Some(kept) = self.by_tail.get_mut(table) {
                if kept.bytes > TEXTS_BYTES_MAX / TABLES {
                    kept.by_tail.clear();
                    kept.bytes = 0;
                }
                kept.bytes += text.len() + size_of::<String>();
                kept.by_tail.insert(tail, text);
            }
        }
        let kept = self.by_tail.get(table);
        Ok(kept
            .and_then(|kept| kept.by_tail.get(&tail))
            .map_or("", String::as_str))
    }

    fn make(&mut self, tail: u32) -> Result<String, PartError> {
        let missing = || self.index.corrupt("a tail is in no block");
        let number = TailPlaces::block_of(tail);
        let block = match &self.block {
            Some((held, block)) if *held == number => Arc::clone(block),
            _ => {
                let block = self
                    .places
                    .block(&self.index.file, number)?
                    .ok_or_else(missing)?;
                self.block = Some((number, Arc::clone(&block)));
                block
            }
        };
        let mut text = String::new();
        for place in block.labels(tail).ok_or_else(missing)? {
            self.with_value(place.label, place.ordinal, |name, value| {
                text.push_str(&encode_pair(name, value));
            })?;
        }
        Ok(text)
    }
}

impl LabelIndex for Version2 {
    fn len(&self) -> u32 {
        self.series
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        if value.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        self.select(&[Matcher::equal(name, value)])
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        Tails(self).each_value(name, prefix, &mut |value, _| {
            visit(value, &mut || self.postings(name, value))
        })
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        Tails(self).label_names()
    }

    fn presence(&self, name: &str) -> Result<RoaringBitmap, PartError> {
        let tails = Tails(self).presence(name)?;
        if name == METRIC_NAME {
            return self.series_of(&Passing {
                groups: None,
                tails: None,
                whole: Some(tails),
            });
        }
        self.series_of(&Passing {
            groups: None,
            whole: Some(tails.clone()),
            tails: Some(tails),
        })
    }

    fn select(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, PartError> {
        self.series_of(&self.passing(matchers)?)
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &[Matcher],
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        cursor::values(self, name, &self.chosen(matchers)?)
    }

    fn label_names_of(&self, matchers: &[Matcher]) -> Result<Vec<String>, PartError> {
        self.names_of(&self.chosen(matchers)?)
    }

    fn label_values_among<'a>(
        &'a self,
        name: &'a str,
        series: &RoaringBitmap,
    ) -> Result<Box<dyn Values + 'a>, PartError> {
        cursor::values(self, name, &Chosen::These(series))
    }

    fn label_names_among(&self, series: &RoaringBitmap) -> Result<Vec<String>, PartError> {
        self.names_of(&Chosen::These(series))
    }
}
