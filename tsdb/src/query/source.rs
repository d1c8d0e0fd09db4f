//! What the evaluator asks the store for.
//!
//! One method: the series that match, with their samples of a closed range of time. The evaluator
//! asks once for each distinct selector and window of a query, and never for less than it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::histogram::Histogram;
use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};

/// Where series come from.
pub trait Source: Send + Sync {
    /// The series all matchers match, with their samples in `range`. Series without samples there
    /// may be left out. The order of series is the order of results that are not sorted.
    ///
    /// A long selection asks `guard` now and then, and gives up when it says so.
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Vec<SelectedSeries>, SelectError>;
}

/// One series with its samples. Floats and histograms are ascending in time, each by itself; no
/// instant has both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// The instants of the floats, in milliseconds.
    pub timestamps: Vec<i64>,
    /// The floats, staleness markers included.
    pub values: Vec<f64>,
    /// When the counter behind each float started, in milliseconds, 0 where that is not known.
    /// Empty when it is known of none.
    pub start_timestamps: Vec<i64>,
    /// The histograms, staleness markers (in their sums) included.
    pub histograms: Vec<(Timestamp, Arc<Histogram>)>,
    /// As `start_timestamps`, for the histograms.
    pub histogram_start_timestamps: Vec<i64>,
}

impl SelectedSeries {
    /// How much of a sample budget it takes.
    pub fn budget_size(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| h.budget_size()).sum();
        self.values.len() + histograms
    }
}

/// Why a selection failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// The query was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The selection holds more samples than a query may load.
    #[error(
        "the selection holds more than {limit} samples; select less, or raise the limit of samples for a query"
    )]
    TooManySamples {
        /// The limit.
        limit: usize,
    },
    /// The store could not answer.
    #[error("{0}")]
    Storage(String),
}

/// Why a query was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// It took longer than it may.
    #[error(
        "query timed out in expression evaluation; ask for less, or raise the timeout of queries"
    )]
    TimedOut,
    /// Whoever asked has gone, or asked to stop.
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

/// What a query must not exceed while it runs.
#[derive(Clone, Debug)]
pub struct Guard {
    /// When it must be done.
    pub deadline: Option<Instant>,
    /// Set from outside to stop it.
    pub cancel: Option<Arc<AtomicBool>>,
    /// How many samples it may hold at once.
    pub samples_max: usize,
}

/// A guard that lets everything pass.
impl Default for Guard {
    fn default() -> Self {
        Self {
            deadline: None,
            cancel: None,
            samples_max: usize::MAX,
        }
    }
}

impl Guard {
    /// Whether the query may go on.
    pub fn check(&self) -> Result<(), Interrupted> {
        if let Some(cancel) = &self.cancel
            && cancel.load(Ordering::Relaxed)
        {
            return Err(Interrupted::Canceled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Interrupted::TimedOut),
            _ => Ok(()),
        }
    }
}
