//! A page: some 256 KB of rows that are read together.
//!
//! ```text
//! page      two blocks of the part, each its raw size u32 and an LZ4 block
//! head      per row its timestamp, ivarint: nanoseconds since the row before, of the first since 1970
//!           per row the bytes of its line, uvarint
//!           sets uvarint, then per set of structured metadata: its encoded labels behind their length
//!           per row its set, uvarint: 0 for none, n for the set n − 1
//! lines     the lines behind each other
//! ```
//!
//! Labels are the text of `model::labels`; their length is a uvarint. How many rows and how many bytes
//! of lines there are stands in the part's directory. A page may hold rows of several streams. The
//! head alone answers whatever asks for times, lengths or metadata; the lines are unpacked when
//! somebody wants to see one. Other encodings of the lines will be other blocks beside the same head.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memmem::Finder;
use model::labels::Labels;
use model::time::TimestampNs;
use storage::codec::{Cursor, Malformed, put_bytes, put_ivarint, put_uvarint};

use super::record::labels;
use super::rows::Row;

/// A page is closed when its lines and metadata reach this many bytes.
pub(super) const PAGE_BYTES: usize = 256 << 10;
/// Or this many rows: heads of empty lines are bounded too.
pub(super) const PAGE_ROWS_MAX: usize = 64 << 10;

/// The rows of a page that is being written.
#[derive(Debug, Default)]
pub(super) struct PageBuilder {
    timestamps: Vec<u8>,
    lengths: Vec<u8>,
    set_numbers: Vec<u8>,
    sets: HashMap<Labels, u64>,
    ordered_sets: Vec<u8>,
    lines: String,
    rows: usize,
    before: i64,
}

impl PageBuilder {
    /// Adds a row.
    pub(super) fn push(&mut self, row: Row<'_>) {
        let at = row.timestamp.nanos();
        put_ivarint(&mut self.timestamps, at.wrapping_sub(self.before));
        self.before = at;
        put_uvarint(&mut self.lengths, row.line.len() as u64);
        let number = self.set_number(row.metadata);
        put_uvarint(&mut self.set_numbers, number);
        self.lines.push_str(row.line);
        self.rows += 1;
    }

    fn set_number(&mut self, metadata: &Labels) -> u64 {
        if metadata.is_empty() {
            return 0;
        }
        if let Some(known) = self.sets.get(metadata) {
            return *known;
        }
        let number = self.sets.len() as u64 + 1;
        self.sets.insert(metadata.clone(), number);
        put_bytes(&mut self.ordered_sets, metadata.as_encoded().as_bytes());
        number
    }

    /// Whether it holds as much as a page should.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= PAGE_ROWS_MAX || self.lines.len() + self.ordered_sets.len() >= PAGE_BYTES
    }

    /// How many rows it holds.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of its lines.
    pub(super) const fn line_bytes(&self) -> usize {
        self.lines.len()
    }

    /// The blocks of the page: head and lines, packed.
    pub(super) fn blocks(&self) -> (Vec<u8>, Vec<u8>) {
        let mut head = self.timestamps.clone();
        head.extend_from_slice(&self.lengths);
        put_uvarint(&mut head, self.sets.len() as u64);
        head.extend_from_slice(&self.ordered_sets);
        head.extend_from_slice(&self.set_numbers);
        (
            lz4_flex::compress_prepend_size(&head),
            lz4_flex::compress_prepend_size(self.lines.as_bytes()),
        )
    }
}

/// A page that was read: its head, and its lines once they were asked for.
#[derive(Debug)]
pub(super) struct Page {
    timestamps: Vec<i64>,
    /// Byte behind the last one of each line.
    ends: Vec<usize>,
    set_numbers: Vec<u32>,
    sets: Vec<Labels>,
    no_metadata: Labels,
    lines: OnceLock<String>,
}

