//! The values of each label name of a part, in order, and the tails that have them.
//!
//! A value is written once, in a block of its neighbours, behind the bytes it shares with the one
//! before. Its number within its name is its ordinal; label sets are written as ordinals. The bytes are
//! described in `FORMAT.md`.

use std::sync::Arc;

use super::block::{BLOCK_BYTES, handle, number, put_block, put_handle, read_block};
use super::set::put_set;
use crate::codec::{Cursor, Malformed, put_bytes, put_uvarint};
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, CHECKSUM_BYTES, PartError};

/// Values that share a block.
const VALUES_PER_BLOCK: usize = 128;
/// What the values of a block may take together, beside the longest.
const VALUES_BYTES_MAX: usize = 4 * BLOCK_BYTES;
/// The flag of a name whose values have groups.
const LEADS: u64 = 1;

/// The tails that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Postings {
    None,
    One(u32),
    /// Bytes of the block of postings that belongs to the block of values.
    Set {
        start: u32,
        length: u32,
    },
}

/// A label name and where its values are.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) name: Box<str>,
    /// Whether series begin with a label of this name, so that values have groups.
    pub(super) leads: bool,
    /// How many values there are.
    pub(super) values: u32,
    /// The tails that have a label of this name, as a set.
    pub(super) presence: Vec<u8>,
    pub(super) blocks: Vec<ValuesPlace>,
}

/// Where a block of values is.
#[derive(Debug)]
pub(super) struct ValuesPlace {
    /// Its first value.
    pub(super) first: Box<str>,
    /// The ordinal of that.
    pub(super) ordinal: u32,
    pub(super) values: BlockHandle,
    /// The block of their postings, if some value has a set.
    pub(super) postings: Option<BlockHandle>,
}

/// The label names in order.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) labels: Vec<Label>,
}

/// A block of values.
#[derive(Debug)]
pub(super) struct ValueBlock {
    text: String,
    /// Where each value ends in the text.
    ends: Vec<u32>,
    /// How many bytes each shares with the one before.
    pub(super) shared: Vec<u32>,
    /// The group of each, plus one; none where the name does not lead.
    groups: Vec<u32>,
    pub(super) postings: Vec<Postings>,
}

impl Dictionary {
    /// The label of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Label> {
        let at = self
            .labels
            .binary_search_by(|label| (*label.name).cmp(name))
            .ok()?;
        self.labels.get(at)
    }

    pub(super) fn read(file: &PartFile, at: BlockHandle) -> Result<Arc<Self>, PartError> {
        read_block(file, at, |raw| {
            let dictionary = Self::decode(&raw)?;
            let labels = dictionary.labels.iter();
            let bytes = labels.map(|label| {
                let names = label.blocks.iter().map(|block| block.first.len());
                let places = label.blocks.len() * size_of::<ValuesPlace>();
                size_of::<Label>() + label.presence.len() + places + names.sum::<usize>()
            });
            let bytes = bytes.sum();
            Ok((dictionary, bytes))
        })
    }

    fn decode(raw: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(raw);
        let count = cursor.count(5)?;
        let mut labels: Vec<Label> = Vec::with_capacity(count);
        for _ in 0..count {
            let label = Label::decode(&mut cursor)?;
            if labels.last().is_some_and(|last| last.name >= label.name) {
                return Err(cursor.malformed("names in order"));
            }
            labels.push(label);
        }
        Ok(Self { labels })
    }
}

