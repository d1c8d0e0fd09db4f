//! The one port for HTTP: the APIs of both stores, the program's own metrics and its health.
//!
//! Health says that the process lives; readiness that every role has started and none is stopping, and of the
//! webhook what its own port says: a pod has one readiness for all its ports, and a review that comes before the policies are known would
//! be refused. What is asked or written meanwhile is answered all the same. Metrics are OpenMetrics, the same text that the
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

/// Whether every role has started and none is stopping, and what a role says of itself.
#[derive(Clone, Default)]
pub(crate) struct Readiness {
    started: Arc<AtomicBool>,
    role: Arc<OnceLock<NotReady>>,
}

/// Why a role that has started is not ready, if it is not.
type NotReady = Box<dyn Fn() -> Option<&'static str> + Send + Sync>;

impl Readiness {
    /// Says it.
    pub(crate) fn set(&self, ready: bool) {
        self.started.store(ready, Ordering::Release);
    }

    /// Waits for a role, too: once, for the one that can tell.
    pub(crate) fn wait_for(&self, role: impl Fn() -> Option<&'static str> + Send + Sync + 'static) {
        let _ = self.role.set(Box::new(role));
    }

    fn not_ready(&self) -> Option<&'static str> {
        if !self.started.load(Ordering::Acquire) {
            return Some("starting or stopping");
        }
        self.role.get().and_then(|role| role())
    }
}

/// Everything that is answered on the port. `apis` are the stores' routes, if this process has stores.
pub(crate) fn router(
    apis: Option<Router>,
    readiness: Readiness,
    registry: SharedRegistry,
) -> Router {
    let ready = move || async move {
        match readiness.not_ready() {
            None => (StatusCode::OK, "ready\n").into_response(),
            Some(why) => {
                let said = format!("not ready: {why}\n");
                (StatusCode::SERVICE_UNAVAILABLE, said).into_response()
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_is_not_ready_keeps_the_process_from_it() {
        let readiness = Readiness::default();
        assert_eq!(readiness.not_ready(), Some("starting or stopping"));
        readiness.set(true);
        assert_eq!(readiness.not_ready(), None);
        let knows = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&knows);
        readiness.wait_for(move || (!told.load(Ordering::Acquire)).then_some("not yet"));
        assert_eq!(readiness.not_ready(), Some("not yet"));
        knows.store(true, Ordering::Release);
        assert_eq!(readiness.not_ready(), None);
        readiness.set(false);
        assert_eq!(readiness.not_ready(), Some("starting or stopping"));
    }
}
