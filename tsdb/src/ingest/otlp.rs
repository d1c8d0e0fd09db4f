//! An export of OTLP's metrics to a batch, as Prometheus translates it by default.
//!
//! Names become names of Prometheus ([`names`]). `service.name` and `service.namespace` become `job`,
//! `service.instance.id` becomes `instance`, and the other attributes of a resource labels of a series
//! `target_info`. Sums that only grow are counters; histograms with explicit bounds are classic
//! ones, exponential ones are native. What is not cumulative is not taken: whoever sends deltas must keep
//! their sum. A start is kept as the start of the sample. Points that say that there is no value any more
//! end their series.
//!
//! - [`weight`]: how much an export asks for, before it is decoded.
//! - [`names`]: names of metrics and labels.
//! - [`points`]: points to samples.
//!
//! Source: the OpenTelemetry specification "Prometheus and OpenMetrics compatibility".

mod names;
mod points;
#[cfg(test)]
mod tests;
mod weight;

use std::collections::BTreeMap;

use model::labels::METRIC_NAME;
use model::sample::{Metadata, MetricType};
use model::time::TimeRange;
use model::wire::otlp::{AnyValue, ExportMetricsServiceRequest, KeyValue, Metric, ResourceMetrics};
use prost::Message as _;
use serde_json::Value as Json;
use storage::codec::Malformed;

use super::batch::Batch;
use super::build::{Builder, GiveUp};
use super::limits::IngestLimits;
use super::refusal::{Refusal, Refused};
use crate::store::registry::ActiveRegistries;
use names::{NameKind, label_name, metric_name};
use points::Writer;

/// Attributes that say which resource it is; they are `job` and `instance`.
const NAME: &str = "service.name";
const NAMESPACE: &str = "service.namespace";
const INSTANCE_ID: &str = "service.instance.id";
const CUMULATIVE: i32 = 2;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf.
    Protobuf,
    /// JSON.
    Json,
}

/// Why the bytes are no export.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// They are not the message.
    #[error("protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// They are not the message.
    #[error("protobuf: {0}")]
    Wire(#[from] Malformed),
    /// They are not the message.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// A text is not UTF-8; the decoders see to it that there is none.
    #[error("a text is not UTF-8")]
    NotText,
    /// They decode to more than is allowed.
    #[error(
        "the request takes {bytes} bytes decoded and at most {limit} are allowed; send less at once, or raise the limit"
    )]
    TooHeavy {
        /// How much they take.
        bytes: usize,
        /// How much they may take.
        limit: usize,
    },
}

/// Decodes an export: what may be stored of it, and what may not.
pub fn decode(
    body: &[u8],
    encoding: Encoding,
    limits: &IngestLimits,
    accepted: TimeRange,
) -> Result<(Batch, Refused), OtlpError> {
    let limit = limits.decoded_bytes_max;
    let bytes = match encoding {
        Encoding::Protobuf => weight::of_request(body)?,
        Encoding::Json => weight::of_json(body),
    };
    if bytes > limit {
        return Err(OtlpError::TooHeavy { bytes, limit });
    }
    let request: ExportMetricsServiceRequest = match encoding {
        Encoding::Protobuf => ExportMetricsServiceRequest::decode(body)?,
        Encoding::Json => serde_json::from_slice(body)?,
    };
    let none_known = ActiveRegistries::default();
    let mut builder = Builder::new(Batch::default(), limits, accepted, &none_known);
    for resource in &request.resource_metrics {
        translate(resource, &mut builder).map_err(|reason| match reason {
            GiveUp::TooHeavy(bytes) => OtlpError::TooHeavy { bytes, limit },
            GiveUp::NotText => OtlpError::NotText,
        })?;
    }
    Ok(builder.finish())
}

fn translate(of: &ResourceMetrics, builder: &mut Builder<'_>) -> Result<(), GiveUp> {
    let attributes = of
        .resource
        .as_ref()
        .map(|resource| resource.attributes.as_slice());
    let attributes = attributes.unwrap_or_default();
    let identity = identity_of(attributes);
    let mut writer = Writer::new(&identity, builder);
    for metric in of.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        write_metric(metric, &mut writer)?;
    }
    let (Some((earliest, latest)), false) = (writer.span(), identity.is_empty()) else {
        return Ok(());
    };
    let is_identity = |key: &str| [NAME, NAMESPACE, INSTANCE_ID].contains(&key);
    let mut others = attributes
        .iter()
        .filter(|pair| !is_identity(&pair.key))
        .peekable();
    if others.peek().is_none() {
        return Ok(());
    }
    let mut labels = labels_of(others);
    labels.extend(identity.clone());
    labels.insert(METRIC_NAME.to_owned(), "target_info".to_owned());
    writer.target_info(&labels, earliest, latest)
}

