//! Operators with a scalar side, and set operators.

use model::sample::is_stale_nan;

use super::arithmetic::{Operand, floats, of_floats};
use super::column::SERIES_BYTES;
use super::groups::{Groups, Left};
use super::{Column, Evaluator, Grid, Result, Series, Value, merge_same_labels};
use crate::query::ast::{Binary, BinaryOp, Matching, Span};
use crate::query::giving_up::{let_go, retain_present};
use crate::query::source::Guard;

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, node: &Binary, grid: Grid) -> Result<Value> {
        let lhs = self.eval(&node.lhs, grid)?;
        let rhs = self.eval(&node.rhs, grid)?;
        let span = node.lhs.span().to(node.rhs.span());
        match (lhs, rhs) {
            (Value::Scalar(lhs), Value::Scalar(rhs)) => {
                let pairs = lhs.into_iter().zip(rhs);
                let values = pairs.map(|(a, b)| floats(node.op, a, b));
                Ok(Value::Scalar(values.collect()))
            }
            (Value::Vector(lhs), Value::Scalar(rhs)) => {
                self.with_scalar(node, lhs, &rhs, Side::Right, span)
            }
            (Value::Scalar(lhs), Value::Vector(rhs)) => {
                self.with_scalar(node, rhs, &lhs, Side::Left, span)
            }
            (Value::Vector(lhs), Value::Vector(rhs)) => {
                let default = Matching::default();
                let matching = node.matching.as_ref().unwrap_or(&default);
                match node.op {
                    BinaryOp::And | BinaryOp::Unless => {
                        self.room(rhs.len() * (grid.len + SERIES_BYTES))?;
                        let kept = keep_matched(node.op, lhs, &rhs, (matching, grid), self.guard)?;
                        let_go(rhs, self.guard)?;
                        Ok(kept)
                    }
                    BinaryOp::Or => {
                        self.room(lhs.len() * (grid.len + SERIES_BYTES))?;
                        either(lhs, rhs, (matching, grid), self.guard)
                    }
                    _ => {
                        let met = self.matched(node, matching, &lhs, &rhs, grid)?;
                        let_go(lhs, self.guard)?;
                        let_go(rhs, self.guard)?;
                        Ok(met)
                    }
                }
            }
        }
    }

    fn with_scalar(
        &mut self,
        node: &Binary,
        mut series: Vec<Series>,
        scalars: &[f64],
        scalar_side: Side,
        span: Span,
    ) -> Result<Value> {
        let renames = node.op.changes_meaning() || node.returns_bool;
        for (at, one) in series.iter_mut().enumerate() {
            self.guard.check_wide(at, scalars.len())?;
            if node.op.is_of_floats()
                && let Some(values) = one.column.floats_alone_mut()
            {
                for (value, scalar) in values.iter_mut().zip(scalars) {
                    *value = match scalar_side {
                        _ if is_stale_nan(*value) => continue,
                        Side::Right => of_floats(node, *value, *scalar, *value),
                        Side::Left => of_floats(node, *scalar, *value, *value),
                    };
                }
                continue;
            }
            let mut column = Column::absent(one.column.len());
            for (index, scalar) in scalars.iter().enumerate() {
                let Some(sample) = one.column.get(index) else {
                    continue;
                };
                let (lhs, rhs) = match scalar_side {
                    Side::Right => (sample.operand(), Operand::Float(*scalar)),
                    Side::Left => (Operand::Float(*scalar), sample.operand()),
                };
                let Some(outcome) = self.combine(node.op, lhs, rhs, span) else {
                    continue;
                };
                if node.returns_bool {
                    column.set_float(index, f64::from(outcome.holds));
                } else if outcome.holds {
                    // A comparison passes the vector's value on, whichever side it stands on.
                    let passes = node.op.is_comparison();
                    column.set(index, if passes { sample } else { outcome.sample });
                }
            }
            one.column = column;
        }
        retain_present(&mut series, self.guard)?;
        if renames {
            for (at, one) in series.iter_mut().enumerate() {
                self.guard.check_at(at)?;
                self.drop_name(one);
            }
            series = self.apart(series)?;
        }
        Ok(Value::Vector(series))
    }
}

/// A side of an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// At which instants each group of series is present.
struct Presence<'n> {
    groups: Groups<'n>,
    instants: Vec<Vec<bool>>,
}

impl<'n> Presence<'n> {
    fn of(
        series: &[Series],
        (matching, grid): (&'n Matching, Grid),
        guard: &Guard,
    ) -> Result<Self> {
        let mut groups = Groups::new(Left::matched(matching));
        let mut instants: Vec<Vec<bool>> = Vec::with_capacity(series.len());
        for (at, one) in series.iter().enumerate() {
            guard.check_wide(at, grid.len)?;
            let number = groups.number(&one.labels);
            instants.resize_with(groups.len(), || vec![false; grid.len]);
            let seen = instants.get_mut(number).into_iter().flatten();
            for (index, seen) in seen.enumerate() {
                *seen |= one.column.is_present(index);
            }
        }
        Ok(Self { groups, instants })
    }

    /// Where the group of a series is present; nothing where there is no such group.
    fn like(&mut self, one: &Series) -> Option<&[bool]> {
        let number = self.groups.find(&one.labels)?;
        self.instants.get(number).map(Vec::as_slice)
    }

    fn let_go(self, guard: &Guard) -> Result<()> {
        let_go(self.instants, guard)?;
        self.groups.let_go(guard)
    }
}

/// `and` and `unless`: the left side where the right is, or is not.
fn keep_matched(
    op: BinaryOp,
    mut lhs: Vec<Series>,
    rhs: &[Series],
    (matching, grid): (&Matching, Grid),
    guard: &Guard,
) -> Result<Value> {
    let mut present = Presence::of(rhs, (matching, grid), guard)?;
    let wanted = op == BinaryOp::And;
    for (at, one) in lhs.iter_mut().enumerate() {
        guard.check_wide(at, grid.len)?;
        let instants = present.like(one);
        for index in 0..grid.len {
            let matched = instants.is_some_and(|seen| seen.get(index).copied().unwrap_or(false));
            if matched != wanted {
                one.column.clear(index);
            }
        }
    }
    present.let_go(guard)?;
    retain_present(&mut lhs, guard)?;
    Ok(Value::Vector(lhs))
}

/// `or`: the left side, and the right where no left one is.
fn either(
    lhs: Vec<Series>,
    mut rhs: Vec<Series>,
    (matching, grid): (&Matching, Grid),
    guard: &Guard,
) -> Result<Value> {
    let mut present = Presence::of(&lhs, (matching, grid), guard)?;
    for (at, one) in rhs.iter_mut().enumerate() {
        guard.check_wide(at, grid.len)?;
        let Some(instants) = present.like(one) else {
            continue;
        };
        for (index, seen) in instants.iter().enumerate() {
            if *seen {
                one.column.clear(index);
            }
        }
    }
    present.let_go(guard)?;
    retain_present(&mut rhs, guard)?;
    // The same series may be left at one instant and right at another.
    let mut all = lhs;
    if all.is_empty() {
        // Moving a million of them would be a piece of its own.
        all = rhs;
    } else {
        all.append(&mut rhs);
    }
    Ok(Value::Vector(merge_same_labels(all, guard)?))
}
