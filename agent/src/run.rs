//! The agent's tasks, and how they stop.
//!
//! Every task has one owner ([`AgentHandle`]), a name and a join. Shutdown drains the edges first:
//! scrapers mark their series stale and end, the tailer reads what is there and ends, then the
//! outbox runs empty, and all of that before a deadline, after which whatever still waits for the
//! sink is given up (lines stay in their files, before the checkpoint).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::wire::exposition::Format;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cgroup::CgroupCollector;
use crate::clock::Clock;
use crate::config::{AgentConfig, ConfigError};
use crate::metrics::AgentMetrics;
use crate::node::NodeCollector;
use crate::scrape::fetch::{Fetcher, FetcherError};
use crate::scrape::schedule::{Scraper, Surroundings};
use crate::scrape::status::TargetBoard;
use crate::scrape::target::{Conflicts, Limits, Source, Target, instance_of};
use crate::ship::{Outbox, Sink, outbox};
use crate::tail::{TailError, Tailer};

pub use crate::scrape::target::Exposer;

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The scrapes cannot be made as told.
    #[error(transparent)]
    Fetcher(#[from] FetcherError),
}

/// The agent.
#[derive(Debug)]
pub struct Agent;

/// The running agent.
#[derive(Debug)]
pub struct AgentHandle {
    /// Tells the edges to end.
    stop: CancellationToken,
    /// Ends all patience with the sink.
    abort: CancellationToken,
    edges: Vec<Task>,
    targets: TargetBoard,
    outbox: Outbox,
    shipper: Task,
}

#[derive(Debug)]
struct Task {
    name: String,
    join: JoinHandle<()>,
}

impl Agent {
    /// Starts every task. `own_metrics` is the exposition (OpenMetrics) of this process, scraped
    /// like any target, as `job="taffrail"`. Must be called within a tokio runtime.
    pub fn start(
        config: AgentConfig,
        sink: Arc<dyn Sink>,
        own_metrics: Option<Exposer>,
        registry: &mut Registry,
    ) -> Result<AgentHandle, StartError> {
        Self::start_at(config, sink, own_metrics, registry, Clock::system())
    }

    /// Starts every task, by a clock of the caller's.
    pub fn start_at(
        mut config: AgentConfig,
        sink: Arc<dyn Sink>,
        own_metrics: Option<Exposer>,
        registry: &mut Registry,
        clock: Clock,
    ) -> Result<AgentHandle, StartError> {
        config.validate()?;
        if config.node_name.is_empty() {
            config.node_name = host_name(&config.roots.proc);
        }
        let metrics = Arc::new(AgentMetrics::register(registry));
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let (outbox, shipping) = outbox(
            config.ship.outbox_batches_max,
            Arc::clone(&sink),
            Arc::clone(&metrics),
            abort.clone(),
        );
        let around = Surroundings {
            fetcher: Fetcher::new(config.scrape.access())?,
            clock: clock.clone(),
            outbox: outbox.clone(),
            metrics: Arc::clone(&metrics),
        };
        let tailer = Tailer::open(&config, Arc::clone(&metrics))?;
        let (mut edges, mut places) = (Vec::new(), Vec::new());
        for target in targets(&config, own_metrics)? {
            let name = format!("scrape {}", target.name());
            let scraper = Scraper::new(target);
            places.push(scraper.place());
            let run = scraper.run(around.clone(), stop.clone());
            edges.push(spawn(name, run));
        }
        let tailing = tailer.run(sink, clock, stop.clone(), abort.clone());
        edges.push(spawn("tail".to_owned(), tailing));
        Ok(AgentHandle {
            stop,
            abort,
            edges,
            targets: TargetBoard::new(places),
            outbox,
            shipper: spawn("ship".to_owned(), shipping),
        })
    }
}

impl AgentHandle {
    /// What is scraped, and what became of it.
    pub fn targets(&self) -> TargetBoard {
        self.targets.clone()
    }

