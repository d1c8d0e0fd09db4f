//! Aggregations that choose series: `topk`, `bottomk`, `limitk`, `limit_ratio`.
//!
//! At a single instant the order of the chosen is part of the answer; over a range each series
//! keeps the instants at which it was chosen.

use std::cmp::Ordering;

use model::labels::Labels;
use model::vector::format_general;
use xxhash_rust::xxh64::xxh64;

use super::column::SERIES_BYTES;
use super::groups::{Groups, Left};
use super::{EvalError, Evaluator, Grid, Result, Series, Value};
use crate::query::ast::{Aggregate, AggregateOp, Span};
use crate::query::giving_up::{each_column, let_go, retain, retain_present};
use crate::query::order::sort_by;
use crate::query::source::{Guard, touch};

impl Evaluator<'_> {
    /// The series an aggregation chooses at each instant.
    pub(super) fn choose(
        &mut self,
        node: &Aggregate,
        params: &[f64],
        mut series: Vec<Series>,
        grid: Grid,
    ) -> Result<Value> {
        let span = node.param.as_ref().map_or(node.span, |param| param.span());
        self.check_params(node.op, params, span)?;
        if matches!(node.op, AggregateOp::Topk | AggregateOp::Bottomk) {
            let mut ignored = false;
            each_column(&mut series, self.guard, |column| {
                ignored |= column.has_histograms();
                column.drop_histograms();
            })?;
            if ignored && params.iter().any(|k| *k >= 1.0) {
                let op = node.op.as_str();
                self.annotations.ignored_in_aggregation(node.span, op);
            }
        }
        let mut groups = groups_of(node, &series, self.guard)?;
        self.room(series.len() * (grid.len + SERIES_BYTES))?;
        if grid.len > 1 && node.op != AggregateOp::LimitRatio {
            // Of a group that is no larger than what is chosen everything is.
            let least = params.iter().copied().fold(f64::INFINITY, f64::min);
            retain(&mut groups, self.guard, |group| {
                least.is_nan() || (group.len() as f64) > least
            })?;
        }
        // By series and instant. Those of which everything is chosen stay as they are.
        let mut chosen = vec![true; series.len() * grid.len];
        for (step, at) in groups.iter().flatten().enumerate() {
            self.guard.check_wide(step, grid.len)?;
            let row = chosen.get_mut(at * grid.len..(at + 1) * grid.len);
            row.unwrap_or_default().fill(false);
        }
        let mut order: Vec<usize> = Vec::new();
        for index in 0..grid.len {
            self.guard.check()?;
            let param = params.get(index).copied().unwrap_or(f64::NAN);
            for (number, group) in groups.iter().enumerate() {
                self.guard.check_at(number)?;
                let mut present = Vec::with_capacity(group.len());
                for (step, at) in group.iter().enumerate() {
                    self.guard.check_at(step)?;
                    if series.get(*at).is_some_and(|s| s.column.is_present(index)) {
                        present.push(*at);
                    }
                }
                let picked = pick(node.op, param, present, (&series, index), self.guard)?;
                for (step, at) in picked.into_iter().enumerate() {
                    self.guard.check_at(step)?;
                    if let Some(place) = chosen.get_mut(at * grid.len + index) {
                        *place = true;
                    }
                    if grid.len == 1 {
                        order.push(at);
                    }
                }
            }
        }
        let rows = chosen.chunks(grid.len.max(1));
        for (at, (one, chosen)) in series.iter_mut().zip(rows).enumerate() {
            self.guard.check_wide(at, grid.len)?;
            for (index, chosen) in chosen.iter().enumerate() {
                if !chosen {
                    one.column.clear(index);
                }
            }
        }
        if grid.len == 1 {
            // Every series is chosen once.
            let mut series: Vec<Option<Series>> = series.into_iter().map(Some).collect();
            let mut ordered = Vec::with_capacity(order.len());
            for (step, at) in order.into_iter().enumerate() {
                self.guard.check_at(step)?;
                ordered.extend(series.get_mut(at).and_then(Option::take));
            }
            let_go(series, self.guard)?;
            return Ok(Value::Vector(ordered));
        }
        let_go(groups, self.guard)?;
        retain_present(&mut series, self.guard)?;
        Ok(Value::Vector(series))
    }

    fn check_params(&mut self, op: AggregateOp, params: &[f64], span: Span) -> Result<()> {
        let max = params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = params.iter().copied().fold(f64::INFINITY, f64::min);
        let any_nan = params.iter().any(|param| param.is_nan());
        let fail = |message: String| Err(EvalError::Message(message));
        if op == AggregateOp::LimitRatio {
            if any_nan {
                return fail("Ratio value is NaN".to_owned());
            }
            if max > 1.0 {
                self.annotations.invalid_ratio(span, max, 1.0);
            }
            if min < -1.0 {
                self.annotations.invalid_ratio(span, min, -1.0);
            }
            return Ok(());
        }
        if any_nan {
            return fail("Parameter value is NaN".to_owned());
        }
        if max < 1.0 {
            return Ok(());
        }
        if min <= i64::MIN as f64 {
            let min = format_general(min);
            return fail(format!("Scalar value {min} underflows int64"));
        }
        if max >= i64::MAX as f64 {
            let max = format_general(max);
            return fail(format!("Scalar value {max} overflows int64"));
        }
        Ok(())
    }
}

