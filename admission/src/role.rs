//! The role as the binary sees it: started from a configuration, stopped by a deadline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::audit::Audit;
use crate::bundle::{Bundle, Bundles, LoadError};
use crate::certificate::{Certificate, CertificateError};
use crate::cluster::Cluster;
use crate::cluster::connect::ConnectError;
use crate::cluster::definitions::Definitions;
use crate::config::{AdmissionConfig, Config, ConfigError};
use crate::data::{Allowed, DataSource};
use crate::evaluate::{DefaultsEverywhere, Evaluator, NamespaceLabels};
use crate::keeper::Keeper;
use crate::metrics::{AuditMetrics, CacheMetrics, Metrics};
use crate::network_policy::builtins::{ClusterState, UnknownCluster};
pub use crate::server::Readiness;
use crate::server::{Server, Webhook};
use crate::verdict::DecisionSink;

/// Why admission does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies do not load.
    #[error(transparent)]
    Policies(#[from] LoadError),
    /// There is no certificate to serve.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The cluster cannot be watched.
    #[error(transparent)]
    Cluster(#[from] ConnectError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}: set admission.listen to another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Reading files stopped short.
    #[error("starting the admission webhook stopped short")]
    Panicked,
}

/// A running webhook.
#[derive(Debug)]
pub struct Admission {
    server: Server,
    readiness: Readiness,
    keeper: JoinHandle<()>,
    stop_keeper: CancellationToken,
    cluster: Option<Arc<Cluster>>,
    drain_delay: Duration,
    audit: Option<JoinHandle<()>>,
    definitions: Option<JoinHandle<()>>,
    ca_path: Option<PathBuf>,
}

impl Admission {
    /// Starts the webhook; when this returns it answers. Decisions go to `sink`, series into
    /// `registry`. Where there is a cluster it is ready once it knows it; without one the configured defaults hold in
    /// every namespace.
    pub async fn start(
        config: AdmissionConfig,
        sink: Arc<dyn DecisionSink>,
        registry: &mut Registry,
    ) -> Result<Self, StartError> {
        Self::start_with_data(config, sink, registry, None).await
    }

    /// As [`Admission::start`], with somebody whom rules can ask beside the object.
    pub async fn start_with_data(
        config: AdmissionConfig,
        sink: Arc<dyn DecisionSink>,
        registry: &mut Registry,
        data: Option<Arc<dyn DataSource>>,
    ) -> Result<Self, StartError> {
        let config = config.validate()?;
        if !config.kubernetes.is_on() {
            config.network_policy.check_without_state()?;
        }
        // Bound first: a taken address should be told before anything is written to disk.
        let address = config.listen;
        let listen_failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen_failed)?;
        let (config, bundle, certificate) = read_files(config).await?;

        let metrics = Metrics::register(registry);
        info!(
            address = %listener.local_addr().map_err(listen_failed)?,
            modules = bundle.modules(),
            templates = bundle.constraints().templates(),
            constraints = bundle.constraints().constraints(),
            enforce = %config.defaults.enforce,
            "admission webhook"
        );
        let ca_path = certificate
            .ca_pem()
            .map(|_| config.certificate.directory().join("ca.crt"));
        let bundles = Arc::new(Bundles::new(bundle));
        let caches = CacheMetrics::register(registry);
        let cluster = Cluster::start(&config.kubernetes, caches).await?;
        let cluster = cluster.map(Arc::new);
        let ready = Arc::new(AtomicBool::new(cluster.is_none()));
        let trusted = Arc::new(AtomicBool::new(false));
        let readiness = Readiness::new(ready.clone(), trusted.clone());
        let findings = sink.clone();
        // Without permission no rule asks, and none has to be waited for.
        let data = data.filter(|_| config.data.allowed() != Allowed::default());
        let asking = |evaluator: Evaluator| match &data {
            Some(source) => evaluator
                .with_data(source.clone(), config.data.limits())
                .counting_questions(metrics.data.clone()),
            None => evaluator,
        };
        let webhook = Webhook::new(
            bundles.clone(),
            asking(evaluator(&config, cluster.as_deref())),
            sink,
            metrics.clone(),
            config.limits,
            readiness.clone(),
            config.recording.clone(),
        );
        let server = Server::start(
            listener,
            &certificate,
            webhook,
            config.limits.connections_max,
        )
        .map_err(listen_failed)?;
        let stop_keeper = CancellationToken::new();
        let audit = cluster.as_ref().map(|cluster| {
            let audit = Audit {
                config: config.audit.clone(),
                client: cluster.caches().client().clone(),
                evaluator: Arc::new(asking(evaluator(&config, Some(cluster)))),
                judges_network: !config.network_policy.refuse.is_empty(),
                bundles: bundles.clone(),
                sink: findings,
                metrics: AuditMetrics::register(registry),
                ready: ready.clone(),
            };
            tokio::spawn(audit.run(stop_keeper.clone()))
        });
        let defining = cluster.as_ref().filter(|_| config.gatekeeper.definitions);
        let definitions = defining.map(|cluster| {
            let definitions = Definitions::new(cluster, bundles.clone(), ready.clone());
            tokio::spawn(definitions.run(stop_keeper.clone()))
        });
        let keeper = Keeper::new(&config, bundles, certificate, trusted, metrics)
            .with_cluster(cluster.clone(), ready);
        Ok(Admission {
            server,
            readiness,
            keeper: tokio::spawn(keeper.run(stop_keeper.clone())),
            stop_keeper,
            cluster,
            drain_delay: config.drain_delay,
            audit,
            definitions,
            ca_path,
        })
    }

    /// Where it listens, the port being known now if it was 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Whether it is ready, for whoever tells of the whole process.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// The file with the CA a client must trust; None where somebody else issues certificates.
    pub fn ca_path(&self) -> Option<&std::path::Path> {
        self.ca_path.as_deref()
    }

    /// Cancelled when the webhook begins to drain.
    #[cfg(test)]
    pub(crate) fn draining(&self) -> CancellationToken {
        self.server.draining()
    }

    /// Says that it is not ready, goes on for the configured while, stops listening, answers what was begun, and
    /// cuts what is left after `deadline`.
    pub async fn shutdown(self, deadline: Duration) {
        self.stop_keeper.cancel();
        self.server.drain(self.drain_delay, deadline).await;
        // Its only errors are a panic, which was reported where it happened, and being aborted.
        let _ = self.keeper.await;
        for task in [self.audit, self.definitions].into_iter().flatten() {
            let _ = task.await;
        }
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}

fn evaluator(config: &Config, cluster: Option<&Cluster>) -> Evaluator {
    let namespaces: Arc<dyn NamespaceLabels> = match cluster {
        Some(cluster) => cluster.namespaces.clone(),
        None => Arc::new(DefaultsEverywhere),
    };
    let network: Arc<dyn ClusterState> = match cluster {
        Some(cluster) => cluster.network.clone(),
        None => Arc::new(UnknownCluster::default()),
    };
    let (defaults, exemptions) = (config.defaults, config.exemptions.clone());
    let evaluator = Evaluator::new(defaults, exemptions, config.fail_mode, namespaces)
        .with_network(config.network_policy.clone(), network);
    match cluster {
        Some(cluster) => evaluator
            .with_running_pods(cluster.pods.clone())
            .with_inventory(cluster.referential.clone()),
        None => evaluator,
    }
}

async fn read_files(config: Config) -> Result<(Config, Bundle, Certificate), StartError> {
    tokio::task::spawn_blocking(move || {
        let bundle = Bundle::of(&config.sources()?)?;
        let certificate = Certificate::open(&config.certificate)?;
        Ok((config, bundle, certificate))
    })
    .await
    .map_err(|_| StartError::Panicked)?
}
