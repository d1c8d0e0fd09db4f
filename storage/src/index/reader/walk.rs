//! From tails to the values that they have of a label.
//!
//! There are two ways. *Asking* holds the postings of each value against the tails; it reads the postings of
//! the label once at most, and can be left off where somebody has enough values. *Walking* reads the tails'
//! own labels; a value that was come across takes all of its tails out of those that are left, so what
//! it costs are the values that there are to find, not the tails that have them. How many these are is
//! not known before, so the tails are walked for as long as asking might take, and what is left then is asked.

use std::ops::ControlFlow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::super::bits::Bits;
use super::super::dictionary::{Label, Postings, ValueBlock};
use super::super::tails::{LabelPlace, TailPlaces};
use super::Version2;
use super::postings::PostingsReader;
use crate::part::PartError;

/// What things cost, in nanoseconds, roughly: to unpack a block of tails,
const TAIL_BLOCK_NS: u64 = 8000;
/// to look one tail up in it,
const TAIL_NS: u64 = 20;
/// to find the postings of a value,
const VALUE_NS: u64 = 60;
/// and to read one tail of them.
const POSTING_NS: u64 = 2;
/// After so many values whose tails were taken out it is seen whether that was of use.
const TRIES_MIN: u32 = 16;

/// The values that were found, and the tails whose values are still to be found.
pub(super) struct Reached {
    /// Ordinals of values.
    pub(super) ordinals: RoaringBitmap,
    /// Tails with other values; `None` where there are none.
    pub(super) rest: Option<Bits>,
}

/// Finds the values that some tails have of the label at a place of the dictionary.
pub(super) fn reach(
    index: &Version2,
    label: &Label,
    at: usize,
    tails: &RoaringBitmap,
) -> Result<Reached, PartError> {
    let places = index.tail_places()?;
    let budget_ns = asking_ns(index, label, tails);
    let mut spent_ns = 0;
    let mut ordinals = RoaringBitmap::new();
    let mut rest = Bits::of(tails);
    let mut taker = Taker::new(index, label);
    let mut next = 0;
    let mut found = Vec::new();
    while let Some(first) = rest.next_from(next) {
        let number = TailPlaces::block_of(first);
        if spent_ns >= budget_ns {
            let rest = Some(rest);
            return Ok(Reached { ordinals, rest });
        }
        let missing = || index.corrupt("a tail is in no block");
        let block = places.block(&index.file, number)?.ok_or_else(missing)?;
        let last = TailPlaces::last_of(number);
        let mut tail = Some(first);
        spent_ns += TAIL_BLOCK_NS;
        while let Some(this) = tail.filter(|tail| *tail <= last) {
            let labels = block.labels(this).ok_or_else(missing)?;
            if let Some(ordinal) = ordinal_of(labels, at)
                && ordinals.insert(ordinal)
            {
                found.push(ordinal);
            }
            spent_ns += TAIL_NS;
            tail = this.checked_add(1).and_then(|after| rest.next_from(after));
        }
        rest.remove(first, last);
        for ordinal in found.drain(..) {
            if tail.is_some() && taker.is_of_use() {
                spent_ns += taker.take(ordinal, &mut rest)?;
            }
        }
        match last.checked_add(1) {
            Some(after) => next = after,
            None => break,
        }
    }
    Ok(Reached {
        ordinals,
        rest: None,
    })
}

/// What it costs to ask every value, in nanoseconds. The more of all tails are looked for, the sooner one of
/// them is among those of a value.
fn asking_ns(index: &Version2, label: &Label, tails: &RoaringBitmap) -> u64 {
    let (all, values) = (u64::from(index.tails), u64::from(label.values));
    let before_a_hit = all.checked_div(tails.len()).unwrap_or(all);
    let read = all.min(values.saturating_mul(before_a_hit));
    values * VALUE_NS + read.saturating_mul(POSTING_NS)
}

/// The ordinal of the label at a place of the dictionary, if it is among a tail's labels.
fn ordinal_of(labels: &[LabelPlace], at: usize) -> Option<u32> {
    let found = labels.binary_search_by_key(&(at as u32), |place| place.label);
    found
        .ok()
        .and_then(|found| labels.get(found))
        .map(|place| place.ordinal)
}

/// Takes the tails of values out of those that are left.
struct Taker<'a> {
    index: &'a Version2,
    label: &'a Label,
    postings: PostingsReader<'a>,
    block: Option<(usize, Arc<ValueBlock>)>,
    tries: u32,
    taken: u32,
}

impl<'a> Taker<'a> {
    const fn new(index: &'a Version2, label: &'a Label) -> Self {
        Self {
            index,
            label,
            postings: PostingsReader::new(index),
            block: None,
            tries: 0,
            taken: 0,
        }
    }

    const fn is_of_use(&self) -> bool {
        self.tries < TRIES_MIN || self.taken >= self.tries
    }

    /// Takes the tails of one value. Returns what that cost, in nanoseconds.
    fn take(&mut self, ordinal: u32, rest: &mut Bits) -> Result<u64, PartError> {
        let number = self.label.block_at(ordinal);
        if self.block.as_ref().is_none_or(|(held, _)| *held != number) {
            let read = self.label.read(&self.index.file, number)?;
            self.block = read.map(|block| (number, block));
        }
        let place = self.label.blocks.get(number);
        let at = place.and_then(|place| ordinal.checked_sub(place.ordinal));
        let in_block = self.block.as_ref().zip(at);
        let set = in_block.and_then(|((_, block), at)| block.postings.get(at as usize));
        let set = set.copied().unwrap_or(Postings::None);
        let (mut runs, mut taken) = (0, 0);
        let postings = place.and_then(|place| place.postings);
        self.postings.each_run(postings, set, |first, last| {
            runs += 1;
            taken += rest.remove(first, last);
            if u64::from(last) < rest.end() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        self.tries += 1;
        self.taken = self.taken.saturating_add(taken);
        Ok(VALUE_NS + runs * POSTING_NS)
    }
}
