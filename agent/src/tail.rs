//! Tailing: log files into lines, across rotation, from a checkpoint.
//!
//! The files are their own write-ahead log. A line is read, handed to the sink, acknowledged, and
//! only then does the checkpoint move; one batch is under way at a time, so a crash repeats that one
//! at most (a partial container line that spans batches holds the checkpoint at its beginning, and
//! what its file's other stream said meanwhile is repeated too). What a killed process repeats is
//! the same to the nanosecond, and a store that keeps one copy of the same entry has every line
//! once: the times that lines are given are on disk before the sink sees them (the *intent*, see
//! [`checkpoint`]). Only a power failure between the two may make them anew. Nothing is lost while
//! the bytes remain on disk, or in a file that was open when its name went away.
//!
//! On the very first start, without a checkpoint, files are read from their beginning, as promtail
//! does, but of a file longer than `first_read_bytes_max` only the end; a file that appears later is
//! always read whole. Lines that carry no time of their own get the time they were read, never the
//! same twice in a log and never an earlier one.
//!
//! [`Tailer::step`] is everything that happens at one moment, blocking, by the time it is given;
//! [`Tailer::run`] repeats it. Files are looked at by polling: an inotify watch says nothing of a
//! network filesystem and runs out by the user, and 200 ms is soon enough.
//!
//! - [`discover`]: which logs there are.
//! - [`source`]: their labels and format.
//! - [`identity`]: which file is which, across names.
//! - [`log`]: one log and its generations; rotation and truncation.
//! - [`generation`]: one file of a log.
//! - [`decoder`], [`cri`], [`docker`]: bytes into lines.
//! - [`dates`]: the times of lines that carry none.
//! - [`batch`]: the lines of one write.
//! - [`checkpoint`]: what was acknowledged and what is intended, on disk.

pub mod batch;
pub mod checkpoint;
pub mod cri;
pub mod dates;
pub mod decoder;
pub mod discover;
pub mod docker;
pub mod generation;
pub mod identity;
pub mod log;
pub mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use model::time::TimestampNs;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{AgentConfig, TailConfig};
use crate::metrics::AgentMetrics;
use crate::ship::{Backoff, Delivery, Sink, deliver};
use batch::Batch;
use checkpoint::{Checkpoint, CheckpointError, SavedLog};
use discover::{Discovery, Folders};
use identity::FileId;
use log::{Log, Shared};

/// How much is read from one file before its neighbour's turn.
const TURN_BYTES: usize = 256 << 10;
/// The size of one read.
const READ_BYTES: usize = 64 << 10;
/// A file written this long before the last checkpoint may be one that was not seen before it.
const CHECKPOINT_SLACK_NANOS: i64 = 60_000_000_000;
/// The kernel dates files by a clock that lags by a tick.
const FILE_CLOCK_SLACK_NANOS: i64 = 10_000_000;

/// Why tailing does not start.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Follows logs.
#[derive(Debug)]
pub struct Tailer {
    config: TailConfig,
    metrics: Arc<AgentMetrics>,
    discovery: Discovery,
    logs: BTreeMap<PathBuf, Log>,
    /// Logs of the checkpoint that were not found yet.
    saved: BTreeMap<PathBuf, SavedLog>,
    /// Whether there was no checkpoint.
    first_start: bool,
    /// Whether there is one now, for an intent to lie beside.
    has_checkpoint: bool,
    /// Rotated files older than this were there before us.
    since: Option<i64>,
    discovered_at: Option<TimestampNs>,
    next_number: u64,
    /// The log whose turn is next.
    turn: usize,
    buffer: Vec<u8>,
    unreadable: HashSet<PathBuf>,
    checkpoint_failed: bool,
    too_many_said: bool,
}

