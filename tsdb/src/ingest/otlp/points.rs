//! Points to samples.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::{Labels, METRIC_NAME};
use model::sample::{Exemplar, HistogramSample, Sample, SeriesSamples, stale_nan};
use model::time::Timestamp;
use model::vector::format_float;
use model::wire::otlp;

use super::super::batch::Start;
use super::super::build::{Builder, GiveUp};
use super::super::refusal::Refusal;
use super::labels_of;

/// The flag of a point that has no value.
const NO_RECORDED_VALUE: u32 = 1;
/// From one sample of `target_info` to the next: half of how long a sample counts.
const TARGET_INFO_MS: i64 = 150_000;
/// Samples of `target_info` of one export: a week of them.
const TARGET_INFO_MAX: usize = 4_032;
/// Finest and coarsest resolution of native histograms.
const SCALE_MAX: i32 = 8;
const SCALE_MIN: i32 = -4;
/// Where a sender says nothing. Source: Prometheus.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Characters that the labels of an exemplar may have. Source: OpenMetrics.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Writes the series of one resource.
pub(super) struct Writer<'w, 'b> {
    identity: &'w BTreeMap<String, String>,
    pub(super) builder: &'w mut Builder<'b>,
    /// The first and the last instant of a point.
    span: Option<(i64, i64)>,
}

/// What the samples that one point becomes have in common.
struct Point {
    labels: BTreeMap<String, String>,
    at: i64,
    start: i64,
    has_value: bool,
}

impl<'w, 'b> Writer<'w, 'b> {
    pub(super) const fn new(
        identity: &'w BTreeMap<String, String>,
        builder: &'w mut Builder<'b>,
    ) -> Self {
        Self {
            identity,
            builder,
            span: None,
        }
    }

    pub(super) const fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// Writes the points of a metric.
    pub(super) fn write(&mut self, metric: &otlp::Metric, name: &str) -> Result<(), GiveUp> {
        let gauges = metric.gauge.iter().flat_map(|gauge| &gauge.data_points);
        let sums = metric.sum.iter().flat_map(|sum| &sum.data_points);
        for point in gauges.chain(sums) {
            let of = self.point(
                &point.attributes,
                point.time_unix_nano,
                point.start_time_unix_nano,
                point.flags,
            );
            let value = match (point.as_double, point.as_int) {
                (Some(float), _) => float,
                (None, Some(integer)) => integer as f64,
                (None, None) => 0.0,
            };
            self.float(&of, name, None, value, exemplars_of(&point.exemplars))?;
        }
        for point in metric.histogram.iter().flat_map(|of| &of.data_points) {
            self.classic(point, name)?;
        }
        for point in metric
            .exponential_histogram
            .iter()
            .flat_map(|of| &of.data_points)
        {
            self.exponential(point, metric, name)?;
        }
        for point in metric.summary.iter().flat_map(|of| &of.data_points) {
            let of = self.point(
                &point.attributes,
                point.time_unix_nano,
                point.start_time_unix_nano,
                point.flags,
            );
            self.float(&of, &format!("{name}_sum"), None, point.sum, Vec::new())?;
            let count = point.count as f64;
            self.float(&of, &format!("{name}_count"), None, count, Vec::new())?;
            for quantile in &point.quantile_values {
                let label = plain(quantile.quantile);
                let label = Some(("quantile", label.as_str()));
                self.float(&of, name, label, quantile.value, Vec::new())?;
            }
        }
        Ok(())
    }

