//! What a series is made of: samples, exemplars, metadata, and the staleness marker.

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::time::Timestamp;

/// The NaN that says a series has ended. Source: Prometheus' `model/value`.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// The NaN that an ordinary computation yields in Prometheus.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The staleness marker as a value.
pub const fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the staleness marker; its bits decide, for NaN equals nothing.
pub const fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// One float at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub timestamp: Timestamp,
    /// How much.
    pub value: f64,
}

/// One native histogram at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub timestamp: Timestamp,
    /// The distribution.
    pub histogram: Histogram,
}

/// A trace that stands for a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The labels of the exemplar, `trace_id` usually.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed, if the exposition said so.
    pub timestamp: Option<Timestamp>,
}

/// The samples of one series in a write: what scraping yields, what remote write carries and what
/// the store ingests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesSamples {
    /// The identity of the series.
    pub labels: Labels,
    /// Its floats, in any order.
    pub samples: Vec<Sample>,
    /// Its native histograms, in any order.
    pub histograms: Vec<HistogramSample>,
    /// Its exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// The type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Nothing was said.
    #[default]
    Unknown,
    /// Only grows, or starts again.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Buckets that may shrink.
    GaugeHistogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Labels only; the value is 1.
    Info,
    /// One series a state, 0 or 1.
    StateSet,
}

impl MetricType {
    /// The type as Prometheus' metadata API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The type an exposition names; text 0.0.4 says `untyped` for unknown.
    pub fn from_exposition(text: &str) -> Option<Self> {
        Some(match text {
            "unknown" | "untyped" => Self::Unknown,
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => return None,
        })
    }
}

/// What is known of a metric family beside its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The family's name: without `_total`, `_bucket`, `_sum`, `_count` where the type adds them.
    pub family: String,
    /// Its type.
    pub metric_type: MetricType,
    /// What it measures, for people.
    pub help: String,
    /// Its unit, where the exposition names one.
    pub unit: String,
}
