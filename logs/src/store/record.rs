//! The record of a push in the write-ahead log.
//!
//! ```text
//! record    sets uvarint, then per set of structured metadata: its encoded labels behind their length
//!           streams uvarint, then per stream:
//!             number uvarint: twice the stream's number, plus one where it is named here
//!             its encoded labels behind their length, where it is named here
//!             entries uvarint, then per entry:
//!               timestamp ivarint: nanoseconds since the entry before, of the record's first since 1970
//!               set uvarint: 0 for no structured metadata, n for the set n − 1
//!               the line behind its length
//! ```
//!
//! Lengths are uvarint, labels the text of `model::labels`. A stream is named once in a segment and then
//! only numbered. Its number stands beside its name, so the loss of the record that named it costs the
//! lines that refer to it and never hands them to another stream. Sets of metadata are repeated from
//! record to record: most have one short pair.

use std::collections::HashMap;

use model::entry::StreamEntries;
use model::labels::Labels;
use storage::codec::{Cursor, Malformed, put_bytes, put_ivarint, put_uvarint};

/// The number of a stream in a segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamNumber(pub(super) u64);

/// How a record refers to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// An earlier record said what the number means.
    Known(StreamNumber),
    /// This record says it.
    New(StreamNumber),
}

/// A line of a record: where its text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordRow {
    /// Nanoseconds since 1970.
    pub(super) timestamp: i64,
    /// First byte in the record's texts.
    pub(super) start: u32,
    /// Byte behind the last one.
    pub(super) end: u32,
    /// 0 for no metadata, n for the set n − 1.
    pub(super) set: u32,
}

/// The lines of one stream.
#[derive(Debug)]
pub(super) struct RecordStream {
    pub(super) number: StreamNumber,
    /// What the number means, where this record says it.
    pub(super) labels: Option<Labels>,
    pub(super) rows: Vec<RecordRow>,
}

/// A decoded record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The lines' texts behind each other.
    pub(super) text: String,
    /// The sets of structured metadata.
    pub(super) sets: Vec<Labels>,
    pub(super) streams: Vec<RecordStream>,
}

/// Appends the record of a push. `name` says how each stream is referred to.
pub(super) fn encode(
    batch: &[StreamEntries],
    mut name: impl FnMut(&Labels) -> Naming,
    out: &mut Vec<u8>,
) {
    let sets = put_sets(batch, out);
    put_uvarint(out, batch.len() as u64);
    let mut before = 0i64;
    for stream in batch {
        match name(&stream.labels) {
            Naming::Known(number) => put_uvarint(out, number.0 << 1),
            Naming::New(number) => {
                put_uvarint(out, number.0 << 1 | 1);
                put_bytes(out, stream.labels.as_encoded().as_bytes());
            }
        }
        put_uvarint(out, stream.entries.len() as u64);
        for entry in &stream.entries {
            let at = entry.timestamp.nanos();
            put_ivarint(out, at.wrapping_sub(before));
            before = at;
            let set = sets.get(&entry.metadata).copied();
            put_uvarint(out, set.unwrap_or_default());
            put_bytes(out, entry.line.as_bytes());
        }
    }
}

/// Writes each set of metadata once and says under which number.
fn put_sets<'a>(batch: &'a [StreamEntries], out: &mut Vec<u8>) -> HashMap<&'a Labels, u64> {
    let mut numbers = HashMap::new();
    let mut ordered = Vec::new();
    let entries = batch.iter().flat_map(|stream| &stream.entries);
    for entry in entries.filter(|entry| !entry.metadata.is_empty()) {
        numbers.entry(&entry.metadata).or_insert_with(|| {
            ordered.push(&entry.metadata);
            ordered.len() as u64
        });
    }
    put_uvarint(out, ordered.len() as u64);
    for set in ordered {
        put_bytes(out, set.as_encoded().as_bytes());
    }
    numbers
}

/// Reads a record. Where the bytes stop making sense, what came before is returned beside the error.
pub(super) fn decode(bytes: &[u8]) -> (Record, Result<(), Malformed>) {
    let mut record = Record::default();
    let result = decode_into(&mut Cursor::new(bytes), &mut record);
    (record, result)
}

