//! The limits of one query, and whether it may go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::engine::QueryStats;
use crate::query::error::QueryError;

/// What one query may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Series a metric query may have at any point.
    pub series_max: usize,
    /// Entries a log query may be asked for.
    pub entries_max: usize,
    /// Steps a range may have.
    pub steps_max: usize,
    /// Points held at once: series times steps.
    pub points_max: usize,
    /// Unwrapped samples held at once.
    pub samples_max: usize,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series_max: 100_000,
            entries_max: 5000,
            steps_max: 11_000,
            points_max: 10_000_000,
            samples_max: 20_000_000,
            timeout: Some(Duration::from_mins(5)),
        }
    }
}

/// How many entries pass between two looks at the clock.
const ENTRIES_BETWEEN_CHECKS: u64 = 512;

/// Counts what a query costs and says when it is too much.
pub(super) struct Guard<'e> {
    pub(super) limits: &'e Limits,
    pub(super) stats: QueryStats,
    deadline: Option<(Instant, Duration)>,
    cancel: Option<&'e Arc<AtomicBool>>,
    samples: usize,
}

impl<'e> Guard<'e> {
    pub(super) fn new(limits: &'e Limits, cancel: Option<&'e Arc<AtomicBool>>) -> Self {
        let deadline = limits
            .timeout
            .and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        Self {
            limits,
            stats: QueryStats::default(),
            deadline,
            cancel,
            samples: 0,
        }
    }

    /// Counts an entry that was looked at.
    pub(super) fn entry(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.stats.entries_scanned += 1;
        self.stats.bytes_scanned += bytes as u64;
        if self
            .stats
            .entries_scanned
            .is_multiple_of(ENTRIES_BETWEEN_CHECKS)
        {
            return self.check();
        }
        Ok(())
    }

    /// Whether there is time left and anyone waiting.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        if self
            .cancel
            .is_some_and(|cancel| cancel.load(Ordering::Relaxed))
        {
            return Err(QueryError::Canceled);
        }
        match self.deadline {
            Some((deadline, timeout)) if Instant::now() >= deadline => {
                Err(QueryError::Timeout(timeout))
            }
            _ => Ok(()),
        }
    }

    /// Whether so many series of so many steps may be held.
    pub(super) fn series(&self, series: usize, steps: usize) -> Result<(), QueryError> {
        let most = self.limits.series_max;
        if series > most {
            return Err(QueryError::Execution(format!(
                "maximum of series ({most}) reached for a single query; aggregate by fewer labels"
            )));
        }
        let most = self.limits.points_max;
        if series.saturating_mul(steps) > most {
            return Err(QueryError::Execution(format!(
                "maximum of points ({most}) reached for a single query; use a larger step or \
                 aggregate by fewer labels"
            )));
        }
        Ok(())
    }

    /// Counts an unwrapped sample that is held.
    pub(super) fn sample(&mut self) -> Result<(), QueryError> {
        self.samples += 1;
        let most = self.limits.samples_max;
        if self.samples > most {
            return Err(QueryError::Execution(format!(
                "maximum of samples ({most}) reached for a single query; narrow the selector or \
                 the time range"
            )));
        }
        Ok(())
    }
}
