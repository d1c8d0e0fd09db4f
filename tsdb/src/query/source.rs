//! What the evaluator asks the store for.
//!
//! A [`Source`] answers matchers and a closed range of time with a [`Selection`]: the labels of the
//! series that match, and a way to read one of them at a time. Samples are not part of a selection.
//! Each worker of the evaluator takes a [`ReadSeries`] of its own and reads series into one buffer,
//! [`Samples`], that it uses again and again; so a query holds one series per worker, however many
//! it selects, and timestamps that series share are not copied.
//!
//! A selection stands for the moment it was made: what is deleted, flushed or merged afterwards
//! changes nothing of it. Only samples that arrive while it is read may or may not be seen.
//!
//! The evaluator asks once for each distinct selector and window of a query, never for less than
//! it needs, and may read a series more than once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use storage::patience::{GivenUp, Patience};

use super::memory::{Allotment, MemoryExceeded};

mod samples;

pub use samples::{HeldSeries, Run, Samples, SelectedSeries};

/// Where series come from.
pub trait Source: Send + Sync {
    /// The series all matchers match that may have samples in `range`.
    ///
    /// A long selection asks `guard` now and then, and gives up when it says so.
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError>;

    /// Whether [`Source::select_for`] makes a difference.
    fn heeds_purpose(&self) -> bool {
        false
    }

    /// As [`Source::select`], of a source that may have something shorter than the samples which
    /// serves the purpose as well.
    fn select_for(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        purpose: &Purpose,
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let _ = purpose;
        self.select(range, matchers, guard)
    }
}

/// What a query does with a selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Purpose {
    /// The range function that runs on the windows of each series; none where the latest sample at
    /// each instant is looked up, or where nothing is known.
    pub function: Option<&'static str>,
    /// The first instant that is looked at, in milliseconds.
    pub first: i64,
    /// From one instant to the next, in milliseconds.
    pub step: i64,
    /// How many instants there are; 0 where the purpose is not known.
    pub instants: usize,
    /// How far a window reaches back, in milliseconds.
    pub window: i64,
    /// How far a lookup reaches back, in milliseconds.
    pub lookback: i64,
}

/// Series that were selected.
pub trait Selection: Send + Sync {
    /// Their labels, all different. The order is the order of results that are not sorted.
    fn labels(&self) -> &[Labels];

    /// A reader of their samples, best asked in the order of the labels.
    fn reader(&self) -> Box<dyn ReadSeries + '_>;

    /// Everything at once, for a caller that wants that; series without samples are left out.
    fn read_all(&self) -> Result<Vec<SelectedSeries>, SelectError> {
        let mut reader = self.reader();
        let mut samples = Samples::default();
        let mut all = Vec::new();
        for (series, labels) in self.labels().iter().enumerate() {
            reader.read(series, &mut samples)?;
            if !samples.is_empty() {
                all.push(samples.to_series(labels.clone()));
            }
        }
        Ok(all)
    }
}

/// Reads the series of a selection.
pub trait ReadSeries {
    /// Puts the samples of the series with this place in [`Selection::labels`] that lie in the
    /// selected range into `samples`, whatever was there. There may be none.
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError>;

    /// Bounds of what [`ReadSeries::read`] would give, where they can be told without reading it.
    fn bounds(&mut self, series: usize) -> Result<Option<Bounds>, SelectError> {
        let _ = series;
        Ok(None)
    }
}

/// Between which numbers all samples of a series lie that are numbers, and between which instants
/// all samples do. It has no histograms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// No sample is earlier, in milliseconds.
    pub first: i64,
    /// No sample is later, in milliseconds.
    pub last: i64,
    /// No number is less.
    pub min: f64,
    /// No number is greater.
    pub max: f64,
}

