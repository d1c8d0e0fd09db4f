//! The groups of a part: for each metric name, which tails its series have.
//!
//! The series of a group are neighbours in the order of their tails, so a series is a group's first
//! number plus its tail's rank in the group's set, and nothing is written for it.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::SeriesRef;
use super::block::{BLOCK_BYTES, handle, number, put_block, put_handle, read_block};
use super::postings::runs_of;
use super::set::{decode_set, put_set};
use crate::codec::{Cursor, Malformed, put_bytes, put_uvarint};
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, PartError};

/// The series that begin with one metric name, or neighbours that begin with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The ordinal of the metric name, if there is one.
    pub(super) name: Option<u32>,
    /// The first of its series.
    pub(super) first: SeriesRef,
    /// How many it has.
    pub(super) series: u32,
}

/// What is known of the groups without reading their tails.
#[derive(Debug)]
pub(super) struct GroupPlaces {
    pub(super) groups: Vec<Group>,
    /// The first group of each block, and where it is.
    blocks: Vec<(u32, BlockHandle)>,
}

/// The tails of some groups.
#[derive(Debug)]
pub(super) struct GroupBlock {
    sets: Vec<RoaringBitmap>,
}

impl GroupPlaces {
    pub(super) fn read(file: &PartFile, at: BlockHandle) -> Result<Arc<Self>, PartError> {
        read_block(file, at, |raw| {
            let places = Self::decode(&raw)?;
            let bytes = places.groups.len() * size_of::<Group>();
            Ok((places, bytes + size_of::<Self>()))
        })
    }

    fn decode(raw: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(raw);
        let mut places = Self {
            groups: Vec::new(),
            blocks: Vec::new(),
        };
        let mut first = 0_u32;
        for _ in 0..cursor.count(2)? {
            let name = number(&mut cursor)?.checked_sub(1);
            let series = number(&mut cursor)?;
            places.groups.push(Group {
                name,
                first,
                series,
            });
            first = first
                .checked_add(series)
                .ok_or_else(|| cursor.malformed("series below 2^32"))?;
        }
        let mut group = 0_u32;
        for _ in 0..cursor.count(3)? {
            let groups = number(&mut cursor)?;
            places.blocks.push((group, handle(&mut cursor)?));
            group = group.saturating_add(groups);
        }
        if group as usize == places.groups.len() {
            Ok(places)
        } else {
            Err(cursor.malformed("a block for every group"))
        }
    }

    /// The number of the group that holds a series.
    pub(super) fn group_of(&self, series: SeriesRef) -> usize {
        let after = self.groups.partition_point(|group| group.first <= series);
        after.saturating_sub(1)
    }

    /// How many series there are.
    pub(super) fn series(&self) -> u32 {
        self.groups
            .last()
            .map_or(0, |last| last.first + last.series)
    }

    /// The tails of a group, which are below `tails`.
    pub(super) fn set<'a>(
        &self,
        file: &PartFile,
        group: usize,
        tails: u32,
        held: &'a mut Option<(usize, Arc<GroupBlock>)>,
    ) -> Result<&'a RoaringBitmap, PartError> {
        let group_ref = group as u32;
        let after = self
            .blocks
            .partition_point(|(first, _)| *first <= group_ref);
        let block = after.saturating_sub(1);
        let missing = || file.corrupt(0, format!("the index has no tails for group {group}"));
        let (first, at) = *self.blocks.get(block).ok_or_else(missing)?;
        if held.as_ref().is_none_or(|(number, _)| *number != block) {
            let read = read_block(file, at, |raw| GroupBlock::decode(&raw, tails))?;
            *held = Some((block, read));
        }
        let sets = held.as_ref().map(|(_, block)| &block.sets);
        let set = sets.and_then(|sets| sets.get((group_ref - first) as usize));
        set.ok_or_else(missing)
    }
}

impl GroupBlock {
    fn decode(raw: &[u8], tails: u32) -> Result<(Self, usize), Malformed> {
        let mut cursor = Cursor::new(raw);
        let mut sets = Vec::new();
        let mut bytes = 0;
        while !cursor.is_at_end() {
            let mut set = decode_set(cursor.bytes()?, tails)?;
            set.optimize();
            bytes += set.serialized_size() + 2 * size_of::<RoaringBitmap>();
            sets.push(set);
        }
        Ok((Self { sets }, bytes))
    }
}

/// A group that is written: the ordinal of its name, and its tails in order.
pub(super) struct Entry<'a> {
    pub(super) name: Option<u32>,
    pub(super) tails: &'a [u32],
}

/// Writes groups, and where their blocks are.
pub(super) fn put_groups<'a>(
    groups: impl Iterator<Item = Entry<'a>>,
    writer: &mut PartWriter,
) -> Result<BlockHandle, PartError> {
    let (mut count, mut heads, mut blocks, mut places) = (0, Vec::new(), 0, Vec::new());
    let (mut in_block, mut raw) = (0, Vec::new());
    let mut close = |in_block: &mut u64, raw: &mut Vec<u8>, writer: &mut PartWriter| {
        put_uvarint(&mut places, *in_block);
        put_handle(&mut places, put_block(writer, raw)?);
        raw.clear();
        *in_block = 0;
        blocks += 1;
        Ok::<_, PartError>(())
    };
    for group in groups {
        put_uvarint(&mut heads, group.name.map_or(0, |name| u64::from(name) + 1));
        put_uvarint(&mut heads, group.tails.len() as u64);
        let mut set = Vec::new();
        put_set(&mut set, runs_of(group.tails));
        put_bytes(&mut raw, &set);
        count += 1;
        in_block += 1;
        if raw.len() >= BLOCK_BYTES {
            close(&mut in_block, &mut raw, writer)?;
        }
    }
    if in_block > 0 {
        close(&mut in_block, &mut raw, writer)?;
    }
    let mut out = Vec::new();
    put_uvarint(&mut out, count);
    out.extend_from_slice(&heads);
    put_uvarint(&mut out, blocks);
    out.extend_from_slice(&places);
    put_block(writer, &out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = GroupPlaces::decode(&bytes);
            let _ = GroupBlock::decode(&bytes, 1 << 16);
        }
    }
}