/// Positions of series by group, in order of appearance.
fn groups_of(node: &Aggregate, series: &[Series], guard: &Guard) -> Result<Vec<Vec<usize>>> {
    let mut numbers = Groups::new(Left::by(node));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, one) in series.iter().enumerate() {
        guard.check_at(at)?;
        let number = numbers.number(&one.labels);
        groups.resize_with(numbers.len(), Vec::new);
        if let Some(group) = groups.get_mut(number) {
            group.push(at);
        }
    }
    numbers.let_go(guard)?;
    Ok(groups)
}

/// The chosen of the series present, in the order of the answer.
fn pick(
    op: AggregateOp,
    param: f64,
    mut present: Vec<usize>,
    (series, index): (&[Series], usize),
    guard: &Guard,
) -> Result<Vec<usize>> {
    if op == AggregateOp::LimitRatio {
        retain(&mut present, guard, |at| {
            let share = series.get(*at).map_or(0.0, |one| share_of(&one.labels));
            let ratio = param.clamp(-1.0, 1.0);
            if ratio >= 0.0 {
                share < ratio
            } else {
                share >= 1.0 + ratio
            }
        })?;
        return Ok(present);
    }
    if param.is_nan() || param < 1.0 {
        return Ok(Vec::new());
    }
    let k = param as usize;
    if op == AggregateOp::Limitk {
        present.truncate(k);
        return Ok(present);
    }
    let mut kept = Kept {
        op,
        heap: Vec::with_capacity(k.min(present.len())),
    };
    for (number, at) in present.into_iter().enumerate() {
        guard.check_at(number)?;
        let column = series.get(at).map(|one| &one.column);
        let value = column.and_then(|column| column.float(index));
        kept.offer((value.unwrap_or(f64::NAN), at), k);
    }
    kept.in_order(guard)
}

/// The best values so far: a heap with the worst on top.
///
/// Which of equal values stay depends on how the heap is kept. This one moves its elements as
/// upstream's does, so that the same series are chosen.
struct Kept {
    op: AggregateOp,
    heap: Vec<(f64, usize)>,
}

impl Kept {
    /// Whether `a` is worse than `b`; NaN is worse than anything.
    fn is_worse(&self, a: f64, b: f64) -> bool {
        a.is_nan()
            || if self.op == AggregateOp::Topk {
                a < b
            } else {
                a > b
            }
    }

    fn is_worse_at(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some((a, _)), Some((b, _))) => self.is_worse(*a, *b),
            _ => false,
        }
    }

    fn offer(&mut self, candidate: (f64, usize), k: usize) {
        if self.heap.len() < k {
            self.heap.push(candidate);
            self.sift_up();
            return;
        }
        let Some((worst, _)) = self.heap.first().copied() else {
            return;
        };
        let beats_nan = worst.is_nan() && !candidate.0.is_nan();
        if beats_nan || (!worst.is_nan() && self.is_worse(worst, candidate.0)) {
            if let Some(top) = self.heap.first_mut() {
                *top = candidate;
            }
            self.sift_down();
        }
    }

    fn sift_up(&mut self) {
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.is_worse_at(at, parent) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                return;
            }
            let child = if right < self.heap.len() && self.is_worse_at(right, left) {
                right
            } else {
                left
            };
            if !self.is_worse_at(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// The best first, NaN last.
    fn in_order(mut self, guard: &Guard) -> Result<Vec<usize>> {
        let op = self.op;
        sort_by(&mut self.heap, guard, |(a, _), (b, _)| {
            match (a.is_nan(), b.is_nan()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) if op == AggregateOp::Topk => {
                    b.partial_cmp(a).unwrap_or(Ordering::Equal)
                }
                (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            }
        })?;
        Ok(self.heap.into_iter().map(|(_, at)| at).collect())
    }
}

/// A number from 0 to 1 that is always the same for the same labels, and the same as upstream's:
/// the hash of all strings, each behind its length.
fn share_of(labels: &Labels) -> f64 {
    touch();
    let mut bytes = Vec::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        let length = text.len().to_le_bytes();
        if text.len() < 255 {
            bytes.extend(length.iter().take(1));
        } else {
            bytes.push(255);
            bytes.extend(length.iter().take(3));
        }
        bytes.extend(text.as_bytes());
    }
    xxh64(&bytes, 0) as f64 / u64::MAX as f64
}
