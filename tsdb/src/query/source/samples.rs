//! The samples of one series, in a buffer that is used again and again.
//!
//! Each column is a [`Run`]: either the buffer's own, or a piece of something that others hold too
//! (the timestamps of a scrape, a block in a cache). Whoever reads a column sees a slice and need
//! not know which.

use std::ops::{Deref, Range};
use std::sync::Arc;

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::is_stale_nan;
use model::time::Timestamp;

use super::{ReadSeries, SelectError, Selection};

/// A column that is owned, or a piece of a shared one.
#[derive(Clone, Debug)]
pub struct Run<T> {
    own: Vec<T>,
    shared: Option<(Arc<[T]>, Range<usize>)>,
}

impl<T> Default for Run<T> {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            shared: None,
        }
    }
}

impl<T> Deref for Run<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.shared {
            Some((shared, range)) => shared.get(range.clone()).unwrap_or_default(),
            None => &self.own,
        }
    }
}

impl<T> From<Vec<T>> for Run<T> {
    fn from(own: Vec<T>) -> Self {
        Self { own, shared: None }
    }
}

impl<T> Run<T> {
    /// Makes it a piece of `column`; nothing where `range` lies outside.
    pub fn share(&mut self, column: Arc<[T]>, range: Range<usize>) {
        self.own.clear();
        self.shared = Some((column, range));
    }

    /// Empties it, and gives the buffer to fill.
    pub fn refill(&mut self) -> &mut Vec<T> {
        self.shared = None;
        self.own.clear();
        &mut self.own
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.refill();
    }
}

impl<T: PartialEq> Run<T> {
    /// Whether both hold the same.
    pub fn is_same(&self, other: &Self) -> bool {
        if let (Some((a, of_a)), Some((b, of_b))) = (&self.shared, &other.shared)
            && Arc::ptr_eq(a, b)
        {
            return of_a == of_b;
        }
        **self == **other
    }
}

impl<T: Copy> Run<T> {
    /// Its own buffer, with what was shared copied into it.
    pub fn make_own(&mut self) -> &mut Vec<T> {
        if let Some((shared, range)) = self.shared.take() {
            self.own.clear();
            self.own
                .extend_from_slice(shared.get(range).unwrap_or_default());
        }
        &mut self.own
    }

    fn keep(&mut self, kept: &[bool]) {
        keep(self.make_own(), kept);
    }
}

fn keep<T>(samples: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    samples.retain(|_| kept.next().is_none_or(|kept| *kept));
}

/// The samples of one series. Floats and histograms are ascending in time, each by itself; no
/// instant has both.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The instants of the floats, in milliseconds.
    pub timestamps: Run<i64>,
    /// The floats, staleness markers included.
    pub values: Run<f64>,
    /// When the counter behind each float started, in milliseconds, 0 where that is not known.
    /// Empty when it is known of none.
    pub start_timestamps: Vec<i64>,
    /// The histograms, staleness markers (in their sums) included.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
    /// As `start_timestamps`, for the histograms.
    pub histogram_start_timestamps: Vec<i64>,
}

impl Samples {
    /// Empties every column.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.start_timestamps.clear();
        self.histograms.clear();
        self.histogram_start_timestamps.clear();
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty() && self.histograms.is_empty()
    }

    /// How much of a sample budget they take.
    pub fn budget_size(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| h.budget_size()).sum();
        self.values.len() + histograms
    }

    /// Takes the staleness markers out.
    pub fn drop_stale(&mut self) {
        // A fold without an early end is what the compiler makes wide.
        let any = |values: &[f64]| values.iter().fold(false, |any, v| any | is_stale_nan(*v));
        if any(&self.values) {
            let kept: Vec<bool> = self.values.iter().map(|v| !is_stale_nan(*v)).collect();
            self.timestamps.keep(&kept);
            self.values.keep(&kept);
            keep(&mut self.start_timestamps, &kept);
        }
        if self.histograms.iter().any(|(_, h)| h.is_stale()) {
            let kept: Vec<bool> = self.histograms.iter().map(|(_, h)| !h.is_stale()).collect();
            keep(&mut self.histograms, &kept);
            keep(&mut self.histogram_start_timestamps, &kept);
        }
    }

    /// A copy with labels.
    #[must_use]
    pub fn to_series(&self, labels: Labels) -> SelectedSeries {
        SelectedSeries {
            labels,
            timestamps: self.timestamps.to_vec(),
            values: self.values.to_vec(),
            start_timestamps: self.start_timestamps.clone(),
            histograms: self.histograms.clone(),
            histogram_start_timestamps: self.histogram_start_timestamps.clone(),
        }
    }
}

/// One series with its samples, as [`Samples`] has them, for those who hold many at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// The instants of the floats.
    pub timestamps: Vec<i64>,
    /// The floats.
    pub values: Vec<f64>,
    /// When their counters started.
    pub start_timestamps: Vec<i64>,
    /// The histograms.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
    /// When their counters started.
    pub histogram_start_timestamps: Vec<i64>,
}

/// A selection of series that are held.
#[derive(Clone, Debug, Default)]
pub struct HeldSeries {
    labels: Vec<Labels>,
    series: Vec<SelectedSeries>,
}

impl HeldSeries {
    /// A selection of these series.
    pub fn new(series: Vec<SelectedSeries>) -> Self {
        Self {
            labels: series.iter().map(|series| series.labels.clone()).collect(),
            series,
        }
    }
}

impl Selection for HeldSeries {
    fn labels(&self) -> &[Labels] {
        &self.labels
    }

    fn reader(&self) -> Box<dyn ReadSeries + '_> {
        Box::new(self.series.as_slice())
    }
}

impl ReadSeries for &[SelectedSeries] {
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError> {
        samples.clear();
        if let Some(held) = self.get(series) {
            samples
                .timestamps
                .refill()
                .extend_from_slice(&held.timestamps);
            samples.values.refill().extend_from_slice(&held.values);
            samples.start_timestamps.clone_from(&held.start_timestamps);
            samples.histograms.clone_from(&held.histograms);
            samples
                .histogram_start_timestamps
                .clone_from(&held.histogram_start_timestamps);
        }
        Ok(())
    }
}