impl Tailer {
    /// A tailer that goes on from the checkpoint, if there is one.
    pub fn open(config: &AgentConfig, metrics: Arc<AgentMetrics>) -> Result<Self, TailError> {
        let checkpoint = Checkpoint::load(&config.tail.checkpoint)?;
        let since = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.saved_at.saturating_sub(CHECKPOINT_SLACK_NANOS));
        Ok(Self {
            config: config.tail.clone(),
            metrics,
            discovery: Discovery::new(config),
            logs: BTreeMap::new(),
            first_start: checkpoint.is_none(),
            has_checkpoint: checkpoint.is_some(),
            saved: checkpoint
                .into_iter()
                .flat_map(|checkpoint| checkpoint.logs)
                .map(|log| (log.path.clone(), log))
                .collect(),
            since,
            discovered_at: None,
            next_number: 0,
            turn: 0,
            buffer: vec![0; READ_BYTES],
            unreadable: HashSet::new(),
            checkpoint_failed: false,
            too_many_said: false,
        })
    }

    /// Everything that happens at one moment: new files, rotations, and what was written, up to one
    /// batch. The batch must be acknowledged before the next step. The times that were given to its
    /// lines are on disk: after a crash they are given again.
    pub fn step(&mut self, now: TimestampNs) -> Batch {
        self.since
            .get_or_insert(now.nanos().saturating_sub(FILE_CLOCK_SLACK_NANOS));
        let interval = self.config.discover_interval.as_nanos() as i64;
        let due = self
            .discovered_at
            .is_none_or(|at| now.nanos().saturating_sub(at.nanos()) >= interval || now < at);
        let mut batch = Batch::default();
        let mut folders = Folders::default();
        if due {
            self.discover(now);
        }
        let changed = self.with_logs(now, |logs, shared, _| {
            let mut changed = false;
            for log in logs.iter_mut() {
                if log.look(shared) || due {
                    log.adopt(&mut folders, shared);
                }
                changed |= log.retire(&mut batch, shared);
            }
            changed
        });
        self.read(now, &mut batch);
        self.logs.retain(|_, log| !log.is_over());
        let open: usize = self.logs.values().map(Log::open_files).sum();
        self.metrics.tail.files.set(open as i64);
        if batch.newly_dated {
            self.intend(now);
        } else if changed && batch.is_empty() {
            self.save(now);
        }
        batch
    }

    /// Takes the acknowledgement of a batch and writes the checkpoint.
    pub fn acknowledge(&mut self, batch: &Batch, now: TimestampNs) {
        for log in self.logs.values_mut() {
            log.acknowledge(&batch.settled);
        }
        self.save(now);
    }

    /// Steps until `stop`, then reads what is there, and ends; or ends at once at `abort`.
    pub async fn run(
        mut self,
        sink: Arc<dyn Sink>,
        clock: Clock,
        stop: CancellationToken,
        abort: CancellationToken,
    ) {
        let mut writes: u64 = 0;
        loop {
            let now = clock.now_ns();
            let stepped = tokio::task::spawn_blocking(move || {
                let batch = self.step(now);
                (self, batch)
            });
            let batch;
            (self, batch) = match stepped.await {
                Ok(stepped) => stepped,
                Err(error) => return tracing::error!(%error, "tailing failed"),
            };
            if batch.is_empty() {
                if stop.is_cancelled() || abort.is_cancelled() {
                    return;
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(self.config.poll_interval) => {}
                }
                continue;
            }
            writes += 1;
            if !batch.streams.is_empty() {
                let attempt = || sink.write_streams(batch.streams.clone());
                let flow = &self.metrics.streams;
                let delivery = deliver(attempt, Backoff::new(writes), flow, &abort).await;
                if delivery == Delivery::Abandoned {
                    return;
                }
            }
            let now = clock.now_ns();
            let acknowledged = tokio::task::spawn_blocking(move || {
                self.acknowledge(&batch, now);
                self
            });
            self = match acknowledged.await {
                Ok(tailer) => tailer,
                Err(error) => return tracing::error!(%error, "tailing failed"),
            };
        }
    }

    /// Finds logs that are new, or that the checkpoint knew.
    fn discover(&mut self, now: TimestampNs) {
        let found = self.discovery.find();
        let skip = self.first_start && self.discovered_at.is_none();
        let first = self.discovered_at.is_none();
        self.discovered_at = Some(now);
        for (path, source) in found {
            if self.logs.contains_key(&path) || self.is_held(&path) || self.is_full() {
                continue;
            }
            let saved = self.saved.remove(&path);
            let skip_bytes = skip.then_some(self.config.first_read_bytes_max);
            let log = self.with_logs(now, |_, shared, _| {
                if let Some(saved) = saved {
                    return Log::restored(&saved, source, shared);
                }
                let mut log = Log::new(path.clone(), source);
                log.look(shared);
                if let Some(bytes_max) = skip_bytes {
                    log.skip_to_end(bytes_max, shared);
                }
                log
            });
            self.logs.insert(path, log);
        }
        if first {
            self.restore_missing(now);
        }
    }

    /// Logs of the checkpoint whose path is gone: their generations may still lie beside it.
    fn restore_missing(&mut self, now: TimestampNs) {
        for (path, saved) in std::mem::take(&mut self.saved) {
            if let Some(source) = self.discovery.source_of(&path) {
                let log = self.with_logs(now, |_, shared, _| Log::restored(&saved, source, shared));
                self.logs.insert(path, log);
            }
        }
    }

    /// Whether a path is another name of a file that is being read.
    fn is_held(&self, path: &std::path::Path) -> bool {
        std::fs::metadata(path).is_ok_and(|metadata| {
            let id = FileId::of(&metadata);
            self.logs.values().any(|log| log.holds(id))
        })
    }

    fn is_full(&mut self) -> bool {
        let full = self.logs.len() >= self.config.files_max;
        if full && !self.too_many_said {
            self.too_many_said = true;
            tracing::warn!(
                files_max = self.config.files_max,
                "there are more log files than agent.tail.files_max: the others are left out"
            );
        }
        full
    }

    /// Reads by turns until the batch is full or there is no more.
    fn read(&mut self, now: TimestampNs, batch: &mut Batch) {
        let bytes_max = self.config.batch_bytes_max;
        let first = self.turn;
        self.turn = self.with_logs(now, |logs, shared, buffer| {
            let count = logs.len().max(1);
            let mut turn = first % count;
            let mut quiet = 0;
            while quiet < count && batch.bytes() < bytes_max {
                let room = TURN_BYTES.min(bytes_max - batch.bytes());
                let read = logs
                    .get_mut(turn)
                    .map_or(0, |log| log.read(buffer, room, batch, shared));
                quiet = if read == 0 { quiet + 1 } else { 0 };
                turn = (turn + 1) % count;
            }
            turn
        });
    }

    /// Lends the logs together with what they share.
    fn with_logs<T>(
        &mut self,
        now: TimestampNs,
        work: impl FnOnce(&mut Vec<&mut Log>, &mut Shared<'_>, &mut [u8]) -> T,
    ) -> T {
        let mut shared = Shared {
            metrics: &self.metrics.tail,
            line_bytes_max: self.config.line_bytes_max,
            next_number: &mut self.next_number,
            since: self.since.unwrap_or(i64::MIN),
            now,
            unreadable: &mut self.unreadable,
        };
        let mut logs: Vec<&mut Log> = self.logs.values_mut().collect();
        work(&mut logs, &mut shared, &mut self.buffer)
    }

    /// Writes down which times the lines of a batch were given. Where there is no checkpoint yet,
    /// it is the first.
    fn intend(&mut self, now: TimestampNs) {
        if !self.has_checkpoint {
            return self.save(now);
        }
        // After a failure the intent on disk may be all that is known of an earlier batch.
        let all = self.checkpoint_failed;
        let dated = self.logs.values().filter(|log| all || log.is_dated());
        let intent = Checkpoint::new(now.nanos(), dated.map(Log::saved).collect());
        if let Err(error) = intent.save_intent(&self.config.checkpoint) {
            self.say_unwritten(&error);
        }
    }

    /// Writes the checkpoint. A failure costs repetition after a crash, no data.
    fn save(&mut self, now: TimestampNs) {
        let saved = self.logs.values().map(Log::saved);
        let unclaimed = self.saved.values().cloned();
        let checkpoint = Checkpoint::new(now.nanos(), saved.chain(unclaimed).collect());
        match checkpoint.save(&self.config.checkpoint) {
            Ok(()) => {
                self.checkpoint_failed = false;
                self.has_checkpoint = true;
            }
            Err(error) => self.say_unwritten(&error),
        }
    }

    /// Counts a failure to write, and says it once.
    fn say_unwritten(&mut self, error: &CheckpointError) {
        self.metrics.tail.checkpoint_failures.inc();
        if !self.checkpoint_failed {
            tracing::error!(%error, "the checkpoint is not written; tailing goes on");
        }
        self.checkpoint_failed = true;
    }
}
