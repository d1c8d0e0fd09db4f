//! The stores of a data folder: opened, kept in shape, asked over HTTP, and closed.
//!
//! A data folder is all that one answer can come from: the program's own, and one for each tenant. Its router
//! knows its stores and nothing beside them.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use axum::Router;
use logs::Logs;
use storage::clock::{Clock, SystemClock};
use storage::disk::Disk;
use storage::disk::real::RealDisk;
use storage::store::Recovered;
use storage::store::background::Background;
use tsdb::api::admin::AdminApi;
use tsdb::api::program::Program;
use tsdb::api::targets::Targets;
use tsdb::database::TsdbBackground;
use tsdb::{Tsdb, TsdbOptions};

use crate::config::Config;
use crate::rules::Rules;
use crate::snapshots::DataSnapshots;
use crate::tier;
use crate::wiring::Stores;

/// The stores and the threads that keep them in shape.
pub(crate) struct OpenStores {
    /// The stores.
    pub(crate) stores: Stores,
    metrics: TsdbBackground,
    lines: Background<logs::store::LogTable>,
}

impl OpenStores {
    /// Flushes both, the second also where the first fails.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let (metrics, lines) = (self.metrics.stop(), self.lines.stop());
        metrics.context("the metrics store")?;
        lines.context("the log store")
    }
}

/// One process for one data folder, whatever its role.
pub(crate) fn lock_data(data: &Path) -> anyhow::Result<Box<dyn Any + Send + Sync>> {
    let disk = RealDisk;
    disk.create_dir_all(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let path = data.join("LOCK");
    disk.lock(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => anyhow!(
            "{}: in use by another process; stop it, or choose another data folder with --data",
            data.display()
        ),
        _ => anyhow!("cannot lock {}: {error}", path.display()),
    })
}

/// Opens the metrics store, with the bucket that its old parts move to.
pub(crate) fn open_metrics(
    config: &Config,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Tsdb, Recovered)> {
    let tier = config.metrics_tier.as_ref().map(tier::open).transpose()?;
    let options = TsdbOptions {
        tier,
        ..config.tsdb_options()
    };
    Tsdb::open(disk, clock, &config.data.join("metrics"), options).context("the metrics store")
}

/// Opens both stores of a data folder, which recover.
pub(crate) async fn open_stores(config: &Config) -> anyhow::Result<OpenStores> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (tsdb, recovered) = open_metrics(&config, Arc::clone(&disk), Arc::clone(&clock))?;
        say_recovered("metrics", &recovered);
        let (logs, recovered) = Logs::open(
            disk,
            clock,
            &config.data.join("logs"),
            config.logs_options(),
        )
        .context("the log store")?;
        say_recovered("logs", &recovered);
        Ok(OpenStores {
            metrics: tsdb.background()?,
            lines: logs.start_background()?,
            stores: Stores { tsdb, logs },
        })
    })
    .await?
}

/// What a start found is said once; damage was said where it was found.
fn say_recovered(store: &str, recovered: &Recovered) {
    if recovered.records > 0 {
        let Recovered {
            records,
            rows,
            torn_bytes,
            ..
        } = recovered;
        tracing::info!(
            store,
            records,
            rows,
            torn_bytes,
            "replayed the log of an earlier run"
        );
    }
}

/// What is answered from the stores of a data folder.
pub(crate) fn router(
    config: &Config,
    stores: &Stores,
    rules: &Rules,
    program: Program,
    targets: Arc<dyn Targets>,
) -> Router {
    let admin = if config.admin_api {
        AdminApi::Enabled(Arc::new(DataSnapshots::new(&config.data, stores.clone())))
    } else {
        AdminApi::Disabled
    };
    let of_rules = tsdb::api::rules::router(rules.manager.clone());
    (stores.tsdb.router_with(admin))
        .merge(stores.tsdb.surroundings_router(program, targets))
        .merge(stores.tsdb.with_origins(of_rules))
        .merge(stores.logs.router())
}
