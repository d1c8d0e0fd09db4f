//! A record of the write-ahead log.
//!
//! A series is named with its labels and a number in the first record of a segment that has it,
//! and by the number alone afterwards. The number is written out, not counted, so that a record
//! lost to a damaged disk costs its own rows and the later rows of the series it named, and never
//! lends them to another series.
//!
//! ```text
//! record      version u8 = 1, then sections: tag u8, length uvarint, bytes
//! 1 series    count uvarint, then number uvarint, labels text each
//! 2 floats    runs, times, values: 64 bits each
//! 3 histograms  runs, times, histograms as in a block (see `codec::histograms`), each against the
//!             one before in the section
//! runs        count uvarint, then number (change against the run before, ivarint), rows uvarint
//! times       0 and the one instant (ivarint) of every row: a scrape
//!             1 and each row's change (ivarint) against the row before
//! ```
//!
//! A reader skips sections it does not know: exemplars and start timestamps will be such.

use model::histogram::Histogram;
use model::labels::Labels;
use storage::codec::{Cursor, Malformed, put_bytes, put_f64, put_ivarint, put_uvarint};

use super::codec::histograms;

const VERSION: u8 = 1;
const SERIES: u8 = 1;
const FLOATS: u8 = 2;
const HISTOGRAMS: u8 = 3;
const ONE_INSTANT: u8 = 0;
const EACH_INSTANT: u8 = 1;

/// The number of a series within a segment of the log.
pub(super) type SeriesNumber = u32;

/// Rows of one kind, by column. `V` is a float or a histogram.
#[derive(Debug)]
pub(super) struct Rows<V> {
    /// Which series, and how many of the following rows are its.
    pub(super) runs: Vec<(SeriesNumber, usize)>,
    /// The instant of each row.
    pub(super) timestamps: Vec<i64>,
    /// The value of each row.
    pub(super) values: Vec<V>,
}

/// What a record says.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    /// Series that are named here.
    pub(super) series: Vec<(SeriesNumber, &'a Labels)>,
    /// Floats.
    pub(super) floats: Rows<f64>,
    /// Histograms.
    pub(super) histograms: Rows<&'a Histogram>,
}

impl<V> Default for Rows<V> {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            timestamps: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<V> Rows<V> {
    /// Appends the rows of one series.
    pub(super) fn push(
        &mut self,
        number: SeriesNumber,
        rows: impl ExactSizeIterator<Item = (i64, V)>,
    ) {
        if rows.len() == 0 {
            return;
        }
        self.runs.push((number, rows.len()));
        for (at, value) in rows {
            self.timestamps.push(at);
            self.values.push(value);
        }
    }

    /// Each run with its rows.
    pub(super) fn into_runs(self) -> impl Iterator<Item = (SeriesNumber, Vec<(i64, V)>)> {
        let mut rows = self.timestamps.into_iter().zip(self.values);
        self.runs
            .into_iter()
            .map(move |(number, count)| (number, rows.by_ref().take(count).collect()))
    }

    fn encode_head(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.runs.len() as u64);
        let mut previous = 0;
        for (number, count) in &self.runs {
            put_ivarint(out, i64::from(*number) - previous);
            put_uvarint(out, *count as u64);
            previous = i64::from(*number);
        }
        let first = self.timestamps.first().copied().unwrap_or_default();
        if self.timestamps.iter().all(|at| *at == first) {
            out.push(ONE_INSTANT);
            put_ivarint(out, first);
            return;
        }
        out.push(EACH_INSTANT);
        let mut previous = 0i64;
        for at in &self.timestamps {
            put_ivarint(out, at.wrapping_sub(previous));
            previous = *at;
        }
    }

