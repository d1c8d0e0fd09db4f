//! The roles: what is started, in which order, and how it stops.
//!
//! Start: the ports first, so that a taken one is said before anything else happens; then the
//! stores, which recover; then the webhook and the agent, which need them; then ready. Stop is the
//! reverse, edges first and storage last, all of it before one deadline: not ready any more, the webhook
//! answers what it has, the agent ships what it has, the HTTP port answers what it has, the stores
//! flush. A second signal, or the deadline, ends the process where it is: the stores' logs hold
//! what was acknowledged.

use std::any::Any;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admission::data::DataSource;
use admission::{Admission, DecisionSink};
use agent::ship::Sink;
use agent::ship::http::{HttpConfig, HttpSink};
use agent::{Agent, AgentHandle};
use anyhow::{Context as _, anyhow, bail};
use axum::Router;
use axum::middleware::from_fn;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tsdb::rules::RunningRules;

use crate::allocator::Aim;
use crate::cli::access::AccessArgs;
use crate::config::Config;
use crate::config::shown::shown_url;
use crate::data::RemoteData;
use crate::http::{self, Readiness, SharedRegistry};
use crate::program;
use crate::reload::Reload;
use crate::rules;
use crate::stores::{self, OpenStores, lock_data, open_stores};
use crate::tenants::Tenants;
use crate::web::listener::TlsListener;
use crate::web::patience::{PatientListener, hurry_body};
use crate::web::places::connections_possible;
use crate::web::{Peer, Web};
use crate::wiring::{RemoteDecisions, ScrapedTargets};

/// What a process is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Everything.
    All,
    /// The stores and their APIs.
    Server,
    /// The node agent; what it finds goes to a server.
    Agent {
        /// URL of the server.
        server: String,
        /// What the command line says of the way there.
        access: AccessArgs,
    },
    /// The admission webhook; what it decides goes to a server.
    Admission {
        /// URL of the server.
        server: String,
        /// What the command line says of the way there.
        access: AccessArgs,
    },
}

impl Role {
    const fn has_stores(&self) -> bool {
        matches!(self, Self::All | Self::Server)
    }

    const fn has_agent(&self) -> bool {
        // A server scrapes itself: its own metrics belong into its store.
        !matches!(self, Self::Admission { .. })
    }

    const fn has_admission(&self) -> bool {
        matches!(self, Self::All | Self::Admission { .. })
    }

    /// What memory should be like: whoever creates a pod waits for the webhook.
    pub(crate) const fn aim(&self) -> Aim {
        if self.has_admission() {
            Aim::Latency
        } else {
            Aim::Throughput
        }
    }
}

/// What runs.
struct Running {
    readiness: Readiness,
    http: JoinHandle<std::io::Result<()>>,
    stop_http: CancellationToken,
    stores: Option<OpenStores>,
    tenants: Option<Arc<Tenants>>,
    reload: Reload,
    rules: Option<RunningRules>,
    agent: Option<AgentHandle>,
    admission: Option<Admission>,
    decisions: Option<JoinHandle<()>>,
    _lock: Box<dyn Any + Send + Sync>,
}

/// Runs a role until a signal ends it.
pub(crate) async fn run(config: Config, role: Role) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let deadline = config.shutdown_deadline;
    let running = tokio::select! {
        started = start(config, role) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
            _ = hangup.recv() => {
                running.reload.on_signal().await;
                continue;
            }
        }
        break;
    }
    tokio::select! {
        stopped = tokio::time::timeout(deadline, stop(running, deadline)) => match stopped {
            Ok(result) => result,
            Err(_) => bail!("stopping took longer than {deadline:?}; what was acknowledged is in the stores' logs"),
        },
        _ = terminate.recv() => bail!("stopped at once by a second signal"),
        _ = interrupt.recv() => bail!("stopped at once by a second signal"),
    }
}

