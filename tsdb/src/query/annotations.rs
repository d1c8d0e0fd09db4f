//! Warnings and infos beside a result.
//!
//! The words are upstream's, since people search for them and tools match them. One annotation is
//! shown once, at the place it arose first.

use std::collections::HashSet;

use model::labels::BUCKET;
use model::vector::format_general;

use super::ast::Span;
use super::parser::line_and_column;

/// What a query has to say beside its result.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    warnings: Vec<(String, Span)>,
    infos: Vec<(String, Span)>,
    known: HashSet<String>,
}

/// What histograms were doing when they did not fit together.
#[derive(Clone, Copy, Debug)]
pub enum HistogramOperation {
    /// `+`
    Addition,
    /// `-`
    Subtraction,
    /// Sums and averages.
    Aggregation,
}

impl HistogramOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// A message with the metric it concerns, where that is known.
fn of_metric(message: &str, metric: &str) -> String {
    if metric.is_empty() {
        message.to_owned()
    } else {
        format!("{message} for metric name {metric:?}")
    }
}

impl Annotations {
    fn warn(&mut self, span: Span, message: String) {
        if self.known.insert(message.clone()) {
            self.warnings.push((message, span));
        }
    }

    fn info(&mut self, span: Span, message: String) {
        if self.known.insert(message.clone()) {
            self.infos.push((message, span));
        }
    }

    /// Says also what was said elsewhere, later.
    pub fn absorb(&mut self, later: Self) {
        for (message, span) in later.warnings {
            self.warn(span, message);
        }
        for (message, span) in later.infos {
            self.info(span, message);
        }
    }

    /// Warnings and infos with their places in the query.
    pub fn into_texts(self, query: &str) -> (Vec<String>, Vec<String>) {
        let texts = |kind: &str, list: Vec<(String, Span)>| {
            list.into_iter()
                .map(|(message, span)| {
                    let (line, column) = line_and_column(query, span.start);
                    format!("PromQL {kind}: {message} ({line}:{column})")
                })
                .collect()
        };
        (texts("warning", self.warnings), texts("info", self.infos))
    }

    /// A quantile outside 0 to 1.
    pub fn invalid_quantile(&mut self, span: Span, quantile: f64) {
        let got = format_general(quantile);
        self.warn(
            span,
            format!("quantile value should be between 0 and 1, got {got}"),
        );
    }

    /// A ratio outside −1 to 1.
    pub fn invalid_ratio(&mut self, span: Span, ratio: f64, capped: f64) {
        let (got, to) = (format_general(ratio), format_general(capped));
        self.warn(
            span,
            format!("ratio value should be between -1 and 1, got {got}, capping to {to}"),
        );
    }

    /// A bucket of a classic histogram without a usable bound.
    pub fn bad_bucket_label(&mut self, span: Span, metric: &str, label: &str) {
        let message =
            format!("bucket label {BUCKET:?} is missing or has a malformed value of {label:?}");
        self.warn(span, of_metric(&message, metric));
    }

    /// Floats and histograms in one range or window.
    pub fn mixed_floats_and_histograms(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("encountered a mix of histograms and floats for metric name {metric:?}"),
        );
    }

    /// Floats and histograms in one group.
    pub fn mixed_group(&mut self, span: Span) {
        let message = "encountered a mix of histograms and floats for aggregation";
        self.warn(span, message.to_owned());
    }

    /// A classic and a native histogram with the same labels.
    pub fn mixed_classic_and_native(&mut self, span: Span, metric: &str) {
        let message = "vector contains a mix of classic and native histograms";
        self.warn(span, of_metric(message, metric));
    }

    /// A gauge where a counter belongs.
    pub fn histogram_not_counter(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a counter: {metric:?}"),
        );
    }

    /// A counter where a gauge belongs.
    pub fn histogram_not_gauge(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!("this native histogram metric is not a gauge: {metric:?}"),
        );
    }

    /// Exponential and custom buckets together.
    pub fn mixed_schemas(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
            ),
        );
    }

    /// Exponential and custom buckets on the sides of an operator.
    pub fn incompatible_buckets(&mut self, span: Span, operator: &str) {
        self.warn(
            span,
            format!("incompatible bucket layout encountered for binary operator {operator}"),
        );
    }

    /// One histogram was reset, another was not.
    pub fn reset_collision(&mut self, span: Span, operation: HistogramOperation) {
        let operation = operation.as_str();
        self.warn(
            span,
            format!("conflicting counter resets during histogram {operation}"),
        );
    }

    /// A sample that says it started before the one before it ended.
    pub fn start_time_overlap(&mut self, span: Span, metric: &str) {
        self.warn(
            span,
            format!(
                "sample has start time that overlaps with previous sample timestamp for metric {metric:?}"
            ),
        );
    }

    /// Sorting what will be sorted by labels.
    pub fn ineffective_sort(&mut self, span: Span) {
        let message =
            "sort is ineffective for range queries since results are always ordered by labels";
        self.warn(span, message.to_owned());
    }

    /// Custom buckets with different bounds were brought to the bounds they share.
    pub fn reconciled_buckets(&mut self, span: Span, operation: HistogramOperation) {
        let operation = operation.as_str();
        self.info(
            span,
            format!("mismatched custom buckets were reconciled during {operation}"),
        );
    }

    /// `rate` of what is not named like a counter.
    pub fn possibly_no_counter(&mut self, span: Span, metric: &str) {
        self.info(
            span,
            format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
            ),
        );
    }

    /// A classic histogram whose counts do not grow with the bounds.
    pub fn forced_monotonicity(&mut self, span: Span, metric: &str) {
        let message = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        self.info(span, of_metric(message, metric));
    }

    /// An operator that has no meaning between these kinds of samples.
    pub fn incompatible_types(&mut self, span: Span, lhs: &str, operator: &str, rhs: &str) {
        self.info(
            span,
            format!(
                "incompatible sample types encountered for binary operator {operator:?}: {lhs} {operator} {rhs}"
            ),
        );
    }

    /// Histograms left out of an aggregation.
    pub fn ignored_in_aggregation(&mut self, span: Span, aggregation: &str) {
        self.info(
            span,
            format!("ignored histogram in {aggregation} aggregation"),
        );
    }

    /// Histograms left out of a range.
    pub fn ignored_in_range(&mut self, span: Span, metric: &str) {
        self.info(
            span,
            format!(
                "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
            ),
        );
    }

    /// A quantile that lies among NaN observations.
    pub fn quantile_is_nan(&mut self, span: Span, metric: &str) {
        let message = "input to histogram_quantile has NaN observations, result is NaN";
        self.info(span, of_metric(message, metric));
    }

    /// A quantile that NaN observations push up.
    pub fn quantile_is_skewed(&mut self, span: Span, metric: &str) {
        let message = "input to histogram_quantile has NaN observations, result is skewed higher";
        self.info(span, of_metric(message, metric));
    }

    /// A fraction without the NaN observations.
    pub fn fraction_without_nan(&mut self, span: Span, metric: &str) {
        let message = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        self.info(span, of_metric(message, metric));
    }
}
