//! The tree over a grid of instants, column by column.
//!
//! An expression is evaluated once for all instants of the query: its value is a column of floats,
//! or series with a column each ([`column`]). What does not depend on the instant is evaluated at
//! one and spread. Recursion is as deep as the tree, whose height the parser bounds.
//!
//! - [`pass`]: the series of a selection, one by one, on every core.
//! - [`select`]: selectors, by moving indices through samples.
//! - [`range`]: functions of ranges, over selectors and subqueries.
//! - [`call`]: all other functions; [`labels`], [`histograms`], [`info`] hold those with a life of
//!   their own.
//! - [`groups`]: which series belong together.
//! - [`binary`], [`matching`], [`arithmetic`]: operators.
//! - [`aggregate`], [`rank`]: aggregations that compute, and those that choose; [`contenders`]: what
//!   extremes of extremes need not look at.
//! - [`repeats`]: what stands in the tree more than once.
//! - [`steps`]: how many samples each instant looks at, for those who ask.
//! - [`finish`]: names that no longer fit, and series that became one.

use std::collections::HashMap;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};

use super::annotations::Annotations;
use super::ast::{At, Expr, Sign, TimeShift};
use super::engine::EngineOptions;
use super::functions::window::Sample;
use super::memory::MemoryExceeded;
use super::prepare::QueryTimes;
use super::source::{Guard, Interrupted, Purpose, SelectError, Selection, Source};

mod aggregate;
mod arithmetic;
mod binary;
mod call;
mod column;
mod contenders;
mod finish;
mod groups;
mod histograms;
mod info;
mod labels;
mod matching;
mod pass;
mod range;
mod rank;
mod repeats;
mod select;
mod steps;

pub(super) use column::{Column, Grid, Series, Value};
pub(super) use finish::remove_names;
use finish::{matrix_of_range, merge_same_labels};
use pass::Origin;
use repeats::{Kept, Repeats};

/// Why an evaluation failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum EvalError {
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error(
        "query processing would load too many samples into memory in query execution: more than {limit}; ask for less, or raise query.samples_max (now {limit})"
    )]
    TooManySamples { limit: usize },
    #[error("{0}")]
    TooManySeries(String),
    #[error(transparent)]
    Memory(#[from] MemoryExceeded),
    #[error("expanding series: {0}")]
    Storage(String),
    #[error("{0}")]
    Message(String),
}

impl From<SelectError> for EvalError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Interrupted(interrupted) => Self::Interrupted(interrupted),
            SelectError::TooManySamples { limit } => Self::TooManySamples { limit },
            SelectError::TooManySeries { .. } => Self::TooManySeries(error.to_string()),
            SelectError::Memory(exceeded) => Self::Memory(exceeded),
            SelectError::Storage(reason) => Self::Storage(reason),
        }
    }
}

type Result<T, E = EvalError> = std::result::Result<T, E>;

/// The error of series that became the same.
fn same_labels() -> EvalError {
    EvalError::Message("vector cannot contain metrics with the same labelset".to_owned())
}

type Selections = HashMap<(String, i64, i64, Purpose), Arc<dyn Selection>>;

