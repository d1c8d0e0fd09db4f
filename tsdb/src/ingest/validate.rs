//! The rules for labels, instants and histograms. Pure: the instants that are accepted are handed in.

use model::histogram::{Histogram, Span};
use model::labels::{Labels, METRIC_NAME};
use model::time::{TimeRange, Timestamp};

use super::limits::IngestLimits;
use super::refusal::Refusal;

/// Finest and coarsest resolution of exponential buckets.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Whether the labels name a series that may be stored.
pub(super) fn check_labels(labels: &Labels, limits: &IngestLimits) -> Result<(), Refusal> {
    let mut count = 0;
    let mut has_name = false;
    for (name, value) in labels {
        count += 1;
        has_name = has_name || name == METRIC_NAME;
        if name.is_empty() {
            let labels = labels.clone();
            return Err(Refusal::InvalidLabels { labels });
        }
        let too_long = [
            (name.len(), limits.label_name_bytes_max),
            (value.len(), limits.label_value_bytes_max),
        ];
        if let Some((bytes, limit)) = too_long.into_iter().find(|(bytes, limit)| bytes > limit) {
            return Err(Refusal::LabelTooLong {
                metric: labels.metric_name().to_owned(),
                name: name.to_owned(),
                bytes,
                limit,
            });
        }
    }
    let labels = labels.clone();
    if !has_name {
        return Err(Refusal::InvalidLabels { labels });
    }
    if count > limits.labels_max {
        return Err(Refusal::TooManyLabels {
            labels,
            count,
            limit: limits.labels_max,
        });
    }
    Ok(())
}

/// Whether an instant is accepted.
pub(super) fn check_instant(
    labels: &Labels,
    at: Timestamp,
    accepted: TimeRange,
) -> Result<(), Refusal> {
    let labels = || labels.clone();
    if at < accepted.start {
        return Err(Refusal::TooOld {
            labels: labels(),
            at,
            oldest: accepted.start,
        });
    }
    if at > accepted.end {
        return Err(Refusal::TooFarInFuture {
            labels: labels(),
            at,
        });
    }
    Ok(())
}

/// The rules that queries rely on; in upstream's words.
pub(super) fn check_histogram(
    histogram: &Histogram,
    limits: &IngestLimits,
) -> Result<(), &'static str> {
    let parts = [
        histogram.positive_spans.len(),
        histogram.negative_spans.len(),
        histogram.positive_buckets.len(),
        histogram.negative_buckets.len(),
        histogram.custom_values.len(),
    ];
    if parts.iter().sum::<usize>() > limits.histogram_buckets_max {
        return Err(
            "it has more buckets than are allowed; lower its resolution, or raise the limit",
        );
    }
    let buckets = [
        (&histogram.positive_spans, &histogram.positive_buckets),
        (&histogram.negative_spans, &histogram.negative_buckets),
    ];
    for (spans, buckets) in buckets {
        check_spans(spans, buckets.len())?;
        if buckets.iter().any(|count| *count < 0.0) {
            return Err("histogram has a bucket whose observation count is negative");
        }
    }
    if histogram.uses_custom_buckets() {
        let bounds = &histogram.custom_values;
        let ascend = bounds.iter().zip(bounds.iter().skip(1)).all(|(a, b)| a < b);
        if !ascend || bounds.iter().any(|bound| bound.is_nan()) {
            return Err("custom histogram bounds must be in strictly increasing order");
        }
        if histogram.positive_buckets.len() > bounds.len() + 1 {
            return Err("custom histogram has more buckets than bounds");
        }
        if !histogram.negative_buckets.is_empty() {
            return Err("custom buckets: must not have negative buckets");
        }
    } else if !SCHEMAS.contains(&histogram.schema) {
        return Err("histogram has an invalid schema");
    }
    Ok(())
}

