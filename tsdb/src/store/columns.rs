//! The samples of one series in memory, in order of time.
//!
//! Floats lie in two parallel columns because that is how blocks are encoded and how queries read
//! them; native histograms, which are large and rare, are whole values. At one instant there is a
//! float or a histogram, never both: whatever was written last stays. That rule lives here and
//! nowhere else; memtables, merges and queries all call [`Columns::overlay`] or the two `push`es.

use model::histogram::Histogram;
use model::sample::HistogramSample;
use model::time::{TimeRange, Timestamp};

/// Floats in order of time, without two at one instant.
#[derive(Clone, Debug, Default)]
pub struct Floats {
    /// Milliseconds, strictly ascending.
    pub timestamps: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

/// The samples of one series.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Its floats.
    pub floats: Floats,
    /// Its native histograms, in order of time.
    pub histograms: Vec<HistogramSample>,
}

/// Whether a sample is new at its instant or took another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// There was none at that instant.
    Added,
    /// There was one.
    Replaced,
}

impl Floats {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Appends a float behind all others.
    fn append(&mut self, at: i64, value: f64) {
        self.timestamps.push(at);
        self.values.push(value);
    }

    fn remove_at(&mut self, at: i64) -> bool {
        let found = self.timestamps.binary_search(&at);
        if let Ok(position) = found {
            self.timestamps.remove(position);
            self.values.remove(position);
        }
        found.is_ok()
    }

    fn positions(&self, range: TimeRange) -> std::ops::Range<usize> {
        let start = self.timestamps.partition_point(|at| *at < range.start.0);
        let end = self.timestamps.partition_point(|at| *at <= range.end.0);
        start..end.max(start)
    }

    /// Both columns of the floats in `range`.
    fn slice(&self, range: TimeRange) -> (&[i64], &[f64]) {
        let positions = self.positions(range);
        (
            self.timestamps.get(positions.clone()).unwrap_or_default(),
            self.values.get(positions).unwrap_or_default(),
        )
    }

    /// Both in order; where both have an instant `newer`'s value stays.
    fn merged(older: &Self, newer: &Self) -> Self {
        let mut merged = Self::default();
        merged.timestamps.reserve(older.len() + newer.len());
        merged.values.reserve(older.len() + newer.len());
        let pairs = |floats: &'_ Self| {
            let pairs: Vec<(i64, f64)> = floats
                .timestamps
                .iter()
                .copied()
                .zip(floats.values.iter().copied())
                .collect();
            pairs.into_iter().peekable()
        };
        let (mut older, mut newer) = (pairs(older), pairs(newer));
        loop {
            let take_older = match (older.peek(), newer.peek()) {
                (Some((old, _)), Some((new, _))) => {
                    if old == new {
                        older.next();
                        continue;
                    }
                    old < new
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return merged,
            };
            let taken = if take_older {
                older.next()
            } else {
                newer.next()
            };
            if let Some((at, value)) = taken {
                merged.append(at, value);
            }
        }
    }
}

impl Columns {
    /// How many samples there are.
    pub const fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// The instants of the first and the last sample.
    pub fn range(&self) -> Option<TimeRange> {
        let float = self.floats.timestamps.first().copied();
        let histogram = self.histograms.first().map(|sample| sample.timestamp.0);
        let first = match (float, histogram) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        Some(TimeRange::new(Timestamp(first), Timestamp(self.last()?)))
    }

    fn last(&self) -> Option<i64> {
        let float = self.floats.timestamps.last().copied();
        let histogram = self.histograms.last().map(|sample| sample.timestamp.0);
        float.max(histogram)
    }

    /// Writes a float.
    pub fn push_float(&mut self, at: i64, value: f64) -> Pushed {
        if self.last().is_none_or(|last| last < at) {
            self.floats.append(at, value);
            return Pushed::Added;
        }
        let histogram = self.histogram_position(at);
        if let Ok(position) = histogram {
            self.histograms.remove(position);
        }
        match self.floats.timestamps.binary_search(&at) {
            Ok(position) => {
                if let Some(old) = self.floats.values.get_mut(position) {
                    *old = value;
                }
                Pushed::Replaced
            }
            Err(position) => {
                self.floats.timestamps.insert(position, at);
                self.floats.values.insert(position, value);
                if histogram.is_ok() {
                    Pushed::Replaced
                } else {
                    Pushed::Added
                }
            }
        }
    }

