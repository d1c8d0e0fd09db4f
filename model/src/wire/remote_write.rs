//! Messages of Prometheus' remote write 1.0 (`prometheus.WriteRequest`) and their conversion to
//! series.

use crate::histogram::{CounterResetHint, Histogram, Span};
use crate::labels::Labels;
use crate::sample::{Exemplar, HistogramSample, Metadata, MetricType, Sample, SeriesSamples};
use crate::time::Timestamp;

/// A write.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What is known of the families.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// One series of a write.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Its labels; the specification wants them ordered by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    /// Its floats.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<WireSample>,
    /// Its exemplars.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<WireExemplar>,
    /// Its native histograms.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<WireHistogram>,
}

/// A label.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LabelPair {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A float.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct WireSample {
    /// The value; absent is 0. Always written: the encoder would leave out what equals the
    /// default, and −0 equals 0 without being it.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// An exemplar.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireExemplar {
    /// Its labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    /// The value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// A run of populated buckets.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct BucketSpan {
    /// Gap before the run.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Length of the run.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// A native histogram: integer (deltas) or float (absolute counts).
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireHistogram {
    /// All observations.
    #[prost(oneof = "Count", tags = "1, 2")]
    pub count: Option<Count>,
    /// Sum of the observations.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Resolution.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Half-width of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub zero_count: Option<ZeroCount>,
    /// Where the negative buckets lie.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Integer counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Float counts.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Where the positive buckets lie.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Integer counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Float counts.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// 0 unknown, 1 reset, 2 no reset, 3 gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Milliseconds since the epoch.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Bounds of custom buckets.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
}

/// All observations, integer or float.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum Count {
    /// Of an integer histogram.
    #[prost(uint64, tag = "1")]
    Int(u64),
    /// Of a float histogram.
    #[prost(double, tag = "2")]
    Float(f64),
}

/// Observations in the zero bucket, integer or float.
#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum ZeroCount {
    /// Of an integer histogram.
    #[prost(uint64, tag = "6")]
    Int(u64),
    /// Of a float histogram.
    #[prost(double, tag = "7")]
    Float(f64),
}

/// What is known of a family.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricMetadata {
    /// 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info, 7 state set.
    #[prost(int32, tag = "1")]
    pub metric_type: i32,
    /// The family.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// What it measures.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Its unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// The types in the order of their numbers.
const METRIC_TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

impl From<TimeSeries> for SeriesSamples {
    fn from(series: TimeSeries) -> Self {
        Self {
            labels: labels_from(&series.labels),
            samples: series
                .samples
                .iter()
                .map(|sample| Sample {
                    timestamp: Timestamp(sample.timestamp),
                    value: sample.value.unwrap_or_default(),
                })
                .collect(),
            histograms: series
                .histograms
                .iter()
                .map(HistogramSample::from)
                .collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| Exemplar {
                    labels: labels_from(&exemplar.labels),
                    value: exemplar.value,
                    timestamp: Some(Timestamp(exemplar.timestamp)),
                })
                .collect(),
        }
    }
}

impl From<&SeriesSamples> for TimeSeries {
    fn from(series: &SeriesSamples) -> Self {
        Self {
            labels: labels_to(&series.labels),
            samples: series
                .samples
                .iter()
                .map(|sample| WireSample {
                    value: Some(sample.value),
                    timestamp: sample.timestamp.millis(),
                })
                .collect(),
            exemplars: series
                .exemplars
                .iter()
                .map(|exemplar| WireExemplar {
                    labels: labels_to(&exemplar.labels),
                    value: exemplar.value,
                    timestamp: exemplar.timestamp.unwrap_or_default().millis(),
                })
                .collect(),
            histograms: series.histograms.iter().map(WireHistogram::from).collect(),
        }
    }
}

impl From<&WireHistogram> for HistogramSample {
    fn from(wire: &WireHistogram) -> Self {
        Self {
            timestamp: Timestamp(wire.timestamp),
            histogram: Histogram {
                counter_reset_hint: match wire.reset_hint {
                    1 => CounterResetHint::Reset,
                    2 => CounterResetHint::NotReset,
                    3 => CounterResetHint::Gauge,
                    _ => CounterResetHint::Unknown,
                },
                schema: wire.schema,
                zero_threshold: wire.zero_threshold,
                zero_count: match wire.zero_count {
                    Some(ZeroCount::Int(count)) => count as f64,
                    Some(ZeroCount::Float(count)) => count,
                    None => 0.0,
                },
                count: match wire.count {
                    Some(Count::Int(count)) => count as f64,
                    Some(Count::Float(count)) => count,
                    None => 0.0,
                },
                sum: wire.sum,
                positive_spans: spans_from(&wire.positive_spans),
                positive_buckets: buckets_from(&wire.positive_deltas, &wire.positive_counts),
                negative_spans: spans_from(&wire.negative_spans),
                negative_buckets: buckets_from(&wire.negative_deltas, &wire.negative_counts),
                custom_values: wire.custom_values.clone(),
            },
        }
    }
}

