//! `admin/tsdb/…`: snapshot, deletion, and giving back what deleted series take.
//!
//! Whoever may ask here may destroy data, and nothing is authenticated: the binary says whether these
//! are answered at all. A snapshot is of everything a process stores, of which metrics are a part; so
//! the binary makes it, and hands it in as [`Snapshots`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use model::time::Timestamp;
use model::vector::write_text;
use storage::store::MaintainError;

use super::Api;
use super::params::Params;
use super::response::{ApiError, ErrorType, Success};
use crate::query::QueryOptions;

/// Makes snapshots of all that a process stores.
pub trait Snapshots: Send + Sync {
    /// Makes one under a name that there is none of yet, and returns when it is durable.
    fn make(&self, name: &str) -> Result<(), String>;
}

/// Whether the requests are answered.
#[derive(Clone, Default)]
pub enum AdminApi {
    /// They are refused.
    #[default]
    Disabled,
    /// They are answered.
    Enabled(Arc<dyn Snapshots>),
}

#[derive(Clone)]
struct Admin {
    api: Api,
    admin: AdminApi,
}

/// Snapshots of this process, so that two in one millisecond have two names.
static SNAPSHOTS: AtomicU64 = AtomicU64::new(0);

/// The routes below `/api/v1/admin`.
pub(super) fn router(api: Api, admin: AdminApi) -> Router {
    let delete = post(delete_series).put(delete_series);
    let clean = post(clean_tombstones).put(clean_tombstones);
    Router::new()
        .route("/api/v1/admin/tsdb/snapshot", post(snapshot).put(snapshot))
        .route("/api/v1/admin/tsdb/delete_series", delete)
        .route("/api/v1/admin/tsdb/clean_tombstones", clean)
        .with_state(Admin { api, admin })
}

impl Admin {
    fn snapshots(&self) -> Result<Arc<dyn Snapshots>, ApiError> {
        match &self.admin {
            AdminApi::Enabled(snapshots) => Ok(Arc::clone(snapshots)),
            AdminApi::Disabled => Err(ApiError::new(
                ErrorType::Unavailable,
                "admin APIs disabled; set metrics.admin_api: true in the configuration",
            )),
        }
    }
}

/// `snapshot`
async fn snapshot(State(admin): State<Admin>) -> Result<Success, ApiError> {
    let snapshots = admin.snapshots()?;
    let name = admin.api.run_write(move |api| {
        let name = snapshot_name(api.tsdb.clock().now());
        snapshots.make(&name).map(|()| name)
    });
    let name = name.await?.map_err(|reason| {
        ApiError::new(ErrorType::Internal, format!("create snapshot: {reason}"))
    })?;
    let mut data = String::from("{\"name\":");
    write_text(&mut data, &name);
    data.push('}');
    Ok(Success::new(data))
}

/// As upstream names them: the time, and what keeps two apart.
fn snapshot_name(now: Timestamp) -> String {
    let number = SNAPSHOTS.fetch_add(1, Ordering::Relaxed);
    let time = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default();
    let apart = (now.millis() as u64).rotate_left(20) ^ number;
    format!("{}-{apart:016x}", time.strftime("%Y%m%dT%H%M%SZ"))
}

/// `delete_series`
async fn delete_series(State(admin): State<Admin>, params: Params) -> Result<StatusCode, ApiError> {
    admin.snapshots()?;
    let guard = admin.api.tsdb.engine().guard(&QueryOptions::default());
    let (sets, range) = (params.matchers(&guard)?, params.range()?);
    if sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let deleted = admin.api.run_write(move |api| {
        for matchers in sets {
            api.tsdb.delete(matchers, range)?;
        }
        Ok(())
    });
    done(deleted.await?)
}

/// `clean_tombstones`
async fn clean_tombstones(State(admin): State<Admin>) -> Result<StatusCode, ApiError> {
    admin.snapshots()?;
    let cleaned = admin.api.run_write(|api| api.tsdb.store().merge_all());
    done(cleaned.await?)
}

fn done(result: Result<(), MaintainError>) -> Result<StatusCode, ApiError> {
    match result {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(ApiError::new(ErrorType::Internal, error.to_string())),
    }
}
