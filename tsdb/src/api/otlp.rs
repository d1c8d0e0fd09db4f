//! `otlp/v1/metrics`: an export of OTLP's metrics over HTTP.
//!
//! An export of which something was stored is a success; what was not is told in the answer's
//! `partial_success`, as OTLP has it, in the encoding of the request. One of which nothing can ever be
//! stored is 400, which tells the sender not to try again.

use std::io::Read as _;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::read::MultiGzDecoder;
use model::wire::otlp::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message as _;
use serde_json::json;

use super::Api;
use super::write::{append_failure, later, receive, text};
use crate::database::{Appended, OtlpWriteError};
use crate::ingest::otlp::{Encoding, OtlpError};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// How the body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
}

/// `otlp/v1/metrics`
pub(super) async fn metrics(State(api): State<Api>, request: Request) -> Response {
    let (encoding, packing) = match read_headers(request.headers()) {
        Ok(found) => found,
        Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
    };
    let (_place, body) = match receive(&api, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    let bytes_max = api.tsdb.options().ingest.unpacked_bytes_max;
    let written = api.run_write(move |api| match packing {
        Packing::None => Ok(api.tsdb.write_otlp(&body, encoding)),
        Packing::Gzip => unpack(&body, bytes_max).map(|body| api.tsdb.write_otlp(&body, encoding)),
    });
    match written.await {
        Ok(Ok(Ok(appended))) => answer(encoding, &appended),
        Ok(Ok(Err(OtlpWriteError::Decode(error @ OtlpError::TooHeavy { .. })))) => {
            text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        Ok(Ok(Err(OtlpWriteError::Decode(error)))) => {
            text(StatusCode::BAD_REQUEST, error.to_string())
        }
        Ok(Ok(Err(OtlpWriteError::Append(error)))) => append_failure(&api, &error),
        Ok(Err((status, reason))) => text(status, reason),
        Err(error) => later(&api, StatusCode::SERVICE_UNAVAILABLE, error.message),
    }
}

fn read_headers(headers: &HeaderMap) -> Result<(Encoding, Packing), String> {
    let header = |name| {
        let value = headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or("?"))
    };
    let kind = header(header::CONTENT_TYPE);
    let encoding = match kind.split(';').next().unwrap_or_default().trim() {
        PROTOBUF => Encoding::Protobuf,
        JSON => Encoding::Json,
        _ => {
            return Err(format!(
                "unsupported content type: {kind}, supported: [{JSON}, {PROTOBUF}]"
            ));
        }
    };
    let packing = match header(header::CONTENT_ENCODING) {
        "" | "none" | "identity" => Packing::None,
        "gzip" => Packing::Gzip,
        other => {
            return Err(format!(
                "unsupported compression: {other}. Only \"gzip\" or no compression supported"
            ));
        }
    };
    Ok((encoding, packing))
}

fn unpack(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, (StatusCode, String)> {
    let mut unpacked = Vec::new();
    let limit = bytes_max as u64 + 1;
    let read = MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut unpacked);
    read.map_err(|error| (StatusCode::BAD_REQUEST, format!("gzip: {error}")))?;
    if unpacked.len() > bytes_max {
        let reason = format!(
            "the request unpacks to more than {bytes_max} bytes, which are allowed; send less at once, or raise the limit"
        );
        return Err((StatusCode::PAYLOAD_TOO_LARGE, reason));
    }
    Ok(unpacked)
}

fn answer(encoding: Encoding, appended: &Appended) -> Response {
    let reason = appended.refused.to_string();
    let rejected = i64::try_from(appended.refused.samples).unwrap_or(i64::MAX);
    let is_whole = appended.refused.is_empty();
    if !is_whole && appended.samples == 0 {
        return text(StatusCode::BAD_REQUEST, reason);
    }
    match encoding {
        Encoding::Protobuf => {
            let partial_success = (!is_whole).then_some(ExportMetricsPartialSuccess {
                rejected_data_points: rejected,
                error_message: reason,
            });
            let body = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
            ([(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
        }
        Encoding::Json => {
            let body = if is_whole {
                json!({})
            } else {
                // An integer of 64 bits is a text in protobuf's JSON.
                json!({"partialSuccess": {
                    "rejectedDataPoints": rejected.to_string(),
                    "errorMessage": reason,
                }})
            };
            ([(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
        }
    }
}