/// One evaluation.
pub(super) struct Evaluator<'a> {
    source: &'a dyn Source,
    options: &'a EngineOptions,
    lookback_millis: i64,
    times: QueryTimes,
    guard: &'a Guard,
    /// What there is to say beside the result.
    pub annotations: Annotations,
    selections: Selections,
    repeats: Repeats,
    /// Whether nobody will see the names of the series that are computed next.
    names_unseen: bool,
    /// Samples held at the moment.
    held: usize,
    /// Bytes of memory that selections hold, to the end of the query, and values that are kept.
    selected_bytes: usize,
    /// Most samples held at once.
    pub held_peak: usize,
    /// Samples read.
    pub read_total: usize,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        options: &'a EngineOptions,
        lookback_millis: i64,
        times: QueryTimes,
        guard: &'a Guard,
    ) -> Self {
        Self {
            source,
            options,
            lookback_millis,
            times,
            guard,
            annotations: Annotations::default(),
            selections: HashMap::new(),
            repeats: Repeats::default(),
            names_unseen: false,
            held: 0,
            selected_bytes: 0,
            held_peak: 0,
            read_total: 0,
        }
    }

    /// Looks for parts of a tree that need to be evaluated only once.
    pub(super) fn find_repeats(&mut self, expr: &Expr) {
        self.repeats = Repeats::of(expr);
    }

    /// Counts samples that are held from now on.
    fn hold(&mut self, samples: usize) -> Result<()> {
        self.held = self.held.saturating_add(samples);
        self.held_peak = self.held_peak.max(self.held);
        self.allow(0)
    }

    /// Takes memory for what is about to be made. It is given back when the node of the tree is
    /// evaluated, and its value counts instead.
    fn room(&self, bytes: usize) -> Result<()> {
        Ok(self.guard.memory.take(bytes)?)
    }

    /// Lets go of everything but what there is to say.
    pub(super) fn finish(self, query: &str) -> Result<(Vec<String>, Vec<String>)> {
        for value in self.repeats.into_kept() {
            value.let_go(self.guard)?;
        }
        for selection in self.selections.into_values() {
            // Each may be the labels of a million series.
            self.guard.check()?;
            drop(selection);
        }
        Ok(self.annotations.into_texts(query))
    }

    /// Refuses to go on with so many samples more than are held.
    fn allow(&self, more: usize) -> Result<()> {
        let limit = self.guard.samples_max;
        if self.held.saturating_add(more) > limit {
            return Err(EvalError::TooManySamples { limit });
        }
        Ok(())
    }

    /// The value of an expression at every instant of the grid.
    pub(super) fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Value> {
        self.guard.check()?;
        if grid.len == 0 {
            return Ok(Value::Vector(Vec::new()));
        }
        let held = self.held;
        let others = self.guard.memory.bytes_taken();
        let others = others.saturating_sub(self.selected_bytes);
        // A scalar is made without further asking.
        self.room(grid.len.saturating_mul(size_of::<f64>()))?;
        let repeated = self.repeats.number(expr);
        let value = if let Some(number) = repeated
            && let Some(value) = self.kept(number, grid)?
        {
            value
        } else if grid.len > 1 && is_spreadable(expr) && does_not_vary(expr) {
            let value = self.eval_node(expr, grid.first())?;
            self.room(value.series_count() * grid.len * size_of::<f64>())?;
            let value = value.spread(grid.len, self.guard)?;
            self.keep(repeated, grid, &value)?;
            value
        } else {
            let value = self.eval_node(expr, grid)?;
            self.keep(repeated, grid, &value)?;
            value
        };
        self.held = held;
        self.hold(value.budget_size(self.guard)?)?;
        let held = others.saturating_add(self.selected_bytes);
        let bytes = value.bytes(self.guard)?;
        self.guard.memory.settle(held.saturating_add(bytes))?;
        Ok(value)
    }

    /// The value of a part that was evaluated before.
    fn kept(&mut self, number: usize, grid: Grid) -> Result<Option<Value>> {
        let Some(kept) = self.repeats.kept(number, grid) else {
            return Ok(None);
        };
        let bytes = kept.bytes(self.guard)?;
        self.room(bytes)?;
        Ok(match self.repeats.take(number, grid) {
            Some(Kept::Again(value)) => Some(value.copied(self.guard)?),
            Some(Kept::Last(value)) => {
                self.selected_bytes = self.selected_bytes.saturating_sub(bytes);
                Some(value)
            }
            None => None,
        })
    }

    /// Keeps the value of a part that will be asked for again.
    fn keep(&mut self, repeated: Option<usize>, grid: Grid, value: &Value) -> Result<()> {
        if let Some(number) = repeated
            && self.repeats.is_wanted(number)
        {
            let bytes = value.bytes(self.guard)?;
            self.room(bytes)?;
            self.selected_bytes = self.selected_bytes.saturating_add(bytes);
            self.repeats.keep(number, grid, value.copied(self.guard)?);
        }
        Ok(())
    }

    fn eval_node(&mut self, expr: &Expr, grid: Grid) -> Result<Value> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(vec![number.value; grid.len])),
            Expr::Selector(selector) => self.select_instants(selector, grid),
            Expr::Call(call) => self.call(call, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Unary(unary) => {
                let value = self.eval(&unary.expr, grid)?;
                match unary.sign {
                    Sign::Plus => Ok(value),
                    Sign::Minus => self.negate(value),
                }
            }
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::Text(_) | Expr::Range(_) | Expr::Subquery(_) => Err(EvalError::Message(format!(
                "unexpected {} where values are computed",
                expr.value_type().documented()
            ))),
        }
    }

    /// The series of an expression that is a vector.
    fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Series>> {
        match self.eval(expr, grid)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(values) => Ok(vec![Series::new(
                Labels::empty(),
                Column::of_floats(values),
            )]),
        }
    }

    /// The column of an expression that is a scalar.
    fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => Ok(vec![f64::NAN; grid.len]),
        }
    }

    /// Takes the name off a series whose values are no longer what it names.
    fn drop_name(&self, series: &mut Series) {
        drop_name(self.options, series);
    }

    /// Where names go at once, series must stay apart.
    fn apart(&self, series: Vec<Series>) -> Result<Vec<Series>> {
        if self.options.delayed_name_removal {
            return Ok(series);
        }
        merge_same_labels(series, self.guard)
    }

    fn negate(&mut self, value: Value) -> Result<Value> {
        let series = match value {
            Value::Scalar(values) => {
                return Ok(Value::Scalar(values.into_iter().map(|v| -v).collect()));
            }
            Value::Vector(series) => series,
        };
        let negated = series.into_iter().enumerate().map(|(at, mut series)| {
            self.guard.check_wide(at, series.column.len())?;
            self.drop_name(&mut series);
            series.column.map_floats(|value| -value);
            series.column.map_histograms(|h| h.clone().scaled(-1.0));
            Ok(series)
        });
        let negated: Result<Vec<Series>> = negated.collect();
        Ok(Value::Vector(self.apart(negated?)?))
    }

    /// The series of a selector in a closed range; asked of the source once.
    fn selected(
        &mut self,
        matchers: &[Matcher],
        range: (i64, i64),
        purpose: Purpose,
        statistics: bool,
    ) -> Result<Origin> {
        use std::fmt::Write as _;
        let mut key = String::new();
        for matcher in matchers {
            let _ = write!(key, "{matcher}\0");
        }
        let purpose = if self.source.heeds_purpose() {
            purpose
        } else {
            Purpose::default()
        };
        let key = (key, range.0, range.1, purpose);
        let selection = if let Some(known) = self.selections.get(&key) {
            Arc::clone(known)
        } else {
            let time_range = TimeRange::new(Timestamp(range.0), Timestamp(range.1));
            let before = self.guard.memory.bytes_taken();
            let selection = self
                .source
                .select_for(time_range, matchers, &purpose, self.guard)?;
            self.guard.allow_series(selection.labels().len())?;
            let taken = self.guard.memory.bytes_taken().saturating_sub(before);
            self.selected_bytes = self.selected_bytes.saturating_add(taken);
            self.selections.insert(key, Arc::clone(&selection));
            selection
        };
        Ok(Origin::Selection {
            selection,
            statistics,
        })
    }

    /// What a query over a grid does with a selection.
    fn purpose(
        &self,
        function: Option<&'static str>,
        shift: &TimeShift,
        grid: Grid,
        window: i64,
    ) -> Purpose {
        let first = shift.reference(grid.start);
        let second = shift.reference(grid.at(1));
        Purpose {
            function,
            first,
            step: second.saturating_sub(first),
            instants: grid.len,
            window,
            lookback: self.lookback_millis,
        }
    }

    /// The range of samples that lookups over a grid may touch.
    fn reach(shift: &TimeShift, grid: Grid, back: i64, ahead: i64) -> (i64, i64) {
        let first = shift.reference(grid.start);
        let last = shift.reference(grid.last());
        (
            first.saturating_sub(back).saturating_add(1),
            last.saturating_add(ahead),
        )
    }
}

