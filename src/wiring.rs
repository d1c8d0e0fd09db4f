//! How the members, which do not know each other, reach one another.
//!
//! Each declares what it needs as a trait; here the traits meet the stores. Store calls block on
//! the disk, so they leave the async threads; a decision alone is written where it was made, for the
//! webhook has threads of its own.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use admission::audit::AuditFinding;
use admission::verdict::decision::Outcome;
use admission::{Decision, DecisionSink};
use agent::scrape::status::{Health, TargetBoard, TargetStatus};
use agent::ship::{Backoff, ShipError, Sink};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use logs::ingest::level::DETECTED_LEVEL;
use logs::{Logs, PushError};
use model::entry::{Entry, StreamEntries};
use model::labels::Labels;
use model::sample::{Metadata, SeriesSamples};
use model::time::{TimestampNs, format_duration};
use storage::store::AppendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tsdb::Tsdb;
use tsdb::api::targets::{ActiveTarget, TargetHealth, Targets};

/// The stores of this process.
#[derive(Clone)]
pub(crate) struct Stores {
    /// Samples.
    pub(crate) tsdb: Tsdb,
    /// Lines.
    pub(crate) logs: Logs,
}

/// The agent's way into the stores of this process.
impl Sink for Stores {
    fn write_series(
        &self,
        series: Vec<SeriesSamples>,
        metadata: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>> {
        let tsdb = self.tsdb.clone();
        Box::pin(off_thread(move || {
            let recorded = tsdb.record_metadata(&metadata);
            recorded.map_err(|error| ship_error(&error))?;
            let appended = tsdb.append(&series).map_err(|error| ship_error(&error))?;
            match appended.refused.samples {
                0 => Ok(()),
                _ => Err(ShipError::refused(appended.refused.to_string())),
            }
        }))
    }

    fn write_streams(&self, streams: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>> {
        let logs = self.logs.clone();
        Box::pin(off_thread(move || {
            logs.push(streams).map_err(|error| match error {
                PushError::Append(error) => ship_error(&error),
                refused @ PushError::Refused { .. } => ShipError::refused(refused.to_string()),
            })
        }))
    }
}

/// Only a write that is too large will be refused again; all else heals with time.
fn ship_error(error: &AppendError) -> ShipError {
    match error {
        AppendError::TooLarge(_) => ShipError::refused(error.to_string()),
        _ => ShipError::retryable(error.to_string()),
    }
}

async fn off_thread(
    work: impl FnOnce() -> Result<(), ShipError> + Send + 'static,
) -> Result<(), ShipError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ShipError::retryable(error.to_string())),
    }
}

/// What the agent of this process scrapes, for the metrics API. The port answers before the agent runs;
/// until then there are no targets.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScrapedTargets(Arc<OnceLock<TargetBoard>>);

impl ScrapedTargets {
    /// Says whom to ask; once.
    pub(crate) fn set(&self, board: TargetBoard) {
        let _ = self.0.set(board);
    }
}

impl Targets for ScrapedTargets {
    fn active(&self) -> Vec<ActiveTarget> {
        let targets = self.0.get().map(TargetBoard::targets).unwrap_or_default();
        targets.into_iter().map(active_target).collect()
    }
}

fn active_target(of: TargetStatus) -> ActiveTarget {
    let millis = |duration: Duration| {
        format_duration(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    };
    let job = of.labels.get("job").unwrap_or_default();
    let mut discovered = vec![
        ("job", job.to_owned()),
        ("__scrape_interval__", millis(of.interval)),
        ("__scrape_timeout__", millis(of.timeout)),
    ];
    let url = match &of.url {
        Some(url) => {
            discovered.push(("__scheme__", url.scheme().to_owned()));
            discovered.push(("__address__", url.authority().to_owned()));
            discovered.push(("__metrics_path__", url.path().to_owned()));
            url.to_string()
        }
        // Its body is made in this process.
        None => format!("process:{job}"),
    };
    ActiveTarget {
        discovered: Labels::from_pairs(discovered),
        url,
        last_error: of.error,
        last_scrape: of.last,
        last_duration: of.duration,
        health: match of.health {
            Health::Unknown => TargetHealth::Unknown,
            Health::Up => TargetHealth::Up,
            Health::Down => TargetHealth::Down,
        },
        interval: of.interval,
        timeout: of.timeout,
        metadata: of.metadata,
        labels: of.labels,
    }
}

/// How serious a decision is, which is not to be guessed from what the object says.
fn level_of(outcome: Outcome) -> Labels {
    static LEVELS: LazyLock<[Labels; 3]> = LazyLock::new(|| {
        ["info", "warn", "error"].map(|level| Labels::from_pairs([(DETECTED_LEVEL, level)]))
    });
    let [info, warn, error] = &*LEVELS;
    let level = match outcome {
        Outcome::Allow => info,
        Outcome::Deny => warn,
        Outcome::Error => error,
    };
    level.clone()
}

/// A decision as a line of `{job="taffrail/admission"}`.
fn line_of(decision: &Decision) -> Vec<StreamEntries> {
    let line = match decision.line() {
        Ok(line) => line,
        // A decision is made of texts and numbers; should that change, the line says so.
        Err(error) => format!("{{\"error\":{:?}}}", error.to_string()),
    };
    let nanos = i64::try_from(decision.time.as_nanosecond()).unwrap_or(i64::MAX);
    vec![StreamEntries {
        labels: Labels::from_pairs([("job", "taffrail/admission")]),
        entries: vec![Entry {
            timestamp: TimestampNs(nanos),
            line,
            metadata: level_of(decision.verdict),
        }],
    }]
}

/// What an audit found as lines of `{job="taffrail/audit"}`.
fn lines_of(time: Timestamp, findings: &[&AuditFinding]) -> Vec<StreamEntries> {
    let nanos = i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
    let entries = findings.iter().map(|finding| Entry {
        timestamp: TimestampNs(nanos),
        line: serde_json::to_string(finding)
            .unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string())),
        metadata: Labels::empty(),
    });
    vec![StreamEntries {
        labels: Labels::from_pairs([("job", "taffrail/audit")]),
        entries: entries.collect(),
    }]
}

