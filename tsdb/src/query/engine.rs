//! From a text to an answer, under limits.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use model::histogram::Histogram;
use model::time::Timestamp;
use model::vector::{InstantSample, QueryValue, RangeSeries, SampleValue};

use super::ast::{Expr, ValueType};
use super::eval::{EvalError, Evaluator, Grid, Series, Value, remove_names};
use super::functions::window::Sample;
use super::memory::{Allotment, MemoryExceeded, QueryMemory};
use super::order::sort_by;
use super::parser::{ParseError, Syntax, parse_with};
use super::prepare::{QueryTimes, prepare};
use super::source::{Guard, Interrupted, OnInterrupt, Source, touch};

/// How queries are understood and bounded.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which parts of the language are understood.
    pub syntax: Syntax,
    /// Whether names that no longer fit go at the end, so that `label_replace` can still use them.
    pub delayed_name_removal: bool,
    /// How long a sample counts after its instant.
    pub lookback: Duration,
    /// The step of subqueries that name none.
    pub subquery_step_millis: i64,
    /// How many samples a query may hold at once.
    pub samples_max: usize,
    /// How many series one selection of a query may have.
    pub series_max: usize,
    /// How many bytes all queries may hold together.
    ///
    /// A gibibyte: a count of the million series that `series_max` lets through holds about 280 MiB of labels, and
    /// the last quarter is for small queries.
    pub memory_bytes_max: usize,
    /// How long a query may take; a query may ask for less.
    pub timeout: Duration,
    /// How many threads evaluate the series of a query, at least one.
    pub workers: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            syntax: Syntax::Experimental,
            delayed_name_removal: false,
            lookback: Duration::from_mins(5),
            subquery_step_millis: 60_000,
            samples_max: 50_000_000,
            series_max: 1_000_000,
            memory_bytes_max: 1 << 30,
            timeout: Duration::from_mins(2),
            workers: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }
}

/// What one query asks for beside its expression.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// How long a sample counts; the engine's where absent.
    pub lookback: Option<Duration>,
    /// How long it may take; never longer than the engine's.
    pub timeout: Option<Duration>,
    /// Set from outside to stop it.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Told when it is interrupted.
    pub on_interrupt: OnInterrupt,
    /// Whether samples are counted for each instant, which costs a second look at them.
    pub counting: Counting,
}

/// Whether the samples that each instant looks at are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// They are not.
    #[default]
    None,
    /// They are.
    ByStep,
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples selected.
    pub samples_total: usize,
    /// Most samples held at once.
    pub samples_peak: usize,
    /// How long the text took to become a tree.
    pub preparation: Duration,
    /// How long the tree took to become a value.
    pub inner: Duration,
    /// How long the value took to be put in order.
    pub sorting: Duration,
}

/// Tells how long each stage of a query took.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it is since the start, or since the last lap.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.saturating_duration_since(std::mem::replace(&mut self.0, now))
    }
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct QueryOutput {
    /// Its value.
    pub value: QueryValue,
    /// What is probably wrong with it.
    pub warnings: Vec<String>,
    /// What is good to know about it.
    pub infos: Vec<String>,
    /// What it cost.
    pub stats: QueryStats,
    /// The samples that each instant looked at, where that was asked for.
    pub samples_by_step: Vec<(Timestamp, usize)>,
    /// What it holds of the memory of all queries, until it is dropped.
    pub memory: Allotment,
}

/// Why there is no answer, as the API's `errorType` tells them apart.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is no expression (`bad_data`).
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query makes no sense as it was asked (`bad_data`).
    #[error("{0}")]
    BadData(String),
    /// Evaluation failed, or would have exceeded a limit (`execution`).
    #[error("{0}")]
    Execution(String),
    /// It took too long (`timeout`).
    #[error("{0}")]
    Timeout(String),
    /// It was stopped (`canceled`).
    #[error("{0}")]
    Canceled(String),
}

impl QueryError {
    /// The `errorType` of the API.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::BadData(_) => "bad_data",
            Self::Execution(_) => "execution",
            Self::Timeout(_) => "timeout",
            Self::Canceled(_) => "canceled",
        }
    }
}

