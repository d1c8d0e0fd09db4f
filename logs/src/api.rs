//! Loki's HTTP API, as Grafana, logcli, promtail, Alloy, vector and fluent-bit speak it.
//!
//! Handlers do three things: read parameters ([`params`]), hand the work to a thread that may
//! compute ([`run`]), write the answer ([`response`]). What a query means is the engine's matter and what
//! is kept is the store's; nothing here looks at a line.
//!
//! Errors are plain text with a status, as Loki's are: Grafana shows the text as it is.
//!
//! - [`error`]: texts and statuses.
//! - [`params`]: times, durations and selectors of a request.
//! - [`run`]: work off the async threads, bounded, given up when the client is gone.
//! - [`push`]: entries come in.
//! - [`query`]: `query`, `query_range`, `format_query`.
//! - [`labels`]: labels, series, volumes.
//! - [`response`]: the shapes of the answers.

mod error;
mod labels;
mod params;
mod push;
mod query;
mod response;
mod run;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::Logs;
use run::Slots;

/// What every handler has.
#[derive(Clone)]
struct Api {
    logs: Logs,
    queries: Arc<Slots>,
    pushes: Arc<Slots>,
}

/// The routes below `/loki/api/v1`.
pub(crate) fn router(logs: Logs) -> Router {
    let options = logs.options();
    let push_bytes_max = options.ingest.push_bytes_max;
    let api = Api {
        queries: Arc::new(Slots::new(
            options.queries_at_once_max,
            options.queries_waiting_max,
            logs.metrics().queries.clone(),
        )),
        pushes: Arc::new(Slots::new(
            options.pushes_at_once_max,
            options.pushes_waiting_max,
            logs.metrics().pushes.clone(),
        )),
        logs,
    };
    let push = post(push::push).layer(DefaultBodyLimit::max(push_bytes_max));
    let routes = Router::new()
        .route("/push", push)
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label", get(labels::names).post(labels::names))
        .route(
            "/label/{name}/values",
            get(labels::values).post(labels::values),
        )
        .route("/series", get(labels::series).post(labels::series))
        .route("/index/stats", get(labels::stats).post(labels::stats))
        .route("/index/volume", get(labels::volume).post(labels::volume))
        .route(
            "/detected_labels",
            get(labels::detected).post(labels::detected),
        )
        .route("/status/buildinfo", get(response::build_info));
    Router::new().nest("/loki/api/v1", routes).with_state(api)
}
