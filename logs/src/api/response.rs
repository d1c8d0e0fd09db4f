//! The shapes of the answers, as Loki writes them.
//!
//! A stream's values are `["nanoseconds", "line"]` with every label in `stream`; a client that asks
//! for `categorize-labels` (Grafana always does) gets the stream's own labels in `stream` and the line's
//! as a third part of each value.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use model::labels::Labels;
use model::time::{Timestamp, TimestampNs};
use model::vector::{InstantSample, QueryValue, SampleValue, write_labels, write_list, write_text};

use crate::query::{Direction, QueryOutput, QueryResult, QueryStats, ResultEntry, ResultStream};
use crate::store::Volume;

/// The encoding flag that asks for three-part values.
pub(super) const CATEGORIZE_LABELS: &str = "categorize-labels";

/// Where the labels of a line go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Labelling {
    /// All into the stream.
    Flat,
    /// Those of the line beside the line.
    Categorized,
}

/// A JSON body.
pub(super) fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// The answer of a query.
pub(super) fn query(
    output: &QueryOutput,
    labelling: Labelling,
    direction: Direction,
    took: Duration,
) -> String {
    let mut out = String::from("{\"status\":\"success\",\"data\":{\"resultType\":\"");
    match &output.value {
        QueryResult::Streams(streams) => {
            out.push_str("streams\",");
            match labelling {
                Labelling::Flat => {
                    out.push_str("\"result\":");
                    write_list(&mut out, streams, write_flat);
                }
                Labelling::Categorized => {
                    let _ = write!(
                        out,
                        "\"encodingFlags\":[\"{CATEGORIZE_LABELS}\"],\"result\":"
                    );
                    write_list(&mut out, &by_stream(streams, direction), write_categorized);
                }
            }
        }
        QueryResult::Metric(value) => {
            let _ = write!(out, "{}\",\"result\":", value.type_name());
            value.write_json(&mut out);
        }
    }
    out.push_str(",\"stats\":");
    write_stats(&mut out, &output.stats, took);
    out.push_str("}}");
    out
}

fn write_flat(out: &mut String, stream: &ResultStream) {
    out.push_str("{\"stream\":");
    write_labels(out, &stream.labels);
    out.push_str(",\"values\":");
    write_list(out, &stream.entries, |out, entry| {
        write_value(out, entry);
        out.push(']');
    });
    out.push('}');
}

/// The lines of one stream, whatever labels each has of its own.
struct Categorized<'r> {
    stream: &'r Labels,
    entries: Vec<(&'r ResultStream, &'r ResultEntry)>,
}

/// Result streams that are one stream but for the labels of their lines, put together in order.
fn by_stream(streams: &[ResultStream], direction: Direction) -> Vec<Categorized<'_>> {
    let mut together: Vec<Categorized<'_>> = Vec::new();
    let mut numbers: HashMap<&Labels, usize> = HashMap::new();
    for result in streams {
        let stream = &result.stream;
        let number = *numbers.entry(stream).or_insert(together.len());
        if number == together.len() {
            together.push(Categorized {
                stream,
                entries: Vec::new(),
            });
        }
        if let Some(known) = together.get_mut(number) {
            let entries = result.entries.iter();
            known.entries.extend(entries.map(|entry| (result, entry)));
        }
    }
    for stream in &mut together {
        stream.entries.sort_by(|(_, a), (_, b)| match direction {
            Direction::Forward => a.timestamp.cmp(&b.timestamp),
            Direction::Backward => b.timestamp.cmp(&a.timestamp),
        });
    }
    together
}

fn write_categorized(out: &mut String, stream: &Categorized<'_>) {
    out.push_str("{\"stream\":");
    write_labels(out, stream.stream);
    out.push_str(",\"values\":");
    write_list(out, &stream.entries, |out, (labels, entry)| {
        write_value(out, entry);
        out.push_str(",{");
        let mut separator = "";
        for (name, labels) in [
            ("structuredMetadata", &labels.structured_metadata),
            ("parsed", &labels.parsed),
        ] {
            if !labels.is_empty() {
                let _ = write!(out, "{separator}\"{name}\":");
                write_labels(out, labels);
                separator = ",";
            }
        }
        out.push_str("}]");
    });
    out.push('}');
}

/// `["nanoseconds","line"` without the bracket that closes it.
fn write_value(out: &mut String, entry: &ResultEntry) {
    let _ = write!(out, "[\"{}\",", entry.timestamp.nanos());
    write_text(out, &entry.line);
}

fn write_stats(out: &mut String, stats: &QueryStats, took: Duration) {
    let seconds = took.as_secs_f64().max(1e-9);
    let lines = stats.entries_scanned + stats.entries_summarized;
    let _ = write!(
        out,
        "{{\"summary\":{{\"bytesProcessedPerSecond\":{},\"linesProcessedPerSecond\":{},\"totalBytesProcessed\":{},\"totalLinesProcessed\":{lines},\"execTime\":{seconds},\"totalEntriesReturned\":{}}}}}",
        (stats.bytes_scanned as f64 / seconds) as u64,
        (lines as f64 / seconds) as u64,
        stats.bytes_scanned,
        stats.entries_returned,
    );
}

/// `{"status":"success","data":[…]}` of texts.
pub(super) fn success_texts(texts: &BTreeSet<String>) -> String {
    let texts: Vec<&String> = texts.iter().collect();
    success(|out| write_list(out, &texts, |out, text| write_text(out, text)))
}

/// `{"status":"success","data":"…"}`
pub(super) fn success_text(text: &str) -> String {
    success(|out| write_text(out, text))
}

/// `{"status":"success","data":[…]}` of label sets.
pub(super) fn success_series(series: &BTreeSet<Labels>) -> String {
    let series: Vec<&Labels> = series.iter().collect();
    success(|out| write_list(out, &series, |out, labels| write_labels(out, labels)))
}

fn success(write_data: impl FnOnce(&mut String)) -> String {
    let mut out = String::from("{\"status\":\"success\",\"data\":");
    write_data(&mut out);
    out.push('}');
    out
}

/// The answer of `index/stats`.
pub(super) fn index_stats(streams: usize, volume: Volume) -> String {
    let Volume {
        entries,
        bytes,
        chunks,
    } = volume;
    format!("{{\"streams\":{streams},\"chunks\":{chunks},\"bytes\":{bytes},\"entries\":{entries}}}")
}

/// The answer of `index/volume`: a vector at the range's end.
pub(super) fn volumes(bytes: &[(Labels, u64)], at: TimestampNs) -> String {
    let seconds = Timestamp(at.nanos().div_euclid(1_000_000_000).saturating_mul(1000));
    let samples = bytes.iter().map(|(labels, bytes)| InstantSample {
        labels: labels.clone(),
        timestamp: seconds,
        value: SampleValue::Float(*bytes as f64),
    });
    let value = QueryValue::Vector(samples.collect());
    success(|out| {
        out.push_str("{\"resultType\":\"vector\",\"result\":");
        value.write_json(out);
        out.push_str(",\"stats\":{}}");
    })
}

/// The answer of `detected_labels`.
pub(super) fn detected_labels(counts: &[(String, usize)]) -> String {
    let mut out = String::from("{\"detectedLabels\":");
    write_list(&mut out, counts, |out, (name, count)| {
        out.push_str("{\"label\":");
        write_text(out, name);
        let _ = write!(out, ",\"cardinality\":{count}}}");
    });
    out.push('}');
    out
}

/// `status/buildinfo`
pub(super) async fn build_info() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    json(format!(
        "{{\"version\":\"{version}\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}}"
    ))
}