/// `job` and `instance`, as far as a resource says them.
fn identity_of(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let get = |key: &str| {
        let mut pairs = attributes.iter();
        pairs.find(|pair| pair.key == key).map(text_of)
    };
    let job = get(NAME).map(|name| match get(NAMESPACE) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    });
    let labels = [("job", job), ("instance", get(INSTANCE_ID))];
    let labels = labels
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    labels.collect()
}

/// Attributes as labels. Where two have one name now, their values stand behind one another.
fn labels_of<'a>(pairs: impl Iterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    let mut pairs: Vec<&KeyValue> = pairs.collect();
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for pair in pairs {
        let Some(name) = label_name(&pair.key) else {
            continue;
        };
        let value = text_of(pair);
        labels
            .entry(name)
            .and_modify(|known| {
                known.push(';');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    labels
}

/// The value of an attribute as a text.
fn text_of(pair: &KeyValue) -> String {
    match pair.value.as_ref().map(json_of) {
        Some(Json::String(text)) => text,
        Some(Json::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// A value as JSON; a float that is whole has no fraction.
fn json_of(value: &AnyValue) -> Json {
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().map_or(Json::Null, json_of);
        (pair.key.clone(), value)
    };
    if let Some(text) = &value.string_value {
        text.as_str().into()
    } else if let Some(truth) = value.bool_value {
        truth.into()
    } else if let Some(integer) = value.int_value {
        integer.into()
    } else if let Some(float) = value.double_value {
        if float.fract() == 0.0 && float.abs() < 1e15 {
            (float as i64).into()
        } else {
            serde_json::Number::from_f64(float).map_or_else(|| float.to_string().into(), Json::from)
        }
    } else if let Some(array) = &value.array_value {
        array.values.iter().map(json_of).collect()
    } else if let Some(list) = &value.kvlist_value {
        Json::Object(list.values.iter().map(pair).collect())
    } else if let Some(bytes) = &value.bytes_value {
        base64(bytes).into()
    } else {
        Json::Null
    }
}

/// Bytes in the usual alphabet of 64, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            let digit = ALPHABET.get(digit as usize).copied().unwrap_or(b'=');
            out.push(char::from(if place <= chunk.len() { digit } else { b'=' }));
        }
    }
    out
}

/// What a metric is: its type, what it does to the name, whether its points are cumulative.
fn kind_of(metric: &Metric) -> Option<(MetricType, NameKind, bool)> {
    if metric.gauge.is_some() {
        return Some((MetricType::Gauge, NameKind::Gauge, true));
    }
    if let Some(sum) = &metric.sum {
        let is_cumulative = sum.aggregation_temporality == CUMULATIVE;
        return Some(if sum.is_monotonic {
            (MetricType::Counter, NameKind::Counter, is_cumulative)
        } else {
            (MetricType::Gauge, NameKind::Other, is_cumulative)
        });
    }
    let temporality = match (&metric.histogram, &metric.exponential_histogram) {
        (Some(histogram), _) => histogram.aggregation_temporality,
        (None, Some(histogram)) => histogram.aggregation_temporality,
        (None, None) => {
            let summary = (MetricType::Summary, NameKind::Other, true);
            return metric.summary.as_ref().map(|_| summary);
        }
    };
    let is_cumulative = temporality == CUMULATIVE;
    Some((MetricType::Histogram, NameKind::Other, is_cumulative))
}

fn write_metric(metric: &Metric, writer: &mut Writer<'_, '_>) -> Result<(), GiveUp> {
    let refuse = |writer: &mut Writer<'_, '_>, points: usize, reason: &'static str| {
        writer.builder.refuse(points, || Refusal::Untranslatable {
            metric: metric.name.clone(),
            reason,
        });
        Ok(())
    };
    let Some((metric_type, name_kind, is_cumulative)) = kind_of(metric) else {
        return refuse(writer, 0, "it has no data of a kind that is known");
    };
    let points = points_of(metric);
    if !is_cumulative {
        let reason = "its temporality is not cumulative; configure the sender so that it is";
        return refuse(writer, points, reason);
    }
    let Some(name) = metric_name(&metric.name, &metric.unit, name_kind) else {
        return refuse(writer, points, "nothing of its name can be kept");
    };
    writer.write(metric, &name)?;
    if points > 0 {
        let bytes = size_of::<Metadata>() + metric.description.len() + metric.unit.len();
        writer.builder.weigh(bytes)?;
        writer.builder.metadata(Metadata {
            family: name,
            metric_type,
            help: metric.description.clone(),
            unit: metric.unit.clone(),
        });
    }
    Ok(())
}

fn points_of(metric: &Metric) -> usize {
    let gauge = metric.gauge.as_ref().map(|of| of.data_points.len());
    let sum = metric.sum.as_ref().map(|of| of.data_points.len());
    let histogram = metric.histogram.as_ref().map(|of| of.data_points.len());
    let exponential = metric
        .exponential_histogram
        .as_ref()
        .map(|of| of.data_points.len());
    let summary = metric.summary.as_ref().map(|of| of.data_points.len());
    let counts = [gauge, sum, histogram, exponential, summary];
    counts.into_iter().flatten().sum()
}