/// Decisions go straight into the log store: the line is with the kernel before the API server
/// has its answer. A store that refuses does not change a verdict; the decision is logged instead.
impl DecisionSink for Stores {
    fn record(&self, decision: &Decision) {
        // The write is microseconds of work, on a thread that only reviews wait for.
        if let Err(error) = self.logs.push(line_of(decision)) {
            tracing::error!(%error, decision = ?decision, "a decision could not be stored");
        }
    }

    fn record_findings(&self, time: Timestamp, findings: &[&AuditFinding]) {
        let lines = lines_of(time, findings);
        if let Err(error) = tokio::task::block_in_place(|| self.logs.push(lines)) {
            tracing::error!(%error, "what the audit found could not be stored");
        }
    }
}

/// Decisions that wait for a server elsewhere, and how long they may be together. Full means that the server has been away
/// for long: the decision is then only logged.
const WAITING_DECISIONS_MAX: usize = 10_000;
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Decisions go to a server, in the background.
pub(crate) struct RemoteDecisions {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

/// Lines that wait, and the room that they take until they are delivered.
struct Waiting {
    streams: Vec<StreamEntries>,
    _room: OwnedSemaphorePermit,
}

impl RemoteDecisions {
    /// Starts the task that delivers; it ends when the sink is dropped and everything is delivered.
    pub(crate) fn start(sink: Arc<dyn Sink>) -> (Self, tokio::task::JoinHandle<()>) {
        let (waiting, mut decisions) = mpsc::channel::<Waiting>(WAITING_DECISIONS_MAX);
        let task = tokio::spawn(async move {
            while let Some(waiting) = decisions.recv().await {
                deliver(sink.as_ref(), &waiting.streams).await;
            }
        });
        let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
        (Self { waiting, room }, task)
    }

    /// Whether there was room for them.
    fn send(&self, streams: Vec<StreamEntries>) -> Result<(), &'static str> {
        let entries = streams.iter().flat_map(|stream| &stream.entries);
        let bytes: usize = entries.map(|entry| entry.line.len()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_| "too many bytes wait for it")?;
        let waiting = Waiting {
            streams,
            _room: room,
        };
        let sent = self.waiting.try_send(waiting);
        sent.map_err(|_| "too many lines wait for it")
    }
}

impl DecisionSink for RemoteDecisions {
    fn record(&self, decision: &Decision) {
        if let Err(error) = self.send(line_of(decision)) {
            tracing::error!(%error, decision = ?decision, "a decision could not be sent to the server");
        }
    }

    fn record_findings(&self, time: Timestamp, findings: &[&AuditFinding]) {
        if let Err(error) = self.send(lines_of(time, findings)) {
            tracing::error!(%error, "what the audit found could not be sent to the server");
        }
    }
}

async fn deliver(sink: &dyn Sink, streams: &[StreamEntries]) {
    // Jitter needs no good randomness, only that two processes differ.
    let mut backoff = Backoff::new(u64::from(std::process::id()));
    loop {
        match sink.write_streams(streams.to_vec()).await {
            Ok(()) => return,
            Err(ShipError::Refused { reason }) => {
                tracing::error!(reason, "the server refused a decision");
                return;
            }
            Err(ShipError::Retryable { after, .. }) => {
                tokio::time::sleep(after.unwrap_or_default().max(backoff.wait())).await;
            }
        }
    }
}