impl Label {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let name = cursor.text()?.into();
        let leads = cursor.uvarint()? & LEADS != 0;
        let presence = cursor.bytes()?.to_vec();
        let count = cursor.count(5)?;
        let mut blocks = Vec::with_capacity(count);
        let mut ordinal = 0_u32;
        for _ in 0..count {
            let first = cursor.text()?.into();
            let values = number(cursor)?;
            let place = handle(cursor)?;
            let postings = number(cursor)?;
            blocks.push(ValuesPlace {
                first,
                ordinal,
                values: place,
                postings: (postings > 0).then(|| BlockHandle {
                    offset: place
                        .offset
                        .saturating_add(u64::from(place.length) + CHECKSUM_BYTES as u64),
                    length: postings,
                }),
            });
            ordinal = ordinal
                .checked_add(values)
                .ok_or_else(|| cursor.malformed("values below 2^32"))?;
        }
        Ok(Self {
            name,
            leads,
            values: ordinal,
            presence,
            blocks,
        })
    }

    /// The number of the block in which `value` is, if it is there.
    pub(super) fn block_of(&self, value: &str) -> usize {
        let after = self.blocks.partition_point(|block| &*block.first <= value);
        after.saturating_sub(1)
    }

    /// The number of the block with the value of that ordinal.
    pub(super) fn block_at(&self, ordinal: u32) -> usize {
        let after = self
            .blocks
            .partition_point(|block| block.ordinal <= ordinal);
        after.saturating_sub(1)
    }

    pub(super) fn read(
        &self,
        file: &PartFile,
        block: usize,
    ) -> Result<Option<Arc<ValueBlock>>, PartError> {
        let Some(place) = self.blocks.get(block) else {
            return Ok(None);
        };
        let read = read_block(file, place.values, |raw| {
            let block = ValueBlock::decode(&raw, self.leads)?;
            let each = size_of::<Postings>() + 3 * size_of::<u32>();
            let bytes = size_of::<ValueBlock>() + block.text.len() + block.ends.len() * each;
            Ok((block, bytes))
        });
        read.map(Some)
    }
}

impl ValueBlock {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The value at a place of the block.
    pub(super) fn value(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// The place of the first value that is not before `value`.
    pub(super) fn lower_bound(&self, value: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.value(middle).is_some_and(|found| found < value) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The group of the value at a place.
    pub(super) fn group(&self, at: usize) -> Option<u32> {
        self.groups.get(at)?.checked_sub(1)
    }

    fn decode(raw: &[u8], leads: bool) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(raw);
        let count = cursor.count(3)?;
        let mut text: Vec<u8> = Vec::with_capacity(raw.len());
        let mut block = Self {
            text: String::new(),
            ends: Vec::with_capacity(count),
            shared: Vec::with_capacity(count),
            groups: Vec::new(),
            postings: Vec::with_capacity(count),
        };
        let mut start = 0;
        for _ in 0..count {
            let shared = number(&mut cursor)?;
            let rest = cursor.bytes()?;
            if text.len() > VALUES_BYTES_MAX {
                return Err(cursor.malformed("values that fit a block"));
            }
            let end_of_shared = start + shared as usize;
            if end_of_shared > text.len() {
                return Err(cursor.malformed("no more bytes shared than there are"));
            }
            let next = text.len();
            text.extend_from_within(start..end_of_shared);
            text.extend_from_slice(rest);
            start = next;
            block.shared.push(shared);
            block.ends.push(text.len() as u32);
        }
        block.text = String::from_utf8(text).map_err(|_| cursor.malformed("UTF-8"))?;
        let mut ends = block.ends.iter();
        if !ends.all(|end| block.text.is_char_boundary(*end as usize)) {
            return Err(cursor.malformed("whole characters"));
        }
        if leads {
            for _ in 0..count {
                block.groups.push(number(&mut cursor)?);
            }
        }
        let mut start = 0_u32;
        for _ in 0..count {
            let word = cursor.uvarint()?;
            let length = u32::try_from(word >> 1)
                .map_err(|_| cursor.malformed("a length or a number below 2^32"))?;
            block.postings.push(match (word & 1, length) {
                (1, tail) => Postings::One(tail),
                (_, 0) => Postings::None,
                (_, length) => Postings::Set { start, length },
            });
            if word & 1 == 0 {
                start = start
                    .checked_add(length)
                    .ok_or_else(|| cursor.malformed("postings below 4 GiB"))?;
            }
        }
        Ok(block)
    }
}

/// A value that is written.
pub(super) struct Entry<'a, R> {
    pub(super) value: &'a str,
    pub(super) group: Option<u32>,
    /// The runs of the tails that have it.
    pub(super) tails: R,
}

