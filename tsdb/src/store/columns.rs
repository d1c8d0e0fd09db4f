//! The samples of one series in memory, in order of time.
//!
//! Floats lie in two parallel columns because that is how blocks are encoded and how queries read
//! them; native histograms, which are large and rare, are whole values. At one instant there is a
//! float or a histogram, never both: whatever was written last stays. That rule lives here and
//! nowhere else; memtables, merges and queries all come to [`Columns::overlay`].
//!
//! What arrives may be in any order and as long as a request allows, so nothing here costs more than
//! a sort: samples are never moved once for each other sample.

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::HistogramSample;
use model::time::{TimeRange, Timestamp};
use storage::table::Erasure;

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

    /// Keeps the floats whose instant passes.
    fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        let kept: Vec<bool> = self.timestamps.iter().map(|at| keep(*at)).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        let mut flags = kept.iter();
        self.timestamps.retain(|_| flags.next() == Some(&true));
        let mut flags = kept.iter();
        self.values.retain(|_| flags.next() == Some(&true));
    }

    /// Takes the floats at `at` and later away.
    fn split_off(&mut self, at: i64) -> Self {
        let position = self.timestamps.partition_point(|candidate| *candidate < at);
        Self {
            timestamps: self.timestamps.split_off(position),
            values: self.values.split_off(position),
        }
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

    /// Writes `newer` over what is here.
    fn overlay(&mut self, newer: Self) {
        let Some(first) = newer.timestamps.first() else {
            return;
        };
        let older = self.split_off(*first);
        let mut older = older.timestamps.into_iter().zip(older.values).peekable();
        for (at, value) in newer.timestamps.into_iter().zip(newer.values) {
            while let Some((older_at, older_value)) = older.next_if(|(older, _)| *older < at) {
                self.append(older_at, older_value);
            }
            older.next_if(|(older, _)| *older == at);
            self.append(at, value);
        }
        for (at, value) in older {
            self.append(at, value);
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

    /// Writes floats, in any order; of two at one instant the later in the list stays.
    pub fn write_floats(&mut self, mut rows: Vec<(i64, f64)>) {
        sort_last_wins(&mut rows, |(at, _)| *at);
        let (timestamps, values) = rows.into_iter().unzip();
        self.overlay(Self {
            floats: Floats { timestamps, values },
            histograms: Vec::new(),
        });
    }

    /// Writes histograms, in any order; of two at one instant the later in the list stays.
    pub fn write_histograms(&mut self, rows: Vec<(i64, Histogram)>) {
        let mut histograms: Vec<HistogramSample> = rows
            .into_iter()
            .map(|(at, histogram)| HistogramSample {
                timestamp: Timestamp(at),
                histogram,
            })
            .collect();
        sort_last_wins(&mut histograms, |sample| sample.timestamp.0);
        self.overlay(Self {
            floats: Floats::default(),
            histograms,
        });
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
        if !self.histograms.is_empty() {
            let is_written = |at: i64| {
                newer.floats.timestamps.binary_search(&at).is_ok()
                    || newer.histogram_at(at).is_some()
            };
            self.histograms
                .retain(|sample| !is_written(sample.timestamp.0));
        }
        if !newer.histograms.is_empty() {
            self.floats.retain(|at| newer.histogram_at(at).is_none());
            self.histograms.append(&mut newer.histograms);
            self.histograms.sort_by_key(|sample| sample.timestamp);
        }
        self.floats.overlay(newer.floats);
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

    /// Drops what was deleted of the series with these labels.
    pub fn erase(&mut self, labels: &Labels, erasures: &[Erasure]) {
        for erasure in erasures {
            if erasure.matchers.iter().all(|m| m.matches_labels(labels)) {
                let erased = |at: i64| erasure.range.contains(Timestamp(at));
                self.floats.retain(|at| !erased(at));
                self.histograms.retain(|sample| !erased(sample.timestamp.0));
            }
        }
    }

    fn histogram_at(&self, at: i64) -> Option<&HistogramSample> {
        let found = self
            .histograms
            .binary_search_by_key(&at, |sample| sample.timestamp.0);
        self.histograms.get(found.ok()?)
    }
}

/// Orders rows by instant and keeps the last of those that share one.
fn sort_last_wins<T>(rows: &mut Vec<T>, at: impl Fn(&T) -> i64) {
    let instants = || rows.iter().map(&at);
    if instants().zip(instants().skip(1)).all(|(a, b)| a < b) {
        return;
    }
    // Stable, so that reversed the last written is the first of its instant.
    rows.sort_by_key(&at);
    rows.reverse();
    rows.dedup_by_key(|row| at(row));
    rows.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(pairs: &[(i64, f64)]) -> Columns {
        let mut columns = Columns::default();
        columns.write_floats(pairs.to_vec());
        columns
    }

    fn histogram(at: i64) -> Vec<(i64, Histogram)> {
        vec![(at, Histogram::default())]
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
        let mut columns = floats(&[(5, 1.0), (3, 2.0), (5, 3.0), (4, 4.0), (3, 5.0)]);
        let expected = [(3, Some(5.0)), (4, Some(4.0)), (5, Some(3.0))];
        assert_eq!(instants(&columns), expected);
        columns.write_floats(vec![(4, 6.0)]);
        columns.write_floats(vec![(2, 7.0)]);
        let expected = [
            (2, Some(7.0)),
            (3, Some(5.0)),
            (4, Some(6.0)),
            (5, Some(3.0)),
        ];
        assert_eq!(instants(&columns), expected);
    }

    #[test]
    fn a_float_and_a_histogram_replace_each_other() {
        let mut columns = floats(&[(1, 1.0), (2, 2.0)]);
        columns.write_histograms(histogram(2));
        columns.write_histograms(histogram(3));
        columns.write_floats(vec![(3, 3.0)]);
        assert_eq!(
            instants(&columns),
            [(1, Some(1.0)), (2, None), (3, Some(3.0))]
        );
    }

    #[test]
    fn many_samples_in_the_worst_order_are_a_sort() {
        // Were each moved past the others, this would take minutes.
        let count = 1_000_000;
        let mut columns = Columns::default();
        columns.write_floats((0..count).rev().map(|at| (at, at as f64)).collect());
        assert_eq!(columns.len() as i64, count);
        columns.write_histograms((0..count / 100).rev().flat_map(histogram).collect());
        assert_eq!(columns.len() as i64, count);
        assert_eq!(columns.histograms.len() as i64, count / 100);
    }

    #[test]
    fn an_overlay_is_written_over_what_was_there() {
        let mut older = floats(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        older.write_histograms(histogram(4));
        let mut newer = floats(&[(2, 20.0), (4, 40.0)]);
        newer.write_histograms(histogram(3));
        older.overlay(newer);
        let expected = [(1, Some(1.0)), (2, Some(20.0)), (3, None), (4, Some(40.0))];
        assert_eq!(instants(&older), expected);
        older.restrict(TimeRange::new(Timestamp(2), Timestamp(3)));
        assert_eq!(instants(&older), [(2, Some(20.0)), (3, None)]);
    }
}
