//! What queries may cost: the keys of `query`, in the words that refusals name them by.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use tsdb::TsdbOptions;
use tsdb::query::EngineOptions;

use super::file::duration;
use super::memory::Memory;
use super::retention::Size;

/// The limits of queries, each with a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuerySection {
    /// What all queries may hold in memory together; a share of what there is, where nothing is said.
    memory_bytes_max: Option<Size>,
    /// Samples that one query may hold at once.
    samples_max: NonZeroUsize,
    /// Series that one selection of a query may have.
    series_max: NonZeroUsize,
    /// How long a query may take; a query may ask for less.
    #[serde(deserialize_with = "duration")]
    timeout: Duration,
    /// Queries that run at once; others wait for their turn.
    concurrency: NonZeroUsize,
}

impl Default for QuerySection {
    fn default() -> Self {
        let default = TsdbOptions::default();
        let count = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            memory_bytes_max: None,
            samples_max: count(default.query.samples_max),
            series_max: count(default.query.series_max),
            timeout: default.query.timeout,
            concurrency: count(default.api.queries_max),
        }
    }
}

/// The same, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryLimits {
    memory_bytes_max: usize,
    samples_max: usize,
    series_max: usize,
    /// How long a query may take.
    pub(crate) timeout: Duration,
    /// Queries that run at once.
    pub(crate) concurrency: usize,
}

/// With less memory not even small queries are answered.
const MEMORY_BYTES_MIN: u64 = 8 << 20;

impl QuerySection {
    /// What is meant, or what is wrong.
    pub(super) fn check(&self, memory: Memory) -> Result<QueryLimits, String> {
        if self.timeout.is_zero() {
            return Err("query.timeout: must be above 0, such as 2m".to_owned());
        }
        let memory = (self.memory_bytes_max).map_or(memory.queries(), |size| size.0);
        if memory < MEMORY_BYTES_MIN {
            return Err("query.memory_bytes_max: must be at least 8MiB".to_owned());
        }
        Ok(QueryLimits {
            memory_bytes_max: usize::try_from(memory).unwrap_or(usize::MAX),
            samples_max: self.samples_max.get(),
            series_max: self.series_max.get(),
            timeout: self.timeout,
            concurrency: self.concurrency.get(),
        })
    }
}

impl QueryLimits {
    /// The evaluator's options under these limits.
    pub(super) fn engine(self) -> EngineOptions {
        EngineOptions {
            memory_bytes_max: self.memory_bytes_max,
            samples_max: self.samples_max,
            series_max: self.series_max,
            timeout: self.timeout,
            ..EngineOptions::default()
        }
    }
}
