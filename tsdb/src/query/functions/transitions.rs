//! How often a series changed, and how often a counter started again.

use model::histogram::Histogram;

use super::rate::started_between;
use super::window::{Sample, Window};
use crate::query::annotations::Annotations;
use crate::query::ast::Extension;

type Outcome = Result<Option<Sample>, String>;

/// A sample of either kind.
#[derive(Clone, Copy)]
struct Point<'a> {
    at: i64,
    start: i64,
    value: Result<f64, &'a Histogram>,
}

/// `changes`
pub fn changes(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    Ok(count(window, |before, now| {
        match (before.value, now.value) {
            (Ok(a), Ok(b)) => a != b && !(a.is_nan() && b.is_nan()),
            (Err(a), Err(b)) => !b.equals(a),
            _ => true,
        }
    }))
}

/// `resets`
pub fn resets(window: &Window<'_>, _: &mut Annotations) -> Outcome {
    Ok(count(window, |before, now| {
        let started = started_between(before.start, before.at, now.start, now.at);
        match (before.value, now.value) {
            (Ok(a), Ok(b)) => b < a || started,
            (Err(a), Err(b)) => started || b.is_reset_after(a),
            _ => true,
        }
    }))
}

/// Counts the neighbours between which something happened.
fn count(window: &Window<'_>, happened: impl Fn(&Point<'_>, &Point<'_>) -> bool) -> Option<Sample> {
    let points = points(window);
    if points.is_empty() {
        return None;
    }
    let pairs = points.iter().zip(points.iter().skip(1));
    let count = pairs.filter(|(before, now)| happened(before, now)).count();
    Some(Sample::Float(count as f64))
}

/// All samples in order of time; anchored, from the last at or before the range on.
fn points<'a>(window: &Window<'a>) -> Vec<Point<'a>> {
    let start = |starts: &[i64], index: usize| starts.get(index).copied().unwrap_or_default();
    let floats = window
        .floats()
        .enumerate()
        .map(|(index, (at, value))| Point {
            at,
            start: start(window.starts, index),
            value: Ok(value),
        });
    let histograms = window.histograms.iter().enumerate();
    let histograms = histograms.map(|(index, (at, histogram))| Point {
        at: at.millis(),
        start: start(window.histogram_starts, index),
        value: Err(&**histogram),
    });
    let mut points: Vec<Point<'a>> = floats.chain(histograms).collect();
    if !window.histograms.is_empty() {
        points.sort_by_key(|point| point.at);
    }
    if window.extension == Extension::Anchored {
        let after_start = points.partition_point(|point| point.at <= window.start);
        if after_start == points.len() {
            return Vec::new();
        }
        points.drain(..after_start.saturating_sub(1));
    }
    points
}
