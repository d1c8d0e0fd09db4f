//! Why something was not taken.

use std::fmt;

use model::labels::Labels;
use model::time::Timestamp;

/// Refusals that are said; the others are counted.
const REASONS_MAX: usize = 10;

/// Why a series, or samples of it, were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no metric name, or a label without a name.
    #[error("invalid metric name or labels, got {labels}")]
    InvalidLabels {
        /// The series.
        labels: Labels,
    },
    /// A series has neither a float nor a histogram.
    #[error("TimeSeries must contain at least one sample or histogram for series {labels}")]
    NoSamples {
        /// The series.
        labels: Labels,
    },
    /// A series refers to symbols that there are not.
    #[error("parsing labels for series {references:?}: {reason}")]
    BadReferences {
        /// The first of its references.
        references: Vec<u32>,
        /// What is wrong with them.
        reason: String,
    },
    /// A metric of OTLP has nothing here that stands for it.
    #[error("metric {metric:?} was not taken: {reason}")]
    Untranslatable {
        /// Its name.
        metric: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A label is there twice.
    #[error("invalid labels for series, labels {labels}, duplicated label {name}")]
    DuplicateLabel {
        /// The series.
        labels: Labels,
        /// The label.
        name: String,
    },
    /// There are more labels than allowed.
    #[error(
        "series {labels} has {count} labels and at most {limit} are allowed; drop some, or raise the limit"
    )]
    TooManyLabels {
        /// The series.
        labels: Labels,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A label's name or value is longer than allowed.
    #[error(
        "label {name:.64} of metric {metric:.64} has {bytes} bytes and at most {limit} are allowed; shorten it, or raise the limit"
    )]
    LabelTooLong {
        /// The metric.
        metric: String,
        /// The label.
        name: String,
        /// Length of its name or value.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// There are as many active series as allowed, and this one is new.
    #[error(
        "series {labels} is new, and there are {limit} active series, as many as are allowed; drop labels that have many values, or raise metrics.series_max"
    )]
    TooManySeries {
        /// The series.
        labels: Labels,
        /// How many there may be.
        limit: u64,
    },
    /// The target has as many active series as allowed, and this one is new.
    #[error(
        "series {labels} is new, and its target job={job:?}, instance={instance:?} has {limit} series, as many as are allowed; drop labels that have many values, or raise metrics.series_per_target_max"
    )]
    TooManySeriesOfTarget {
        /// The series.
        labels: Labels,
        /// The target's job.
        job: String,
        /// The target's instance.
        instance: String,
        /// How many series it may have.
        limit: u64,
    },
    /// A histogram contradicts itself.
    #[error("invalid histogram of series {labels} at {}: {reason}", at.millis())]
    InvalidHistogram {
        /// The series.
        labels: Labels,
        /// The sample.
        at: Timestamp,
        /// What is wrong.
        reason: &'static str,
    },
    /// A sample is older than what is kept.
    #[error("too old sample: series {labels}, timestamp {}; kept is what is not before {}", at.millis(), oldest.millis())]
    TooOld {
        /// The series.
        labels: Labels,
        /// The sample.
        at: Timestamp,
        /// The oldest instant that is kept.
        oldest: Timestamp,
    },
    /// A sample is ahead of the clock.
    #[error("out of bounds: timestamp is too far in the future: series {labels}, timestamp {}", at.millis())]
    TooFarInFuture {
        /// The series.
        labels: Labels,
        /// The sample.
        at: Timestamp,
    },
}

/// What was not taken of a write, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Samples that were not taken.
    pub samples: u64,
    /// How many of them are histograms, as far as series were turned away by the store.
    pub histograms: u64,
    /// Exemplars that were not taken of series that were turned away by the store.
    pub exemplars: u64,
    /// How many reasons there were.
    pub count: u64,
    /// The first of the reasons.
    pub reasons: Vec<Refusal>,
}

impl Refused {
    /// Whether everything was taken.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a reason for which `samples` were not taken.
    pub fn add(&mut self, samples: usize, reason: impl FnOnce() -> Refusal) {
        self.samples += samples as u64;
        self.count += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason());
        }
    }

    /// Adds what another part of the write was refused for.
    pub fn extend(&mut self, other: Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.count += other.count;
        let room = REASONS_MAX.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room));
    }
}

/// A line for each reason.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{reason}")?;
        }
        let unsaid = self.count - self.reasons.len() as u64;
        if unsaid > 0 {
            write!(f, "\nand {unsaid} more")?;
        }
        Ok(())
    }
}
