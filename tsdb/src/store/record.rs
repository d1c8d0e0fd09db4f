//! A record of the write-ahead log.
//!
//! A series is named with its labels and a number in the first record of a segment that has it,
//! and by the number alone afterwards. The number is written out, not counted, so that a record
//! lost to a damaged disk costs its own rows and the later rows of the series it named, and never
//! lends them to another series. For the same reason nothing in a record refers to the labels or
//! values of another.
//!
//! ```text
//! record      version u8 = 2, then sections: tag u8, length uvarint, bytes
//! 4 names     count uvarint, then per series: number (change against the one before, ivarint), and
//!             its labels, see `record/names.rs`
//! 5 floats    stretches, times, values: 64 bits each
//! 3 histograms  runs, times, histograms as in a block (see `codec::histograms`), each against the
//!             one before in the section
//! 6 exemplars count uvarint, then per exemplar: number ivarint (against the one before), instant
//!             ivarint, value f64, labels
//! 7 families  as the section of a part, see `families.rs`
//! 8 starts    runs, times, then per row its instant less its start, ivarint: when the counter behind
//!             the sample started that this record gives the series at that instant, where it is known
//! stretches   count uvarint, then each: first number (change against the number behind the stretch
//!             before, ivarint), series uvarint, whose numbers follow one another, rows that each of
//!             them has uvarint
//! runs        count uvarint, then number (change against the run before, ivarint), rows uvarint
//! times       0 and the one instant (ivarint) of every row: a scrape
//!             1 and each row's change (ivarint) against the row before
//! ```
//!
//! Version 1 had these instead of 4 and 5, and they are read for ever:
//!
//! ```text
//! 1 series    count uvarint, then number uvarint, labels each
//! 2 floats    runs, times, values: 64 bits each
//! ```
//!
//! Labels are the text of `model::labels` behind its length in bytes (uvarint). Rows stand in the order
//! of stretches or runs, those of one series one behind another. What is first in a column is written
//! as a change to 0.
//!
//! A reader skips sections it does not know. Sections are in the order they are applied in: names
//! before what they name, floats before histograms, starts behind both.

mod floats;
mod names;
mod rows;

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::{Exemplar, Metadata};
use model::time::Timestamp;
use storage::codec::{Cursor, Malformed, put_bytes, put_f64, put_ivarint, put_uvarint};

use super::codec::histograms;
use super::families;
pub(super) use floats::{FloatRows, FloatsWriter};
pub(super) use names::{NameReader, NamesWriter};
pub(super) use rows::Rows;

const VERSION: u8 = 2;
const VERSION_MIN: u8 = 1;
const SERIES: u8 = 1;
const FLOATS_BY_RUN: u8 = 2;
const HISTOGRAMS: u8 = 3;
const NAMES: u8 = 4;
const FLOATS: u8 = 5;
const EXEMPLARS: u8 = 6;
const FAMILIES: u8 = 7;
const STARTS: u8 = 8;

/// The number of a series within a segment of the log.
pub(super) type SeriesNumber = u32;

/// A record that is being made.
#[derive(Debug, Default)]
pub(super) struct RecordWriter<'a> {
    /// Series that are named here.
    pub(super) names: NamesWriter,
    /// Floats.
    pub(super) floats: FloatsWriter,
    /// Histograms.
    pub(super) histograms: Rows<&'a Histogram>,
    /// When the counters behind samples started.
    pub(super) starts: Rows<i64>,
    /// Exemplars with their series.
    pub(super) exemplars: Vec<(SeriesNumber, &'a Exemplar)>,
    /// What is known of metric families.
    pub(super) families: &'a [Metadata],
}

impl RecordWriter<'_> {
    /// Appends the record; nothing where it says nothing.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(VERSION);
        let mut section = Vec::new();
        if !self.names.is_empty() {
            self.names.finish(&mut section);
            put_section(out, NAMES, &mut section);
        }
        if !self.floats.is_empty() {
            self.floats.write_head(&mut section);
            let values = self.floats.values();
            out.push(FLOATS);
            put_uvarint(out, (section.len() + values.len()) as u64);
            out.extend_from_slice(&section);
            out.extend_from_slice(values);
            section.clear();
        }
        if !self.histograms.runs.is_empty() {
            self.histograms.encode_head(&mut section);
            let mut previous = None;
            for histogram in &self.histograms.values {
                histograms::encode(histogram, previous, &mut section);
                previous = Some(*histogram);
            }
            put_section(out, HISTOGRAMS, &mut section);
        }
        if !self.starts.runs.is_empty() {
            self.starts.encode_head(&mut section);
            for (at, start) in self.starts.timestamps.iter().zip(&self.starts.values) {
                put_ivarint(&mut section, at.wrapping_sub(*start));
            }
            put_section(out, STARTS, &mut section);
        }
        if !self.exemplars.is_empty() {
            encode_exemplars(&self.exemplars, &mut section);
            put_section(out, EXEMPLARS, &mut section);
        }
        if !self.families.is_empty() {
            let named = self
                .families
                .iter()
                .map(|of| (of.family.clone(), of.clone()));
            section = families::encode(&named.collect());
            put_section(out, FAMILIES, &mut section);
        }
        if out.len() == start + 1 {
            out.truncate(start);
        }
    }
}

