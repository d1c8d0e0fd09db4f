//! Request bodies, cut to size. Pure.

use std::fmt::Write as _;

use model::entry::StreamEntries;
use model::labels::Labels;
use model::sample::{Metadata, SeriesSamples};
use model::wire::loki_push::{self, ProtoTimestamp, PushEntry, PushRequest};
use model::wire::remote_write::{MetricMetadata, TimeSeries, WriteRequest};
use prost::Message;

use crate::expose::push_escaped;
use crate::ship::ShipError;

/// Remote write requests of at most `samples_max` samples each (a series is not cut); the metadata
/// go with the first.
pub(super) fn write_requests(
    series: &[SeriesSamples],
    metadata: &[Metadata],
    samples_max: usize,
) -> Result<Vec<Vec<u8>>, ShipError> {
    let mut requests = Vec::new();
    let mut request = WriteRequest {
        timeseries: Vec::new(),
        metadata: metadata.iter().map(MetricMetadata::from).collect(),
    };
    let mut samples = 0;
    for one in series {
        let more = one.samples.len() + one.histograms.len();
        if samples > 0 && samples + more > samples_max {
            requests.push(compress(&request)?);
            request = WriteRequest::default();
            samples = 0;
        }
        request.timeseries.push(TimeSeries::from(one));
        samples += more;
    }
    if !request.timeseries.is_empty() || !request.metadata.is_empty() {
        requests.push(compress(&request)?);
    }
    Ok(requests)
}

/// Push requests of at most `bytes_max` bytes of lines each (a line is not cut).
pub(super) fn push_requests(
    streams: Vec<StreamEntries>,
    bytes_max: usize,
) -> Result<Vec<Vec<u8>>, ShipError> {
    let mut requests = Vec::new();
    let mut request = PushRequest::default();
    let mut bytes = 0;
    for stream in streams {
        let labels = selector(&stream.labels);
        let mut entries = Vec::new();
        for entry in stream.entries {
            if bytes > 0 && bytes + entry.line.len() > bytes_max {
                if !entries.is_empty() {
                    request.streams.push(loki_push::Stream {
                        labels: labels.clone(),
                        entries: std::mem::take(&mut entries),
                    });
                }
                requests.push(compress(&std::mem::take(&mut request))?);
                bytes = 0;
            }
            bytes += entry.line.len();
            entries.push(PushEntry {
                timestamp: Some(ProtoTimestamp::from_nanos(entry.timestamp.nanos())),
                line: entry.line,
                structured_metadata: entry
                    .metadata
                    .iter()
                    .map(|(name, value)| loki_push::LabelPair {
                        name: name.to_owned(),
                        value: value.to_owned(),
                    })
                    .collect(),
            });
        }
        if !entries.is_empty() {
            request.streams.push(loki_push::Stream { labels, entries });
        }
    }
    if !request.streams.is_empty() {
        requests.push(compress(&request)?);
    }
    Ok(requests)
}

fn compress(message: &impl Message) -> Result<Vec<u8>, ShipError> {
    snap::raw::Encoder::new()
        .compress_vec(&message.encode_to_vec())
        .map_err(|error| ShipError::refused(format!("a request is too large to compress: {error}")))
}

/// The labels as a LogQL selector, quoted as Go reads quotes.
fn selector(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (position, (name, value)) in labels.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{separator}{name}=\"");
        push_escaped(&mut text, value);
        text.push('"');
    }
    text.push('}');
    text
}
