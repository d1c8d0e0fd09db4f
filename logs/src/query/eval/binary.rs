//! Operators between series.
//!
//! Which series may meet is decided by their labels alone, once for all steps; whether they do meet at
//! a step depends on both having a point there. So a series with two partners is an error only
//! where both partners have a point.

use std::collections::HashMap;

use model::labels::Labels;

use super::arithmetic::{sample_operation, scalar_operation};
use super::matrix::{Columns, Series};
use super::windows::Steps;
use crate::query::ast::{Binary, BinaryOp, Cardinality, Matching, MatchingLabels};
use crate::query::error::QueryError;

pub(super) fn evaluate(
    operation: &Binary,
    left: Columns,
    right: Columns,
    steps: Steps,
) -> Result<Columns, QueryError> {
    let Binary {
        op, return_bool, ..
    } = operation;
    match (left, right) {
        (Columns::Scalar(left), Columns::Scalar(right)) => {
            Ok(Columns::Scalar(scalar_operation(*op, left, right)))
        }
        (Columns::Series(series), Columns::Scalar(scalar)) => Ok(with_scalar(series, |value| {
            sample_operation(*op, value, scalar, value, *return_bool)
        })),
        (Columns::Scalar(scalar), Columns::Series(series)) => Ok(with_scalar(series, |value| {
            sample_operation(*op, scalar, value, value, *return_bool)
        })),
        (Columns::Series(left), Columns::Series(right)) => {
            let matching = operation.matching.as_ref();
            match op {
                BinaryOp::And => Ok(intersect(left, &right, matching, true)),
                BinaryOp::Unless => Ok(intersect(left, &right, matching, false)),
                BinaryOp::Or => Ok(union(left, right, matching, steps)),
                _ => pair(operation, &left, &right, steps),
            }
            .map(Columns::Series)
        }
    }
}

fn with_scalar(mut series: Vec<Series>, operation: impl Fn(f64) -> Option<f64>) -> Columns {
    for series in &mut series {
        for point in &mut series.points {
            *point = point.and_then(&operation);
        }
    }
    series.retain(|series| series.points.iter().any(Option::is_some));
    Columns::Series(series)
}

/// The labels two series must share to meet.
fn signature(labels: &Labels, matching: Option<&Matching>) -> Labels {
    match matching.map(|matching| &matching.labels) {
        None => labels.clone(),
        Some(MatchingLabels::On(names)) => {
            labels.filtered(|name| names.iter().any(|on| on == name))
        }
        Some(MatchingLabels::Ignoring(names)) => {
            labels.filtered(|name| !names.iter().any(|ignored| ignored == name))
        }
    }
}

/// The places of the series of each signature.
fn by_signature(series: &[Series], matching: Option<&Matching>) -> HashMap<Labels, Vec<usize>> {
    let mut places: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (at, series) in series.iter().enumerate() {
        places
            .entry(signature(&series.labels, matching))
            .or_default()
            .push(at);
    }
    places
}

/// Whether any of these series has a point at a step.
fn any_point(series: &[Series], places: Option<&Vec<usize>>, step: usize) -> bool {
    places.is_some_and(|places| {
        places.iter().any(|at| {
            series
                .get(*at)
                .is_some_and(|series| point(series, step).is_some())
        })
    })
}

fn point(series: &Series, step: usize) -> Option<f64> {
    series.points.get(step).copied().flatten()
}

/// The points of the left side that have a partner, or those that have none.
fn intersect(
    mut left: Vec<Series>,
    right: &[Series],
    matching: Option<&Matching>,
    with_partner: bool,
) -> Vec<Series> {
    let partners = by_signature(right, matching);
    for series in &mut left {
        let places = partners.get(&signature(&series.labels, matching));
        for (step, point) in series.points.iter_mut().enumerate() {
            if any_point(right, places, step) != with_partner {
                *point = None;
            }
        }
    }
    left.retain(|series| series.points.iter().any(Option::is_some));
    left
}

/// The left side, and the points of the right side that have no partner in it.
fn union(
    left: Vec<Series>,
    right: Vec<Series>,
    matching: Option<&Matching>,
    steps: Steps,
) -> Vec<Series> {
    let mut added = intersect(right, &left, matching, false);
    let mut all = left;
    for series in added.drain(..) {
        // The same series may come from either side at different steps.
        match all.iter_mut().find(|known| known.labels == series.labels) {
            Some(known) => {
                for step in 0..steps.count {
                    if let Some(slot) = known.points.get_mut(step) {
                        *slot = slot.or(point(&series, step));
                    }
                }
            }
            None => all.push(series),
        }
    }
    all
}

/// The sides as matching sees them: of the *one* at most one series may meet any of the *many*.
struct Sides<'s> {
    many: &'s [Series],
    one: &'s [Series],
    one_is_left: bool,
    included: &'s [String],
    grouped: bool,
}

