//! The one port for HTTP: the APIs of both stores, the program's own metrics and its health.
//!
//! Health says that the process lives; readiness that every role has started and none is stopping,
//! which is what a load balancer wants to know. Metrics are OpenMetrics, the same text that the
//! agent scrapes from within.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::web::Web;

/// The counters of every role; there once every role has registered its own.
pub(crate) type SharedRegistry = Arc<OnceLock<Registry>>;

/// Content type of OpenMetrics, which is what the registry writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether every role has started and none is stopping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says it.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Everything that is answered on the port. `apis` are the stores' routes, if this process has stores.
pub(crate) fn router(
    apis: Option<Router>,
    readiness: Readiness,
    registry: SharedRegistry,
) -> Router {
    let ready = move || async move {
        if readiness.is_ready() {
            (StatusCode::OK, "ready\n")
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: starting or stopping\n",
            )
        }
    };
    let metrics = move || async move { exposition_response(&registry) };
    let own = Router::new()
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready.clone()))
        // Loki's name for the same question, which its clients ask.
        .route("/ready", get(ready))
        .route("/metrics", get(metrics));
    let routes = match apis {
        Some(apis) => own
            .route("/", get(web_page))
            // Where the links of alerts lead.
            .route("/graph", get(web_page))
            .merge(apis),
        None => own,
    };
    // What is packed is read once, soon, and mostly nearby: packing well cost more than the query.
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    routes.layer(compression.gzip(true).zstd(true))
}

/// Has everything that `router` answers, unknown paths too, go through what protects the port.
pub(crate) fn protected(router: Router, web: Arc<Web>) -> Router {
    Router::new()
        .fallback_service(router)
        .layer(from_fn_with_state(web, protect))
}

async fn protect(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match web.refusal(&head).await {
        Some(refusal) => refusal,
        None => next.run(Request::from_parts(head, body)).await,
    };
    response.headers_mut().extend(web.headers());
    response
}

async fn web_page() -> Html<&'static str> {
    Html(include_str!("../dashboards/web/index.html"))
}

fn exposition_response(registry: &SharedRegistry) -> Response {
    match exposition(registry) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

/// The program's own metrics as OpenMetrics, or why there are none yet.
pub(crate) fn exposition(registry: &SharedRegistry) -> Result<String, String> {
    let registry = registry.get().ok_or("the program is still starting")?;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)
        .map_err(|error| error.to_string())?;
    Ok(text)
}
