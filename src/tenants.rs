//! Tenants: each has a data folder of its own, and a router that knows nothing else.
//!
//! A request is given to the router of the tenant that its `X-Scope-OrgID` names, before anything of it is
//! looked at. What a handler can reach was decided when its router was made, from the stores of one folder; so
//! nothing that a handler does, does wrong or is changed to do can mix tenants. No label says whose a sample is.
//!
//! The default tenant has the data folder itself: what the program stores of its own accord (scrapes, lines,
//! decisions, results of rules) is there, and so is what was stored before tenants were told apart. The others
//! are below `tenants/`, made by their first write; whoever only asks makes nothing, and finds nothing. Each
//! has the limits that the configuration says, so there is a limit of how many they are.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use anyhow::{Context as _, anyhow, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use logs::Logs;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use storage::clock::{Clock, SystemClock};
use storage::disk::Disk;
use storage::disk::sim::SimDisk;
use tower::ServiceExt as _;
use tsdb::Tsdb;
use tsdb::api::program::Program;
use tsdb::rules::RulesConfig;

use crate::config::Config;
use crate::config::tenants::{TenantId, TenantsConfig};
use crate::rules;
use crate::stores::{self, OpenStores, open_stores};
use crate::wiring::{ScrapedTargets, Stores};

/// Who asks.
const HEADER: &str = "x-scope-orgid";
/// The folder of the tenants, in the data folder.
const FOLDER: &str = "tenants";
/// What makes a tenant that is not there.
const WRITES: [&str; 3] = [
    "/api/v1/write",
    "/api/v1/otlp/v1/metrics",
    "/loki/api/v1/push",
];

/// Why there is no other answer, for who asks.
type Refusal = (StatusCode, String);

/// Every tenant there is.
pub(crate) struct Tenants {
    /// What each is told, but for its folder.
    config: Config,
    told: TenantsConfig,
    program: Program,
    /// The default tenant's routes.
    own: Router,
    /// The routes of a tenant that has nothing.
    nobody: Router,
    open: Mutex<HashMap<TenantId, Arc<Tenant>>>,
    /// Held while a tenant is made, so that it is made once.
    making: tokio::sync::Mutex<()>,
    count: Gauge<i64, AtomicI64>,
}

/// A tenant.
struct Tenant {
    router: Router,
    /// Taken when it is closed.
    stores: Mutex<Option<OpenStores>>,
}

impl Tenants {
    /// Opens the tenants that are there. `own` are the routes of the default one.
    pub(crate) async fn open(
        config: &Config,
        told: TenantsConfig,
        own: Router,
        program: Program,
    ) -> anyhow::Result<Arc<Self>> {
        let config = Config {
            // What is the operator's stays with the default tenant.
            rules: RulesConfig::default(),
            query_log_file: None,
            metrics_tier: None,
            ..config.clone()
        };
        let program = Program {
            config: String::new(),
            ..program
        };
        let this = Self {
            nobody: nobody(&config, &program).await?,
            open: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            count: Gauge::default(),
            config,
            told,
            program,
            own,
        };
        let folder = this.config.data.join(FOLDER);
        let names = tokio::task::spawn_blocking(move || names(&folder)).await??;
        let max = this.told.count_max;
        if names.len() > max {
            let count = names.len();
            bail!("there are {count} tenants, and tenants.count_max is {max}: raise it");
        }
        for name in names {
            drop(this.make(name).await?);
        }
        Ok(Arc::new(this))
    }

