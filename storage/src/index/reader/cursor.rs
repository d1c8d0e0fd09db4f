//! The values of a label that the series passing some matchers have.
//!
//! There are two ways to them: asking of each value whether some tail that passes has it, or reading
//! the labels of the tails that pass. The cheaper is taken; the second gives the ordinals of the
//! values, so either way values come in order, a block of them at a time.

use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::matcher::Matcher;
use roaring::RoaringBitmap;

use super::super::dictionary::{Dictionary, Label, Postings, ValueBlock};
use super::super::groups::GroupBlock;
use super::super::set::intersects;
use super::super::tails::TailPlaces;
use super::super::values::{Listed, Values};
use super::Version2;
use super::spaces::Passing;
use crate::part::PartError;

/// What reading a block of tails costs, in values that are asked instead.
const BLOCK_COST: u64 = 20;
/// How many tails are read for the price of one value that is asked.
const TAILS_PER_VALUE: u64 = 4;

/// The values of `name` that the series passing `matchers` have.
pub(super) fn values<'a>(
    index: &'a Version2,
    name: &str,
    matchers: &[Matcher],
) -> Result<Box<dyn Values + 'a>, PartError> {
    let dictionary = index.dictionary()?;
    let Some(at) = dictionary
        .labels
        .iter()
        .position(|label| &*label.name == name)
    else {
        return Ok(Box::new(Listed::new(Vec::new())));
    };
    let wanted = match dictionary.labels.get(at) {
        _ if matchers.is_empty() => Wanted::All,
        Some(label) => wanted(index, label, at, &index.passing(matchers)?)?,
        None => Wanted::All,
    };
    Ok(Box::new(DictionaryValues {
        index,
        dictionary,
        label: at,
        wanted,
        block: None,
        group: None,
        next: 0,
    }))
}

fn wanted(
    index: &Version2,
    label: &Label,
    at: usize,
    passing: &Passing,
) -> Result<Wanted, PartError> {
    if &*label.name == METRIC_NAME && label.leads {
        return Ok(Wanted::Names {
            groups: passing.groups.clone(),
            tails: passing.tails.clone(),
            whole: passing.whole.clone(),
        });
    }
    let Some(tails) = index.tails_in(passing)? else {
        return Ok(Wanted::All);
    };
    let places = index.tail_places()?;
    let blocks = tails.len().min(places.len() as u64);
    if blocks * BLOCK_COST + tails.len() / TAILS_PER_VALUE > u64::from(label.values) {
        return Ok(Wanted::OfTails(tails));
    }
    let mut ordinals = RoaringBitmap::new();
    let mut held = None;
    for tail in &tails {
        let number = TailPlaces::block_of(tail);
        if held.as_ref().is_none_or(|(held, _)| *held != number) {
            held = places
                .block(&index.file, number)?
                .map(|block| (number, block));
        }
        let labels = held.as_ref().and_then(|(_, block)| block.labels(tail));
        let labels = labels.ok_or_else(|| index.corrupt("a tail is in no block"))?;
        if let Ok(found) = labels.binary_search_by_key(&(at as u32), |place| place.label) {
            ordinals.extend(labels.get(found).map(|place| place.ordinal));
        }
    }
    Ok(Wanted::Ordinals(ordinals))
}

/// Which values of the label are wanted.
enum Wanted {
    All,
    /// Those that some of these tails have.
    OfTails(RoaringBitmap),
    /// Those with these ordinals.
    Ordinals(RoaringBitmap),
    /// Metric names that have a series which passes.
    Names {
        groups: Option<RoaringBitmap>,
        tails: Option<RoaringBitmap>,
        whole: Option<RoaringBitmap>,
    },
}

struct DictionaryValues<'a> {
    index: &'a Version2,
    dictionary: Arc<Dictionary>,
    /// The place of the label in the dictionary.
    label: usize,
    wanted: Wanted,
    block: Option<(usize, Arc<ValueBlock>)>,
    /// The tails of groups that were read last.
    group: Option<(usize, Arc<GroupBlock>)>,
    /// The ordinal that comes next.
    next: u32,
}

impl Values for DictionaryValues<'_> {
    fn next(&mut self) -> Result<Option<&str>, PartError> {
        let dictionary = Arc::clone(&self.dictionary);
        let Some(label) = dictionary.labels.get(self.label) else {
            return Ok(None);
        };
        loop {
            if let Wanted::Ordinals(ordinals) = &self.wanted {
                let mut rest = ordinals.iter();
                rest.advance_to(self.next);
                match rest.next() {
                    Some(next) => self.next = next,
                    None => return Ok(None),
                }
            }
            if self.next >= label.values {
                return Ok(None);
            }
            let number = match &self.block {
                Some((held, block)) if self.place(label, *held) < block.len() => *held,
                _ => label.block_at(self.next),
            };
            if self.block.as_ref().is_none_or(|(held, _)| *held != number) {
                let read = label.read(&self.index.file, number)?;
                self.block = read.map(|block| (number, block));
            }
            let at = self.place(label, number);
            self.next += 1;
            if self.is_wanted(label, number, at)? {
                let block = self.block.as_ref().map(|(_, block)| block);
                let value = block.and_then(|block| block.value(at));
                return value
                    .map(Some)
                    .ok_or_else(|| self.index.corrupt("a value is missing"));
            }
        }
    }
}

impl DictionaryValues<'_> {
    /// The place of the next value in a block; past its end where it is in a later one.
    fn place(&self, label: &Label, block: usize) -> usize {
        let first = label.blocks.get(block).map_or(0, |place| place.ordinal);
        self.next
            .checked_sub(first)
            .map_or(usize::MAX, |at| at as usize)
    }

    fn is_wanted(&mut self, label: &Label, number: usize, at: usize) -> Result<bool, PartError> {
        let Some((_, block)) = &self.block else {
            return Ok(false);
        };
        let index = self.index;
        let had_by = |tails: &RoaringBitmap| match block.postings.get(at) {
            None | Some(Postings::None) => Ok(false),
            Some(Postings::One(tail)) => Ok(tails.contains(*tail)),
            Some(place) => {
                let postings = label.blocks.get(number).and_then(|place| place.postings);
                index.set_bytes(postings, *place, |bytes, corrupt| {
                    intersects(bytes, index.tails, tails).map_err(corrupt)
                })
            }
        };
        match &self.wanted {
            Wanted::All | Wanted::Ordinals(_) => Ok(true),
            Wanted::OfTails(tails) => had_by(tails),
            Wanted::Names {
                groups,
                tails,
                whole,
            } => {
                if let Some(group) = block.group(at)
                    && groups.as_ref().is_none_or(|groups| groups.contains(group))
                {
                    let Some(tails) = tails else {
                        return Ok(true);
                    };
                    let places = index.group_places()?;
                    let set =
                        places.set(&index.file, group as usize, index.tails, &mut self.group)?;
                    if !set.is_disjoint(tails) {
                        return Ok(true);
                    }
                }
                // A name that is not in front belongs to whole tails alone.
                match whole {
                    Some(whole) => had_by(whole),
                    None => Ok(!matches!(
                        block.postings.get(at),
                        None | Some(Postings::None)
                    )),
                }
            }
        }
    }
}
