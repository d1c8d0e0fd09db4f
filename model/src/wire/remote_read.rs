//! Messages of Prometheus' remote read: what a reader asks for, and both kinds of answer.
//!
//! Source: `prompb/remote.proto` and `prompb/types.proto`.

use super::remote_write::{LabelPair, TimeSeries};

/// A reader's question.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRequest {
    /// Each is answered by itself.
    #[prost(message, repeated, tag = "1")]
    pub queries: Vec<Query>,
    /// Kinds of answer, by [`ResponseType`], the dearest first; none means samples.
    #[prost(int32, repeated, tag = "2")]
    pub accepted_response_types: Vec<i32>,
}

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// One [`ReadResponse`].
    Samples,
    /// Frames of [`ChunkedReadResponse`].
    StreamedXorChunks,
}

impl ResponseType {
    /// The kind that a number on the wire stands for.
    pub const fn from_wire(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Samples),
            1 => Some(Self::StreamedXorChunks),
            _ => None,
        }
    }
}

/// Series in a range.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Query {
    /// The first instant, in milliseconds.
    #[prost(int64, tag = "1")]
    pub start_timestamp_ms: i64,
    /// The last instant, in milliseconds.
    #[prost(int64, tag = "2")]
    pub end_timestamp_ms: i64,
    /// What the series must match.
    #[prost(message, repeated, tag = "3")]
    pub matchers: Vec<LabelMatcher>,
}

/// A matcher.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LabelMatcher {
    /// 0 equal, 1 not equal, 2 regex, 3 not regex.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The label.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its value, or a pattern of it.
    #[prost(string, tag = "3")]
    pub value: String,
}

/// An answer of samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadResponse {
    /// In the order of the queries.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<QueryResult>,
}

/// The answer to one query.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QueryResult {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
}

/// A frame of an answer in chunks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkedReadResponse {
    /// Series, or the next chunks of one.
    #[prost(message, repeated, tag = "1")]
    pub chunked_series: Vec<ChunkedSeries>,
    /// Which query it answers.
    #[prost(int64, tag = "2")]
    pub query_index: i64,
}

/// A series in chunks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChunkedSeries {
    /// Its labels, in the order of their names.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<LabelPair>,
    /// In the order of time.
    #[prost(message, repeated, tag = "2")]
    pub chunks: Vec<Chunk>,
}

/// Samples as Prometheus' own store keeps them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chunk {
    /// The first instant, in milliseconds.
    #[prost(int64, tag = "1")]
    pub min_time_ms: i64,
    /// The last instant, in milliseconds.
    #[prost(int64, tag = "2")]
    pub max_time_ms: i64,
    /// 1 floats by XOR, 2 histograms of integers, 3 histograms of floats.
    #[prost(int32, tag = "3")]
    pub encoding: i32,
    /// The chunk.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}