fn put_section(out: &mut Vec<u8>, tag: u8, section: &mut Vec<u8>) {
    out.push(tag);
    put_bytes(out, section);
    section.clear();
}

fn encode_exemplars(exemplars: &[(SeriesNumber, &Exemplar)], out: &mut Vec<u8>) {
    put_uvarint(out, exemplars.len() as u64);
    let mut previous = 0;
    for (number, exemplar) in exemplars {
        put_ivarint(out, i64::from(*number) - previous);
        put_ivarint(out, exemplar.timestamp.unwrap_or_default().millis());
        put_f64(out, exemplar.value);
        put_bytes(out, exemplar.labels.as_encoded().as_bytes());
        previous = i64::from(*number);
    }
}

fn decode_exemplars(section: &mut Cursor<'_>) -> Result<Vec<(SeriesNumber, Exemplar)>, Malformed> {
    let count = section.count(11)?;
    let mut exemplars = Vec::with_capacity(count);
    let mut previous = 0;
    for _ in 0..count {
        let number = series_number(section, previous)?;
        previous = i64::from(number);
        let timestamp = Some(Timestamp(section.ivarint()?));
        let value = section.f64()?;
        let labels = Labels::from_encoded(section.text()?)
            .ok_or_else(|| section.malformed("a label set"))?;
        let exemplar = Exemplar {
            labels,
            value,
            timestamp,
        };
        exemplars.push((number, exemplar));
    }
    Ok(exemplars)
}

/// A number that is written as its change against another.
fn series_number(cursor: &mut Cursor<'_>, against: i64) -> Result<SeriesNumber, Malformed> {
    let number = against.wrapping_add(cursor.ivarint()?);
    SeriesNumber::try_from(number).map_err(|_| cursor.malformed("a series number of 32 bits"))
}

/// How many series a record has floats of, and how many of each; stretch by stretch.
pub(super) fn float_series(record: &[u8]) -> Option<impl Iterator<Item = (u64, u64)>> {
    let mut cursor = Cursor::new(record);
    cursor.u8().ok()?;
    while !cursor.is_at_end() {
        let tag = cursor.u8().ok()?;
        let section = cursor.bytes().ok()?;
        if tag == FLOATS {
            let series = floats::series_of(Cursor::new(section)).ok()?;
            return Some(series.into_iter());
        }
    }
    None
}

/// A section of a record.
pub(super) enum Section<'a> {
    Names(NameReader<'a>),
    Floats(FloatRows<'a>),
    FloatsByRun(Rows<f64>),
    Histograms(Rows<Histogram>),
    Starts(Rows<i64>),
    Exemplars(Vec<(SeriesNumber, Exemplar)>),
    Families(Vec<Metadata>),
}

/// The sections of a record, one after another.
pub(super) struct RecordReader<'a> {
    cursor: Cursor<'a>,
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(record);
        if !(VERSION_MIN..=VERSION).contains(&cursor.u8()?) {
            return Err(cursor.malformed("a record of version 1 or 2"));
        }
        Ok(Self { cursor })
    }

    /// The next section this program knows.
    pub(super) fn next(&mut self) -> Result<Option<Section<'a>>, Malformed> {
        while !self.cursor.is_at_end() {
            let tag = self.cursor.u8()?;
            let mut section = Cursor::new(self.cursor.bytes()?);
            return Ok(Some(match tag {
                SERIES => Section::Names(NameReader::version_1(section)?),
                NAMES => Section::Names(NameReader::new(section)?),
                FLOATS => Section::Floats(FloatRows::new(section)?),
                FLOATS_BY_RUN => {
                    let mut floats = Rows::decode_head(&mut section, 8)?;
                    for _ in 0..floats.timestamps.len() {
                        floats.values.push(section.f64()?);
                    }
                    Section::FloatsByRun(floats)
                }
                HISTOGRAMS => {
                    // Flags, a sum and two counts.
                    let mut rows: Rows<Histogram> = Rows::decode_head(&mut section, 11)?;
                    for _ in 0..rows.timestamps.len() {
                        let values = &mut rows.values;
                        values.push(histograms::decode(&mut section, values.last())?);
                    }
                    Section::Histograms(rows)
                }
                STARTS => {
                    let mut starts = Rows::decode_head(&mut section, 1)?;
                    for at in &starts.timestamps {
                        starts.values.push(at.wrapping_sub(section.ivarint()?));
                    }
                    Section::Starts(starts)
                }
                EXEMPLARS => Section::Exemplars(decode_exemplars(&mut section)?),
                FAMILIES => {
                    let bytes = section.take(section.remaining())?;
                    Section::Families(families::decode(bytes)?)
                }
                _ => continue,
            }));
        }
        Ok(None)
    }
}