/// Why a selection failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// The query was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The selection holds more samples than a query may load.
    #[error(
        "the selection holds more than {limit} samples; select less, or raise query.samples_max (now {limit})"
    )]
    TooManySamples {
        /// The limit.
        limit: usize,
    },
    /// The selection has more series than one may have.
    #[error(
        "the selection matches {found} series, and one may have {limit}; select fewer, or raise query.series_max (now {limit})"
    )]
    TooManySeries {
        /// How many there are, at least.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not fit in the memory of queries.
    #[error(transparent)]
    Memory(#[from] MemoryExceeded),
    /// The store could not answer.
    #[error("{0}")]
    Storage(String),
}

/// Why a query was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// It took longer than it may.
    #[error("query timed out in expression evaluation; ask for less, or raise query.timeout")]
    TimedOut,
    /// Whoever asked has gone, or asked to stop.
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

impl From<GivenUp> for Interrupted {
    fn from(given_up: GivenUp) -> Self {
        match given_up {
            GivenUp::TimedOut => Self::TimedOut,
            GivenUp::Canceled => Self::Canceled,
        }
    }
}

/// Short steps between two looks: well below a millisecond.
const STEPS_PER_CHECK: usize = 256;
/// What a byte of a query becomes at the most: a token and a label name, or a part of a node.
const PARSED_BYTES: usize = 128;

/// What a query must not exceed while it runs.
#[derive(Clone, Debug)]
pub struct Guard {
    /// When it must be done.
    pub deadline: Option<Instant>,
    /// Set from outside to stop it.
    pub cancel: Option<Arc<AtomicBool>>,
    /// How many samples it may hold at once.
    pub samples_max: usize,
    /// How many series a selection may have.
    pub series_max: usize,
    /// What it holds of the memory of all queries.
    pub memory: Allotment,
    /// Told when the query is interrupted.
    pub on_interrupt: OnInterrupt,
}

/// Is told that a query was interrupted: nothing more is computed for it. What it holds is then given back, which
/// takes long where that is millions of series, and stays counted until it is done.
#[derive(Clone, Default)]
pub struct OnInterrupt(Option<Arc<dyn Fn() + Send + Sync>>);

impl OnInterrupt {
    /// Calls `tell`, perhaps more than once.
    pub fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    fn tell(&self) {
        if let Some(tell) = &self.0 {
            tell();
        }
    }
}

impl fmt::Debug for OnInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnInterrupt")
            .field(&self.0.is_some())
            .finish()
    }
}

#[cfg(test)]
thread_local! {
    /// What a test does at each look at a guard.
    pub(crate) static ON_CHECK: std::cell::RefCell<Option<Box<dyn FnMut()>>> =
        const { std::cell::RefCell::new(None) };
    /// Columns and label sets that this thread has looked at, or dropped, since a test last asked.
    pub(crate) static TOUCHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Something is done with a series; so a test can tell how much was done between two looks at a guard.
pub(crate) fn touch() {
    #[cfg(test)]
    TOUCHED.with(|touched| touched.set(touched.get() + 1));
}

/// A guard that lets everything pass.
impl Default for Guard {
    fn default() -> Self {
        Self {
            deadline: None,
            cancel: None,
            samples_max: usize::MAX,
            series_max: usize::MAX,
            memory: Allotment::default(),
            on_interrupt: OnInterrupt::default(),
        }
    }
}

impl Guard {
    /// Whether a selection may have so many series.
    pub fn allow_series(&self, found: usize) -> Result<(), SelectError> {
        let limit = self.series_max;
        if found > limit {
            return Err(SelectError::TooManySeries { found, limit });
        }
        Ok(())
    }

    /// Takes the memory that parsing a text needs, tokens and tree, to the end of the query.
    pub fn allow_text(&self, text: &str) -> Result<(), MemoryExceeded> {
        self.memory.take(text.len().saturating_mul(PARSED_BYTES))
    }

    /// Whether the query may go on, asked at some of many short steps, by their number.
    pub fn check_at(&self, step: usize) -> Result<(), Interrupted> {
        if step.is_multiple_of(STEPS_PER_CHECK) {
            return self.check();
        }
        Ok(())
    }

    /// The same where each step takes as long as `width` short ones: a column of so many instants.
    pub fn check_wide(&self, step: usize, width: usize) -> Result<(), Interrupted> {
        if step.is_multiple_of((STEPS_PER_CHECK / width.max(1)).max(1)) {
            return self.check();
        }
        Ok(())
    }

    /// What tells a store whether the query may go on.
    pub fn patience(&self) -> Patience {
        let guard = self.clone();
        Patience::new(move || {
            guard.check().map_err(|interrupted| match interrupted {
                Interrupted::TimedOut => GivenUp::TimedOut,
                Interrupted::Canceled => GivenUp::Canceled,
            })
        })
    }

    /// Whether the query may go on.
    pub fn check(&self) -> Result<(), Interrupted> {
        #[cfg(test)]
        ON_CHECK.with_borrow_mut(|on_check| on_check.iter_mut().for_each(|call| call()));
        let going = self.going();
        if going.is_err() {
            self.on_interrupt.tell();
        }
        going
    }

    fn going(&self) -> Result<(), Interrupted> {
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