impl From<EvalError> for QueryError {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Interrupted(Interrupted::TimedOut) => Self::Timeout(error.to_string()),
            EvalError::Interrupted(Interrupted::Canceled) => Self::Canceled(error.to_string()),
            EvalError::TooManySamples { .. }
            | EvalError::TooManySeries(_)
            | EvalError::Memory(_)
            | EvalError::Storage(_)
            | EvalError::Message(_) => Self::Execution(error.to_string()),
        }
    }
}

impl From<MemoryExceeded> for QueryError {
    fn from(error: MemoryExceeded) -> Self {
        Self::Execution(error.to_string())
    }
}

/// Evaluates queries. Clones share the memory of queries.
#[derive(Clone, Debug)]
pub struct Engine {
    options: EngineOptions,
    memory: QueryMemory,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(EngineOptions::default())
    }
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        let memory = QueryMemory::new(options.memory_bytes_max);
        Self { options, memory }
    }

    /// What all queries may hold together.
    pub const fn memory(&self) -> &QueryMemory {
        &self.memory
    }

    /// The engine's options.
    pub const fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The value of a query at one instant.
    pub fn instant(
        &self,
        source: &dyn Source,
        query: &str,
        at: Timestamp,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let times = QueryTimes {
            start: at.millis(),
            end: at.millis(),
            step: 0,
        };
        let mut watch = Watch::start();
        let guard = self.guard(options);
        guard.allow_text(query)?;
        let expr = self.prepared(query, &times)?;
        let mut stats = QueryStats {
            preparation: watch.lap(),
            ..QueryStats::default()
        };
        let grid = Grid::new(at.millis(), at.millis(), 1);
        let mut evaluator = self.evaluator(source, times, &guard, options);
        evaluator.find_repeats(&expr);
        let value = match (expr.value_type(), expr.unwrapped()) {
            (ValueType::String, Expr::Text(text)) => QueryValue::String(at, text.value.clone()),
            (ValueType::Matrix, _) => {
                let mut matrix = evaluator.matrix(&expr, grid)?;
                stats.inner = watch.lap();
                sort_by(&mut matrix, &guard, |a, b| a.labels.cmp(&b.labels))
                    .map_err(EvalError::from)?;
                QueryValue::Matrix(matrix)
            }
            _ => match evaluator.eval(&expr, grid)? {
                Value::Scalar(values) => {
                    QueryValue::Scalar(at, values.first().copied().unwrap_or(f64::NAN))
                }
                Value::Vector(series) => {
                    guard
                        .memory
                        .take(series.len() * size_of::<InstantSample>())?;
                    let series = remove_names(series, &guard)?;
                    let mut samples = Vec::with_capacity(series.len());
                    for (place, one) in series.into_iter().enumerate() {
                        guard.check_at(place).map_err(EvalError::from)?;
                        samples.extend(sample(one, at));
                    }
                    QueryValue::Vector(samples)
                }
            },
        };
        if stats.inner.is_zero() {
            stats.inner = watch.lap();
        } else {
            stats.sorting = watch.lap();
        }
        let counts = Self::counts(&mut evaluator, &expr, grid, options)?;
        Self::output(evaluator, query, value, (stats, counts), &guard)
    }

    /// The values of a query at every instant from `start` to `end`.
    pub fn range(
        &self,
        source: &dyn Source,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        options: &QueryOptions,
    ) -> Result<QueryOutput, QueryError> {
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step == 0 {
            let message = "zero or negative query resolution step widths are not accepted; try a positive duration";
            return Err(QueryError::BadData(message.to_owned()));
        }
        let times = QueryTimes {
            start: start.millis(),
            end: end.millis(),
            step,
        };
        let mut watch = Watch::start();
        let guard = self.guard(options);
        guard.allow_text(query)?;
        let expr = self.prepared(query, &times)?;
        let mut stats = QueryStats {
            preparation: watch.lap(),
            ..QueryStats::default()
        };
        let value_type = expr.value_type();
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::BadData(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                value_type.documented()
            )));
        }
        let grid = Grid::new(start.millis(), end.millis(), step);
        if grid.len > guard.samples_max {
            let limit = guard.samples_max;
            return Err(EvalError::TooManySamples { limit }.into());
        }
        let mut evaluator = self.evaluator(source, times, &guard, options);
        evaluator.find_repeats(&expr);
        let series = match evaluator.eval(&expr, grid)? {
            Value::Scalar(values) => vec![Series::of_scalar(values)],
            Value::Vector(series) => remove_names(series, &guard)?,
        };
        let mut samples = 0;
        for (at, one) in series.iter().enumerate() {
            guard.check_wide(at, grid.len).map_err(EvalError::from)?;
            samples += one.column.budget_size();
        }
        guard.memory.take(samples * size_of::<(Timestamp, f64)>())?;
        let mut matrix: Vec<RangeSeries> = Vec::with_capacity(series.len());
        for (at, one) in series.into_iter().enumerate() {
            guard.check_wide(at, grid.len).map_err(EvalError::from)?;
            if !one.column.is_empty() {
                matrix.push(points(one, grid));
            }
        }
        stats.inner = watch.lap();
        sort_by(&mut matrix, &guard, |a, b| a.labels.cmp(&b.labels)).map_err(EvalError::from)?;
        stats.sorting = watch.lap();
        let value = QueryValue::Matrix(matrix);
        let counts = Self::counts(&mut evaluator, &expr, grid, options)?;
        Self::output(evaluator, query, value, (stats, counts), &guard)
    }

    fn counts(
        evaluator: &mut Evaluator<'_>,
        expr: &Expr,
        grid: Grid,
        options: &QueryOptions,
    ) -> Result<Vec<(Timestamp, usize)>, QueryError> {
        if options.counting == Counting::None {
            return Ok(Vec::new());
        }
        let counts = evaluator.samples_by_step(expr, grid)?;
        let instants = grid.instants().map(Timestamp);
        Ok(instants.zip(counts).collect())
    }

    fn prepared(&self, query: &str, times: &QueryTimes) -> Result<Expr, QueryError> {
        let mut expr = parse_with(query, self.options.syntax)?;
        prepare(&mut expr, times).map_err(QueryError::BadData)?;
        Ok(expr)
    }

    /// A guard with the limits of a query that begins now.
    pub fn guard(&self, options: &QueryOptions) -> Guard {
        let timeout = options.timeout.unwrap_or(self.options.timeout);
        let timeout = timeout.min(self.options.timeout);
        Guard {
            deadline: Instant::now().checked_add(timeout),
            cancel: options.cancel.clone(),
            samples_max: self.options.samples_max,
            series_max: self.options.series_max,
            memory: self.memory.allotment(),
            on_interrupt: options.on_interrupt.clone(),
        }
    }

    fn evaluator<'a>(
        &'a self,
        source: &'a dyn Source,
        times: QueryTimes,
        guard: &'a Guard,
        options: &QueryOptions,
    ) -> Evaluator<'a> {
        let lookback = options.lookback.filter(|lookback| !lookback.is_zero());
        let lookback = lookback.unwrap_or(self.options.lookback);
        let lookback = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX);
        Evaluator::new(source, &self.options, lookback, times, guard)
    }

    fn output(
        evaluator: Evaluator<'_>,
        query: &str,
        value: QueryValue,
        (stats, samples_by_step): (QueryStats, Vec<(Timestamp, usize)>),
        guard: &Guard,
    ) -> Result<QueryOutput, QueryError> {
        let stats = QueryStats {
            samples_total: evaluator.read_total,
            samples_peak: evaluator.held_peak,
            ..stats
        };
        let (warnings, infos) = evaluator.finish(query)?;
        guard.memory.settle(value.bytes())?;
        Ok(QueryOutput {
            value,
            warnings,
            infos,
            stats,
            samples_by_step,
            memory: guard.memory.clone(),
        })
    }
}

fn sample(series: Series, at: Timestamp) -> Option<InstantSample> {
    touch();
    let value = match series.column.get(0)? {
        Sample::Float(value) => SampleValue::Float(value),
        Sample::Histogram(histogram) => {
            SampleValue::Histogram(Box::new(Arc::unwrap_or_clone(histogram)))
        }
    };
    Some(InstantSample {
        labels: series.labels,
        timestamp: at,
        value,
    })
}

fn points(series: Series, grid: Grid) -> RangeSeries {
    let at = |index: usize| Timestamp(grid.at(index));
    let floats = series.column.floats();
    let histograms = series.column.histograms();
    RangeSeries {
        floats: floats.map(|(index, value)| (at(index), value)).collect(),
        histograms: histograms
            .map(|(index, histogram)| (at(index), Histogram::clone(histogram)))
            .collect(),
        labels: series.labels,
    }
}

#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod tests;
