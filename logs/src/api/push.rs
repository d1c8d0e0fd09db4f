//! `POST /loki/api/v1/push`

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};

use super::Api;
use super::error::ApiError;
use crate::ingest::body::{self, BodyEncoding, BodyFormat};

/// Keeps entries: 204 when all of them are durable.
pub(super) async fn push(
    State(api): State<Api>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    let format = match media_type(&headers, &CONTENT_TYPE).as_str() {
        "application/json" => BodyFormat::Json,
        "" | "application/x-protobuf" => BodyFormat::Protobuf,
        other => {
            return Err(ApiError::UnsupportedMedia(format!(
                "Content-Type {other:?} is not known here; send application/x-protobuf or application/json"
            )));
        }
    };
    let encoding = match media_type(&headers, &CONTENT_ENCODING).as_str() {
        // Protobuf is packed with snappy whether the header says so or not.
        "" | "identity" | "snappy" => BodyEncoding::Identity,
        "gzip" => BodyEncoding::Gzip,
        other => {
            return Err(ApiError::UnsupportedMedia(format!(
                "Content-Encoding {other:?} is not known here; send gzip or none"
            )));
        }
    };
    let logs = api.logs.clone();
    let work = move |_| {
        let push = body::read(&bytes, format, encoding, &logs.options().ingest)?;
        Ok(logs.accept(push)?)
    };
    api.pushes.run(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The value of a header without its parameters, in lower case.
fn media_type(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next());
    media_type.unwrap_or_default().trim().to_ascii_lowercase()
}