    fn point(&mut self, attributes: &[otlp::KeyValue], at: u64, start: u64, flags: u32) -> Point {
        let millis = |nanos: u64| i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX);
        let at = millis(at);
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(at), last.max(at)),
            None => (at, at),
        });
        let mut labels = labels_of(attributes.iter());
        labels.extend(self.identity.clone());
        Point {
            labels,
            at,
            start: millis(start),
            has_value: flags & NO_RECORDED_VALUE == 0,
        }
    }

    fn float(
        &mut self,
        of: &Point,
        name: &str,
        label: Option<(&str, &str)>,
        value: f64,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), GiveUp> {
        let sample = Sample {
            timestamp: Timestamp(of.at),
            value: if of.has_value { value } else { stale_nan() },
        };
        let series = SeriesSamples {
            labels: labelled(of, name, label),
            samples: vec![sample],
            histograms: Vec::new(),
            exemplars,
        };
        self.series(&series, of)
    }

    fn series(&mut self, series: &SeriesSamples, of: &Point) -> Result<(), GiveUp> {
        let bytes = series.labels.as_encoded().len() + size_of::<SeriesSamples>();
        let buckets = series.histograms.iter();
        let buckets = buckets
            .map(|sample| 8 * sample.histogram.budget_size())
            .sum::<usize>();
        self.builder.weigh(bytes + 2 * buckets)?;
        if self.builder.series(series) && of.start != 0 {
            self.builder.start_series(&[Start {
                at: of.at,
                start: of.start,
            }]);
        }
        Ok(())
    }

    /// A histogram with explicit bounds: a series a bucket, each counting what the ones below it do.
    fn classic(&mut self, point: &otlp::HistogramDataPoint, name: &str) -> Result<(), GiveUp> {
        let of = self.point(
            &point.attributes,
            point.time_unix_nano,
            point.start_time_unix_nano,
            point.flags,
        );
        if let Some(sum) = point.sum {
            self.float(&of, &format!("{name}_sum"), None, sum, Vec::new())?;
        }
        let count = point.count as f64;
        self.float(&of, &format!("{name}_count"), None, count, Vec::new())?;
        let name = format!("{name}_bucket");
        let mut exemplars = exemplars_of(&point.exemplars);
        let mut below = 0u64;
        for (bound, observed) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            below = below.saturating_add(*observed);
            let own = exemplars
                .extract_if(.., |exemplar| exemplar.value <= *bound)
                .collect();
            self.float(&of, &name, Some(("le", &plain(*bound))), below as f64, own)?;
        }
        self.float(&of, &name, Some(("le", "+Inf")), count, exemplars)
    }

    /// A histogram with exponential bounds: a native one.
    fn exponential(
        &mut self,
        point: &otlp::ExponentialHistogramDataPoint,
        metric: &otlp::Metric,
        name: &str,
    ) -> Result<(), GiveUp> {
        let of = self.point(
            &point.attributes,
            point.time_unix_nano,
            point.start_time_unix_nano,
            point.flags,
        );
        if point.scale < SCALE_MIN {
            self.builder.refuse(1, || Refusal::Untranslatable {
                metric: metric.name.clone(),
                reason: "its scale is below -4, which no native histogram has; let the sender merge fewer buckets",
            });
            return Ok(());
        }
        let schema = point.scale.min(SCALE_MAX);
        let finer = (point.scale - schema).cast_unsigned();
        let side = |buckets: &Option<otlp::Buckets>| {
            buckets
                .as_ref()
                .map_or_else(Default::default, |buckets| counts(buckets, finer))
        };
        let (positive_spans, positive_buckets) = side(&point.positive);
        let (negative_spans, negative_buckets) = side(&point.negative);
        let histogram = if of.has_value {
            Histogram {
                counter_reset_hint: CounterResetHint::Unknown,
                schema,
                zero_threshold: if point.zero_threshold > 0.0 {
                    point.zero_threshold
                } else {
                    ZERO_THRESHOLD
                },
                zero_count: point.zero_count as f64,
                count: point.count as f64,
                sum: point.sum.unwrap_or_default(),
                positive_spans,
                positive_buckets,
                negative_spans,
                negative_buckets,
                custom_values: Vec::new(),
            }
        } else {
            Histogram {
                sum: stale_nan(),
                ..Histogram::default()
            }
        };
        let series = SeriesSamples {
            labels: labelled(&of, name, None),
            samples: Vec::new(),
            histograms: vec![HistogramSample {
                timestamp: Timestamp(of.at),
                histogram,
            }],
            exemplars: exemplars_of(&point.exemplars),
        };
        self.series(&series, &of)
    }

    /// What is known of the resource, as long as there are points of it.
    pub(super) fn target_info(
        &mut self,
        labels: &BTreeMap<String, String>,
        earliest: i64,
        latest: i64,
    ) -> Result<(), GiveUp> {
        // From the latest back: what is too long ago to be told of is of no use.
        let before = (1..).map(|number: i64| {
            let back = number.checked_mul(TARGET_INFO_MS)?;
            latest.checked_sub(back).filter(|at| *at > earliest)
        });
        let before = before.map_while(|at| at).take(TARGET_INFO_MAX);
        let mut instants: Vec<i64> = std::iter::once(latest).chain(before).collect();
        if instants.last() != Some(&earliest) && instants.len() < TARGET_INFO_MAX {
            instants.push(earliest);
        }
        self.builder.weigh(instants.len() * size_of::<Sample>())?;
        let samples = instants.iter().rev().map(|at| Sample {
            timestamp: Timestamp(*at),
            value: 1.0,
        });
        self.builder.series(&SeriesSamples {
            labels: Labels::from_pairs(labels),
            samples: samples.collect(),
            ..SeriesSamples::default()
        });
        Ok(())
    }
}

