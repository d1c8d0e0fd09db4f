//! What changes under a running webhook: its certificate, its policies, who is told to trust it.
//!
//! One task looks at all three every few seconds. What it finds broken it says once, not at
//! every look, and leaves in force what was.
//!
//! Whether the API server trusts us cannot be asked of it, only whether the webhook configuration holds our
//! authorities, and its watch may be a little behind. So trust is counted in looks that found them there, a second
//! apart: after a few the webhook is ready, after some more a new authority issues. What was found at the first look has
//! been there for longer than this process and counts as all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bundle::{Bundle, Bundles, LoadError, Sources};
use crate::certificate::authority::Trust;
use crate::certificate::{Certificate, inject};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::gatekeeper::Refused;
use crate::metrics::Metrics;

/// How often the caBundle is looked at once it is right: applying the manifest anew may empty it.
const INJECT_INTERVAL: Duration = Duration::from_secs(10);

/// How often it is looked at until then.
const TRUST_INTERVAL: Duration = Duration::from_secs(1);

/// So many looks in a row must find our authorities before the API server is told to ask us.
const LOOKS_READY: u32 = 3;

/// So many before anything is issued by the newest of them. There is no hurry.
const LOOKS_SETTLED: u32 = 8;

/// The background of the webhook.
pub(crate) struct Keeper {
    every: Duration,
    bundles: Arc<Bundles>,
    config: Config,
    sources: Option<Sources>,
    certificate: Certificate,
    webhook_configuration: Option<String>,
    injected: Option<Instant>,
    looks: u32,
    trusted: Arc<AtomicBool>,
    metrics: Metrics,
    complaints: Vec<(&'static str, String)>,
    cluster: Option<Arc<Cluster>>,
    ready: Arc<AtomicBool>,
    /// Which policies of the cluster are in force.
    generation: u64,
    refused: Vec<Refused>,
}

impl Keeper {
    pub(crate) fn new(
        config: &Config,
        bundles: Arc<Bundles>,
        certificate: Certificate,
        trusted: Arc<AtomicBool>,
        metrics: Metrics,
    ) -> Self {
        let webhook_configuration = config
            .certificate
            .webhook_configuration
            .clone()
            .filter(|_| certificate.ca_pem().is_some());
        let in_cluster = config.kubernetes.is_on();
        if webhook_configuration.is_some() && !in_cluster {
            warn!(
                "admission.certificate.webhook_configuration has no effect outside a cluster: \
                 set admission.kubernetes.kubeconfig"
            );
        }
        let webhook_configuration = webhook_configuration.filter(|_| in_cluster);
        if webhook_configuration.is_none() {
            // Whoever put our authority, or another's, where it belongs did so without us.
            trusted.store(true, Ordering::Release);
        }
        Keeper {
            every: config.reload_interval,
            bundles,
            config: config.clone(),
            sources: None,
            certificate,
            webhook_configuration,
            injected: None,
            looks: 0,
            trusted,
            metrics,
            complaints: Vec::new(),
            cluster: None,
            ready: Arc::default(),
            generation: 0,
            refused: Vec::new(),
        }
    }

