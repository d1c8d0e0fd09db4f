//! `status/{config,flags,runtimeinfo,walreplay}`, `features`, `notifications`: what the program is and
//! how it was told to run.
//!
//! The binary knows that and says it once, as [`Program`]. What upstream tells of Go's runtime has no
//! meaning here and is empty, but there, so that clients that read it find the fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use model::time::Timestamp;
use serde_json::{Value, json};

use super::response::Success;
use super::targets::time;
use crate::database::Tsdb;
use crate::query::ast::{AggregateOp, BinaryOp};
use crate::query::functions;

/// What the binary knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// When it was started.
    pub started: Timestamp,
    /// The configuration file as it was read; empty where there is none.
    pub config: String,
    /// What it was told on the command line or by variables, defaults included, by name.
    pub flags: BTreeMap<String, String>,
    /// The folder it runs in.
    pub working_directory: String,
    /// The machine's name.
    pub hostname: String,
    /// How long samples are kept, for people.
    pub storage_retention: String,
    /// Whether deletions and snapshots are answered.
    pub admin_api: bool,
}

#[derive(Clone)]
struct Known {
    tsdb: Tsdb,
    program: Arc<Program>,
}

pub(super) fn router(tsdb: Tsdb, program: Program) -> Router {
    let program = Arc::new(program);
    Router::new()
        .route("/api/v1/status/config", get(config))
        .route("/api/v1/status/flags", get(flags))
        .route("/api/v1/status/runtimeinfo", get(runtime))
        .route("/api/v1/status/walreplay", get(replay))
        .route("/api/v1/features", get(features))
        .route("/api/v1/notifications", get(notifications))
        .with_state(Known { tsdb, program })
}

async fn config(State(known): State<Known>) -> Success {
    Success::new(json!({"yaml": known.program.config}).to_string())
}

async fn flags(State(known): State<Known>) -> Success {
    Success::new(json!(known.program.flags).to_string())
}

async fn runtime(State(known): State<Known>) -> Success {
    let program = &known.program;
    let started = time(program.started);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let data = json!({
        "startTime": started,
        "CWD": program.working_directory,
        "hostname": program.hostname,
        "serverTime": time(known.tsdb.clock().now()),
        "reloadConfigSuccess": true,
        "lastConfigTime": started,
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": cores,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": program.storage_retention,
    });
    Success::new(data.to_string())
}

/// The log is replayed before the port answers.
async fn replay() -> Success {
    Success::new("{\"min\":0,\"max\":0,\"current\":0}".to_owned())
}

/// There are none.
async fn notifications() -> Success {
    Success::new("[]".to_owned())
}

async fn features(State(known): State<Known>) -> Success {
    let all_of = |names: &mut dyn Iterator<Item = &'static str>| -> Value {
        names
            .map(|name| (name.to_owned(), Value::Bool(true)))
            .collect()
    };
    let functions = all_of(&mut functions::FUNCTIONS.iter().map(|function| function.name));
    let operators = BinaryOp::ALL.iter().map(|op| op.as_str());
    let operators = all_of(&mut operators.chain(AggregateOp::ALL.iter().map(|op| op.as_str())));
    let data = json!({
        "api": {
            "admin": known.program.admin_api,
            "exemplars": true,
            "federation": true,
            "label_values_match": true,
            "query_stats": true,
            "remote_read": true,
            "remote_write_receiver": true,
            "remote_write_receiver_v2": true,
        },
        "otlp_receiver": {"delta_conversion": false, "native_delta_ingestion": false},
        "promql": {
            "anchored": true,
            "at_modifier": true,
            "bool": true,
            "by": true,
            "duration_expr": true,
            "fill": true,
            "group_left": true,
            "group_right": true,
            "ignoring": true,
            "negative_offset": true,
            "offset": true,
            "on": true,
            "per_query_lookback_delta": true,
            "per_step_stats": true,
            "smoothed": true,
            "subqueries": true,
            "without": true,
        },
        "promql_functions": functions,
        "promql_operators": operators,
        "tsdb": {"exemplars": true, "native_histograms": true, "start_timestamps": true},
    });
    Success::new(data.to_string())
}
