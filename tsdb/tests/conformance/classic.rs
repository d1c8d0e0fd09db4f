//! Classic histograms as native ones with custom buckets.

use std::collections::BTreeMap;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};
use model::labels::{BUCKET, Labels, METRIC_NAME};

use super::points::{Point, float};

/// What is known of a classic histogram at one instant.
#[derive(Default)]
struct Parts {
    /// Bounds and cumulative counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The native histograms of all classic ones among the series.
pub fn natives(series: &[(Labels, Vec<Point>)], step: i64) -> Vec<(Labels, i64, Histogram)> {
    let mut all: BTreeMap<(Labels, i64), Parts> = BTreeMap::new();
    for (labels, points) in series {
        let name = labels.metric_name();
        let Some((base, suffix)) = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| Some((name.strip_suffix(suffix)?, *suffix)))
        else {
            continue;
        };
        let bound = labels.get(BUCKET).and_then(float);
        if suffix == "_bucket" && bound.is_none() {
            continue;
        }
        let mut builder = labels.to_builder();
        builder.set(METRIC_NAME, base).remove(BUCKET);
        let labels = builder.build();
        for (index, point) in points.iter().enumerate() {
            let Point::Float(value) = point else {
                continue;
            };
            let key = (labels.clone(), index as i64 * step);
            let parts = all.entry(key).or_default();
            match (suffix, bound) {
                ("_bucket", Some(bound)) => parts.buckets.push((bound, *value)),
                ("_count", _) => parts.count = Some(*value),
                _ => parts.sum = *value,
            }
        }
    }
    all.into_iter()
        .filter_map(|((labels, at), parts)| Some((labels, at, native(parts)?)))
        .collect()
}

fn native(mut parts: Parts) -> Option<Histogram> {
    parts.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = *parts.buckets.last()?;
    let count = parts.count.unwrap_or(last.1);
    if last.0 != f64::INFINITY {
        parts.buckets.push((f64::INFINITY, count));
    }
    let mut counts = Vec::new();
    let mut below = 0.0;
    for (_, cumulative) in &parts.buckets {
        if *cumulative < below {
            return None;
        }
        counts.push(cumulative - below);
        below = *cumulative;
    }
    let bounds = parts.buckets.iter().map(|(bound, _)| *bound);
    let histogram = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: parts.sum,
        custom_values: bounds.filter(|bound| bound.is_finite()).collect(),
        positive_spans: vec![Span {
            offset: 0,
            length: counts.len() as u32,
        }],
        positive_buckets: counts,
        ..Histogram::default()
    };
    Some(histogram.compacted())
}
