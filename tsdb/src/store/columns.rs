//! The samples of one series in memory, in order of time.
//!
//! Floats lie in two parallel columns because that is how blocks are encoded and how queries read
//! them; native histograms, which are large and rare, are whole values. At one instant there is a
//! float or a histogram, never both: whatever was written last stays. That rule lives here and
//! nowhere else; memtables, merges and queries all come to [`Columns::overlay`]. A sample is
//! replaced together with its start.
//!
//! What arrives may be in any order and as long as a request allows, so nothing here costs more than
//! a sort: samples are never moved once for each other sample.

mod exemplars;
mod floats;

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::{Exemplar, HistogramSample};
use model::time::{TimeRange, Timestamp};
use storage::table::Erasure;

pub use exemplars::EXEMPLARS_MAX;
pub use floats::{FloatRow, Floats};
use floats::{append_starts, retain_flagged};

/// The samples of one series, and its exemplars.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Its floats.
    pub floats: Floats,
    /// Its native histograms, in order of time.
    pub histograms: Vec<HistogramSample>,
    /// When the counts of each histogram started, as [`Floats::starts`].
    pub histogram_starts: Vec<i64>,
    /// Its exemplars in order of time, each with an instant and each once. They belong to no sample.
    pub exemplars: Vec<Exemplar>,
}

impl Columns {
    /// How many samples there are.
    pub const fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Whether there is no sample; there may be exemplars.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The instants of the first and the last sample, or where there is none, exemplar.
    pub fn range(&self) -> Option<TimeRange> {
        let instants = |first, last| Some(TimeRange::new(Timestamp(first), Timestamp(last)));
        if let (Some(first), Some(last)) = (self.first(), self.last()) {
            return instants(first, last);
        }
        let first = self.exemplars.first()?.timestamp?;
        instants(first.0, self.exemplars.last()?.timestamp?.0)
    }