fn decode_into(cursor: &mut Cursor<'_>, record: &mut Record) -> Result<(), Malformed> {
    for _ in 0..cursor.count(1)? {
        record.sets.push(labels(cursor)?);
    }
    let mut before = 0i64;
    for _ in 0..cursor.count(2)? {
        let head = cursor.uvarint()?;
        let mut stream = RecordStream {
            number: StreamNumber(head >> 1),
            labels: (head & 1 == 1).then(|| labels(cursor)).transpose()?,
            rows: Vec::new(),
        };
        let result = decode_rows(cursor, record, &mut stream, &mut before);
        record.streams.push(stream);
        result?;
    }
    if cursor.is_at_end() {
        Ok(())
    } else {
        Err(cursor.malformed("the end of the record"))
    }
}

fn decode_rows(
    cursor: &mut Cursor<'_>,
    record: &mut Record,
    stream: &mut RecordStream,
    before: &mut i64,
) -> Result<(), Malformed> {
    for _ in 0..cursor.count(3)? {
        *before = before.wrapping_add(cursor.ivarint()?);
        let set = cursor.uvarint()?;
        if set > record.sets.len() as u64 {
            return Err(cursor.malformed("the number of a set of metadata"));
        }
        let line = cursor.text()?;
        let start = record.text.len();
        let end = u32::try_from(start + line.len())
            .map_err(|_| cursor.malformed("less than 4 GiB of lines"))?;
        record.text.push_str(line);
        stream.rows.push(RecordRow {
            timestamp: *before,
            start: start as u32,
            end,
            set: set as u32,
        });
    }
    Ok(())
}

/// A label set behind its length.
pub(super) fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, Malformed> {
    let text = cursor.text()?;
    Labels::from_encoded(text).ok_or_else(|| cursor.malformed("a label set"))
}

#[cfg(test)]
mod tests {
    use model::entry::Entry;
    use model::time::TimestampNs;
    use proptest::prelude::*;

    use super::*;

    fn stream(name: &str, entries: &[(i64, &str, &str)]) -> StreamEntries {
        StreamEntries {
            labels: Labels::from_pairs([("app", name)]),
            entries: entries
                .iter()
                .map(|(at, line, trace)| Entry {
                    timestamp: TimestampNs(*at),
                    line: (*line).to_owned(),
                    metadata: Labels::from_pairs([("trace", *trace)]),
                })
                .collect(),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let batch = [
            stream("a", &[(i64::MAX, "späť", ""), (i64::MIN, "", "1")]),
            stream("b", &[(0, "x", "1"), (0, "x", "2")]),
        ];
        let mut bytes = Vec::new();
        let naming = |labels: &Labels| match labels.get("app") {
            Some("a") => Naming::Known(StreamNumber(7)),
            _ => Naming::New(StreamNumber(9)),
        };
        encode(&batch, naming, &mut bytes);
        let (record, result) = decode(&bytes);
        assert_eq!(result, Ok(()));
        assert_eq!(record.sets.len(), 2);
        let [a, b] = record.streams.as_slice() else {
            panic!("two streams: {record:?}");
        };
        assert_eq!((a.number, b.number), (StreamNumber(7), StreamNumber(9)));
        assert_eq!(
            (a.labels.as_ref(), b.labels.as_ref()),
            (None, Some(&batch[1].labels))
        );
        let line = |row: &RecordRow| &record.text[row.start as usize..row.end as usize];
        assert_eq!(line(&a.rows[0]), "späť");
        assert_eq!(a.rows[1].timestamp, i64::MIN);
        assert_eq!(b.rows.iter().map(|row| row.set).collect::<Vec<_>>(), [1, 2]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let (record, _) = decode(&bytes);
            for row in record.streams.iter().flat_map(|stream| &stream.rows) {
                prop_assert!(record.text.get(row.start as usize..row.end as usize).is_some());
                prop_assert!(row.set as usize <= record.sets.len());
            }
        }

        #[test]
        fn a_damaged_record_yields_what_stands_before_the_damage(at in 0..60usize, to: u8) {
            let batch = [stream("a", &[(1, "one", ""), (2, "two", "t")])];
            let mut bytes = Vec::new();
            encode(&batch, |_| Naming::New(StreamNumber(0)), &mut bytes);
            let at = at % bytes.len();
            bytes[at] = to;
            let (record, _) = decode(&bytes);
            let rows = record.streams.iter().flat_map(|stream| &stream.rows);
            prop_assert!(rows.count() <= bytes.len());
        }
    }
}
