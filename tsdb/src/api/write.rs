//! `write`: remote write 1.0.
//!
//! Answers tell the sender whether trying again can help: 4xx says that the samples will never be
//! taken, 429 and 5xx that they may be later.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use storage::store::AppendError;

use super::Api;
use crate::ingest::refusal::Refused;
use crate::ingest::remote_write::{self, DecodeError};

const PROTOBUF: &str = "application/x-protobuf";
/// The message of version 1, as a parameter of the content type may name it.
const MESSAGE: &str = "prometheus.WriteRequest";

/// `write`
pub(super) async fn write(State(api): State<Api>, request: Request) -> Response {
    if let Err(reason) = check_headers(request.headers()) {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
    }
    // Before the body is read: what waits is held in memory.
    let Ok(_place) = api.write_places.try_acquire() else {
        api.tsdb.counters().turn_write_away();
        let reason = "too many writes are waiting; try again later";
        return later(&api, StatusCode::TOO_MANY_REQUESTS, reason.to_owned());
    };
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return text(rejection.status(), rejection.body_text()),
    };
    match api.run_write(move |api| store(api, &body)).await {
        Ok(Ok(refused)) if refused.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(refused)) => text(StatusCode::BAD_REQUEST, refused.to_string()),
        Ok(Err(error)) => error.answer(&api),
        Err(error) => later(&api, StatusCode::SERVICE_UNAVAILABLE, error.message),
    }
}

/// Why a write was not stored.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl WriteError {
    fn answer(&self, api: &Api) -> Response {
        match self {
            Self::Decode(
                DecodeError::TooLarge { .. }
                | DecodeError::TooManySeries { .. }
                | DecodeError::TooHeavy { .. },
            ) => text(StatusCode::PAYLOAD_TOO_LARGE, self.to_string()),
            Self::Decode(_) | Self::Append(AppendError::TooLarge(_)) => {
                text(StatusCode::BAD_REQUEST, self.to_string())
            }
            Self::Append(AppendError::Overloaded { .. }) => {
                later(api, StatusCode::TOO_MANY_REQUESTS, self.to_string())
            }
            Self::Append(_) => later(api, StatusCode::SERVICE_UNAVAILABLE, self.to_string()),
        }
    }
}

fn store(api: &Api, body: &[u8]) -> Result<Refused, WriteError> {
    let decoded = remote_write::decode(body, &api.tsdb.options().ingest)?;
    let mut refused = decoded.refused;
    api.tsdb.counters().refuse(refused.samples);
    let appended = api.tsdb.append(&decoded.series)?;
    api.tsdb.record_metadata(&decoded.metadata);
    refused.extend(appended.refused);
    Ok(refused)
}

/// What is neither said nor wrong is taken for version 1 in snappy, as upstream does.
fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let header = |name| {
        let value = headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or("?"))
    };
    let kind = header(header::CONTENT_TYPE);
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && media != PROTOBUF {
        return Err(format!(
            "expected {PROTOBUF} as the first (media) part, got {kind} content-type"
        ));
    }
    for part in parts {
        if let Some(("proto", message)) = part.split_once('=')
            && message != MESSAGE
        {
            return Err(format!(
                "{message} protobuf message is not accepted by this server; accepted [{MESSAGE}]"
            ));
        }
    }
    let encoding = header(header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    Ok(())
}

/// An answer that asks the sender to come back.
fn later(api: &Api, status: StatusCode, reason: String) -> Response {
    let mut response = text(status, reason);
    let seconds = api.options().retry_after.as_secs();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
}

fn text(status: StatusCode, mut body: String) -> Response {
    body.push('\n');
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        body,
    )
        .into_response()
}