impl<'s> Sides<'s> {
    fn new(matching: Option<&'s Matching>, left: &'s [Series], right: &'s [Series]) -> Self {
        let (included, grouped, one_is_left): (&[String], _, _) =
            match matching.map(|matching| &matching.cardinality) {
                Some(Cardinality::GroupRight(included)) => (included, true, true),
                Some(Cardinality::GroupLeft(included)) => (included, true, false),
                Some(Cardinality::OneToOne) | None => (&[], false, false),
            };
        let (many, one) = if one_is_left {
            (right, left)
        } else {
            (left, right)
        };
        Self {
            many,
            one,
            one_is_left,
            included,
            grouped,
        }
    }

    /// Two series of the *many* came out with the same labels.
    fn multiple_matches(&self) -> QueryError {
        QueryError::Execution(
            if self.grouped {
                "multiple matches for labels: grouping labels must ensure unique matches"
            } else {
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)"
            }
            .to_owned(),
        )
    }
}

/// What an operator leaves of the pairs so far.
#[derive(Default)]
struct Paired {
    numbers: HashMap<Labels, usize>,
    series: Vec<Series>,
    /// By series the steps that a pair has taken, whether or not a comparison kept it.
    taken: Vec<Vec<bool>>,
}

impl Paired {
    fn number(&mut self, labels: Labels, steps: Steps) -> usize {
        let next = self.series.len();
        let number = *self.numbers.entry(labels.clone()).or_insert(next);
        if number == next {
            self.series.push(Series {
                labels,
                points: vec![None; steps.count],
            });
            self.taken.push(vec![false; steps.count]);
        }
        number
    }

    /// Takes a step of a series; false where another pair has it.
    fn take(&mut self, number: usize, step: usize) -> bool {
        self.taken
            .get_mut(number)
            .and_then(|steps| steps.get_mut(step))
            .is_some_and(|taken| !std::mem::replace(taken, true))
    }

    fn set(&mut self, number: usize, step: usize, value: Option<f64>) {
        if let Some(slot) = self
            .series
            .get_mut(number)
            .and_then(|series| series.points.get_mut(step))
        {
            *slot = value;
        }
    }
}

fn pair(
    operation: &Binary,
    left: &[Series],
    right: &[Series],
    steps: Steps,
) -> Result<Vec<Series>, QueryError> {
    let matching = operation.matching.as_ref();
    let sides = Sides::new(matching, left, right);
    let partners = by_signature(sides.one, matching);
    check_unique(&sides, &partners, steps)?;
    let mut paired = Paired::default();
    for many in sides.many {
        let places = partners.get(&signature(&many.labels, matching));
        for one in places
            .into_iter()
            .flatten()
            .filter_map(|at| sides.one.get(*at))
        {
            let labels = result_labels(operation, &sides, &many.labels, &one.labels);
            let number = paired.number(labels, steps);
            for step in 0..steps.count {
                let (Some(many), Some(one)) = (point(many, step), point(one, step)) else {
                    continue;
                };
                if !paired.take(number, step) {
                    return Err(sides.multiple_matches());
                }
                let (left, right) = if sides.one_is_left {
                    (one, many)
                } else {
                    (many, one)
                };
                let value =
                    sample_operation(operation.op, left, right, left, operation.return_bool);
                paired.set(number, step, value);
            }
        }
    }
    paired
        .series
        .retain(|series| series.points.iter().any(Option::is_some));
    Ok(paired.series)
}

/// Refuses a step at which two series of the *one* side share a signature.
fn check_unique(
    sides: &Sides<'_>,
    partners: &HashMap<Labels, Vec<usize>>,
    steps: Steps,
) -> Result<(), QueryError> {
    for places in partners.values().filter(|places| places.len() > 1) {
        for step in 0..steps.count {
            let present = places
                .iter()
                .filter(|at| {
                    sides
                        .one
                        .get(**at)
                        .is_some_and(|one| point(one, step).is_some())
                })
                .count();
            if present > 1 {
                let side = if sides.one_is_left { "left" } else { "right" };
                return Err(QueryError::Execution(format!(
                    "found duplicate series on the {side} hand-side;many-to-many matching not \
                     allowed: matching labels must be unique on one side"
                )));
            }
        }
    }
    Ok(())
}

/// The labels of a pair: those of the *many*, with what `group_left` takes from the *one*; without
/// grouping only those that decided.
fn result_labels(operation: &Binary, sides: &Sides<'_>, many: &Labels, one: &Labels) -> Labels {
    if !sides.grouped {
        return signature(many, operation.matching.as_ref());
    }
    if sides.included.is_empty() {
        return many.clone();
    }
    let mut labels = many.to_builder();
    for name in sides.included {
        labels.set(name, one.get(name).unwrap_or_default());
    }
    labels.build()
}
