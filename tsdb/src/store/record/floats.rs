//! The floats of a record.
//!
//! A scrape comes in the order of the one before, so its series have numbers that follow one another
//! and a row each: one stretch says which they are, and the values follow as they are.

use model::sample::Sample;
use storage::codec::{Cursor, Malformed, put_ivarint, put_uvarint};

use super::rows::{Times, decode_times, encode_times};
use super::{SeriesNumber, series_number};

/// Series whose numbers follow one another, with as many rows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: SeriesNumber,
    series: u32,
    rows: u32,
}

impl Stretch {
    fn end(self) -> i64 {
        i64::from(self.first) + i64::from(self.series)
    }
}

/// Floats on their way into a record.
#[derive(Debug, Default)]
pub(in crate::store) struct FloatsWriter {
    stretches: Vec<Stretch>,
    timestamps: Vec<i64>,
    values: Vec<u8>,
}

impl FloatsWriter {
    pub(super) const fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// Appends the rows of one series.
    #[inline]
    pub(in crate::store) fn push(&mut self, number: SeriesNumber, samples: &[Sample]) {
        if samples.is_empty() {
            return;
        }
        for sample in samples {
            self.timestamps.push(sample.timestamp.0);
            self.values
                .extend_from_slice(&sample.value.to_bits().to_le_bytes());
        }
        let rows = samples.len() as u32;
        match self.stretches.last_mut() {
            Some(last) if last.rows == rows && last.end() == i64::from(number) => {
                last.series += 1;
            }
            _ => self.stretches.push(Stretch {
                first: number,
                series: 1,
                rows,
            }),
        }
    }

    /// Appends stretches and times.
    pub(super) fn write_head(&self, out: &mut Vec<u8>) {
        put_uvarint(out, self.stretches.len() as u64);
        let mut end = 0;
        for stretch in &self.stretches {
            put_ivarint(out, i64::from(stretch.first) - end);
            put_uvarint(out, u64::from(stretch.series));
            put_uvarint(out, u64::from(stretch.rows));
            end = stretch.end();
        }
        encode_times(&self.timestamps, out);
    }

    /// The values as they are written.
    pub(super) fn values(&self) -> &[u8] {
        &self.values
    }
}

fn read_stretches(section: &mut Cursor<'_>) -> Result<Vec<Stretch>, Malformed> {
    let count = section.count(3)?;
    let mut stretches = Vec::with_capacity(count);
    let mut end = 0;
    for _ in 0..count {
        let first = series_number(section, end)?;
        let mut number = || {
            let number = u32::try_from(section.uvarint()?);
            number.map_err(|_| section.malformed("a count of 32 bits"))
        };
        let stretch = Stretch {
            first,
            series: number()?,
            rows: number()?,
        };
        end = stretch.end();
        if end > 1 << 32 || stretch.rows == 0 {
            return Err(section.malformed("a stretch of series numbers of 32 bits"));
        }
        stretches.push(stretch);
    }
    Ok(stretches)
}

/// By stretch: how many series the section has rows of, and how many of each.
pub(super) fn series_of(mut section: Cursor<'_>) -> Result<Vec<(u64, u64)>, Malformed> {
    let stretches = read_stretches(&mut section)?.into_iter();
    Ok(stretches
        .map(|stretch| (u64::from(stretch.series), u64::from(stretch.rows)))
        .collect())
}

/// Floats of a record.
pub(in crate::store) struct FloatRows<'a> {
    stretches: Vec<Stretch>,
    times: Times,
    values: &'a [[u8; 8]],
}

impl<'a> FloatRows<'a> {
    pub(super) fn new(mut section: Cursor<'a>) -> Result<Self, Malformed> {
        let stretches = read_stretches(&mut section)?;
        let rows_of = |stretch: &Stretch| u64::from(stretch.series) * u64::from(stretch.rows);
        let total = stretches.iter().map(rows_of).fold(0, u64::saturating_add);
        let rows = usize::try_from(total)
            .ok()
            .filter(|rows| *rows <= section.remaining() / 8)
            .ok_or_else(|| section.malformed("as many values as rows"))?;
        let times = decode_times(&mut section, rows)?;
        let (values, rest) = section.take(section.remaining())?.as_chunks();
        if values.len() != rows || !rest.is_empty() {
            return Err(section.malformed("as many values as rows"));
        }
        Ok(Self {
            stretches,
            times,
            values,
        })
    }

    /// Runs `visit` on each row. The numbers of the series that are named in vain are left out by
    /// the visitor.
    #[inline]
    pub(in crate::store) fn each(&self, mut visit: impl FnMut(SeriesNumber, i64, f64)) {
        let mut values = self.values.iter();
        let mut each = match &self.times {
            Times::One(_) => [].iter(),
            Times::Each(timestamps) => timestamps.iter(),
        };
        let one = match self.times {
            Times::One(at) => at,
            Times::Each(_) => 0,
        };
        for stretch in &self.stretches {
            for number in 0..stretch.series {
                for _ in 0..stretch.rows {
                    let Some(value) = values.next() else {
                        return;
                    };
                    let at = each.next().copied().unwrap_or(one);
                    let number = stretch.first.wrapping_add(number);
                    visit(number, at, f64::from_le_bytes(*value));
                }
            }
        }
    }
}