    fn first(&self) -> Option<i64> {
        let float = self.floats.timestamps.first().copied();
        let histogram = self.histograms.first().map(|sample| sample.timestamp.0);
        match (float, histogram) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn last(&self) -> Option<i64> {
        let float = self.floats.timestamps.last().copied();
        let histogram = self.histograms.last().map(|sample| sample.timestamp.0);
        float.max(histogram)
    }

    /// Writes floats whose starts are not known, in any order; of two at one instant the later in
    /// the list stays.
    pub fn write_floats(&mut self, mut rows: Vec<(i64, f64)>) {
        sort_last_wins(&mut rows, |(at, _)| *at);
        let (timestamps, values) = rows.into_iter().unzip();
        self.overlay(Self {
            floats: Floats {
                timestamps,
                values,
                starts: Vec::new(),
            },
            ..Self::default()
        });
    }

    /// Writes floats with their starts, in any order; of two at one instant the later in the list
    /// stays.
    pub fn write_float_rows(&mut self, mut rows: Vec<FloatRow>) {
        sort_last_wins(&mut rows, |row| row.at);
        let mut floats = Floats::default();
        for row in rows {
            floats.push(row);
        }
        self.overlay(Self {
            floats,
            ..Self::default()
        });
    }

    /// Writes histograms, in any order, each with the instant its counts started (0: not known);
    /// of two at one instant the later in the list stays.
    pub fn write_histograms(&mut self, mut rows: Vec<(i64, Histogram, i64)>) {
        sort_last_wins(&mut rows, |(at, _, _)| *at);
        let mut newer = Self::default();
        for (at, histogram, start) in rows {
            newer.push_histogram(at, histogram, start);
        }
        self.overlay(newer);
    }

    /// Writes exemplars, in any order. One that is there already changes nothing.
    pub fn write_exemplars(&mut self, rows: Vec<Exemplar>) {
        exemplars::overlay(&mut self.exemplars, rows);
    }

    /// Appends a histogram behind all others.
    fn push_histogram(&mut self, at: i64, histogram: Histogram, start: i64) {
        floats::push_start(&mut self.histogram_starts, self.histograms.len(), start);
        self.histograms.push(HistogramSample {
            timestamp: Timestamp(at),
            histogram,
        });
    }

    /// Writes all of `newer` over what is here.
    pub fn overlay(&mut self, mut newer: Self) {
        self.write_exemplars(std::mem::take(&mut newer.exemplars));
        let Some(first) = newer.first() else {
            return;
        };
        if self.last().is_none_or(|last| last < first) {
            self.floats.append(newer.floats);
            self.append_histograms(newer.histograms, &newer.histogram_starts);
            return;
        }
        if !self.histograms.is_empty() {
            let is_written = |at: i64| {
                newer.floats.timestamps.binary_search(&at).is_ok()
                    || newer.histogram_at(at).is_some()
            };
            self.retain_histograms(|at| !is_written(at));
        }
        if !newer.histograms.is_empty() {
            self.floats.retain(|at| newer.histogram_at(at).is_none());
            self.append_histograms(newer.histograms, &newer.histogram_starts);
            self.sort_histograms();
        }
        self.floats.overlay(newer.floats);
    }

    /// A copy of what there is in `range`.
    #[must_use]
    pub fn copy_of(&self, range: TimeRange) -> Self {
        let mut copy = Self {
            floats: self.floats.copy_of(range),
            ..Self::default()
        };
        let starts = self.histogram_starts.iter().chain(std::iter::repeat(&0));
        for (sample, start) in self.histograms.iter().zip(starts) {
            if range.contains(sample.timestamp) {
                copy.push_histogram(sample.timestamp.0, sample.histogram.clone(), *start);
            }
        }
        let exemplars = self.exemplars.iter();
        copy.exemplars = exemplars.filter(|e| lies_in(e, range)).cloned().collect();
        copy
    }

    /// Keeps what there is in `range`.
    pub fn restrict(&mut self, range: TimeRange) {
        self.floats.restrict(range);
        self.retain_histograms(|at| range.contains(Timestamp(at)));
        self.exemplars.retain(|exemplar| lies_in(exemplar, range));
    }

    /// Drops what was deleted of the series with these labels.
    pub fn erase(&mut self, labels: &Labels, erasures: &[Erasure]) {
        for erasure in erasures {
            if erasure.matchers.iter().all(|m| m.matches_labels(labels)) {
                let erased = |at: i64| erasure.range.contains(Timestamp(at));
                self.floats.retain(|at| !erased(at));
                self.retain_histograms(|at| !erased(at));
                self.exemplars
                    .retain(|exemplar| !lies_in(exemplar, erasure.range));
            }
        }
    }

    fn append_histograms(&mut self, mut newer: Vec<HistogramSample>, starts: &[i64]) {
        let rows = self.histograms.len();
        append_starts(&mut self.histogram_starts, rows, starts, newer.len());
        self.histograms.append(&mut newer);
    }

    fn retain_histograms(&mut self, keep: impl Fn(i64) -> bool) {
        let kept: Vec<bool> = self
            .histograms
            .iter()
            .map(|sample| keep(sample.timestamp.0))
            .collect();
        retain_flagged(&mut self.histograms, &kept);
        retain_flagged(&mut self.histogram_starts, &kept);
    }

    fn sort_histograms(&mut self) {
        if self.histogram_starts.is_empty() {
            self.histograms.sort_by_key(|sample| sample.timestamp);
            return;
        }
        let histograms = std::mem::take(&mut self.histograms).into_iter();
        let starts = std::mem::take(&mut self.histogram_starts);
        let mut rows: Vec<_> = histograms.zip(starts).collect();
        rows.sort_by_key(|(sample, _)| sample.timestamp);
        (self.histograms, self.histogram_starts) = rows.into_iter().unzip();
    }

    fn histogram_at(&self, at: i64) -> Option<&HistogramSample> {
        let found = self
            .histograms
            .binary_search_by_key(&at, |sample| sample.timestamp.0);
        self.histograms.get(found.ok()?)
    }
}

fn lies_in(exemplar: &Exemplar, range: TimeRange) -> bool {
    exemplar.timestamp.is_some_and(|at| range.contains(at))
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

    fn histogram(at: i64) -> Vec<(i64, Histogram, i64)> {
        vec![(at, Histogram::default(), 0)]
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

    #[test]
    fn a_sample_is_replaced_together_with_its_start() {
        let row = |at, start| FloatRow {
            at,
            value: at as f64,
            start,
        };
        let mut columns = floats(&[(1, 1.0), (2, 2.0)]);
        assert!(columns.floats.starts.is_empty(), "known of none");
        columns.write_float_rows(vec![row(4, 40), row(2, 20), row(2, 21)]);
        assert_eq!(columns.floats.starts, [0, 21, 40]);
        columns.write_floats(vec![(4, 1.0), (5, 1.0)]);
        assert_eq!(columns.floats.starts, [0, 21, 0, 0]);
        columns.write_histograms(histogram(2));
        columns.write_histograms(vec![(0, Histogram::default(), 7)]);
        assert_eq!(columns.histogram_starts, [7, 0]);
        assert_eq!(columns.floats.starts, [0, 0, 0]);
        let copy = columns.copy_of(TimeRange::new(Timestamp(2), Timestamp(4)));
        assert_eq!((copy.floats.starts.len(), copy.len()), (1, 2));
        columns.restrict(TimeRange::new(Timestamp(0), Timestamp(1)));
        assert_eq!(
            (columns.floats.starts, columns.histogram_starts),
            (vec![0], vec![7])
        );
    }

    #[test]
    fn exemplars_are_kept_once_in_order_and_within_bounds() {
        let exemplar = |at: i64, value: f64| Exemplar {
            labels: Labels::from_pairs([("trace_id", "a")]),
            value,
            timestamp: Some(Timestamp(at)),
        };
        let mut columns = Columns::default();
        columns.write_exemplars(vec![exemplar(5, 1.0), exemplar(3, 1.0), exemplar(5, 1.0)]);
        columns.write_exemplars(vec![exemplar(3, 2.0), exemplar(3, 1.0)]);
        columns.write_exemplars(vec![Exemplar {
            timestamp: None,
            ..exemplar(9, 9.0)
        }]);
        let expected = [exemplar(3, 1.0), exemplar(3, 2.0), exemplar(5, 1.0)];
        assert_eq!(columns.exemplars, expected);
        let mut newer = Columns::default();
        newer.write_exemplars((0..2000).map(|at| exemplar(at, 1.0)).collect());
        columns.overlay(newer);
        assert_eq!(columns.exemplars.len(), EXEMPLARS_MAX);
        assert_eq!(columns.exemplars.last(), Some(&exemplar(1999, 1.0)));
    }
}