/// Takes the name off a series whose values are no longer what it names, now or at the end.
fn drop_name(options: &EngineOptions, series: &mut Series) {
    if options.delayed_name_removal {
        series.drops_name = true;
    } else {
        series.labels = finish::without_metadata(&series.labels);
    }
}

/// Whether a value at one instant can be spread over the grid.
fn is_spreadable(expr: &Expr) -> bool {
    !matches!(
        expr,
        Expr::Number(_) | Expr::Text(_) | Expr::Range(_) | Expr::Subquery(_)
    )
}

/// Whether the value is the same at every instant.
fn does_not_vary(expr: &Expr) -> bool {
    let fixed = |shift: &TimeShift| matches!(shift.at, Some(At::Timestamp(_)));
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Selector(node) => fixed(&node.shift),
        Expr::Range(node) => fixed(&node.selector.shift),
        Expr::Subquery(node) => fixed(&node.shift),
        Expr::Call(node) => !node.function.depends_on_time() && node.args.iter().all(does_not_vary),
        Expr::Aggregate(node) => {
            does_not_vary(&node.expr) && node.param.as_deref().is_none_or(does_not_vary)
        }
        Expr::Binary(node) => does_not_vary(&node.lhs) && does_not_vary(&node.rhs),
        Expr::Unary(node) => does_not_vary(&node.expr),
        Expr::Paren(node) => does_not_vary(&node.expr),
    }
}
