//! `read`: remote read, by which a Prometheus asks this store for samples and evaluates them itself.
//!
//! The reader says which kinds of answer it takes. Samples are one message, put together in memory, so
//! there is a limit to them; chunks are frames that are streamed, a series in memory at a time, and have
//! none. Errors are plain texts, as upstream's are.
//!
//! - [`chunks`]: frames of chunks.

mod chunks;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::sample::HistogramSample;
use model::time::{TimeRange, Timestamp};
use model::wire::remote_read::{Query, ReadRequest, ResponseType};
use model::wire::remote_write::{TimeSeries, WireSample, labels_to};
use prost::Message as _;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::Api;
use super::response::{ApiError, ErrorType};
use super::streamed::streamed;
use super::text::held;
use super::write::text;
use crate::query::parser::{REGEXES_BYTES_MAX, too_many_regexes};
use crate::query::{Guard, Samples, SelectError, Source as _};

const CONTENT_TYPE: &str = "application/x-protobuf";
const CHUNKED_CONTENT_TYPE: &str =
    "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// How much a byte can unpack to at most.
const SNAPPY_RATIO_MAX: usize = 22;
/// The key of field 1 where it is a message.
const FIELD_1: u8 = 0x0a;

/// What is asked of one query.
struct Asked {
    range: TimeRange,
    matchers: Vec<Matcher>,
}

/// `read`
pub(super) async fn read(State(api): State<Api>, request: Request) -> Response {
    match answer(api, request).await {
        Ok(response) => response,
        Err(error) => text(error.status(), error.message),
    }
}

async fn answer(api: Api, request: Request) -> Result<Response, ApiError> {
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|rejection| ApiError::bad_data(rejection.body_text()))?;
    let request = decode(&body, api.options().form_bytes_max)?;
    let mut regex_bytes = 0;
    let asked = request.queries.iter();
    let asked = asked.map(|query| asked_of(query, &mut regex_bytes));
    let asked: Vec<Asked> = asked.collect::<Result<_, ApiError>>()?;
    match negotiate(&request.accepted_response_types)? {
        ResponseType::Samples => {
            let body = api.run_query(None, move |api, guard| {
                let message = samples(api, &asked, guard)?;
                Ok(held(message, guard.memory.clone()))
            });
            let headers = [
                (header::CONTENT_TYPE, CONTENT_TYPE),
                (header::CONTENT_ENCODING, "snappy"),
            ];
            Ok((StatusCode::OK, headers, body.await?).into_response())
        }
        ResponseType::StreamedXorChunks => {
            let turn = Arc::clone(&api.reads).acquire_owned().await;
            let stopping = |_| ApiError::new(ErrorType::Unavailable, "the server is stopping");
            let turn = turn.map_err(stopping)?;
            let memory = api.tsdb.engine().memory().allotment();
            let work = streamed(turn, CHUNKED_CONTENT_TYPE, memory, move |guard, sink| {
                for (index, asked) in (0..).zip(&asked) {
                    each_series(&api, asked, guard, |labels, samples| {
                        chunks::send(index, labels, samples, sink)
                    })?;
                }
                Ok(())
            });
            work.await
        }
    }
}

fn decode(body: &[u8], bytes_max: usize) -> Result<ReadRequest, ApiError> {
    let bytes =
        snap::raw::decompress_len(body).map_err(|error| ApiError::bad_data(error.to_string()))?;
    if bytes > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(ApiError::bad_data("snappy: corrupt input"));
    }
    if bytes > bytes_max {
        return Err(ApiError::bad_data(format!(
            "the request unpacks to {bytes} bytes and at most {bytes_max} are allowed; ask for less at once"
        )));
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(body);
    let unpacked = unpacked.map_err(|error| ApiError::bad_data(error.to_string()))?;
    ReadRequest::decode(unpacked.as_slice()).map_err(|error| ApiError::bad_data(error.to_string()))
}

/// The first kind that is known; samples where nothing is said.
fn negotiate(accepted: &[i32]) -> Result<ResponseType, ApiError> {
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    let known = accepted
        .iter()
        .find_map(|number| ResponseType::from_wire(*number));
    known.ok_or_else(|| {
        ApiError::bad_data(format!(
            "server does not support any of the requested response types: {accepted:?}; supported: map[SAMPLES:{{}} STREAMED_XOR_CHUNKS:{{}}]"
        ))
    })
}

