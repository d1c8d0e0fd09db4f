//! Rows of one kind in a record, by column: which series, when, what.

use storage::codec::{Cursor, Malformed, put_ivarint, put_uvarint};

use super::{SeriesNumber, series_number};

const ONE_INSTANT: u8 = 0;
const EACH_INSTANT: u8 = 1;

/// Rows of one kind, by column. `V` is a float or a histogram.
#[derive(Debug)]
pub(in crate::store) struct Rows<V> {
    /// Which series, and how many of the following rows are its.
    pub(super) runs: Vec<(SeriesNumber, usize)>,
    /// The instant of each row.
    pub(super) timestamps: Vec<i64>,
    /// The value of each row.
    pub(super) values: Vec<V>,
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
    pub(in crate::store) fn push(
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
    pub(in crate::store) fn into_runs(self) -> impl Iterator<Item = (SeriesNumber, Vec<(i64, V)>)> {
        let mut rows = self.timestamps.into_iter().zip(self.values);
        self.runs
            .into_iter()
            .map(move |(number, count)| (number, rows.by_ref().take(count).collect()))
    }

    /// Appends runs and times.
    pub(super) fn encode_head(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.runs.len() as u64);
        let mut previous = 0;
        for (number, count) in &self.runs {
            put_ivarint(out, i64::from(*number) - previous);
            put_uvarint(out, *count as u64);
            previous = i64::from(*number);
        }
        encode_times(&self.timestamps, out);
    }

    /// Reads runs and times; each row has at least `bytes_each` bytes of values behind them.
    pub(super) fn decode_head(
        cursor: &mut Cursor<'_>,
        bytes_each: usize,
    ) -> Result<Self, Malformed> {
        let count = cursor.count(2)?;
        let mut rows = Self::default();
        let mut previous = 0i64;
        let mut total = 0usize;
        for _ in 0..count {
            let number = series_number(cursor, previous)?;
            let count = cursor.count(bytes_each)?;
            rows.runs.push((number, count));
            total = total.saturating_add(count);
            previous = i64::from(number);
        }
        if total > cursor.remaining() / bytes_each {
            return Err(cursor.malformed("as many values as rows"));
        }
        rows.timestamps = match decode_times(cursor, total)? {
            Times::One(at) => vec![at; total],
            Times::Each(timestamps) => timestamps,
        };
        Ok(rows)
    }
}

/// The instants of rows.
pub(super) enum Times {
    /// All have this one.
    One(i64),
    /// Each has its own.
    Each(Vec<i64>),
}

/// Appends the instants of rows.
pub(super) fn encode_times(timestamps: &[i64], out: &mut Vec<u8>) {
    let first = timestamps.first().copied().unwrap_or_default();
    if timestamps.iter().all(|at| *at == first) {
        out.push(ONE_INSTANT);
        put_ivarint(out, first);
        return;
    }
    out.push(EACH_INSTANT);
    let mut previous = 0i64;
    for at in timestamps {
        put_ivarint(out, at.wrapping_sub(previous));
        previous = *at;
    }
}

/// Reads the instants of as many rows.
pub(super) fn decode_times(cursor: &mut Cursor<'_>, rows: usize) -> Result<Times, Malformed> {
    match cursor.u8()? {
        ONE_INSTANT => Ok(Times::One(cursor.ivarint()?)),
        EACH_INSTANT => {
            let mut at = 0i64;
            let mut timestamps = Vec::with_capacity(rows.min(cursor.remaining()));
            for _ in 0..rows {
                at = at.wrapping_add(cursor.ivarint()?);
                timestamps.push(at);
            }
            Ok(Times::Each(timestamps))
        }
        _ => Err(cursor.malformed("a column of instants")),
    }
}