/// Writes the values of a name, which come in order, and appends its label to the dictionary.
pub(super) fn put_label<'a, R: Iterator<Item = (u32, u32)>>(
    dictionary: &mut Vec<u8>,
    name: &str,
    leads: bool,
    presence: impl Iterator<Item = (u32, u32)>,
    entries: impl Iterator<Item = Entry<'a, R>>,
    writer: &mut PartWriter,
) -> Result<(), PartError> {
    put_bytes(dictionary, name.as_bytes());
    put_uvarint(dictionary, if leads { LEADS } else { 0 });
    let mut set = Vec::new();
    put_set(&mut set, presence);
    put_bytes(dictionary, &set);
    let (mut blocks, mut places) = (0, Vec::new());
    let mut block = Gathered::default();
    for entry in entries {
        if block.is_full() {
            block.write(leads, &mut places, writer)?;
            blocks += 1;
        }
        block.push(entry);
    }
    if block.count > 0 {
        block.write(leads, &mut places, writer)?;
        blocks += 1;
    }
    put_uvarint(dictionary, blocks);
    dictionary.extend_from_slice(&places);
    Ok(())
}

/// A block of values that is being gathered.
#[derive(Default)]
struct Gathered<'a> {
    count: usize,
    first: &'a str,
    last: &'a str,
    text_bytes: usize,
    values: Vec<u8>,
    groups: Vec<u8>,
    places: Vec<u8>,
    postings: Vec<u8>,
}

impl<'a> Gathered<'a> {
    fn is_full(&self) -> bool {
        self.count >= VALUES_PER_BLOCK
            || self.text_bytes >= BLOCK_BYTES
            || self.postings.len() >= BLOCK_BYTES
    }

    fn push(&mut self, entry: Entry<'a, impl Iterator<Item = (u32, u32)>>) {
        let value = entry.value;
        if self.count == 0 {
            self.first = value;
            self.last = "";
        }
        let both = value.bytes().zip(self.last.bytes());
        let shared = both.take_while(|(a, b)| a == b).count();
        put_uvarint(&mut self.values, shared as u64);
        put_bytes(
            &mut self.values,
            value.as_bytes().get(shared..).unwrap_or_default(),
        );
        let group = entry.group.map_or(0, |group| u64::from(group) + 1);
        put_uvarint(&mut self.groups, group);
        let mut tails = entry.tails.peekable();
        match (tails.next(), tails.peek()) {
            (None, _) => put_uvarint(&mut self.places, 0),
            (Some((first, last)), None) if first == last => {
                put_uvarint(&mut self.places, u64::from(first) << 1 | 1);
            }
            (Some(first), _) => {
                let start = self.postings.len();
                put_set(&mut self.postings, std::iter::once(first).chain(tails));
                let length = self.postings.len() - start;
                put_uvarint(&mut self.places, (length as u64) << 1);
            }
        }
        self.last = value;
        self.text_bytes += value.len();
        self.count += 1;
    }

    fn write(
        &mut self,
        leads: bool,
        places: &mut Vec<u8>,
        writer: &mut PartWriter,
    ) -> Result<(), PartError> {
        let mut raw = Vec::new();
        put_uvarint(&mut raw, self.count as u64);
        raw.extend_from_slice(&self.values);
        if leads {
            raw.extend_from_slice(&self.groups);
        }
        raw.extend_from_slice(&self.places);
        let values = put_block(writer, &raw)?;
        let postings = if self.postings.is_empty() {
            BlockHandle::default()
        } else {
            put_block(writer, &self.postings)?
        };
        put_bytes(places, self.first.as_bytes());
        put_uvarint(places, self.count as u64);
        put_handle(places, values);
        put_uvarint(places, u64::from(postings.length));
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, leads: bool) {
            let _ = Dictionary::decode(&bytes);
            if let Ok(block) = ValueBlock::decode(&bytes, leads) {
                prop_assert!(block.text.len() <= VALUES_BYTES_MAX * 2 + bytes.len());
                for at in 0..block.len() {
                    prop_assert!(block.value(at).is_some());
                }
            }
        }
    }
}
