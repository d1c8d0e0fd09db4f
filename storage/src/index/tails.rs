//! The tails of a part: what the label sets of its series are behind the metric name.
//!
//! A tail is written as its labels' places in the dictionary, behind how many labels it shares with the one
//! before it in its block.

use std::sync::Arc;

use super::block::{handle, number, put_block, put_handle, read_block};
use crate::codec::{Cursor, Malformed, put_uvarint};
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, PartError};

/// A label of a tail: the place of its name and the ordinal of its value in the dictionary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelPlace {
    pub(super) label: u32,
    pub(super) ordinal: u32,
}

/// Where the blocks of tails are.
#[derive(Debug)]
pub(super) struct TailPlaces {
    blocks: Vec<BlockHandle>,
}

/// A block of tails.
#[derive(Debug)]
pub(super) struct TailBlock {
    labels: Vec<LabelPlace>,
    /// Where each tail ends in the labels.
    ends: Vec<u32>,
}

impl TailPlaces {
    /// Tails that share a block.
    pub(super) const TAILS_PER_BLOCK: usize = 256;

    pub(super) fn read(file: &PartFile, at: BlockHandle) -> Result<Arc<Self>, PartError> {
        read_block(file, at, |raw| {
            let mut cursor = Cursor::new(&raw);
            let count = cursor.count(2)?;
            let mut blocks = Vec::with_capacity(count);
            for _ in 0..count {
                blocks.push(handle(&mut cursor)?);
            }
            Ok((Self { blocks }, count * size_of::<BlockHandle>()))
        })
    }

    /// How many blocks there are.
    pub(super) const fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The number of the block that holds a tail.
    pub(super) const fn block_of(tail: u32) -> usize {
        tail as usize / TailPlaces::TAILS_PER_BLOCK
    }

    /// The last tail that a block can hold.
    pub(super) const fn last_of(block: usize) -> u32 {
        let after = block
            .saturating_add(1)
            .saturating_mul(TailPlaces::TAILS_PER_BLOCK);
        (after - 1) as u32
    }

    pub(super) fn block(
        &self,
        file: &PartFile,
        block: usize,
    ) -> Result<Option<Arc<TailBlock>>, PartError> {
        let Some(at) = self.blocks.get(block) else {
            return Ok(None);
        };
        let read = read_block(file, *at, |raw| {
            let block = TailBlock::decode(&raw)?;
            let labels = block.labels.len() * size_of::<LabelPlace>();
            let bytes = labels + block.ends.len() * size_of::<u32>();
            Ok((block, bytes))
        });
        read.map(Some)
    }
}

impl TailBlock {
    /// The labels of a tail, in the order of their names.
    pub(super) fn labels(&self, tail: u32) -> Option<&[LabelPlace]> {
        let at = tail as usize % TailPlaces::TAILS_PER_BLOCK;
        let end = *self.ends.get(at)? as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.labels.get(start..end)
    }

    fn decode(raw: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(raw);
        let mut block = Self {
            labels: Vec::new(),
            ends: Vec::new(),
        };
        let mut start = 0;
        while !cursor.is_at_end() {
            let shared = number(&mut cursor)? as usize;
            let own = cursor.count(2)?;
            let next = block.labels.len();
            if shared > next - start || block.ends.len() >= TailPlaces::TAILS_PER_BLOCK {
                return Err(cursor.malformed("labels of the tail before"));
            }
            block.labels.extend_from_within(start..start + shared);
            for _ in 0..own {
                let place = LabelPlace {
                    label: number(&mut cursor)?,
                    ordinal: number(&mut cursor)?,
                };
                let before = block.labels.get(next..).and_then(<[_]>::last);
                if before.is_some_and(|before| before.label >= place.label) {
                    return Err(cursor.malformed("labels in the order of their names"));
                }
                block.labels.push(place);
            }
            start = next;
            block.ends.push(block.labels.len() as u32);
        }
        Ok(block)
    }
}

/// Writes tails, and where their blocks are.
pub(super) fn put_tails<T: Iterator<Item = LabelPlace>>(
    tails: impl ExactSizeIterator<Item = T>,
    writer: &mut PartWriter,
) -> Result<BlockHandle, PartError> {
    let count = tails.len();
    let mut places = Vec::new();
    put_uvarint(
        &mut places,
        count.div_ceil(TailPlaces::TAILS_PER_BLOCK) as u64,
    );
    let mut raw = Vec::new();
    let (mut tail, mut before) = (Vec::new(), Vec::new());
    for (number, labels) in (1..).zip(tails) {
        tail.clear();
        tail.extend(labels);
        let both = tail.iter().zip(&before);
        let shared = both.take_while(|(a, b)| a == b).count();
        put_uvarint(&mut raw, shared as u64);
        put_uvarint(&mut raw, (tail.len() - shared) as u64);
        for place in tail.iter().skip(shared) {
            put_uvarint(&mut raw, u64::from(place.label));
            put_uvarint(&mut raw, u64::from(place.ordinal));
        }
        std::mem::swap(&mut tail, &mut before);
        if number % TailPlaces::TAILS_PER_BLOCK == 0 || number == count {
            put_handle(&mut places, put_block(writer, &raw)?);
            raw.clear();
            before.clear();
        }
    }
    put_block(writer, &places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            if let Ok(block) = TailBlock::decode(&bytes) {
                // A tail shares at most what all before it brought.
                prop_assert!(block.labels.len() <= TailPlaces::TAILS_PER_BLOCK * bytes.len());
                for tail in 0..block.ends.len() as u32 {
                    prop_assert!(block.labels(tail).is_some());
                }
            }
        }
    }
}