    /// Writes a histogram.
    pub fn push_histogram(&mut self, at: i64, histogram: Histogram) -> Pushed {
        let sample = HistogramSample {
            timestamp: Timestamp(at),
            histogram,
        };
        if self.last().is_none_or(|last| last < at) {
            self.histograms.push(sample);
            return Pushed::Added;
        }
        let replaced_float = self.floats.remove_at(at);
        match self.histogram_position(at) {
            Ok(position) => {
                if let Some(old) = self.histograms.get_mut(position) {
                    *old = sample;
                }
                Pushed::Replaced
            }
            Err(position) => {
                self.histograms.insert(position, sample);
                if replaced_float {
                    Pushed::Replaced
                } else {
                    Pushed::Added
                }
            }
        }
    }

    /// Writes all of `newer` over what is here.
    pub fn overlay(&mut self, mut newer: Self) {
        let Some(range) = newer.range() else {
            return;
        };
        if self.last().is_none_or(|last| last < range.start.0) {
            self.floats.timestamps.append(&mut newer.floats.timestamps);
            self.floats.values.append(&mut newer.floats.values);
            self.histograms.append(&mut newer.histograms);
            return;
        }
        for sample in &newer.histograms {
            self.floats.remove_at(sample.timestamp.0);
        }
        self.floats = Floats::merged(&self.floats, &newer.floats);
        let written = |at: i64| {
            newer.floats.timestamps.binary_search(&at).is_ok()
                || newer.histogram_position(at).is_ok()
        };
        self.histograms
            .retain(|sample| !written(sample.timestamp.0));
        self.histograms.append(&mut newer.histograms);
        self.histograms.sort_by_key(|sample| sample.timestamp);
    }

    /// A copy of the samples in `range`.
    #[must_use]
    pub fn copy_of(&self, range: TimeRange) -> Self {
        let (timestamps, values) = self.floats.slice(range);
        Self {
            floats: Floats {
                timestamps: timestamps.to_vec(),
                values: values.to_vec(),
            },
            histograms: self
                .histograms
                .iter()
                .filter(|sample| range.contains(sample.timestamp))
                .cloned()
                .collect(),
        }
    }

    /// Keeps the samples in `range`.
    pub fn restrict(&mut self, range: TimeRange) {
        let positions = self.floats.positions(range);
        self.floats.timestamps.truncate(positions.end);
        self.floats.values.truncate(positions.end);
        self.floats.timestamps.drain(..positions.start);
        self.floats.values.drain(..positions.start);
        self.histograms
            .retain(|sample| range.contains(sample.timestamp));
    }

    fn histogram_position(&self, at: i64) -> Result<usize, usize> {
        self.histograms
            .binary_search_by_key(&at, |sample| sample.timestamp.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(pairs: &[(i64, f64)]) -> Columns {
        let mut columns = Columns::default();
        for (at, value) in pairs {
            columns.push_float(*at, *value);
        }
        columns
    }

    fn instants(columns: &Columns) -> Vec<(i64, Option<f64>)> {
        let floats = columns.floats.timestamps.iter().zip(&columns.floats.values);
        let mut all: Vec<_> = floats.map(|(at, value)| (*at, Some(*value))).collect();
        all.extend(columns.histograms.iter().map(|h| (h.timestamp.0, None)));
        all.sort_by_key(|(at, _)| *at);
        all
    }

    #[test]
    fn the_last_write_wins_in_any_order() {
        let columns = floats(&[(5, 1.0), (3, 2.0), (5, 3.0), (4, 4.0), (3, 5.0)]);
        let expected = [(3, Some(5.0)), (4, Some(4.0)), (5, Some(3.0))];
        assert_eq!(instants(&columns), expected);
    }

    #[test]
    fn a_float_and_a_histogram_replace_each_other() {
        let mut columns = floats(&[(1, 1.0), (2, 2.0)]);
        assert_eq!(
            columns.push_histogram(2, Histogram::default()),
            Pushed::Replaced
        );
        assert_eq!(
            columns.push_histogram(3, Histogram::default()),
            Pushed::Added
        );
        assert_eq!(columns.push_float(3, 3.0), Pushed::Replaced);
        assert_eq!(
            instants(&columns),
            [(1, Some(1.0)), (2, None), (3, Some(3.0))]
        );
    }

    #[test]
    fn an_overlay_is_written_over_what_was_there() {
        let mut older = floats(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        older.push_histogram(4, Histogram::default());
        let mut newer = floats(&[(2, 20.0), (4, 40.0)]);
        newer.push_histogram(3, Histogram::default());
        older.overlay(newer);
        let expected = [(1, Some(1.0)), (2, Some(20.0)), (3, None), (4, Some(40.0))];
        assert_eq!(instants(&older), expected);
        older.restrict(TimeRange::new(Timestamp(2), Timestamp(3)));
        assert_eq!(instants(&older), [(2, Some(20.0)), (3, None)]);
    }
}
