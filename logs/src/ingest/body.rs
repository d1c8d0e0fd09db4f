//! The bodies of a push: protobuf packed with snappy, and JSON, either of them perhaps gzipped.
//!
//! Whatever is unpacked is unpacked up to a limit, so that a small body cannot ask for a large memory.

use std::io::Read as _;

use model::entry::{Entry, StreamEntries};
use model::labels::{Builder, Labels};
use model::time::TimestampNs;
use model::wire::loki_push::{LabelPair, ProtoTimestamp, PushEntry, PushRequest, Stream};
use prost::Message as _;
use serde::Deserialize;
use serde::de::{Error as _, SeqAccess, Visitor};

use super::{IngestLimits, Push, Rejection, weigh};
use crate::query::parse_stream_labels;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// `logproto.PushRequest`, packed as one snappy block.
    Protobuf,
    /// `{"streams":[{"stream":{…},"values":[[…],…]}]}`
    Json,
}

/// How a body is packed beside its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// Not at all.
    Identity,
    /// gzip
    Gzip,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It unpacks to more than is allowed.
    #[error("the push unpacks to more than {max} bytes; send smaller batches")]
    TooLarge {
        /// What is allowed.
        max: usize,
    },
    /// It holds more than is allowed.
    #[error(
        "the push holds {count} streams, entries and pairs of metadata, more than {max}; send smaller batches"
    )]
    TooMany {
        /// What it holds.
        count: usize,
        /// What is allowed.
        max: usize,
    },
    /// It does not unpack.
    #[error("the push cannot be unpacked: {0}")]
    Packing(String),
    /// It is no push.
    #[error("the push cannot be read: {0}")]
    Malformed(String),
}

/// Reads a body.
pub fn read(
    body: &[u8],
    format: BodyFormat,
    encoding: BodyEncoding,
    limits: &IngestLimits,
) -> Result<Push, BodyError> {
    let bytes_max = limits.push_bytes_max;
    let gunzipped;
    let body = match encoding {
        BodyEncoding::Identity => body,
        BodyEncoding::Gzip => {
            gunzipped = gunzip(body, bytes_max)?;
            gunzipped.as_slice()
        }
    };
    match format {
        BodyFormat::Json => read_json(body, limits.push_items_max),
        BodyFormat::Protobuf => read_protobuf(&unsnap(body, bytes_max)?, limits.push_items_max),
    }
}

fn gunzip(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(body)
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| BodyError::Packing(error.to_string()))?;
    if out.len() > bytes_max {
        return Err(BodyError::TooLarge { max: bytes_max });
    }
    Ok(out)
}

fn unsnap(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let packing = |error: snap::Error| BodyError::Packing(error.to_string());
    if snap::raw::decompress_len(body).map_err(packing)? > bytes_max {
        return Err(BodyError::TooLarge { max: bytes_max });
    }
    snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(packing)
}

fn read_protobuf(body: &[u8], max: usize) -> Result<Push, BodyError> {
    let malformed = |error: &dyn std::fmt::Display| BodyError::Malformed(error.to_string());
    let count = weigh::items(body).map_err(|error| malformed(&error))?;
    if count > max {
        return Err(BodyError::TooMany { count, max });
    }
    let request = PushRequest::decode(body).map_err(|error| malformed(&error))?;
    let mut push = Push::default();
    for Stream { labels, entries } in request.streams {
        match parse_stream_labels(&labels) {
            Ok(labels) => push.streams.push(StreamEntries {
                labels,
                entries: entries.into_iter().map(entry).collect(),
            }),
            Err(error) => {
                let reason = error.to_string();
                let rejection = Rejection::Labels { labels, reason };
                push.unreadable.push((entries.len() as u64, rejection));
            }
        }
    }
    Ok(push)
}

fn entry(entry: PushEntry) -> Entry {
    let nanos = entry.timestamp.and_then(ProtoTimestamp::nanos_since_epoch);
    let pairs = entry.structured_metadata.into_iter();
    Entry {
        timestamp: TimestampNs(nanos.unwrap_or_default()),
        line: entry.line,
        metadata: pairs
            .map(|LabelPair { name, value }| (name, value))
            .collect(),
    }
}

fn read_json(body: &[u8], max: usize) -> Result<Push, BodyError> {
    let push: JsonPush =
        serde_json::from_slice(body).map_err(|error| BodyError::Malformed(error.to_string()))?;
    // JSON decodes to a few times its size at most, so counting afterwards is soon enough.
    let entries = push.streams.iter().flat_map(|stream| &stream.values);
    let items = entries.map(|JsonEntry(entry)| 1 + entry.metadata.len());
    let count = push.streams.len() + items.sum::<usize>();
    if count > max {
        return Err(BodyError::TooMany { count, max });
    }
    let streams = push.streams.into_iter().map(|stream| StreamEntries {
        labels: stream.stream.0,
        entries: stream
            .values
            .into_iter()
            .map(|JsonEntry(entry)| entry)
            .collect(),
    });
    Ok(Push::from(streams.collect::<Vec<_>>()))
}

#[derive(Deserialize)]
struct JsonPush {
    streams: Vec<JsonStream>,
}

#[derive(Deserialize)]
struct JsonStream {
    stream: JsonLabels,
    values: Vec<JsonEntry>,
}

/// An object of texts.
struct JsonLabels(Labels);

/// `["nanoseconds", "line"]`, perhaps with an object of structured metadata.
struct JsonEntry(Entry);

impl<'de> Deserialize<'de> for JsonLabels {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = JsonLabels;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<JsonLabels, A::Error> {
                let mut labels = Builder::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    labels.set(&name, &value);
                }
                Ok(JsonLabels(labels.build()))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl<'de> Deserialize<'de> for JsonEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = JsonEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "[\"nanoseconds\", \"line\"] or [\"nanoseconds\", \"line\", {metadata}]",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<JsonEntry, A::Error> {
                let missing = |at, visitor: &Self| A::Error::invalid_length(at, visitor);
                let at: String = values.next_element()?.ok_or_else(|| missing(0, &self))?;
                let nanos = at.parse().map_err(|_| {
                    A::Error::custom(format!("{at:?} is not a time in nanoseconds"))
                })?;
                let line = values.next_element()?.ok_or_else(|| missing(1, &self))?;
                let metadata: Option<JsonLabels> = values.next_element()?;
                Ok(JsonEntry(Entry {
                    timestamp: TimestampNs(nanos),
                    line,
                    metadata: metadata.map_or_else(Labels::empty, |labels| labels.0),
                }))
            }
        }
        deserializer.deserialize_seq(Values)
    }
}
