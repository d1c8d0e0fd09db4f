//! Functions of scalars and instant vectors.

use model::labels::{Labels, METRIC_NAME};
use model::matcher::MatchOp;

use super::{Column, EvalError, Evaluator, Grid, Purpose, Result, Sample, Series, Value};
use crate::query::ast::{Call, Expr};
use crate::query::functions::date::Civil;
use crate::query::functions::{Body, Special};
use crate::query::giving_up::{each_column, let_go, present_at, retain_present};

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        match call.function.body {
            Body::Math(run) => self.map_floats(call, grid, run),
            Body::Histogram(run) => {
                let mut series = self.argument(call, 0, grid)?;
                each_column(&mut series, self.guard, |column| {
                    let mut values = Column::absent(grid.len);
                    for (index, histogram) in column.histograms() {
                        values.set_float(index, run(histogram));
                    }
                    *column = values;
                })?;
                self.computed(series)
            }
            Body::Date(run) => {
                if call.args.is_empty() {
                    let now = |at: i64| Civil::from_seconds(at.div_euclid(1000) as f64);
                    let values = grid.instants().map(|at| run(now(at))).collect();
                    let column = Column::of_floats(values);
                    return Ok(Value::Vector(vec![Series::new(Labels::empty(), column)]));
                }
                self.map_floats(call, grid, |value| run(Civil::from_seconds(value)))
            }
            Body::Range(run) => self.range_function(call, run, grid),
            Body::Special(special) => self.special(special, call, grid),
        }
    }

    fn special(&mut self, special: Special, call: &Call, grid: Grid) -> Result<Value> {
        let constant = |millis: i64| Value::Scalar(vec![millis as f64 / 1000.0; grid.len]);
        match special {
            Special::Absent => self.absent(call, grid),
            Special::AbsentOverTime => self.absent_over_time(call, grid),
            Special::Clamp | Special::ClampMax | Special::ClampMin => {
                self.clamp(special, call, grid)
            }
            Special::HistogramFraction => self.histogram_fraction(call, grid),
            Special::HistogramQuantile => self.histogram_quantile(call, grid),
            Special::HistogramQuantiles => self.histogram_quantiles(call, grid),
            Special::Info => self.info(call, grid),
            Special::LabelJoin => self.label_join(call, grid),
            Special::LabelReplace => self.label_replace(call, grid),
            Special::MaxOf => self.extreme(call, grid, |a, b| a > b),
            Special::MinOf => self.extreme(call, grid, |a, b| a < b),
            Special::Pi => Ok(Value::Scalar(vec![std::f64::consts::PI; grid.len])),
            Special::Start => Ok(constant(self.times.start)),
            Special::End => Ok(constant(self.times.end)),
            Special::Step => Ok(constant(self.times.step)),
            Special::Range => Ok(constant(self.times.end.saturating_sub(self.times.start))),
            Special::Round => self.round(call, grid),
            Special::Scalar => self.scalar_of(call, grid),
            Special::Sort | Special::SortDesc => self.sort(special, call, grid),
            Special::SortByLabel | Special::SortByLabelDesc => {
                self.sort_by_label(special, call, grid)
            }
            Special::Timestamp | Special::StartTimestamp => self.timestamps(special, call, grid),
            Special::Time => {
                let seconds = grid.instants().map(|at| at as f64 / 1000.0);
                Ok(Value::Scalar(seconds.collect()))
            }
            Special::Vector => {
                let values = self.scalar_argument(call, 0, grid)?;
                let column = Column::of_floats(values);
                Ok(Value::Vector(vec![Series::new(Labels::empty(), column)]))
            }
        }
    }

    /// The series of an argument.
    pub(super) fn argument(
        &mut self,
        call: &Call,
        index: usize,
        grid: Grid,
    ) -> Result<Vec<Series>> {
        match call.args.get(index) {
            Some(arg) => self.vector(arg.unwrapped(), grid),
            None => Ok(Vec::new()),
        }
    }

    /// The column of a scalar argument.
    pub(super) fn scalar_argument(
        &mut self,
        call: &Call,
        index: usize,
        grid: Grid,
    ) -> Result<Vec<f64>> {
        match call.args.get(index) {
            Some(arg) => self.scalar(arg, grid),
            None => Ok(vec![f64::NAN; grid.len]),
        }
    }

    /// Series whose values are no longer what their names say, without those that have none.
    pub(super) fn computed(&mut self, mut series: Vec<Series>) -> Result<Value> {
        retain_present(&mut series, self.guard)?;
        for (at, series) in series.iter_mut().enumerate() {
            self.guard.check_at(at)?;
            self.drop_name(series);
        }
        Ok(Value::Vector(self.apart(series)?))
    }

    fn map_floats(&mut self, call: &Call, grid: Grid, map: impl Fn(f64) -> f64) -> Result<Value> {
        let mut series = self.argument(call, 0, grid)?;
        each_column(&mut series, self.guard, |column| {
            column.drop_histograms();
            column.map_floats(&map);
        })?;
        self.computed(series)
    }

    /// Maps floats together with the scalars of the same instant.
    fn map_with(
        &mut self,
        call: &Call,
        grid: Grid,
        map: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Value> {
        let mut series = self.argument(call, 0, grid)?;
        each_column(&mut series, self.guard, |column| {
            let mut values = Column::absent(grid.len);
            for (index, value) in column.floats() {
                if let Some(value) = map(index, value) {
                    values.set_float(index, value);
                }
            }
            *column = values;
        })?;
        self.computed(series)
    }

    fn clamp(&mut self, special: Special, call: &Call, grid: Grid) -> Result<Value> {
        let unbounded = |bound: f64| vec![bound; grid.len];
        let (low, high) = match special {
            Special::ClampMax => (
                unbounded(f64::NEG_INFINITY),
                self.scalar_argument(call, 1, grid)?,
            ),
            Special::ClampMin => (
                self.scalar_argument(call, 1, grid)?,
                unbounded(f64::INFINITY),
            ),
            _ => (
                self.scalar_argument(call, 1, grid)?,
                self.scalar_argument(call, 2, grid)?,
            ),
        };
        self.map_with(call, grid, |index, value| {
            let (low, high) = (*low.get(index)?, *high.get(index)?);
            if high < low {
                return None;
            }
            if low.is_nan() || high.is_nan() {
                return Some(f64::NAN);
            }
            // Unlike Rust's, the language's minimum of NaN and a number is NaN.
            Some(if value.is_nan() {
                value
            } else {
                value.min(high).max(low)
            })
        })
    }

    fn round(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let to = if call.args.len() > 1 {
            self.scalar_argument(call, 1, grid)?
        } else {
            vec![1.0; grid.len]
        };
        self.map_with(call, grid, |index, value| {
            // Multiplying with the inverse loses less than dividing.
            let inverse = 1.0 / to.get(index)?;
            Some((value * inverse + 0.5).floor() / inverse)
        })
    }

    fn extreme(&mut self, call: &Call, grid: Grid, wins: fn(f64, f64) -> bool) -> Result<Value> {
        let left = self.scalar_argument(call, 0, grid)?;
        let right = self.scalar_argument(call, 1, grid)?;
        let pairs = left.into_iter().zip(right);
        let values = pairs.map(|(a, b)| {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else if wins(b, a) {
                b
            } else {
                a
            }
        });
        Ok(Value::Scalar(values.collect()))
    }

    /// The only float at each instant.
    fn scalar_of(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let series = self.argument(call, 0, grid)?;
        let mut values = vec![None; grid.len];
        for (at, series) in series.iter().enumerate() {
            self.guard.check_wide(at, grid.len)?;
            for (index, value) in series.column.floats() {
                if let Some(place) = values.get_mut(index) {
                    *place = match place {
                        None => Some(value),
                        Some(_) => Some(f64::NAN),
                    };
                }
            }
        }
        let_go(series, self.guard)?;
        let values = values.into_iter().map(|value| value.unwrap_or(f64::NAN));
        Ok(Value::Scalar(values.collect()))
    }

    fn absent(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let series = self.argument(call, 0, grid)?;
        let present = present_at(&series, grid.len, self.guard)?;
        let_go(series, self.guard)?;
        match call.args.first() {
            Some(arg) => Ok(absences(arg, &present)),
            None => Ok(Value::Vector(Vec::new())),
        }
    }

    /// `timestamp` and `start_timestamp`: of a selector, the times of its samples, 0 where a start
    /// is not known; of anything else, the instant of evaluation, and nothing.
    fn timestamps(&mut self, special: Special, call: &Call, grid: Grid) -> Result<Value> {
        let starts = special == Special::StartTimestamp;
        if let Some(Expr::Selector(selector)) = call.args.first().map(Expr::unwrapped) {
            let value = self.select_found(selector, grid, Purpose::default(), |found| {
                let millis = if starts { found.start } else { found.at };
                Sample::Float(millis as f64 / 1000.0)
            })?;
            let Value::Vector(series) = value else {
                return Ok(value);
            };
            return self.computed(series);
        }
        let mut series = self.argument(call, 0, grid)?;
        if starts {
            return Ok(Value::Vector(Vec::new()));
        }
        each_column(&mut series, self.guard, |column| {
            let mut values = Column::absent(grid.len);
            for index in 0..grid.len {
                if column.is_present(index) {
                    values.set_float(index, grid.at(index) as f64 / 1000.0);
                }
            }
            *column = values;
        })?;
        self.computed(series)
    }

    /// A text argument.
    pub(super) fn text_argument(call: &Call, index: usize) -> Result<&str> {
        match call.args.get(index).map(Expr::unwrapped) {
            Some(Expr::Text(text)) => Ok(&text.value),
            _ => Err(EvalError::Message(format!(
                "argument {} of {}() must be a string literal",
                index + 1,
                call.function.name
            ))),
        }
    }
}

/// 1 where nothing is present, with the labels the selector asks for.
pub(super) fn absences(selector: &Expr, present: &[bool]) -> Value {
    let mut column = Column::absent(present.len());
    for (index, present) in present.iter().enumerate() {
        if !present {
            column.set_float(index, 1.0);
        }
    }
    if column.is_empty() {
        return Value::Vector(Vec::new());
    }
    Value::Vector(vec![Series::new(asked_labels(selector), column)])
}

/// The labels an expression asks for by equality, once each.
fn asked_labels(expr: &Expr) -> Labels {
    let matchers = match expr.unwrapped() {
        Expr::Selector(selector) => &selector.matchers,
        Expr::Range(range) => &range.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut labels = Labels::empty().to_builder();
    for matcher in matchers {
        if matcher.name() == METRIC_NAME {
            continue;
        }
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build()
}