    /// Stops everything within `deadline` and says whether it was drained: false means that the sink
    /// did not take all in time.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        self.stop.cancel();
        let mut drained = true;
        for task in self.edges {
            drained &= task.join_by(end, &self.abort).await;
        }
        // The scrapers' ends of the queue are gone; with this one it closes.
        drop(self.outbox);
        drained &= self.shipper.join_by(end, &self.abort).await;
        drained
    }
}

impl Task {
    /// Waits for the task, until `end`; then tells it to give up, and cuts it off if it does not.
    async fn join_by(mut self, end: Instant, abort: &CancellationToken) -> bool {
        /// How long a task has to notice that its patience ended.
        const GRACE: Duration = Duration::from_millis(200);
        if let Ok(joined) = tokio::time::timeout_at(end, &mut self.join).await {
            return self.judge(&joined);
        }
        abort.cancel();
        if let Ok(joined) = tokio::time::timeout(GRACE, &mut self.join).await {
            self.judge(&joined);
        } else {
            tracing::warn!(
                task = self.name,
                "did not end by the deadline and is cut off"
            );
            self.join.abort();
        }
        false
    }

    fn judge(&self, joined: &Result<(), tokio::task::JoinError>) -> bool {
        if let Err(error) = joined {
            tracing::error!(task = self.name, %error, "a task of the agent failed");
        }
        joined.is_ok()
    }
}

fn spawn(name: String, run: impl Future<Output = ()> + Send + 'static) -> Task {
    Task {
        name,
        join: tokio::spawn(run),
    }
}

/// Everything that is scraped. The jobs of the agent's own collectors are those under which the
/// usual dashboards look for these metrics.
fn targets(config: &AgentConfig, own_metrics: Option<Exposer>) -> Result<Vec<Target>, ConfigError> {
    let node = config.node_name.as_str();
    let mut targets = Vec::new();
    if config.collect.cgroup {
        let collector = CgroupCollector::new(config.roots.clone());
        let labels = [
            ("job", "kubelet"),
            ("metrics_path", "/metrics/cadvisor"),
            ("instance", node),
            ("node", node),
        ];
        let exposer: Exposer = Arc::new(move || collector.expose());
        targets.push(in_process(config, exposer, Format::Text, &labels));
    }
    if config.collect.node {
        let collector = NodeCollector::new(config.roots.clone());
        let labels = [("job", "node-exporter"), ("instance", node)];
        let exposer: Exposer = Arc::new(move || collector.expose());
        targets.push(in_process(config, exposer, Format::Text, &labels));
    }
    if let Some(exposer) = own_metrics {
        let labels = [("job", "taffrail"), ("instance", node)];
        targets.push(in_process(config, exposer, Format::OpenMetrics, &labels));
    }
    let scrape = &config.scrape;
    for url in config.targets()? {
        let instance = instance_of(&url);
        targets.push(Target {
            labels: Labels::from_pairs([
                ("job", scrape.job.as_str()),
                ("instance", instance.as_str()),
            ]),
            source: Source::Http(url),
            interval: scrape.interval,
            timeout: scrape.timeout,
            limits: limits(config, scrape.sample_limit),
            conflicts: if scrape.honor_labels {
                Conflicts::Honor
            } else {
                Conflicts::Rename
            },
        });
    }
    Ok(targets)
}

fn in_process(
    config: &AgentConfig,
    exposer: Exposer,
    format: Format,
    labels: &[(&str, &str)],
) -> Target {
    Target {
        source: Source::Process(exposer, format),
        labels: Labels::from_pairs(labels.iter().copied()),
        interval: config.collect.interval,
        timeout: config.collect.interval,
        limits: limits(config, 0),
        conflicts: Conflicts::Rename,
    }
}

fn limits(config: &AgentConfig, samples_max: usize) -> Limits {
    Limits {
        body_bytes_max: config.scrape.body_bytes_max,
        samples_max,
    }
}

/// The host's name, as the kernel knows it.
fn host_name(proc: &Path) -> String {
    std::fs::read_to_string(proc.join("sys/kernel/hostname"))
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests;