    /// Registers what is counted. What the stores of tenants count is not: names are theirs alone.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Tenants beside the default one";
        registry.register("taffrail_tenants", help, self.count.clone());
    }

    /// The routes of all tenants.
    pub(crate) fn router(this: &Arc<Self>) -> Router {
        Router::new().fallback(route).with_state(Arc::clone(this))
    }

    /// Flushes and closes all, also where one fails. Blocks on the disk. They do it at the same time: each waits
    /// for the disk more than it works, and a stop has a deadline.
    pub(crate) fn close(&self) -> anyhow::Result<()> {
        let open = std::mem::take(&mut *self.open.lock());
        std::thread::scope(|scope| {
            let close = |tenant: Arc<Tenant>| {
                let stores = tenant.stores.lock().take();
                stores.map_or(Ok(()), OpenStores::close)
            };
            let closing: Vec<_> = (open.into_iter())
                .map(|(name, tenant)| (name, scope.spawn(move || close(tenant))))
                .collect();
            let mut closed = Ok(());
            for (name, one) in closing {
                let one = one.join();
                let one = one.unwrap_or_else(|_| Err(anyhow!("ended in a panic")));
                closed = closed.and(one.with_context(|| format!("tenant {name}")));
            }
            closed
        })
    }

    /// The routes of a tenant; none where it has no folder.
    fn found(&self, name: &TenantId) -> Option<Router> {
        if *name == self.told.default {
            return Some(self.own.clone());
        }
        let open = self.open.lock();
        open.get(name).map(|tenant| tenant.router.clone())
    }

    /// The routes of a tenant that somebody writes to. It is made whole, also where nobody waits for it any
    /// more.
    async fn found_or_made(this: &Arc<Self>, name: TenantId) -> Result<Router, Refusal> {
        let making = Arc::clone(this);
        let made = tokio::spawn(async move { making.make_once(name).await });
        made.await.unwrap_or_else(|error| {
            tracing::error!(%error, "making a tenant ended in a panic");
            let reason = "the server's log says why".to_owned();
            Err((StatusCode::INTERNAL_SERVER_ERROR, reason))
        })
    }

    async fn make_once(&self, name: TenantId) -> Result<Router, Refusal> {
        let _made_once = self.making.lock().await;
        if let Some(router) = self.found(&name) {
            return Ok(router);
        }
        let max = self.told.count_max;
        if self.open.lock().len() >= max {
            let reason = format!(
                "tenant {name} would be one more than the {max} that there may be: raise tenants.count_max"
            );
            return Err((StatusCode::BAD_REQUEST, reason));
        }
        self.make(name.clone()).await.map_err(|error| {
            tracing::error!(tenant = %name, "cannot be made: {error:#}");
            let reason = format!("tenant {name} cannot be made; the server's log says why");
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        })
    }

    /// Opens a tenant's folder, or makes it.
    async fn make(&self, name: TenantId) -> anyhow::Result<Router> {
        let config = Config {
            data: self.config.data.join(FOLDER).join(name.as_str()),
            ..self.config.clone()
        };
        let of = || format!("tenant {name}");
        let opened = open_stores(&config).await.with_context(of)?;
        let data = self.config.data.clone();
        let router = match routes(&config, &opened.stores, &self.program).await {
            Ok(router) => router,
            Err(error) => {
                tokio::task::spawn_blocking(move || opened.close()).await??;
                return Err(error.context(of()));
            }
        };
        // What is acknowledged in a folder is not more durable than its name.
        let durable = tokio::task::spawn_blocking(move || {
            let tenants = data.join(FOLDER);
            for folder in [&config.data, &tenants, &data] {
                File::open(folder)?.sync_all()?;
            }
            std::io::Result::Ok(())
        });
        durable.await?.with_context(of)?;
        let tenant = Tenant {
            router: router.clone(),
            stores: Mutex::new(Some(opened)),
        };
        let mut open = self.open.lock();
        open.insert(name, Arc::new(tenant));
        self.count.set(open.len() as i64);
        Ok(router)
    }
}

/// The routes of stores, without what is the operator's: no rules, no targets.
async fn routes(config: &Config, stores: &Stores, program: &Program) -> anyhow::Result<Router> {
    let rules = rules::open(config, &stores.tsdb).await?;
    let targets = Arc::new(ScrapedTargets::default());
    let program = program.clone();
    Ok(stores::router(config, stores, &rules, program, targets))
}

/// The routes of stores that have nothing and get nothing: they lie in memory.
async fn nobody(config: &Config, program: &Program) -> anyhow::Result<Router> {
    let config = Config {
        admin_api: false,
        ..config.clone()
    };
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = Path::new("/nobody");
    let (metrics, lines) = (folder.join("metrics"), folder.join("logs"));
    let (tsdb, _) = Tsdb::open(
        Arc::clone(&disk),
        Arc::clone(&clock),
        &metrics,
        config.tsdb_options(),
    )?;
    let (logs, _) = Logs::open(disk, clock, &lines, config.logs_options())?;
    routes(&config, &Stores { tsdb, logs }, program).await
}

/// The tenants that have a folder.
fn names(folder: &Path) -> anyhow::Result<Vec<TenantId>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let tenant = name.to_str().map(TenantId::new);
        let Some(Ok(tenant)) = tenant else {
            bail!(
                "{}: is no name of a tenant; move it elsewhere",
                folder.join(name).display()
            );
        };
        names.push(tenant);
    }
    Ok(names)
}

/// Gives a request to the tenant that it names.
async fn route(State(tenants): State<Arc<Tenants>>, request: Request) -> Response {
    let name = match name_in(&request) {
        Ok(name) => name,
        Err(refusal) => return refused(refusal),
    };
    let is_write = request.method() == Method::POST && WRITES.contains(&request.uri().path());
    let router = match tenants.found(&name) {
        Some(router) => router,
        None if is_write => match Tenants::found_or_made(&tenants, name).await {
            Ok(router) => router,
            Err(refusal) => return refused(refusal),
        },
        None => tenants.nobody.clone(),
    };
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn refused((status, reason): Refusal) -> Response {
    (status, reason + "\n").into_response()
}

/// Who asks.
fn name_in(request: &Request) -> Result<TenantId, Refusal> {
    let mut names = request.headers().get_all(HEADER).iter();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err((StatusCode::UNAUTHORIZED, "no org id".to_owned()));
    };
    if name.is_empty() {
        return Err((StatusCode::UNAUTHORIZED, "no org id".to_owned()));
    }
    let name = String::from_utf8_lossy(name.as_bytes());
    TenantId::new(&name).map_err(|reason| (StatusCode::BAD_REQUEST, reason))
}
