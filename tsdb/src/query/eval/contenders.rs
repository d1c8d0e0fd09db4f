//! The series that `max(max_over_time(…))` or `min(min_over_time(…))` may show.
//!
//! A store knows bounds of its blocks without decoding them. A few series with the greatest bounds
//! are computed first; a series none of whose values reaches what those have at every instant can
//! then not be the greatest at any, and is not read. Only a bound that is truly below counts, so
//! equal values, zeros of both signs and NaN are settled as they are without this.

use std::cmp::Ordering;
use std::collections::HashSet;

use model::labels::Labels;

use super::finish::without_metadata;
use super::range::RangeCall;
use super::{Column, Evaluator, Grid, Result, Series, does_not_vary, drop_name};
use crate::query::ast::{Aggregate, AggregateOp, Call, Expr, Grouping};
use crate::query::functions::Body;
use crate::query::functions::window::RangeFunction;
use crate::query::source::Bounds;

/// Series that are computed first.
const CHAMPIONS: usize = 8;
/// Fewer series are all computed.
const SERIES_MIN: usize = 64;

/// Which end is asked for.
#[derive(Clone, Copy)]
enum End {
    Greatest,
    Least,
}

impl End {
    /// The end that an aggregation of a range function asks for, if all series are one group.
    fn of(node: &Aggregate) -> Option<(Self, &Call, RangeFunction)> {
        let is_one_group = node.grouping == Grouping::By && node.labels.is_empty();
        let Expr::Call(call) = node.expr.unwrapped() else {
            return None;
        };
        let end = match (node.op, call.function.name) {
            (AggregateOp::Max, "max_over_time") => Self::Greatest,
            (AggregateOp::Min, "min_over_time") => Self::Least,
            _ => return None,
        };
        let Body::Range(run) = call.function.body else {
            return None;
        };
        // Nothing is known of a subquery before it is evaluated, and it must not be twice.
        let of_selector = |arg: &Expr| matches!(arg.unwrapped(), Expr::Range(_));
        if !call.args.iter().all(of_selector) {
            return None;
        }
        (is_one_group && !does_not_vary(&node.expr)).then_some((end, call, run))
    }

    /// The bound of a series that decides, larger where it is more of a contender.
    fn reach(self, bounds: Bounds) -> f64 {
        match self {
            Self::Greatest => bounds.max,
            Self::Least => -bounds.min,
        }
    }

    fn reach_of(self, value: f64) -> f64 {
        match self {
            Self::Greatest => value,
            Self::Least => -value,
        }
    }
}

/// A computed series, with its place among all.
type Computed = (usize, Column);

impl Evaluator<'_> {
    /// The series of the argument of an aggregation without those that its result cannot show.
    /// None where it is not known which these are.
    pub(super) fn contenders(
        &mut self,
        node: &Aggregate,
        grid: Grid,
    ) -> Result<Option<Vec<Series>>> {
        let Some((end, call, run)) = End::of(node) else {
            return Ok(None);
        };
        let ready = self.range_call(call, run, grid)?;
        let count = ready.origin().len();
        if count < SERIES_MIN || !self.stay_apart(&ready) {
            return Ok(None);
        }
        let bounds = self.each_series(ready.origin(), |worker, series| {
            Ok(Some(worker.bounds(series)?))
        })?;
        let reach = |series: &usize| {
            let bounds: Option<Bounds> = bounds.get(*series).copied().flatten();
            bounds.map(|bounds| end.reach(bounds))
        };
        let mut champions: Vec<usize> = (0..count).filter(|s| reach(s).is_some()).collect();
        champions.sort_by(|a, b| reach(b).partial_cmp(&reach(a)).unwrap_or(Ordering::Equal));
        champions.truncate(CHAMPIONS);
        champions.sort_unstable();
        let mut computed = self.columns_of(&ready, &champions)?;
        let least = least_reached(&computed, end, grid);
        let others: Vec<usize> = (0..count)
            .filter(|series| champions.binary_search(series).is_err())
            .filter(|series| match (reach(series), least) {
                (Some(reach), Some(least)) => reach.is_nan() || reach >= least,
                _ => true,
            })
            .collect();
        computed.extend(self.columns_of(&ready, &others)?);
        computed.sort_by_key(|(series, _)| *series);
        let series = computed.into_iter().map(|(series, column)| {
            let (labels, drops_name) = ready.origin().labels(series);
            let mut series = Series::new(labels, column);
            series.drops_name = drops_name;
            drop_name(self.options, &mut series);
            series
        });
        Ok(Some(series.collect()))
    }

    fn columns_of(&mut self, ready: &RangeCall<'_>, series: &[usize]) -> Result<Vec<Computed>> {
        self.each_of(ready.origin(), series, |worker, series| {
            let column = ready.column(worker, series)?;
            Ok(column.map(|column| (series, column)))
        })
    }

    /// Whether no two series become one without their names, which might be an error.
    fn stay_apart(&self, ready: &RangeCall<'_>) -> bool {
        if self.options.delayed_name_removal {
            return true;
        }
        let count = ready.origin().len();
        let labels = (0..count).map(|series| without_metadata(&ready.origin().labels(series).0));
        let different: HashSet<Labels> = labels.collect();
        different.len() == count
    }
}

/// What the computed series reach at every instant; none where there is an instant without one.
fn least_reached(computed: &[Computed], end: End, grid: Grid) -> Option<f64> {
    let mut best = vec![f64::NAN; grid.len];
    for (_, column) in computed {
        for (index, value) in column.floats() {
            let reached = end.reach_of(value);
            if let Some(best) = best.get_mut(index)
                && (best.is_nan() || *best < reached)
            {
                *best = reached;
            }
        }
    }
    best.into_iter().try_fold(f64::INFINITY, |least, best| {
        (!best.is_nan()).then(|| least.min(best))
    })
}
