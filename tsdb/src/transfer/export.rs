//! The store's samples, series by series.
//!
//! This is all that an export knows of reading: a change of how the store is read ends here.

use std::sync::Arc;

use model::histogram::Histogram;
use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};

use super::{json_lines, open_metrics};
use crate::query::{Guard, Samples, SelectError, Source as _};
use crate::store::read::Reader;

/// The samples of one series, each kind in order of time.
#[derive(Clone, Copy, Debug)]
pub struct ExportedSeries<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// The instants of the floats, in milliseconds.
    pub timestamps: &'a [i64],
    /// The floats.
    pub values: &'a [f64],
    /// The histograms.
    pub histograms: &'a [(Timestamp, Arc<Histogram>)],
}

impl ExportedSeries<'_> {
    /// How many samples it has.
    pub const fn samples(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Appends it as [`json_lines`], which say all of it.
    pub fn write_json_lines(&self, out: &mut String) {
        let histograms = self.histograms.iter();
        json_lines::writer::write_series(
            out,
            self.labels,
            self.timestamps,
            self.values,
            histograms.map(|(at, histogram)| (at.millis(), histogram.as_ref())),
        );
    }

    /// Appends it as [`open_metrics`], and says what that cannot say.
    pub fn write_open_metrics(&self, out: &mut String) -> open_metrics::writer::LeftOut {
        open_metrics::writer::write_series(
            out,
            self.labels,
            self.timestamps,
            self.values,
            self.histograms.len(),
        )
    }
}

/// Why an export ended early.
#[derive(Debug)]
pub enum ExportError<E> {
    /// The store could not be read.
    Select(SelectError),
    /// Whoever takes the series has had enough.
    Taker(E),
}

impl<E> From<SelectError> for ExportError<E> {
    fn from(error: SelectError) -> Self {
        Self::Select(error)
    }
}

/// Hands each series that passes one of the sets of matchers to `take`, once, with its samples in
/// `range`; of each set in the order of labels. One series is in memory at a time.
pub fn export<E>(
    reader: &Reader,
    sets: &[Vec<Matcher>],
    range: TimeRange,
    guard: &Guard,
    mut take: impl FnMut(&ExportedSeries<'_>) -> Result<(), E>,
) -> Result<(), ExportError<E>> {
    let mut samples = Samples::default();
    for (number, matchers) in sets.iter().enumerate() {
        let selection = reader.select(range, matchers, guard)?;
        let mut series = selection.reader();
        for (place, labels) in selection.labels().iter().enumerate() {
            let passes = |set: &Vec<Matcher>| set.iter().all(|m| m.matches_labels(labels));
            guard.check().map_err(SelectError::from)?;
            if sets.iter().take(number).any(passes) {
                continue;
            }
            series.read(place, &mut samples)?;
            if samples.is_empty() {
                continue;
            }
            take(&ExportedSeries {
                labels,
                timestamps: &samples.timestamps,
                values: &samples.values,
                histograms: &samples.histograms,
            })
            .map_err(ExportError::Taker)?;
        }
    }
    Ok(())
}
