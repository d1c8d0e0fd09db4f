//! The series that `max(max_over_time(…))` or `min(min_over_time(…))` may show.
//!
//! A store knows bounds of its blocks without decoding them. A few series are computed first: those that
//! reach furthest, and those that never fall far below, for a counter that ends highest may have
//! begun at zero. A series none of whose values reaches what those have at every instant can
//! then not be the greatest at any, and is not read. Only a bound that is truly below counts, so
//! equal values, zeros of both signs and NaN are settled as they are without this. At instants where
//! none of the first has a number (a query often begins before the data does) anything may be the
//! greatest: whatever may have a sample there is read.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use model::labels::Labels;

use super::finish::without_metadata;
use super::range::RangeCall;
use super::{Column, Evaluator, Grid, Result, Series, does_not_vary, drop_name};
use crate::query::ast::{Aggregate, AggregateOp, Call, Expr, Grouping};
use crate::query::functions::Body;
use crate::query::functions::window::RangeFunction;
use crate::query::order::sort_by;
use crate::query::source::{Bounds, Guard};

/// Series that are computed first of those that reach furthest, and of those that stay highest.
const CHAMPIONS: usize = 4;
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

    /// The bound that it never falls below, in the same sense.
    fn floor(self, bounds: Bounds) -> f64 {
        match self {
            Self::Greatest => bounds.min,
            Self::Least => -bounds.max,
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
        if count < SERIES_MIN || !self.stay_apart(&ready)? {
            return Ok(None);
        }
        let bounds = self.each_series(ready.origin(), |worker, series| {
            Ok(Some(worker.bounds(series)?))
        })?;
        let bounds_of = |series: usize| bounds.get(series).copied().flatten();
        let guard = self.guard;
        let furthest = champions(count, guard, |series| Some(end.reach(bounds_of(series)?)))?;
        let highest = champions(count, guard, |series| Some(end.floor(bounds_of(series)?)))?;
        let champions: BTreeSet<usize> = furthest.into_iter().chain(highest).collect();
        let champions: Vec<usize> = champions.into_iter().collect();
        let mut computed = self.columns_of(&ready, &champions)?;
        let reached = Reached::by(&computed, end, &ready, grid);
        let mut others = Vec::new();
        for series in 0..count {
            // The instants where anything may be the greatest are gone through for each.
            guard.check_wide(series, reached.open.len())?;
            let may_be_shown = match bounds_of(series) {
                Some(bounds) => reached.may_be_topped(end.reach(bounds), bounds),
                None => true,
            };
            if may_be_shown && champions.binary_search(&series).is_err() {
                others.push(series);
            }
        }
        computed.extend(self.columns_of(&ready, &others)?);
        sort_by(&mut computed, guard, |(a, _), (b, _)| a.cmp(b))?;
        let mut all = Vec::with_capacity(computed.len());
        for (at, (series, column)) in computed.into_iter().enumerate() {
            guard.check_at(at)?;
            let (labels, drops_name) = ready.origin().labels(series);
            let mut series = Series::new(labels, column);
            series.drops_name = drops_name;
            drop_name(self.options, &mut series);
            all.push(series);
        }
        Ok(Some(all))
    }

    fn columns_of(&mut self, ready: &RangeCall<'_>, series: &[usize]) -> Result<Vec<Computed>> {
        self.each_of(ready.origin(), series, |worker, series| {
            let column = ready.column(worker, series)?;
            Ok(column.map(|column| (series, column)))
        })
    }

    /// Whether no two series become one without their names, which might be an error.
    fn stay_apart(&self, ready: &RangeCall<'_>) -> Result<bool> {
        if self.options.delayed_name_removal || ready.origin().has_one_name(self.guard)? {
            return Ok(true);
        }
        let count = ready.origin().len();
        let labels = (0..count).map(|series| {
            self.guard.check_at(series)?;
            Ok(without_metadata(&ready.origin().labels(series).0))
        });
        let different: HashSet<Labels> = labels.collect::<Result<_>>()?;
        Ok(different.len() == count)
    }
}

/// The series with the greatest of a bound; whatever has no bound, or one beyond all numbers because it
/// has no samples, is none.
fn champions(
    count: usize,
    guard: &Guard,
    bound: impl Fn(usize) -> Option<f64>,
) -> Result<Vec<usize>> {
    let mut champions: Vec<(usize, f64)> = Vec::with_capacity(CHAMPIONS + 1);
    for series in 0..count {
        guard.check_at(series)?;
        let Some(bound) = bound(series).filter(|bound| bound.is_finite()) else {
            continue;
        };
        // Of equal ones the first stay.
        let is_before = |(_, known): &(usize, f64)| known.total_cmp(&bound) != Ordering::Less;
        let at = champions.partition_point(is_before);
        champions.insert(at, (series, bound));
        champions.truncate(CHAMPIONS);
    }
    Ok(champions.into_iter().map(|(series, _)| series).collect())
}

/// What the computed series reach.
struct Reached {
    /// What they reach at every instant where one of them has a number.
    least: f64,
    /// The ranges of all other instants.
    open: Vec<(i64, i64)>,
}

impl Reached {
    fn by(computed: &[Computed], end: End, ready: &RangeCall<'_>, grid: Grid) -> Self {
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
        let mut reached = Self {
            least: f64::INFINITY,
            open: Vec::new(),
        };
        for (index, best) in best.into_iter().enumerate() {
            if best.is_nan() {
                reached.open.push(ready.range_at(index));
            } else {
                reached.least = reached.least.min(best);
            }
        }
        reached
    }

    /// Whether a series that reaches this far may be further than all computed ones at some instant.
    fn may_be_topped(&self, reach: f64, bounds: Bounds) -> bool {
        let is_open = |(start, end): &(i64, i64)| bounds.last > *start && bounds.first <= *end;
        reach.is_nan() || reach >= self.least || self.open.iter().any(is_open)
    }
}