impl From<&HistogramSample> for WireHistogram {
    fn from(sample: &HistogramSample) -> Self {
        let histogram = &sample.histogram;
        Self {
            count: Some(Count::Float(histogram.count)),
            sum: histogram.sum,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: Some(ZeroCount::Float(histogram.zero_count)),
            negative_spans: spans_to(&histogram.negative_spans),
            negative_deltas: Vec::new(),
            negative_counts: histogram.negative_buckets.clone(),
            positive_spans: spans_to(&histogram.positive_spans),
            positive_deltas: Vec::new(),
            positive_counts: histogram.positive_buckets.clone(),
            reset_hint: match histogram.counter_reset_hint {
                CounterResetHint::Unknown => 0,
                CounterResetHint::Reset => 1,
                CounterResetHint::NotReset => 2,
                CounterResetHint::Gauge => 3,
            },
            timestamp: sample.timestamp.millis(),
            custom_values: histogram.custom_values.clone(),
        }
    }
}

/// The type that a number on the wire stands for; one that is not known stands for none.
pub fn metric_type(number: i32) -> MetricType {
    let number = usize::try_from(number).ok();
    number
        .and_then(|number| METRIC_TYPES.get(number).copied())
        .unwrap_or_default()
}

impl From<MetricMetadata> for Metadata {
    fn from(wire: MetricMetadata) -> Self {
        Self {
            family: wire.metric_family_name,
            metric_type: metric_type(wire.metric_type),
            help: wire.help,
            unit: wire.unit,
        }
    }
}

impl From<&Metadata> for MetricMetadata {
    fn from(metadata: &Metadata) -> Self {
        let number = METRIC_TYPES
            .iter()
            .position(|metric_type| *metric_type == metadata.metric_type)
            .unwrap_or_default();
        Self {
            metric_type: number as i32,
            metric_family_name: metadata.family.clone(),
            help: metadata.help.clone(),
            unit: metadata.unit.clone(),
        }
    }
}

fn labels_from(pairs: &[LabelPair]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|pair| (&pair.name, &pair.value)))
}

/// Labels as pairs, in the order of their names.
pub fn labels_to(labels: &Labels) -> Vec<LabelPair> {
    labels
        .iter()
        .map(|(name, value)| LabelPair {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect()
}

fn spans_from(spans: &[BucketSpan]) -> Vec<Span> {
    spans
        .iter()
        .map(|span| Span {
            offset: span.offset,
            length: span.length,
        })
        .collect()
}

fn spans_to(spans: &[Span]) -> Vec<BucketSpan> {
    spans
        .iter()
        .map(|span| BucketSpan {
            offset: span.offset,
            length: span.length,
        })
        .collect()
}

/// Absolute counts, from deltas where the histogram is an integer one.
fn buckets_from(deltas: &[i64], counts: &[f64]) -> Vec<f64> {
    if !counts.is_empty() {
        return counts.to_vec();
    }
    let mut count: i64 = 0;
    deltas
        .iter()
        .map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_write_survives_the_wire() {
        let series = SeriesSamples {
            labels: Labels::from_pairs([("__name__", "m"), ("a", "b")]),
            samples: vec![Sample {
                timestamp: Timestamp(5),
                value: f64::from_bits(crate::sample::STALE_NAN_BITS),
            }],
            histograms: vec![HistogramSample {
                timestamp: Timestamp(6),
                histogram: Histogram {
                    schema: 2,
                    count: 3.0,
                    sum: 1.5,
                    positive_spans: vec![Span {
                        offset: -2,
                        length: 2,
                    }],
                    positive_buckets: vec![1.0, 2.0],
                    ..Histogram::default()
                },
            }],
            exemplars: Vec::new(),
        };
        let bytes = WriteRequest {
            timeseries: vec![TimeSeries::from(&series)],
            metadata: Vec::new(),
        }
        .encode_to_vec();
        let mut back = WriteRequest::decode(bytes.as_slice()).expect("own encoding");
        let back = SeriesSamples::from(back.timeseries.remove(0));
        assert_eq!(back.labels, series.labels);
        assert_eq!(back.histograms, series.histograms);
        assert_eq!(
            back.samples[0].value.to_bits(),
            series.samples[0].value.to_bits()
        );
    }

    #[test]
    fn minus_zero_survives_the_wire() {
        let sample = Sample {
            timestamp: Timestamp(1),
            value: -0.0,
        };
        let series = SeriesSamples {
            samples: vec![sample],
            ..SeriesSamples::default()
        };
        let bytes = TimeSeries::from(&series).encode_to_vec();
        let back = SeriesSamples::from(TimeSeries::decode(bytes.as_slice()).expect("own encoding"));
        assert_eq!(back.samples[0].value.to_bits(), sample.value.to_bits());
    }

    #[test]
    fn integer_buckets_are_sums_of_deltas() {
        assert_eq!(buckets_from(&[2, -1, 3], &[]), [2.0, 1.0, 4.0]);
        assert_eq!(buckets_from(&[1], &[0.5]), [0.5]);
    }
}
