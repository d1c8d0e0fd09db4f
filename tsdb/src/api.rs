//! The HTTP API of Prometheus: what Grafana, promtool and remote-writing agents speak.
//!
//! Shapes, parameter names and error texts are upstream's. Handlers only translate: they read
//! parameters, hand the work to a bounded pool of blocking threads ([`work`]), and write the
//! envelope ([`response`]). When the client goes away the handler is dropped, which raises the
//! query's cancel flag.
//!
//! - [`params`]: parameters of a GET or of a posted form, and their texts to times and numbers.
//! - [`work`]: CPU work off the async threads, bounded in number and time.
//! - [`response`]: the envelope, and errors with their status.
//! - [`text`]: texts whose memory is counted.
//! - [`streamed`]: answers that are written while the store is read.
//! - [`cors`]: which pages of other origins may read answers.
//! - [`query`]: `query`, `query_range`, `format_query`.
//! - [`stats`]: what a query took; [`query_log`]: a note of each.
//! - [`tree`]: the tree of a query, `parse_query`.
//! - [`exemplars`]: what stands for samples, `query_exemplars`.
//! - [`labels`]: `labels`, `label/NAME/values`, `series`.
//! - [`metadata`]: `metadata`, `status/buildinfo`.
//! - `status`: `status/tsdb`.
//! - [`program`]: what the program is, `status/…`, `features`.
//! - [`targets`]: what is scraped, `targets`, `scrape_pools`.
//! - [`write`]: `write`, remote write 1.0 and 2.0.
//! - [`otlp`]: `otlp/v1/metrics`, what OpenTelemetry exports.
//! - [`read`]: `read`, remote read in samples and in chunks.
//! - [`federate`]: `/federate`, the newest samples as text.
//! - [`admin`]: `admin/tsdb/…`: snapshot, deletion.
//! - [`export`]: `export`, every sample as JSON lines.
//! - [`rules`]: `rules`, `alerts`, `alertmanagers`; a router of its own.

pub mod admin;
pub mod cors;
mod exemplars;
mod export;
mod federate;
mod labels;
mod metadata;
mod otlp;
mod params;
pub mod program;
mod query;
mod query_log;
mod read;
mod response;
pub mod rules;
mod stats;
mod status;
mod streamed;
pub mod targets;
mod text;
mod tree;
mod work;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::database::Tsdb;
use admin::AdminApi;
use query_log::QueryLog;

/// What the API may do at once. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// Queries that run at once; others wait for their turn.
    pub queries_max: usize,
    /// Writes that are decoded and stored at once; others wait for their turn.
    pub writes_max: usize,
    /// Exports that run at once; beyond it a client is asked to come back.
    pub exports_max: usize,
    /// Remote reads that are streamed at once; others wait for their turn.
    pub reads_max: usize,
    /// Samples of a remote read that is not streamed.
    pub read_samples_max: usize,
    /// Writes that are received or wait for their turn; beyond it a client is asked to come back.
    pub writes_waiting_max: usize,
    /// How long a client is asked to wait when there is no room for a write.
    pub retry_after: Duration,
    /// Size of a posted form.
    pub form_bytes_max: usize,
    /// Origins whose pages may read answers; none is any.
    pub cors_origin: Option<cors::Origins>,
    /// A file that every query is noted in.
    pub query_log_file: Option<PathBuf>,
    /// The version that `status/buildinfo` tells.
    pub version: String,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            queries_max: 20,
            writes_max: 4,
            exports_max: 4,
            reads_max: 10,
            read_samples_max: 10_000_000,
            writes_waiting_max: 64,
            retry_after: Duration::from_secs(5),
            form_bytes_max: 10 << 20,
            cors_origin: None,
            query_log_file: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What every handler has at hand.
#[derive(Clone)]
struct Api {
    tsdb: Tsdb,
    queries: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// Places of writes that are received or wait: each may hold a whole request in memory.
    write_places: Arc<Semaphore>,
    query_log: Option<Arc<QueryLog>>,
}

impl Api {
    fn options(&self) -> &ApiOptions {
        &self.tsdb.options().api
    }
}

/// The routes that tell of what is beside the store.
pub(crate) fn surroundings(
    tsdb: &Tsdb,
    program: program::Program,
    targets: Arc<dyn targets::Targets>,
) -> Router {
    let router = program::router(tsdb.clone(), program).merge(targets::router(targets));
    with_origins(tsdb, router)
}

/// Has the answers of a router say which pages of other origins may read them.
pub(crate) fn with_origins(tsdb: &Tsdb, router: Router) -> Router {
    let origins = tsdb.options().api.cors_origin.clone();
    router.layer(from_fn_with_state(origins, cors::say))
}

/// The routes below `/api/v1`.
pub(crate) fn router(tsdb: Tsdb, admin: AdminApi) -> Router {
    let options = tsdb.options();
    let form_bytes_max = options.api.form_bytes_max;
    let request_bytes_max = options.ingest.request_bytes_max;
    let origins = options.api.cors_origin.clone();
    let api = Api {
        queries: Arc::new(Semaphore::new(options.api.queries_max)),
        writes: Arc::new(Semaphore::new(options.api.writes_max)),
        exports: Arc::new(Semaphore::new(options.api.exports_max)),
        reads: Arc::new(Semaphore::new(options.api.reads_max)),
        write_places: Arc::new(Semaphore::new(options.api.writes_waiting_max)),
        query_log: options
            .api
            .query_log_file
            .clone()
            .map(|path| Arc::new(QueryLog::new(path))),
        tsdb,
    };
    let write = Router::new()
        .route("/api/v1/write", post(write::write))
        .route("/api/v1/otlp/v1/metrics", post(otlp::metrics))
        .layer(DefaultBodyLimit::max(request_bytes_max));
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route(
            "/api/v1/format_query",
            get(query::format).post(query::format),
        )
        .route(
            "/api/v1/parse_query",
            get(tree::parse_query).post(tree::parse_query),
        )
        .route(
            "/api/v1/query_exemplars",
            get(exemplars::exemplars).post(exemplars::exemplars),
        )
        .route("/federate", get(federate::federate))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/export", get(export::lines).post(export::lines))
        .route("/api/v1/read", post(read::read))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/api/v1/status/buildinfo", get(metadata::buildinfo))
        .layer(DefaultBodyLimit::max(form_bytes_max))
        .merge(write)
        .with_state(api.clone())
        .merge(admin::router(api, admin))
        .layer(from_fn_with_state(origins, cors::say))
}