    /// Also keeps the policies that are objects of a cluster, and tells once it has all of them.
    pub(crate) fn with_cluster(
        mut self,
        cluster: Option<Arc<Cluster>>,
        ready: Arc<AtomicBool>,
    ) -> Self {
        self.cluster = cluster;
        self.ready = ready;
        self
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let caches = self
            .cluster
            .as_ref()
            .map(|cluster| cluster.caches().clone());
        let news = caches.map(|caches| caches.news()).unwrap_or_default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = news.notified() => {}
                () = tokio::time::sleep(TRUST_INTERVAL), if self.awaits_trust() => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.inject() => {}
                    }
                    continue;
                }
            }
            // Reading small files, and now and then issuing a certificate: work for a thread
            // that may block, which takes the keeper along and gives it back.
            let Ok(back) = tokio::task::spawn_blocking(move || {
                self.refresh_certificate();
                self.refresh_policies();
                self
            })
            .await
            else {
                warn!("renewing certificates and reloading policies stopped short and has ended");
                return;
            };
            self = back;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inject() => {}
            }
        }
    }

    /// Whether everything was listed once; the policies among it are taken up from then on.
    fn is_listed(&self) -> bool {
        let is_ready = self.ready.load(Ordering::Acquire);
        let is_listed = |cluster: &Arc<Cluster>| cluster.caches().waiting().is_empty();
        is_ready || self.cluster.as_ref().is_none_or(is_listed)
    }

    fn refresh_certificate(&mut self) {
        let trust = if self.looks >= LOOKS_SETTLED {
            Trust::Settled
        } else {
            Trust::Awaited
        };
        match self.certificate.refresh(trust) {
            Ok(true) => {
                info!("there is a new certificate, or an authority that will issue one");
                self.metrics.reload("certificate", true);
                self.injected = None;
                self.looks = 0;
                self.content("certificate");
            }
            Ok(false) => self.content("certificate"),
            Err(error) => self.complain("certificate", error.to_string()),
        }
        let expiry = self.certificate.expiry_seconds();
        self.metrics.certificate_expiry.set(expiry.unwrap_or(0.0));
    }

    fn refresh_policies(&mut self) {
        let is_listed = self.is_listed();
        self.take_up_policies(is_listed);
        if is_listed && !self.ready.swap(true, Ordering::AcqRel) {
            info!("the webhook knows the cluster and its policies, and is ready");
        }
    }

    fn take_up_policies(&mut self, is_listed: bool) {
        match self.changed_policies(is_listed) {
            Ok(None) => {}
            Ok(Some(bundle)) => {
                info!(
                    modules = bundle.modules(),
                    templates = bundle.constraints().templates(),
                    constraints = bundle.constraints().constraints(),
                    "new policies are in force"
                );
                self.bundles.swap(bundle);
                self.metrics.reload("policies", true);
                self.content("policies");
            }
            Err(error) => self.complain("policies", error.to_string()),
        }
    }

    /// The first look finds what the webhook was started with, or what was written since: it
    /// loads once more rather than miss a change.
    fn changed_policies(&mut self, is_listed: bool) -> Result<Option<Bundle>, LoadError> {
        let cluster = self.cluster.as_ref().filter(|_| is_listed);
        let generation = cluster.map_or(0, |cluster| cluster.policies.generation());
        let is_other = generation != self.generation;
        let has_folders =
            self.config.policies.is_some() || self.config.gatekeeper.directory.is_some();
        if !has_folders && !is_other {
            return Ok(None);
        }
        let sources = self.config.sources()?;
        if self.sources.as_ref() == Some(&sources) && !is_other {
            return Ok(None);
        }
        self.sources = Some(sources.clone());
        let objects = cluster.map(|cluster| cluster.policies.snapshot());
        let objects = objects.unwrap_or_default();
        self.generation = objects.generation;
        let (bundle, refused) = Bundle::with_objects(sources, &objects, &self.bundles.current())?;
        self.metrics.refuse_policies(&refused);
        for refused in refused.iter().filter(|one| !self.refused.contains(one)) {
            let Refused {
                kind,
                name,
                problem,
            } = refused;
            warn!(kind, name, problem, "a policy is refused; the others hold");
        }
        self.refused = refused;
        Ok(Some(bundle))
    }

    fn awaits_trust(&self) -> bool {
        self.webhook_configuration.is_some() && self.looks < LOOKS_SETTLED
    }

    async fn inject(&mut self) {
        let (Some(name), Some(ca_pem)) = (&self.webhook_configuration, self.certificate.ca_pem())
        else {
            return;
        };
        let interval = if self.awaits_trust() {
            TRUST_INTERVAL
        } else {
            INJECT_INTERVAL
        };
        if self.injected.is_some_and(|at| at.elapsed() < interval) {
            return;
        }
        match inject::inject(&self.config.kubernetes, name, ca_pem).await {
            Ok(changed) => {
                if changed {
                    info!(webhook_configuration = name, "the caBundle holds our CA");
                    self.metrics.reload("ca_bundle", true);
                    self.looks = 1;
                } else if self.injected.is_none() && self.looks == 0 {
                    self.looks = LOOKS_SETTLED;
                } else {
                    self.looks = self.looks.saturating_add(1);
                }
                if self.looks >= LOOKS_READY {
                    self.trusted.store(true, Ordering::Release);
                }
                self.injected = Some(Instant::now());
                self.content("ca_bundle");
            }
            Err(error) => {
                // It may have been written all the same: what the next look finds is new.
                self.injected = Some(Instant::now());
                self.complain("ca_bundle", error.to_string());
            }
        }
    }

    fn complain(&mut self, what: &'static str, problem: String) {
        let complaint = (what, problem);
        if self.complaints.contains(&complaint) {
            return;
        }
        warn!(
            what,
            problem = complaint.1,
            "what was in force stays in force"
        );
        self.metrics.reload(what, false);
        self.complaints.retain(|(about, _)| *about != what);
        self.complaints.push(complaint);
    }

    fn content(&mut self, what: &'static str) {
        self.complaints.retain(|(about, _)| *about != what);
    }
}

#[cfg(test)]
mod tests;