async fn start(config: Config, role: Role) -> anyhow::Result<Running> {
    let listener = TcpListener::bind(config.http)
        .await
        .map_err(|error| bind_error(config.http, &error, "--http"))?;
    let http_address = listener.local_addr()?;
    let connections_max = config.web.connections_max().min(connections_possible());
    let section = config.web.clone();
    let web = tokio::task::spawn_blocking(move || Web::open(section)).await?;
    let web = Arc::new(web.context("web")?);
    let lock = lock_data(&config.data)?;
    let shared_registry: SharedRegistry = Arc::new(OnceLock::new());
    let mut registry = Registry::default();
    let readiness = Readiness::default();
    let open = if role.has_stores() {
        Some(open_stores(&config).await?)
    } else {
        None
    };
    let stores = open.as_ref().map(|open| open.stores.clone());
    let rules = match &stores {
        Some(stores) => Some(rules::open(&config, &stores.tsdb).await?),
        None => None,
    };
    let reload = Reload::new(&config, Arc::clone(&web), rules.clone());
    let targets = ScrapedTargets::default();
    let mut tenants = None;
    let apis = match (&stores, &rules) {
        (Some(stores), Some(rules)) => {
            stores.tsdb.register(&mut registry);
            stores.logs.register(&mut registry);
            rules.manager.register(&mut registry);
            let program = program::of(&config, &role, http_address);
            let beside = Arc::new(targets.clone());
            let own = stores::router(&config, stores, rules, program.clone(), beside);
            let routes = if let Some(told) = config.tenants.clone() {
                let opened = Tenants::open(&config, told, own, program).await?;
                opened.register(&mut registry);
                let routes = Tenants::router(&opened);
                tenants = Some(opened);
                routes
            } else {
                own
            };
            Some(routes.merge(reload.router(config.admin_api)))
        }
        _ => None,
    };
    let router = http::router(apis, readiness.clone(), Arc::clone(&shared_registry));
    let stop_http = CancellationToken::new();
    tokio::spawn(Arc::clone(&web).keep(stop_http.clone()));
    web.register(&mut registry);
    let router = http::protected(router, Arc::clone(&web)).layer(from_fn(hurry_body));
    let listener = PatientListener::new(listener, connections_max, config.query.timeout);
    let http = serve(listener, router, Arc::clone(&web), stop_http.clone())?;

    let remote = remote_sink(&config, &role)?;
    let (mut admission, mut decisions) = (None, None);
    if role.has_admission() {
        let sink: Arc<dyn DecisionSink> = match (&stores, &remote) {
            (Some(stores), _) => Arc::new(stores.clone()),
            (None, Some(remote)) => {
                let (sink, task) = RemoteDecisions::start(Arc::clone(remote));
                decisions = Some(task);
                Arc::new(sink)
            }
            (None, None) => bail!("the webhook has no store to write its decisions to"),
        };
        let address = config.admission.listen;
        let data: Arc<dyn DataSource> = match &stores {
            Some(stores) => Arc::new(stores.clone()),
            None => Arc::new(remote_data(&config, &role)?),
        };
        let settings = config.admission.clone();
        let started = Admission::start_with_data(settings, sink, &mut registry, Some(data)).await;
        admission = Some(started.map_err(|error| match error {
            admission::StartError::Listen { source, .. } => {
                bind_error(address, &source, "--webhook")
            }
            error => error.into(),
        })?);
    }
    let mut agent = None;
    if role.has_agent() {
        let sink: Arc<dyn Sink> = match (stores, remote) {
            (Some(stores), _) => Arc::new(stores),
            (None, Some(remote)) => remote,
            (None, None) => bail!("the agent has no store to write to"),
        };
        let own = Arc::clone(&shared_registry);
        let own_metrics: agent::Exposer = Arc::new(move || {
            // The first scrape may come before the last role has registered; it runs beside the
            // async threads and waits.
            own.wait();
            http::exposition(&own)
        });
        let told = config.agent_of(&role);
        let started = Agent::start(told, sink, Some(own_metrics), &mut registry)?;
        targets.set(started.targets());
        agent = Some(started);
    }
    // Set once, here.
    let _ = shared_registry.set(registry);
    let rules = match rules {
        Some(rules) => Some(rules.manager.start()?),
        None => None,
    };
    web.warn_if_open(http_address);
    if let Some(admission) = &admission {
        let webhook = admission.readiness();
        readiness.wait_for(move || webhook.not_ready());
    }
    readiness.set(true);
    let webhook = admission.as_ref().map(Admission::local_addr);
    let http_url = format!("{}://{http_address}", web.scheme());
    print_banner(&config, &role, &http_url, webhook);
    Ok(Running {
        readiness,
        http,
        stop_http,
        stores: open,
        tenants,
        reload,
        rules,
        agent,
        admission,
        decisions,
        _lock: lock,
    })
}

