//! The tails that have a value.
//!
//! A block of values has one block of postings. Who asks of value after value holds the latter, and
//! does not go to the cache for each.

use std::ops::ControlFlow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::super::bits::Bits;
use super::super::block::read_block;
use super::super::dictionary::{Postings, ValueBlock};
use super::super::pattern::{Kind, Pattern};
use super::super::set::{decode_set, each_run};
use super::Version2;
use super::spaces::Tails;
use crate::codec::Malformed;
use crate::part::{BlockHandle, PartError};

/// From this many sets on they are united as bits.
const SETS_AS_BITS: usize = 8;

/// Reads postings.
pub(super) struct PostingsReader<'a> {
    index: &'a Version2,
    /// The block that was read last.
    held: Option<(BlockHandle, Arc<Vec<u8>>)>,
}

impl<'a> PostingsReader<'a> {
    pub(super) const fn new(index: &'a Version2) -> Self {
        Self { index, held: None }
    }

    /// Shows the runs of the tails that have a value until `visit` has seen enough. `block` is that of
    /// the postings of the value's block.
    pub(super) fn each_run(
        &mut self,
        block: Option<BlockHandle>,
        place: Postings,
        mut visit: impl FnMut(u32, u32) -> ControlFlow<()>,
    ) -> Result<(), PartError> {
        match place {
            Postings::None => {}
            Postings::One(tail) => {
                let _ = visit(self.known(tail)?, tail);
            }
            Postings::Set { start, length } => {
                let tails = self.index.tails;
                self.with_set(block, start, length, |bytes| each_run(bytes, tails, visit))?;
            }
        }
        Ok(())
    }

    /// Whether one of some tails has a value.
    pub(super) fn has_any(
        &mut self,
        block: Option<BlockHandle>,
        place: Postings,
        tails: &Bits,
    ) -> Result<bool, PartError> {
        let mut found = false;
        self.each_run(block, place, |first, last| {
            found = tails.has_any(first, last);
            if found || u64::from(last) >= tails.end() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The tails that have a value.
    pub(super) fn set(
        &mut self,
        block: Option<BlockHandle>,
        place: Postings,
    ) -> Result<RoaringBitmap, PartError> {
        match place {
            Postings::None => Ok(RoaringBitmap::new()),
            Postings::One(tail) => Ok(RoaringBitmap::from([self.known(tail)?])),
            Postings::Set { start, length } => {
                let tails = self.index.tails;
                self.with_set(block, start, length, |bytes| decode_set(bytes, tails))
            }
        }
    }

    fn known(&self, tail: u32) -> Result<u32, PartError> {
        if tail < self.index.tails {
            return Ok(tail);
        }
        Err(self
            .index
            .corrupt("a label is had by a tail that there is not"))
    }

    fn with_set<R>(
        &mut self,
        block: Option<BlockHandle>,
        start: u32,
        length: u32,
        read: impl FnOnce(&[u8]) -> Result<R, Malformed>,
    ) -> Result<R, PartError> {
        let index = self.index;
        let at = block.ok_or_else(|| index.corrupt("a label has no postings"))?;
        let held = match self.held.take().filter(|(held, _)| *held == at) {
            Some((_, bytes)) => bytes,
            None => read_block(&index.file, at, |raw| {
                let bytes = raw.len();
                Ok((raw, bytes))
            })?,
        };
        let (_, bytes) = self.held.insert((at, held));
        let range = start as usize..(start as usize).saturating_add(length as usize);
        let bytes = bytes.get(range);
        let bytes = bytes.ok_or_else(|| index.corrupt("a label's postings end early"))?;
        read(bytes).map_err(|malformed| index.file.corrupt(at.offset, malformed.to_string()))
    }
}

/// The tails that have one of several values.
struct Union<'a> {
    postings: PostingsReader<'a>,
    sets: usize,
    few: RoaringBitmap,
    many: Bits,
}

impl Union<'_> {
    fn add(&mut self, block: Option<BlockHandle>, place: Postings) -> Result<(), PartError> {
        self.sets += 1;
        if self.sets < SETS_AS_BITS {
            self.few |= self.postings.set(block, place)?;
            return Ok(());
        }
        let many = &mut self.many;
        self.postings.each_run(block, place, |first, last| {
            many.insert(first, last);
            ControlFlow::Continue(())
        })
    }

    fn into_set(self) -> RoaringBitmap {
        let mut all = self.few;
        all |= self.many.into_set();
        all
    }
}

impl Tails<'_> {
    /// The tails whose value of the matcher's label matches, before any negation.
    pub(super) fn united(
        &self,
        name: &str,
        pattern: &Pattern<'_>,
    ) -> Result<RoaringBitmap, PartError> {
        let index = self.0;
        // As many as there are blocks for: bits are no longer than what was read.
        index.tail_places()?;
        let dictionary = index.dictionary()?;
        let Some(label) = dictionary.find(name) else {
            return Ok(RoaringBitmap::new());
        };
        let mut union = Union {
            postings: PostingsReader::new(index),
            sets: 0,
            few: RoaringBitmap::new(),
            many: Bits::default(),
        };
        let mut add = |block: &ValueBlock, at: usize, postings| {
            let place = block.postings.get(at).copied();
            union.add(postings, place.unwrap_or(Postings::None))
        };
        if let Kind::Literals(texts) = pattern.kind() {
            for text in texts {
                if let Some(found) = index.find(label, text)? {
                    add(&found.block, found.at, found.postings)?;
                }
            }
        } else {
            index.each(
                name,
                pattern.prefix(),
                Some(pattern),
                |_, block, at, postings| add(block, at, postings),
            )?;
        }
        Ok(union.into_set())
    }
}
