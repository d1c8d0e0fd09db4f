//! The values of a label that the series passing some matchers have.
//!
//! What passes is known as tails; [`walk`](super::walk) says which values these have, or how each value is
//! asked. Either way values come in order, a block of them at a time.

use std::sync::Arc;

use model::labels::METRIC_NAME;
use roaring::RoaringBitmap;

use super::super::bits::Bits;
use super::super::dictionary::{Dictionary, Label, Postings, ValueBlock};
use super::super::groups::GroupBlock;
use super::super::values::{Listed, Values};
use super::Version2;
use super::chosen::Chosen;
use super::postings::PostingsReader;
use super::spaces::Passing;
use super::walk::{Reached, reach};
use crate::part::PartError;

/// The values of `name` that the chosen series have.
pub(super) fn values<'a>(
    index: &'a Version2,
    name: &str,
    chosen: &Chosen<'_>,
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
        Some(label) => wanted(index, label, at, chosen)?,
        None => Wanted::All,
    };
    Ok(Box::new(DictionaryValues {
        index,
        dictionary,
        label: at,
        wanted,
        postings: PostingsReader::new(index),
        block: None,
        group: None,
        next: 0,
    }))
}

/// Which values of the label at a place of the dictionary the chosen series have.
fn wanted(
    index: &Version2,
    label: &Label,
    at: usize,
    chosen: &Chosen<'_>,
) -> Result<Wanted, PartError> {
    if matches!(chosen, Chosen::All) {
        return Ok(Wanted::All);
    }
    if &*label.name == METRIC_NAME && label.leads {
        // As many as there are blocks for: bits are no longer than what was read.
        index.tail_places()?;
        let Passing {
            groups,
            tails,
            whole,
        } = index.groups_of(chosen)?;
        return Ok(Wanted::Names {
            groups,
            tails,
            whole: whole.as_ref().map(Bits::of),
        });
    }
    let Some(tails) = index.tails_in(chosen)? else {
        return Ok(Wanted::All);
    };
    let Reached { ordinals, rest } = reach(index, label, at, &tails)?;
    Ok(match rest {
        None => Wanted::Ordinals(ordinals.into_iter()),
        Some(tails) => Wanted::OfTails { ordinals, tails },
    })
}

/// Which values of the label are wanted.
enum Wanted {
    All,
    /// Those with these ordinals, and those that some of these tails have.
    OfTails {
        ordinals: RoaringBitmap,
        tails: Bits,
    },
    /// Those with these ordinals.
    Ordinals(roaring::bitmap::IntoIter),
    /// Metric names that have a series which passes.
    Names {
        groups: Option<RoaringBitmap>,
        tails: Option<RoaringBitmap>,
        whole: Option<Bits>,
    },
}

struct DictionaryValues<'a> {
    index: &'a Version2,
    dictionary: Arc<Dictionary>,
    /// The place of the label in the dictionary.
    label: usize,
    wanted: Wanted,
    postings: PostingsReader<'a>,
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
            if let Wanted::Ordinals(ordinals) = &mut self.wanted {
                match ordinals.next() {
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
        let place = block.postings.get(at).copied().unwrap_or(Postings::None);
        let postings = label.blocks.get(number).and_then(|place| place.postings);
        match &self.wanted {
            Wanted::All | Wanted::Ordinals(_) => Ok(true),
            Wanted::OfTails { ordinals, tails } => Ok(ordinals.contains(self.next - 1)
                || self.postings.has_any(postings, place, tails)?),
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
                    Some(whole) => self.postings.has_any(postings, place, whole),
                    None => Ok(place != Postings::None),
                }
            }
        }
    }
}
