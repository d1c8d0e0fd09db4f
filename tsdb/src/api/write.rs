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
use crate::database::WriteError;
use crate::ingest::remote_write::DecodeError;

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
    match api.run_write(move |api| api.tsdb.write(&body)).await {
        Ok(Ok(appended)) if appended.refused.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(appended)) => text(StatusCode::BAD_REQUEST, appended.refused.to_string()),
        Ok(Err(error)) => failure(&api, &error),
        Err(error) => later(&api, StatusCode::SERVICE_UNAVAILABLE, error.message),
    }
}

/// The answer to a write that was not stored.
fn failure(api: &Api, error: &WriteError) -> Response {
    match error {
        WriteError::Decode(
            DecodeError::TooLarge { .. }
            | DecodeError::TooManySeries { .. }
            | DecodeError::TooHeavy { .. },
        ) => text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        WriteError::Decode(_) | WriteError::Append(AppendError::TooLarge(_)) => {
            text(StatusCode::BAD_REQUEST, error.to_string())
        }
        WriteError::Append(AppendError::Overloaded { .. }) => {
            later(api, StatusCode::TOO_MANY_REQUESTS, error.to_string())
        }
        WriteError::Append(_) => later(api, StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
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
