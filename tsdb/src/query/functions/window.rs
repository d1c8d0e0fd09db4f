//! What a range function sees of one series at one instant, and what it yields.

use std::sync::Arc;

use model::histogram::Histogram;
use model::time::Timestamp;

use crate::query::annotations::Annotations;
use crate::query::ast::{Extension, Span};

/// A value at one instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// Computes a value of a window. None where the window yields nothing; a text where the query as a
/// whole makes no sense.
pub type RangeFunction = fn(&Window<'_>, &mut Annotations) -> Result<Option<Sample>, String>;

/// The samples of one series in one range, staleness markers left out. With an [`Extension`],
/// samples beyond the range are among them.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Instants of the floats.
    pub times: &'a [i64],
    /// The floats.
    pub values: &'a [f64],
    /// Start times of the floats; empty where none is known.
    pub starts: &'a [i64],
    /// The histograms.
    pub histograms: &'a [(Timestamp, Arc<Histogram>)],
    /// Start times of the histograms; empty where none is known.
    pub histogram_starts: &'a [i64],
    /// Where the range begins; this instant does not belong to it.
    pub start: i64,
    /// Where the range ends; this instant belongs to it.
    pub end: i64,
    /// When the function is evaluated.
    pub evaluated_at: i64,
    /// The range's length.
    pub range_seconds: f64,
    /// How samples beyond the range serve it.
    pub extension: Extension,
    /// The scalar arguments.
    pub scalars: &'a [f64],
    /// The series' metric name.
    pub metric: &'a str,
    /// Where the first argument stands.
    pub span: Span,
}

impl Window<'_> {
    /// A scalar argument.
    pub fn scalar(&self, index: usize) -> f64 {
        self.scalars.get(index).copied().unwrap_or(f64::NAN)
    }

    /// Whether there are floats and histograms, which is warned of.
    pub fn is_mixed(&self, annotations: &mut Annotations) -> bool {
        let mixed = !self.times.is_empty() && !self.histograms.is_empty();
        if mixed {
            annotations.mixed_floats_and_histograms(self.span, self.metric);
        }
        mixed
    }

    /// Says that the histograms beside floats are ignored.
    pub fn ignore_histograms(&self, annotations: &mut Annotations) {
        if !self.values.is_empty() && !self.histograms.is_empty() {
            annotations.ignored_in_range(self.span, self.metric);
        }
    }

    /// The floats with their instants.
    pub fn floats(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> + ExactSizeIterator + '_ {
        self.times.iter().copied().zip(self.values.iter().copied())
    }
}