    /// Reads runs and times; each row has at least `bytes_each` bytes of values behind them.
    fn decode_head(cursor: &mut Cursor<'_>, bytes_each: usize) -> Result<Self, Malformed> {
        let count = cursor.count(2)?;
        let mut rows = Self::default();
        let mut previous = 0i64;
        let mut total = 0usize;
        for _ in 0..count {
            let number = previous.wrapping_add(cursor.ivarint()?);
            let number = SeriesNumber::try_from(number)
                .map_err(|_| cursor.malformed("a series number of 32 bits"))?;
            let count = cursor.count(bytes_each)?;
            rows.runs.push((number, count));
            total = total.saturating_add(count);
            previous = i64::from(number);
        }
        if total > cursor.remaining() / bytes_each {
            return Err(cursor.malformed("as many values as rows"));
        }
        let tag = cursor.u8()?;
        let mut at = 0i64;
        if tag == ONE_INSTANT {
            at = cursor.ivarint()?;
        } else if tag != EACH_INSTANT {
            return Err(cursor.malformed("a column of instants"));
        }
        for _ in 0..total {
            if tag == EACH_INSTANT {
                at = at.wrapping_add(cursor.ivarint()?);
            }
            rows.timestamps.push(at);
        }
        Ok(rows)
    }
}

impl Record<'_> {
    /// Appends the record.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let mut section = Vec::new();
        if !self.series.is_empty() {
            put_uvarint(&mut section, self.series.len() as u64);
            for (number, labels) in &self.series {
                put_uvarint(&mut section, u64::from(*number));
                put_bytes(&mut section, labels.as_encoded().as_bytes());
            }
            put_section(out, SERIES, &mut section);
        }
        if !self.floats.runs.is_empty() {
            self.floats.encode_head(&mut section);
            for value in &self.floats.values {
                put_f64(&mut section, *value);
            }
            put_section(out, FLOATS, &mut section);
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
    }
}

fn put_section(out: &mut Vec<u8>, tag: u8, section: &mut Vec<u8>) {
    out.push(tag);
    put_bytes(out, section);
    section.clear();
}

/// What a record of the log held, in the order it was written.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// Series that are named here.
    pub(super) series: Vec<(SeriesNumber, Labels)>,
    /// Floats.
    pub(super) floats: Rows<f64>,
    /// Histograms.
    pub(super) histograms: Rows<Histogram>,
}

/// Reads a record.
pub(super) fn decode(record: &[u8]) -> Result<Decoded, Malformed> {
    let mut cursor = Cursor::new(record);
    if cursor.u8()? != VERSION {
        return Err(cursor.malformed("a record of version 1"));
    }
    let mut decoded = Decoded::default();
    while !cursor.is_at_end() {
        let tag = cursor.u8()?;
        let mut section = Cursor::new(cursor.bytes()?);
        match tag {
            SERIES => decoded.series = decode_series(&mut section)?,
            FLOATS => {
                decoded.floats = Rows::decode_head(&mut section, 8)?;
                for _ in 0..decoded.floats.timestamps.len() {
                    decoded.floats.values.push(section.f64()?);
                }
            }
            HISTOGRAMS => {
                // Flags, a sum and two counts.
                decoded.histograms = Rows::decode_head(&mut section, 11)?;
                for _ in 0..decoded.histograms.timestamps.len() {
                    let values = &mut decoded.histograms.values;
                    values.push(histograms::decode(&mut section, values.last())?);
                }
            }
            _ => {}
        }
    }
    Ok(decoded)
}

fn decode_series(section: &mut Cursor<'_>) -> Result<Vec<(SeriesNumber, Labels)>, Malformed> {
    let count = section.count(2)?;
    let mut series = Vec::with_capacity(count);
    for _ in 0..count {
        let number = SeriesNumber::try_from(section.uvarint()?)
            .map_err(|_| section.malformed("a series number of 32 bits"))?;
        let labels = Labels::from_encoded(section.text()?)
            .ok_or_else(|| section.malformed("a label set"))?;
        series.push((number, labels));
    }
    Ok(series)
}