async fn stop(running: Running, deadline: Duration) -> anyhow::Result<()> {
    running.readiness.set(false);
    if let Some(admission) = running.admission {
        admission.shutdown(deadline / 3).await;
    }
    if let Some(decisions) = running.decisions {
        // Its sink went with the webhook: it ends when everything is delivered.
        let _ = tokio::time::timeout(deadline / 3, decisions).await;
    }
    if let Some(agent) = running.agent {
        agent.shutdown(deadline / 3).await;
    }
    if let Some(rules) = running.rules {
        // What is under way is stored, and alerts that wait are sent.
        tokio::task::spawn_blocking(move || rules.stop()).await?;
    }
    running.stop_http.cancel();
    running.http.await??;
    // Each is flushed, also where another fails.
    let closed = tokio::task::spawn_blocking(move || {
        let tenants = running.tenants.map_or(Ok(()), |tenants| tenants.close());
        let own = running.stores.map_or(Ok(()), OpenStores::close);
        own.and(tenants)
    });
    closed.await??;
    tracing::info!("stopped; everything is flushed");
    Ok(())
}

fn serve(
    listener: PatientListener,
    router: Router,
    web: Arc<Web>,
    stop: CancellationToken,
) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
    let stopped = stop.cancelled_owned();
    if web.tls().is_none() {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
        return Ok(tokio::spawn(serving.into_future()));
    }
    let listener = TlsListener::new(listener, web)?;
    let router = router.into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
    Ok(tokio::spawn(serving.into_future()))
}

fn remote_sink(config: &Config, role: &Role) -> anyhow::Result<Option<Arc<dyn Sink>>> {
    let (Role::Agent { server, access } | Role::Admission { server, access }) = role else {
        return Ok(None);
    };
    let server = reqwest::Url::parse(server)
        .with_context(|| format!("--server {server}: write http://HOST:PORT"))?;
    let sink = HttpSink::new(HttpConfig {
        access: access.or(&config.agent.ship.access()),
        ..HttpConfig::new(server)
    })?;
    Ok(Some(Arc::new(sink)))
}

/// Whom rules ask where the stores are elsewhere: the server that decisions go to.
fn remote_data(config: &Config, role: &Role) -> anyhow::Result<RemoteData> {
    let Role::Admission { server, access } = role else {
        bail!("the webhook has no store to ask");
    };
    RemoteData::new(server, access.or(&config.agent.ship.access()))
}

fn bind_error(address: SocketAddr, error: &std::io::Error, flag: &str) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "{address} is in use by another process; stop it, or choose another address with {flag}"
        ),
        _ => anyhow!("cannot listen on {address}: {error}"),
    }
}

/// Says on standard output where things are. One write, so that nothing comes between the lines.
fn print_banner(config: &Config, role: &Role, http: &str, webhook: Option<SocketAddr>) {
    let mut text = format!("taffrail {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    match role {
        Role::All | Role::Server => line(
            "http",
            &format!("{http}  (Prometheus and Loki APIs, /metrics, /-/ready; web page at /)"),
        ),
        Role::Agent { server, .. } | Role::Admission { server, .. } => {
            line("http", &format!("{http}  (/metrics, /-/ready)"));
            line("server", server);
        }
    }
    if let Some(webhook) = webhook {
        line(
            "webhook",
            &format!("https://{webhook}/validate  (admission.k8s.io/v1)"),
        );
    }
    line("data", &config.data.display().to_string());
    if role.has_agent() {
        let agent = config.agent_of(role);
        if agent.collect.cgroup || agent.collect.node {
            let every = agent.collect.interval;
            line("machine", &format!("cgroups and node, every {every:?}"));
        }
        for target in &agent.scrape.targets {
            line("scrape", &shown_url(target));
        }
        let pods = agent
            .tail
            .pods
            .then(|| agent.roots.var_log.join("pods").display().to_string());
        let logs: Vec<String> = pods.into_iter().chain(agent.tail.globs).collect();
        if !logs.is_empty() {
            line("logs", &logs.join(", "));
        }
    }
    text.push_str("  ready\n");
    // Nobody reading is no reason not to run.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