/// `regex_bytes` is what the regular expressions of the request compile to.
fn asked_of(query: &Query, regex_bytes: &mut usize) -> Result<Asked, ApiError> {
    let matchers = query.matchers.iter().map(|matcher| {
        let op = match matcher.kind {
            0 => MatchOp::Equal,
            1 => MatchOp::NotEqual,
            2 => MatchOp::Regex,
            3 => MatchOp::NotRegex,
            _ => return Err(ApiError::bad_data("invalid matcher type")),
        };
        let made = Matcher::new(op, &matcher.name, &matcher.value);
        let made = made.map_err(|error| ApiError::bad_data(error.to_string()))?;
        *regex_bytes += made.regex_bytes();
        if *regex_bytes > REGEXES_BYTES_MAX {
            return Err(ApiError::bad_data(too_many_regexes()));
        }
        Ok(made)
    });
    Ok(Asked {
        range: TimeRange::new(
            Timestamp(query.start_timestamp_ms),
            Timestamp(query.end_timestamp_ms),
        ),
        matchers: matchers.collect::<Result<_, _>>()?,
    })
}

/// Hands every series that has samples on, in the order of labels.
fn each_series<E: From<SelectError>>(
    api: &Api,
    asked: &Asked,
    guard: &Guard,
    mut take: impl FnMut(&Labels, &Samples) -> Result<(), E>,
) -> Result<(), E> {
    let selection = api
        .tsdb
        .reader()
        .select(asked.range, &asked.matchers, guard)?;
    let mut reader = selection.reader();
    let mut samples = Samples::default();
    for (place, labels) in selection.labels().iter().enumerate() {
        guard.check().map_err(SelectError::from)?;
        reader.read(place, &mut samples)?;
        if !samples.is_empty() {
            take(labels, &samples)?;
        }
    }
    Ok(())
}

/// The whole answer in samples, packed.
fn samples(api: &Api, asked: &[Asked], guard: &Guard) -> Result<Vec<u8>, ApiError> {
    let limit = api.options().read_samples_max;
    let mut count = 0;
    let mut response = Vec::new();
    for asked in asked {
        let mut result = Vec::new();
        each_series(api, asked, guard, |labels, samples| {
            count += samples.budget_size();
            if count > limit {
                return Err(ApiError::bad_data(format!(
                    "exceeded sample limit ({limit}); ask for STREAMED_XOR_CHUNKS, which have none, or for less"
                )));
            }
            // As it is, as the message, and packed.
            let bytes = labels.as_encoded().len() + samples.budget_size() * size_of::<(i64, f64)>();
            guard.memory.take(3 * bytes).map_err(SelectError::from)?;
            result.push(FIELD_1);
            let encoded = series(labels, samples).encode_length_delimited(&mut result);
            encoded.map_err(|error| ApiError::new(ErrorType::Internal, error.to_string()))
        })?;
        response.push(FIELD_1);
        encode_varint(result.len() as u64, &mut response);
        response.append(&mut result);
    }
    packed(&response, guard)
}

/// Bytes that are packed between two looks at the guard: whole blocks of snappy's.
const PACKED_PER_CHECK: usize = 16 << 16;

/// The same bytes as packing all at once gives: blocks know nothing of each other, and before them stands
/// the length of all.
fn packed(bytes: &[u8], guard: &Guard) -> Result<Vec<u8>, ApiError> {
    let mut packed = Vec::new();
    encode_varint(bytes.len() as u64, &mut packed);
    let mut encoder = snap::raw::Encoder::new();
    for blocks in bytes.chunks(PACKED_PER_CHECK) {
        guard.check().map_err(SelectError::from)?;
        let these = encoder.compress_vec(blocks);
        let these = these.map_err(|error| ApiError::new(ErrorType::Internal, error.to_string()))?;
        let length_bytes = encoded_len_varint(blocks.len() as u64);
        packed.extend_from_slice(these.get(length_bytes..).unwrap_or_default());
    }
    Ok(packed)
}

fn series(labels: &Labels, samples: &Samples) -> TimeSeries {
    let floats = samples.timestamps.iter().zip(&*samples.values);
    let floats = floats.map(|(timestamp, value)| WireSample {
        value: Some(*value),
        timestamp: *timestamp,
    });
    let histograms = samples.histograms.iter().map(|(timestamp, histogram)| {
        let sample = HistogramSample {
            timestamp: *timestamp,
            histogram: histogram.as_ref().clone(),
        };
        (&sample).into()
    });
    TimeSeries {
        labels: labels_to(labels),
        samples: floats.collect(),
        exemplars: Vec::new(),
        histograms: histograms.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_piece_by_piece_is_what_is_packed_at_once() {
        let bytes: Vec<u8> = (0..3 * PACKED_PER_CHECK + 12345)
            .map(|at| (at * at / 1000 % 251) as u8)
            .collect();
        for length in [
            0,
            1,
            1000,
            PACKED_PER_CHECK,
            PACKED_PER_CHECK + 1,
            bytes.len(),
        ] {
            let bytes = &bytes[..length];
            let at_once = snap::raw::Encoder::new()
                .compress_vec(bytes)
                .expect("short");
            let pieces = packed(bytes, &Guard::default()).expect("nobody interrupts");
            assert!(pieces == at_once, "{length}");
        }
    }
}
