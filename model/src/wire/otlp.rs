//! Messages of OTLP's metrics, in protobuf and in JSON, as far as metrics are made of them.
//!
//! The alternatives of a `oneof` are optional fields here, which is the same on the wire and is what
//! JSON has. Fields that nothing is made of are left out; both decoders read over them.
//!
//! Source: `opentelemetry/proto/metrics/v1/metrics.proto` and the specification of OTLP/JSON.

mod json;

use serde::Deserialize;

/// An export.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExportMetricsServiceRequest {
    /// What was measured, by what it was measured on.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// The metrics of a resource.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourceMetrics {
    /// The resource.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Its metrics, by the library that measured.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// What is measured: a service, a host.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resource {
    /// What is known of it.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// The metrics of a library.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ScopeMetrics {
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

/// A metric; one of its kinds of data is there.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it measures, for people.
    #[prost(string, tag = "2")]
    pub description: String,
    /// Its unit, in UCUM's notation.
    #[prost(string, tag = "3")]
    pub unit: String,
    /// Values that go up and down.
    #[prost(message, optional, tag = "5")]
    pub gauge: Option<Gauge>,
    /// Sums.
    #[prost(message, optional, tag = "7")]
    pub sum: Option<Sum>,
    /// Histograms with explicit bounds.
    #[prost(message, optional, tag = "9")]
    pub histogram: Option<Histogram>,
    /// Histograms with exponential bounds.
    #[prost(message, optional, tag = "10")]
    pub exponential_histogram: Option<ExponentialHistogram>,
    /// Quantiles.
    #[prost(message, optional, tag = "11")]
    pub summary: Option<Summary>,
}

/// Values that go up and down.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Gauge {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
}

/// Sums. Temporality: 1 delta, 2 cumulative.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sum {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<NumberDataPoint>,
    /// What a value is the sum of.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "json::temporality")]
    pub aggregation_temporality: i32,
    /// Whether it only grows.
    #[prost(bool, tag = "3")]
    pub is_monotonic: bool,
}

/// Histograms with explicit bounds. Temporality as in [`Sum`].
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Histogram {
    /// The distributions.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramDataPoint>,
    /// What a distribution is of.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "json::temporality")]
    pub aggregation_temporality: i32,
}

/// Histograms with exponential bounds. Temporality as in [`Sum`].
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExponentialHistogram {
    /// The distributions.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<ExponentialHistogramDataPoint>,
    /// What a distribution is of.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "json::temporality")]
    pub aggregation_temporality: i32,
}

/// Quantiles.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Summary {
    /// The summaries.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<SummaryDataPoint>,
}

/// A number at an instant.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NumberDataPoint {
    /// Since when it counts, in nanoseconds; 0 where that is not known.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// When, in nanoseconds.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// The value, a float.
    #[prost(double, optional, tag = "4")]
    #[serde(deserialize_with = "json::optional")]
    pub as_double: Option<f64>,
    /// Traces that stand for it.
    #[prost(message, repeated, tag = "5")]
    pub exemplars: Vec<Exemplar>,
    /// The value, an integer.
    #[prost(sfixed64, optional, tag = "6")]
    #[serde(deserialize_with = "json::optional")]
    pub as_int: Option<i64>,
    /// Which series it is of.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// 1: there is no value any more.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// A distribution over explicit bounds.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HistogramDataPoint {
    /// As of a number.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// As of a number.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// All observations.
    #[prost(fixed64, tag = "4")]
    #[serde(deserialize_with = "json::number")]
    pub count: u64,
    /// Their sum, where it means something.
    #[prost(double, optional, tag = "5")]
    #[serde(deserialize_with = "json::optional")]
    pub sum: Option<f64>,
    /// Observations of each bucket, one more than there are bounds.
    #[prost(fixed64, repeated, tag = "6")]
    #[serde(deserialize_with = "json::numbers")]
    pub bucket_counts: Vec<u64>,
    /// Upper bounds.
    #[prost(double, repeated, tag = "7")]
    #[serde(deserialize_with = "json::numbers")]
    pub explicit_bounds: Vec<f64>,
    /// As of a number.
    #[prost(message, repeated, tag = "8")]
    pub exemplars: Vec<Exemplar>,
    /// As of a number.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// As of a number.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
}

