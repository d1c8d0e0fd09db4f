//! `write`: remote write 1.0 and 2.0, told apart by the content type.
//!
//! Answers tell the sender whether trying again can help: 4xx says that the samples will never be
//! taken, 429 and 5xx that they may be later. Version 2 has the counts of what was stored in its headers.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use storage::store::AppendError;
use tokio::sync::SemaphorePermit;

use super::Api;
use crate::database::{Appended, WriteError};
use crate::ingest::remote_write::{DecodeError, Version};

const PROTOBUF: &str = "application/x-protobuf";
const SAMPLES_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// `write`
pub(super) async fn write(State(api): State<Api>, request: Request) -> Response {
    let version = match version_of(request.headers()) {
        Ok(version) => version,
        Err(reason) => return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason),
    };
    let (_place, body) = match receive(&api, request).await {
        Ok(received) => received,
        Err(response) => return response,
    };
    let written = api.run_write(move |api| api.tsdb.write_version(version, &body));
    let (mut response, appended) = match written.await {
        Ok(Ok(appended)) if appended.refused.is_empty() => {
            (StatusCode::NO_CONTENT.into_response(), appended)
        }
        Ok(Ok(appended)) => {
            let refused = appended.refused.to_string();
            (text(StatusCode::BAD_REQUEST, refused), appended)
        }
        Ok(Err(error)) => (failure(&api, &error), Appended::default()),
        Err(error) => {
            let response = later(&api, StatusCode::SERVICE_UNAVAILABLE, error.message);
            (response, Appended::default())
        }
    };
    if version == Version::Two {
        count_written(response.headers_mut(), &appended);
    }
    response
}

/// The body of a write, and the place that it holds while it waits and is stored.
pub(super) async fn receive(
    api: &Api,
    request: Request,
) -> Result<(SemaphorePermit<'_>, Bytes), Response> {
    // Before the body is read: what waits is held in memory.
    let Ok(place) = api.write_places.try_acquire() else {
        api.tsdb.counters().turn_write_away();
        let reason = "too many writes are waiting; try again later".to_owned();
        return Err(later(api, StatusCode::TOO_MANY_REQUESTS, reason));
    };
    match Bytes::from_request(request, &()).await {
        Ok(body) => Ok((place, body)),
        Err(rejection) => Err(text(rejection.status(), rejection.body_text())),
    }
}

/// Says what was stored, as version 2 wants it in every case.
fn count_written(headers: &mut HeaderMap, appended: &Appended) {
    let samples = appended.samples.saturating_sub(appended.histograms);
    for (name, count) in [
        (SAMPLES_WRITTEN, samples),
        (HISTOGRAMS_WRITTEN, appended.histograms),
        (EXEMPLARS_WRITTEN, appended.exemplars),
    ] {
        headers.insert(name, count.into());
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
        WriteError::Decode(_) => text(StatusCode::BAD_REQUEST, error.to_string()),
        WriteError::Append(error) => append_failure(api, error),
    }
}

/// The answer to a write that the store did not take.
pub(super) fn append_failure(api: &Api, error: &AppendError) -> Response {
    match error {
        AppendError::TooLarge(_) => text(StatusCode::BAD_REQUEST, error.to_string()),
        AppendError::Overloaded { .. } => {
            later(api, StatusCode::TOO_MANY_REQUESTS, error.to_string())
        }
        _ => later(api, StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// What is neither said nor wrong is taken for version 1 in snappy, as upstream does.
fn version_of(headers: &HeaderMap) -> Result<Version, String> {
    let header = |name| {
        let value = headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or("?"))
    };
    let kind = header(header::CONTENT_TYPE).trim();
    let mut version = Version::One;
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && media != PROTOBUF {
        return Err(format!(
            "expected {PROTOBUF} as the first (media) part, got {kind} content-type"
        ));
    }
    for part in parts {
        let Some((name, value)) = part
            .split_once('=')
            .filter(|(_, value)| !value.contains('='))
        else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} in {kind} content-type"
            ));
        };
        if name == "proto" {
            let mut known = Version::ALL.into_iter();
            version = known.find(|version| version.message() == value).ok_or_else(|| {
                let accepted = Version::ALL.map(Version::message).join(" ");
                format!("{value} protobuf message is not accepted by this server; accepted [{accepted}]")
            })?;
            break;
        }
    }
    let encoding = header(header::CONTENT_ENCODING);
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("snappy") {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    Ok(version)
}

/// An answer that asks the sender to come back.
pub(super) fn later(api: &Api, status: StatusCode, reason: String) -> Response {
    let mut response = text(status, reason);
    let seconds = api.options().retry_after.as_secs();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
}

/// A plain text, as upstream answers where there is no envelope.
pub(super) fn text(status: StatusCode, mut body: String) -> Response {
    body.push('\n');
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        body,
    )
        .into_response()
}
