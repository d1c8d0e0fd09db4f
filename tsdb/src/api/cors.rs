//! Which pages of other origins may read answers.
//!
//! Without an `Origin` nothing is said. Where the pattern takes any origin, as it does by default, the
//! answer says `*`; else it repeats an origin that matches. Source: Prometheus' `util/httputil/cors.go`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use model::matcher::{MatchOp, Matcher, MatcherError};

/// Any origin.
const ANY: &str = ".*";

/// What every answer to another origin says.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Date"),
    ),
    (header::VARY, HeaderValue::from_static("Origin")),
];

/// The origins whose pages may read answers: those that match a pattern whole.
#[derive(Clone, Debug)]
pub struct Origins(Arc<Matcher>);

impl Origins {
    /// The origins that `pattern` matches from end to end.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        Matcher::new(MatchOp::Regex, "origin", pattern).map(|matcher| Self(Arc::new(matcher)))
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.0.value() == ANY {
            return Some(HeaderValue::from_static("*"));
        }
        let matches = origin.to_str().is_ok_and(|text| self.0.matches(text));
        matches.then(|| origin.clone())
    }
}

impl PartialEq for Origins {
    fn eq(&self, other: &Self) -> bool {
        self.0.value() == other.0.value()
    }
}

impl Eq for Origins {}

/// Says to an answer who may read it; an `OPTIONS` is answered here.
pub(super) async fn say(
    State(origins): State<Option<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let Some(origin) = origin else {
        return response;
    };
    let allowed = match &origins {
        None => Some(HeaderValue::from_static("*")),
        Some(origins) => origins.allowed(&origin),
    };
    if let Some(allowed) = allowed {
        let headers = response.headers_mut();
        headers.extend(HEADERS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
    response
}