/// A distribution over exponential bounds.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExponentialHistogramDataPoint {
    /// As of a number.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
    /// As of a number.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// As of a number.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// All observations.
    #[prost(fixed64, tag = "4")]
    #[serde(deserialize_with = "json::number")]
    pub count: u64,
    /// Their sum, where it means something.
    #[prost(double, optional, tag = "5")]
    #[serde(deserialize_with = "json::optional")]
    pub sum: Option<f64>,
    /// Resolution: bounds are powers of `2^(2^-scale)`.
    #[prost(sint32, tag = "6")]
    pub scale: i32,
    /// Observations of about zero.
    #[prost(fixed64, tag = "7")]
    #[serde(deserialize_with = "json::number")]
    pub zero_count: u64,
    /// Observations above it.
    #[prost(message, optional, tag = "8")]
    pub positive: Option<Buckets>,
    /// Observations below it.
    #[prost(message, optional, tag = "9")]
    pub negative: Option<Buckets>,
    /// As of a number.
    #[prost(uint32, tag = "10")]
    pub flags: u32,
    /// As of a number.
    #[prost(message, repeated, tag = "11")]
    pub exemplars: Vec<Exemplar>,
    /// Half-width of what is about zero.
    #[prost(double, tag = "14")]
    #[serde(deserialize_with = "json::number")]
    pub zero_threshold: f64,
}

/// Buckets that follow one another.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Buckets {
    /// Index of the first.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Observations of each.
    #[prost(uint64, repeated, tag = "2")]
    #[serde(deserialize_with = "json::numbers")]
    pub bucket_counts: Vec<u64>,
}

/// Quantiles at an instant.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SummaryDataPoint {
    /// As of a number.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub start_time_unix_nano: u64,
    /// As of a number.
    #[prost(fixed64, tag = "3")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// All observations.
    #[prost(fixed64, tag = "4")]
    #[serde(deserialize_with = "json::number")]
    pub count: u64,
    /// Their sum.
    #[prost(double, tag = "5")]
    #[serde(deserialize_with = "json::number")]
    pub sum: f64,
    /// The quantiles.
    #[prost(message, repeated, tag = "6")]
    pub quantile_values: Vec<ValueAtQuantile>,
    /// As of a number.
    #[prost(message, repeated, tag = "7")]
    pub attributes: Vec<KeyValue>,
    /// As of a number.
    #[prost(uint32, tag = "8")]
    pub flags: u32,
}

/// A quantile.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ValueAtQuantile {
    /// Which, from 0 to 1.
    #[prost(double, tag = "1")]
    #[serde(deserialize_with = "json::number")]
    pub quantile: f64,
    /// Its value.
    #[prost(double, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub value: f64,
}

/// A trace that stands for a point.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exemplar {
    /// When, in nanoseconds.
    #[prost(fixed64, tag = "2")]
    #[serde(deserialize_with = "json::number")]
    pub time_unix_nano: u64,
    /// The value, a float.
    #[prost(double, optional, tag = "3")]
    #[serde(deserialize_with = "json::optional")]
    pub as_double: Option<f64>,
    /// The span.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(deserialize_with = "json::hex")]
    pub span_id: Vec<u8>,
    /// The trace.
    #[prost(bytes = "vec", tag = "5")]
    #[serde(deserialize_with = "json::hex")]
    pub trace_id: Vec<u8>,
    /// The value, an integer.
    #[prost(sfixed64, optional, tag = "6")]
    #[serde(deserialize_with = "json::optional")]
    pub as_int: Option<i64>,
    /// What the point's attributes leave out.
    #[prost(message, repeated, tag = "7")]
    pub filtered_attributes: Vec<KeyValue>,
}

/// An attribute.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value; one of its kinds is there.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AnyValue {
    /// A text.
    #[prost(string, optional, tag = "1")]
    pub string_value: Option<String>,
    /// A truth.
    #[prost(bool, optional, tag = "2")]
    pub bool_value: Option<bool>,
    /// An integer.
    #[prost(int64, optional, tag = "3")]
    #[serde(deserialize_with = "json::optional")]
    pub int_value: Option<i64>,
    /// A float.
    #[prost(double, optional, tag = "4")]
    #[serde(deserialize_with = "json::optional")]
    pub double_value: Option<f64>,
    /// Several.
    #[prost(message, optional, tag = "5")]
    pub array_value: Option<ArrayValue>,
    /// Several, named.
    #[prost(message, optional, tag = "6")]
    pub kvlist_value: Option<KeyValueList>,
    /// Bytes; in JSON they are read over.
    #[prost(bytes = "vec", optional, tag = "7")]
    #[serde(skip)]
    pub bytes_value: Option<Vec<u8>>,
}

/// Several values.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// Several named values.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeyValueList {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<KeyValue>,
}

/// The answer to an export.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportMetricsServiceResponse {
    /// What was not taken; absent where everything was.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<ExportMetricsPartialSuccess>,
}

/// What was not taken of an export.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportMetricsPartialSuccess {
    /// How many points.
    #[prost(int64, tag = "1")]
    pub rejected_data_points: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
