//! The series that a record names.
//!
//! Series that come one after another share most of their labels, so a series is written against the
//! one before it in the section:
//!
//! ```text
//! labels      count uvarint, then by turns until there are as many: how many labels are those at the
//!             same places of the series before (uvarint), how many follow in full (uvarint), and
//!             those, behind their length in bytes (uvarint), as `model::labels` writes them
//! ```

use model::labels::{decode_pair, split_pair};
use storage::codec::{Cursor, Malformed, put_bytes, put_ivarint, put_uvarint};

use super::{SeriesNumber, series_number};

/// Series on their way into a record.
#[derive(Debug, Default)]
pub(in crate::store) struct NamesWriter {
    count: usize,
    bytes: Vec<u8>,
    number: SeriesNumber,
    /// The labels of the series before.
    before: String,
    text: String,
}

impl NamesWriter {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names a series with its labels in their durable form.
    pub(in crate::store) fn push(&mut self, number: SeriesNumber, labels: &str) {
        let out = &mut self.bytes;
        put_ivarint(out, i64::from(number) - i64::from(self.number));
        self.number = number;
        self.count += 1;
        put_uvarint(out, pairs_of(labels).count() as u64);
        let before = pairs_of(&self.before)
            .map(Some)
            .chain(std::iter::repeat(None));
        let mut pairs = pairs_of(labels).zip(before).peekable();
        while pairs.peek().is_some() {
            let mut same = 0;
            while pairs
                .next_if(|(pair, before)| Some(*pair) == *before)
                .is_some()
            {
                same += 1u64;
            }
            let mut full = 0u64;
            self.text.clear();
            while let Some((pair, _)) = pairs.next_if(|(pair, before)| Some(*pair) != *before) {
                full += 1;
                self.text.push_str(pair);
            }
            put_uvarint(out, same);
            put_uvarint(out, full);
            put_bytes(out, self.text.as_bytes());
        }
        drop(pairs);
        self.before.clear();
        self.before.push_str(labels);
    }

    /// Appends the section.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        put_uvarint(out, self.count as u64);
        out.extend_from_slice(&self.bytes);
    }
}

/// The pairs of labels in their durable form.
fn pairs_of(labels: &str) -> impl Iterator<Item = &str> {
    let mut rest = labels;
    std::iter::from_fn(move || {
        let (pair, after) = split_pair(rest)?;
        rest = after;
        Some(pair)
    })
}

/// The series a record names, one after another.
pub(in crate::store) struct NameReader<'a> {
    section: Cursor<'a>,
    count: usize,
    number: SeriesNumber,
    is_version_1: bool,
    labels: Vec<&'a str>,
    /// How many of the labels of the series at hand are those of the one before at the same places.
    same: Vec<bool>,
}

impl<'a> NameReader<'a> {
    pub(super) fn new(mut section: Cursor<'a>) -> Result<Self, Malformed> {
        let count = section.count(2)?;
        Ok(Self {
            section,
            count,
            number: 0,
            is_version_1: false,
            labels: Vec::new(),
            same: Vec::new(),
        })
    }

    pub(super) fn version_1(section: Cursor<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            is_version_1: true,
            ..Self::new(section)?
        })
    }

    /// Goes to the next series: its number. `None` behind the last.
    pub(in crate::store) fn next(&mut self) -> Result<Option<SeriesNumber>, Malformed> {
        if self.count == 0 {
            return Ok(None);
        }
        self.count -= 1;
        self.same.clear();
        if self.is_version_1 {
            let number = self.section.uvarint()?;
            self.number = u32::try_from(number)
                .map_err(|_| self.section.malformed("a series number of 32 bits"))?;
            self.labels.clear();
            let text = self.section.text()?;
            self.take_pairs(text, usize::MAX)?;
            self.check_order()?;
            return Ok(Some(self.number));
        }
        self.number = series_number(&mut self.section, i64::from(self.number))?;
        let count = self.section.uvarint()?;
        let before = self.labels.len();
        // What is new lies behind what is kept until the series is whole.
        let mut old = std::mem::take(&mut self.labels).into_iter();
        while (self.labels.len() as u64) < count {
            let same = self.section.uvarint()?;
            let full = self.section.uvarint()?;
            let text = self.section.text()?;
            let fits = (self.labels.len() as u64)
                .checked_add(same)
                .and_then(|end| end.checked_add(full))
                .is_some_and(|end| end <= count);
            let known = before.saturating_sub(self.labels.len()) as u64;
            if !fits || same > known || (same == 0 && full == 0) {
                return Err(self.section.malformed("as many labels as were counted"));
            }
            for pair in old.by_ref().take(same as usize) {
                self.labels.push(pair);
                self.same.push(true);
            }
            self.take_pairs(text, full as usize)?;
            for _ in 0..full {
                old.next();
            }
        }
        self.check_order()?;
        Ok(Some(self.number))
    }

    /// The labels of the series at hand, each in its durable form, and whether it is the label at
    /// the same place of the series before.
    pub(in crate::store) fn labels(&self) -> impl Iterator<Item = (&'a str, bool)> {
        self.labels.iter().copied().zip(self.same.iter().copied())
    }

    /// Takes `count` labels, or where there are fewer in the text and the count is not known, all.
    fn take_pairs(&mut self, text: &'a str, count: usize) -> Result<(), Malformed> {
        let mut rest = text;
        let mut taken = 0;
        while let Some((pair, after)) = split_pair(rest) {
            self.labels.push(pair);
            self.same.push(false);
            rest = after;
            taken += 1;
        }
        if !rest.is_empty() || (count != usize::MAX && taken != count) {
            return Err(self.section.malformed("a label set"));
        }
        Ok(())
    }

    /// A label set is in order of name, and has none twice. Neighbours that are those of the series
    /// before are so already.
    fn check_order(&self) -> Result<(), Malformed> {
        let name = |pair: &'a str| decode_pair(pair).map_or("", |(name, _)| name);
        let follows = |(a, of_before): &(&'a str, bool), (b, also): &(&'a str, bool)| {
            (*of_before && *also) || name(a) < name(b)
        };
        if self.labels().is_sorted_by(follows) {
            return Ok(());
        }
        Err(self.section.malformed("a label set in order of name"))
    }
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_come_back(sets in prop::collection::vec(
            (any::<u32>(), prop::collection::btree_map("[a-d]{1,2}", "[x-z]{0,2}", 0..5)),
            0..12,
        )) {
            let sets: Vec<(u32, Labels)> = sets
                .into_iter()
                .map(|(number, pairs)| (number, Labels::from_pairs(pairs)))
                .collect();
            let mut writer = NamesWriter::default();
            for (number, labels) in &sets {
                writer.push(*number, labels.as_encoded());
            }
            let mut bytes = Vec::new();
            writer.finish(&mut bytes);
            let mut reader = NameReader::new(Cursor::new(&bytes)).expect("own encoding");
            let mut before: Vec<&str> = Vec::new();
            for (number, labels) in &sets {
                prop_assert_eq!(reader.next(), Ok(Some(*number)));
                let read: Vec<(&str, bool)> = reader.labels().collect();
                for (place, (pair, same)) in read.iter().enumerate() {
                    prop_assert!(!same || before.get(place) == Some(pair));
                }
                before = read.into_iter().map(|(pair, _)| pair).collect();
                prop_assert_eq!(before.concat(), labels.as_encoded());
            }
            prop_assert_eq!(reader.next(), Ok(None));
        }
    }
}
