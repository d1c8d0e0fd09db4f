//! Why a request is not answered: a status and a plain text.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use storage::store::AppendError;

use crate::PushError;
use crate::ingest::body::BodyError;
use crate::query::{ParseError, QueryError, SourceError};

/// The status of a request whose client went away; nginx' invention, which Loki took over.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// A parameter is wrong.
    #[error("{0}")]
    Parameter(String),
    /// The query has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The body of a push cannot be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The push was not kept, or not all of it.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The body is in a form that is not known.
    #[error("{0}")]
    UnsupportedMedia(String),
    /// Too many requests wait already.
    #[error("too many outstanding requests; try again later")]
    TooManyOutstanding,
    /// The computing thread is gone; its panic is in the log.
    #[error("the request could not be finished; the log of the server says why")]
    Failed,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Query(error) => query_status(error),
            Self::Body(BodyError::TooLarge { .. } | BodyError::TooMany { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Parameter(_) | Self::Body(_) | Self::Push(PushError::Refused { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::Push(PushError::Append(error)) => append_status(error),
            Self::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyOutstanding => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn query_status(error: &QueryError) -> StatusCode {
    match error {
        // Limits and pipelines that fail are answered with 400 by Loki too: asking again won't help.
        QueryError::BadRequest(_) | QueryError::Parse(_) | QueryError::Execution(_) => {
            StatusCode::BAD_REQUEST
        }
        QueryError::Source(_) => StatusCode::INTERNAL_SERVER_ERROR,
        QueryError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        QueryError::Canceled => {
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Agents drop a batch on 4xx other than 429 and send it again on the others.
fn append_status(error: &AppendError) -> StatusCode {
    match error {
        AppendError::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
        AppendError::TooLarge(_) => StatusCode::BAD_REQUEST,
        AppendError::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        AppendError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        AppendError::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        Self::Query(QueryError::Parse(error))
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        Self::Query(QueryError::Source(error))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, "a request of the log API failed");
        }
        let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        (status, headers, self.to_string()).into_response()
    }
}
