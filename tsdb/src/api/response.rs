//! The envelope of the API, and errors with their status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::vector::{write_list, write_text};

use super::text::Text;
use crate::query::{Interrupted, SelectError};

const JSON: &str = "application/json";

/// What kind of error it is, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorType {
    /// A parameter is wrong.
    BadData,
    /// The query is well-formed and cannot be evaluated.
    Execution,
    /// It took too long.
    Timeout,
    /// It was stopped from outside.
    Canceled,
    /// There is no room for it now.
    Unavailable,
    /// Something here is broken.
    Internal,
}

impl ErrorType {
    const fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // The client has closed the connection: no registered status says so, upstream's does.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) kind: ErrorType,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// The status it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// A parameter that cannot be read.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }
}

impl From<SelectError> for ApiError {
    fn from(error: SelectError) -> Self {
        let kind = match &error {
            SelectError::Interrupted(Interrupted::TimedOut) => ErrorType::Timeout,
            SelectError::Interrupted(Interrupted::Canceled) => ErrorType::Canceled,
            SelectError::TooManySamples { .. }
            | SelectError::TooManySeries { .. }
            | SelectError::Memory(_) => ErrorType::Execution,
            SelectError::Storage(_) => ErrorType::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = String::from("{\"status\":\"error\",\"errorType\":");
        write_text(&mut body, self.kind.name());
        body.push_str(",\"error\":");
        write_text(&mut body, &self.message);
        body.push('}');
        json(self.kind.status(), body)
    }
}

/// A successful answer.
#[derive(Debug, Default)]
pub(super) struct Success {
    /// The data, as JSON.
    pub(super) data: Text,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
    /// What the user may want to know.
    pub(super) infos: Vec<String>,
}

impl Success {
    pub(super) fn new(data: impl Into<Text>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut rest = String::new();
        for (name, texts) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !texts.is_empty() {
                rest.push(',');
                write_text(&mut rest, name);
                rest.push(':');
                write_list(&mut rest, texts, |out, text| write_text(out, text));
            }
        }
        rest.push('}');
        let before = "{\"status\":\"success\",\"data\":";
        let (body, len) = self.data.into_body(before, &rest);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(JSON)),
            (header::CONTENT_LENGTH, HeaderValue::from(len)),
        ];
        (headers, body).into_response()
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}