impl Page {
    /// Reads a head of `rows` rows whose lines take `line_bytes`.
    pub(super) fn decode(head: &[u8], rows: usize, line_bytes: usize) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(head);
        // A row takes at least a byte in each of three columns.
        if rows > head.len() / 3 {
            return Err(cursor.malformed("as many rows as the directory says"));
        }
        let mut timestamps = Vec::with_capacity(rows);
        let mut at = 0i64;
        for _ in 0..rows {
            at = at.wrapping_add(cursor.ivarint()?);
            timestamps.push(at);
        }
        let mut ends = Vec::with_capacity(rows);
        let mut end = 0usize;
        for _ in 0..rows {
            end = usize::try_from(cursor.uvarint()?)
                .ok()
                .and_then(|length| end.checked_add(length))
                .filter(|end| *end <= line_bytes)
                .ok_or_else(|| cursor.malformed("lines that fit in their block"))?;
            ends.push(end);
        }
        if end != line_bytes {
            return Err(cursor.malformed("as many bytes of lines as the directory says"));
        }
        let set_count = cursor.count(1)?;
        let mut sets = Vec::with_capacity(set_count.min(rows));
        for _ in 0..set_count {
            sets.push(labels(&mut cursor)?);
        }
        let mut set_numbers = Vec::with_capacity(rows);
        for _ in 0..rows {
            let number = cursor.uvarint()?;
            if number > sets.len() as u64 {
                return Err(cursor.malformed("the number of a set of metadata"));
            }
            set_numbers.push(number as u32);
        }
        if !cursor.is_at_end() {
            return Err(cursor.malformed("the end of the head"));
        }
        Ok(Self {
            timestamps,
            ends,
            set_numbers,
            sets,
            no_metadata: Labels::empty(),
            lines: OnceLock::new(),
        })
    }

    /// Adds the lines, unless they are there. Says where they are no text or not cut between
    /// characters.
    pub(super) fn set_lines(&self, raw: Vec<u8>) -> Result<(), &'static str> {
        if raw.len() != self.ends.last().copied().unwrap_or(0) {
            return Err("the lines have another length than their head says");
        }
        let lines = String::from_utf8(raw).map_err(|_| "the lines are not UTF-8")?;
        if !self.ends.iter().all(|end| lines.is_char_boundary(*end)) {
            return Err("a line ends within a character");
        }
        // Two readers may have unpacked the same lines; one copy is as good as the other.
        let _ = self.lines.set(lines);
        Ok(())
    }

    /// Whether the lines are there.
    pub(super) fn has_lines(&self) -> bool {
        self.lines.get().is_some()
    }

    /// When the rows are; in order within a stream.
    pub(super) fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// A row; its line is empty where the lines were not read.
    pub(super) fn row(&self, index: usize) -> Option<Row<'_>> {
        let metadata = match self.set_numbers.get(index)?.checked_sub(1) {
            Some(set) => self.sets.get(set as usize)?,
            None => &self.no_metadata,
        };
        let line = match self.lines.get() {
            Some(lines) => lines.get(self.start(index)..*self.ends.get(index)?)?,
            None => "",
        };
        Some(Row {
            timestamp: TimestampNs(*self.timestamps.get(index)?),
            line,
            metadata,
        })
    }

    /// The rows among `rows` whose lines may hold a needle, counted from the first of them. All
    /// lines are searched as one text, so a needle that two lines make together adds a row that does
    /// not hold it, and no row is left out that does.
    pub(super) fn candidates(&self, rows: &Range<usize>, needle: &Finder<'_>) -> Vec<usize> {
        let ends = self.ends.get(rows.clone()).unwrap_or_default();
        let start = self.start(rows.start);
        let lines = self.lines.get().map_or("", String::as_str).as_bytes();
        let text = lines
            .get(..ends.last().copied().unwrap_or(0))
            .unwrap_or_default();
        let mut found = Vec::new();
        let mut searched = start;
        while let Some(at) = text.get(searched..).and_then(|rest| needle.find(rest)) {
            let place = ends.partition_point(|end| *end <= searched + at);
            found.push(place);
            // The rest of this line needs no search.
            searched = ends.get(place).copied().unwrap_or(text.len());
        }
        found
    }

    fn start(&self, index: usize) -> usize {
        let before = index.checked_sub(1);
        before
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row_parts() -> impl Strategy<Value = (i64, String, Labels)> {
        let metadata = prop_oneof![
            Just(Labels::empty()),
            "[a-c]{1,2}".prop_map(|value| Labels::from_pairs([("level", value)])),
        ];
        (any::<i64>(), "[a-c\u{e4}]{0,6}", metadata)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(row_parts(), 0..80)) {
            let mut builder = PageBuilder::default();
            for (at, line, metadata) in &rows {
                builder.push(Row { timestamp: TimestampNs(*at), line, metadata });
            }
            let (head, lines) = builder.blocks();
            let unpack = |bytes: &[u8]| lz4_flex::decompress_size_prepended(bytes).expect("packed");
            let page = Page::decode(&unpack(&head), rows.len(), builder.line_bytes()).expect("head");
            page.set_lines(unpack(&lines)).expect("lines");
            for (index, (at, line, metadata)) in rows.iter().enumerate() {
                let expected = Row { timestamp: TimestampNs(*at), line, metadata };
                prop_assert_eq!(page.row(index), Some(expected));
            }
            prop_assert_eq!(page.row(rows.len()), None);
            let candidates = page.candidates(&(0..rows.len()), &Finder::new("ab"));
            for (place, (_, line, _)) in rows.iter().enumerate() {
                prop_assert!(!line.contains("ab") || candidates.contains(&place));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(head: Vec<u8>, rows in 0..9usize, lines: Vec<u8>) {
            if let Ok(page) = Page::decode(&head, rows, lines.len()) {
                let _ = page.set_lines(lines);
                for index in 0..=rows {
                    let _ = page.row(index);
                }
            }
        }
    }
}