fn labelled(of: &Point, name: &str, label: Option<(&str, &str)>) -> Labels {
    let own = of
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let is_added =
        |name: &str| name == METRIC_NAME || label.is_some_and(|(added, _)| added == name);
    let own = own.filter(|(name, _)| !is_added(name));
    Labels::from_pairs(own.chain(label).chain([(METRIC_NAME, name)]))
}

/// A float without an exponent.
fn plain(value: f64) -> String {
    if value.is_finite() {
        return format!("{value}");
    }
    format_float(value)
}

/// Spans and counts of buckets that follow one another, merged where the scale is finer by `finer`
/// than a native histogram's may be. Index 0 of OTLP is index 1 here: bounds count to the other side.
fn counts(buckets: &otlp::Buckets, finer: u32) -> (Vec<Span>, Vec<f64>) {
    let mut merged: Vec<f64> = Vec::new();
    let index_of = |index: i64| (index >> finer.min(62)) + 1;
    let first = index_of(i64::from(buckets.offset));
    let mut last = None;
    for (index, count) in (i64::from(buckets.offset)..).zip(&buckets.bucket_counts) {
        let index = index_of(index);
        match merged.last_mut() {
            Some(sum) if last == Some(index) => *sum += *count as f64,
            _ => merged.push(*count as f64),
        }
        last = Some(index);
    }
    // Empty buckets at both ends say nothing.
    let leading = merged.iter().take_while(|count| **count == 0.0).count();
    let mut populated = merged.split_off(leading);
    let end = populated.iter().rposition(|count| *count != 0.0);
    populated.truncate(end.map_or(0, |end| end + 1));
    let offset = i32::try_from(first.saturating_add(leading as i64)).unwrap_or(i32::MAX);
    let length = u32::try_from(populated.len()).unwrap_or(u32::MAX);
    let spans = (length > 0).then_some(Span { offset, length });
    (spans.into_iter().collect(), populated)
}

fn exemplars_of(exemplars: &[otlp::Exemplar]) -> Vec<Exemplar> {
    let made = exemplars.iter().map(|exemplar| {
        let mut pairs = Vec::new();
        for (name, id) in [
            ("trace_id", &exemplar.trace_id),
            ("span_id", &exemplar.span_id),
        ] {
            if id.iter().any(|byte| *byte != 0) {
                pairs.push((name.to_owned(), hex(id)));
            }
        }
        let filtered = exemplar.filtered_attributes.iter();
        let filtered: Vec<_> = filtered
            .map(|pair| (pair.key.clone(), super::text_of(pair)))
            .collect();
        let all = pairs.iter().chain(&filtered);
        let chars = all.map(|(name, value)| name.chars().count() + value.chars().count());
        if chars.sum::<usize>() <= EXEMPLAR_CHARS_MAX {
            pairs.extend(filtered);
        }
        Exemplar {
            labels: Labels::from_pairs(pairs),
            value: exemplar
                .as_double
                .or(exemplar.as_int.map(|value| value as f64))
                .unwrap_or_default(),
            timestamp: Some(Timestamp((exemplar.time_unix_nano / 1_000_000) as i64)),
        }
    });
    made.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
