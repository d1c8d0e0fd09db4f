//! Aggregations across series, step by step.

use std::cmp::Ordering;
use std::collections::HashMap;

use model::labels::Labels;

use super::matrix::Series;
use super::windows::{Steps, mean, variance};
use crate::query::ast::{Grouping, VectorAggregation, VectorOp};

pub(super) fn evaluate(
    aggregation: &VectorAggregation,
    inner: Vec<Series>,
    steps: Steps,
) -> Vec<Series> {
    match aggregation.op {
        VectorOp::Sort => sorted(inner, ascending),
        VectorOp::SortDesc => sorted(inner, descending),
        VectorOp::Topk | VectorOp::ApproxTopk => select(aggregation, &inner, steps, descending),
        VectorOp::Bottomk => select(aggregation, &inner, steps, ascending),
        op => combine(op, aggregation.grouping.as_ref(), &inner, steps),
    }
}

/// The labels of the group a series belongs to.
fn group_labels(grouping: Option<&Grouping>, labels: &Labels) -> Labels {
    match grouping {
        None => Labels::empty(),
        Some(Grouping::By(names)) => labels.filtered(|name| names.iter().any(|kept| kept == name)),
        Some(Grouping::Without(names)) => {
            labels.filtered(|name| !names.iter().any(|dropped| dropped == name))
        }
    }
}

/// The groups in the order they first appear, with the places of their series.
fn groups(grouping: Option<&Grouping>, inner: &[Series]) -> Vec<(Labels, Vec<usize>)> {
    let mut numbers: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (at, series) in inner.iter().enumerate() {
        let labels = group_labels(grouping, &series.labels);
        let number = *numbers.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(number) {
            members.push(at);
        }
    }
    groups
}

fn combine(
    op: VectorOp,
    grouping: Option<&Grouping>,
    inner: &[Series],
    steps: Steps,
) -> Vec<Series> {
    let mut values = Vec::new();
    groups(grouping, inner)
        .into_iter()
        .map(|(labels, members)| {
            let points = (0..steps.count)
                .map(|step| {
                    values.clear();
                    values.extend(
                        members
                            .iter()
                            .filter_map(|at| inner.get(*at)?.points.get(step).copied().flatten()),
                    );
                    (!values.is_empty()).then(|| fold(op, &values))
                })
                .collect();
            Series { labels, points }
        })
        .collect()
}

fn fold(op: VectorOp, values: &[f64]) -> f64 {
    let all = || values.iter().copied();
    match op {
        VectorOp::Sum => all().sum(),
        VectorOp::Avg => mean(all()),
        // Both pass over NaN unless there is nothing else.
        VectorOp::Min => all().fold(f64::NAN, f64::min),
        VectorOp::Max => all().fold(f64::NAN, f64::max),
        VectorOp::Stddev => variance(all()).sqrt(),
        VectorOp::Stdvar => variance(all()),
        VectorOp::Count
        | VectorOp::Topk
        | VectorOp::Bottomk
        | VectorOp::ApproxTopk
        | VectorOp::Sort
        | VectorOp::SortDesc => values.len() as f64,
    }
}

/// Keeps the first `parameter` points of each group at each step, in the order given.
fn select(
    aggregation: &VectorAggregation,
    inner: &[Series],
    steps: Steps,
    order: fn(f64, f64) -> Ordering,
) -> Vec<Series> {
    let wanted = aggregation.parameter.unwrap_or(1);
    let groups = groups(aggregation.grouping.as_ref(), inner);
    let mut selected: Vec<Series> = inner
        .iter()
        .map(|series| Series {
            labels: series.labels.clone(),
            points: vec![None; steps.count],
        })
        .collect();
    for (_, members) in groups {
        for step in 0..steps.count {
            let mut candidates: Vec<(usize, f64)> = members
                .iter()
                .filter_map(|at| Some((*at, inner.get(*at)?.points.get(step).copied().flatten()?)))
                .collect();
            candidates.sort_by(|a, b| order(a.1, b.1));
            for (at, value) in candidates.into_iter().take(wanted) {
                if let Some(point) = selected
                    .get_mut(at)
                    .and_then(|series| series.points.get_mut(step))
                {
                    *point = Some(value);
                }
            }
        }
    }
    selected.retain(|series| series.points.iter().any(Option::is_some));
    selected
}

/// Orders an instant vector by value; over a range there is no one value, and the order stays.
fn sorted(mut inner: Vec<Series>, order: impl Fn(f64, f64) -> Ordering) -> Vec<Series> {
    if inner.iter().all(|series| series.points.len() == 1) {
        let value = |series: &Series| series.points.first().copied().flatten().unwrap_or(f64::NAN);
        inner.sort_by(|a, b| order(value(a), value(b)));
    }
    inner
}

/// NaN comes last in either order.
fn ascending(a: f64, b: f64) -> Ordering {
    a.is_nan()
        .cmp(&b.is_nan())
        .then_with(|| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan()
        .cmp(&b.is_nan())
        .then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}