fn check_spans(spans: &[Span], buckets: usize) -> Result<(), &'static str> {
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err("histogram has a span whose offset is negative");
    }
    let described: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if described != buckets as u64 {
        return Err("histogram spans specify different number of buckets than provided");
    }
    // Indices are 32 bits wide.
    let reach = spans
        .iter()
        .map(|span| i64::from(span.offset) + i64::from(span.length));
    if reach.sum::<i64>() > i64::from(i32::MAX) {
        return Err("histogram has a bucket whose index does not fit in 32 bits");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::sample::{HistogramSample, Sample, SeriesSamples};

    use super::*;
    use crate::ingest::batch::Batch;
    use crate::ingest::build::Builder;
    use crate::ingest::refusal::Refused;
    use crate::store::registry::ActiveRegistries;

    const ACCEPTED: TimeRange = TimeRange::new(Timestamp(100), Timestamp(200));

    fn series(labels: &[(&str, &str)], instants: &[i64]) -> SeriesSamples {
        SeriesSamples {
            labels: Labels::from_pairs(labels.iter().copied()),
            samples: instants
                .iter()
                .map(|at| Sample {
                    timestamp: Timestamp(*at),
                    value: 1.0,
                })
                .collect(),
            ..SeriesSamples::default()
        }
    }

    fn validate(batch: &[SeriesSamples], limits: &IngestLimits) -> (Batch, Refused) {
        let none_known = ActiveRegistries::default();
        let mut builder = Builder::new(Batch::default(), limits, ACCEPTED, &none_known);
        for series in batch {
            builder.series(series);
        }
        builder.finish()
    }

    fn check(batch: &[SeriesSamples], kept: &[&[i64]], reason: &str) {
        let limits = IngestLimits {
            labels_max: 3,
            label_value_bytes_max: 10,
            ..IngestLimits::default()
        };
        let (accepted, refused) = validate(batch, &limits);
        let instants: Vec<Vec<i64>> = accepted
            .iter()
            .map(|series| series.floats.iter().map(|s| s.timestamp.0).collect())
            .collect();
        assert_eq!(instants, kept, "{reason}");
        assert_eq!(refused.to_string(), reason);
    }

    #[test]
    fn what_breaks_a_rule_is_named_and_the_rest_is_kept() {
        let good = series(&[("__name__", "up")], &[100, 200]);
        check(std::slice::from_ref(&good), &[&[100, 200]], "");
        check(
            &[good.clone(), series(&[("job", "x")], &[100])],
            &[&[100, 200]],
            r#"invalid metric name or labels, got {job="x"}"#,
        );
        check(
            &[
                series(&[("__name__", "up"), ("", "x")], &[100]),
                good.clone(),
            ],
            &[&[100, 200]],
            r#"invalid metric name or labels, got up{""="x"}"#,
        );
        check(
            &[
                series(&[("__name__", "up"), ("a", "12345678901")], &[100]),
                good,
            ],
            &[&[100, 200]],
            "label a of metric up has 11 bytes and at most 10 are allowed; shorten it, or raise the limit",
        );
        check(
            &[series(&[("__name__", "up")], &[99, 150, 201])],
            &[&[150]],
            "too old sample: series up, timestamp 99; kept is what is not before 100\n\
             out of bounds: timestamp is too far in the future: series up, timestamp 201",
        );
        let many = [("__name__", "up"), ("a", "1"), ("b", "1"), ("c", "1")];
        check(
            &[series(&many, &[100])],
            &[],
            r#"series up{a="1", b="1", c="1"} has 4 labels and at most 3 are allowed; drop some, or raise the limit"#,
        );
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_refused() {
        let span = |offset, length| Span { offset, length };
        let custom = |bounds: &[f64]| Histogram {
            schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
            custom_values: bounds.to_vec(),
            ..Histogram::default()
        };
        let positive = |spans: &[Span], buckets: &[f64]| Histogram {
            positive_spans: spans.to_vec(),
            positive_buckets: buckets.to_vec(),
            ..Histogram::default()
        };
        for (histogram, is_valid) in [
            (Histogram::default(), true),
            (positive(&[span(-3, 2)], &[1.0, 0.0]), true),
            (positive(&[span(0, 2)], &[1.0]), false),
            (positive(&[span(0, 1), span(-1, 1)], &[1.0, 1.0]), false),
            (positive(&[span(0, 1)], &[-1.0]), false),
            (positive(&[span(i32::MAX, 1)], &[1.0]), false),
            (custom(&[1.0, 2.0]), true),
            (custom(&[2.0, 1.0]), false),
            (
                Histogram {
                    schema: 9,
                    ..Histogram::default()
                },
                false,
            ),
        ] {
            let mut batch = series(&[("__name__", "h")], &[]);
            batch.histograms.push(HistogramSample {
                timestamp: Timestamp(150),
                histogram: histogram.clone(),
            });
            let (_, refused) = validate(&[batch], &IngestLimits::default());
            assert_eq!(refused.is_empty(), is_valid, "{histogram:?}: {refused}");
        }
    }
}
