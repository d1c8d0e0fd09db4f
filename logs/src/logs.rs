//! What the program holds of the log engine: an open store, its limits, and the ways in.
//!
//! Lines come in by [`Logs::push`] (from this process) or by the router's `push`, and both are
//! checked alike; queries come by the router, or run on a [`Snapshot`] with an [`Engine`]. Cloning
//! shares the store. Nothing here is async but the router: whoever pushes from an async thread moves the
//! call off it.

use std::path::Path;
use std::sync::Arc;

use model::entry::StreamEntries;
use prometheus_client::registry::Registry;
use storage::clock::Clock;
use storage::disk::Disk;
use storage::store::background::Background;
use storage::store::{AppendError, MaintainError, OpenError, Recovered, Store, StoreOptions};

use crate::api;
use crate::ingest::{self, IngestLimits, Push, Window};
use crate::metrics::Metrics;
use crate::query::{Engine, EngineOptions, Limits};
use crate::store::{LogTable, Snapshot};

/// How the log engine behaves. Every field has a default.
#[derive(Clone, Debug)]
pub struct LogsOptions {
    /// The store.
    pub store: StoreOptions,
    /// What a push may contain.
    pub ingest: IngestLimits,
    /// What one query may cost.
    pub query: Limits,
    /// How many queries run at a time.
    pub queries_at_once_max: usize,
    /// How many more may wait; beyond it they are refused.
    pub queries_waiting_max: usize,
    /// How many pushes are unpacked and appended at a time.
    pub pushes_at_once_max: usize,
    /// How many more may wait; beyond it they are refused.
    pub pushes_waiting_max: usize,
}

impl Default for LogsOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store: StoreOptions::default(),
            ingest: IngestLimits::default(),
            query: Limits::default(),
            queries_at_once_max: cores,
            queries_waiting_max: 1000,
            pushes_at_once_max: 2 * cores,
            pushes_waiting_max: 1000,
        }
    }
}

/// Why a push was not kept, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Some entries may not be kept; all others were.
    #[error("{complaint}")]
    Refused {
        /// How many entries were refused.
        entries: u64,
        /// What is wrong with them.
        complaint: String,
    },
    /// Nothing was kept.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The log engine.
#[derive(Clone)]
pub struct Logs {
    store: Arc<Store<LogTable>>,
    clock: Arc<dyn Clock>,
    options: Arc<LogsOptions>,
    engine: Engine,
    metrics: Arc<Metrics>,
}

impl Logs {
    /// Opens the store in `dir`, making it if it is not there, and says what was found.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: LogsOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        let (store, recovered) = Store::open(disk, Arc::clone(&clock), dir, options.store.clone())?;
        let engine = Engine::new(EngineOptions {
            limits: options.query.clone(),
        });
        let logs = Self {
            store: Arc::new(store),
            clock,
            options: Arc::new(options),
            engine,
            metrics: Arc::default(),
        };
        Ok((logs, recovered))
    }

    /// Checks and appends entries. Returns when what may be kept is durable; where that is not all, the
    /// error says of what is wrong with the rest, and sending that again will not help.
    pub fn push(&self, streams: Vec<StreamEntries>) -> Result<(), PushError> {
        self.accept(Push::from(streams))
    }

    /// [`Logs::push`] for what came over the wire.
    pub(crate) fn accept(&self, push: Push) -> Result<(), PushError> {
        let window = Window {
            oldest: self.store.oldest_kept(),
            now: self.clock.now(),
        };
        let prepared = ingest::prepare(push, &self.options.ingest, window);
        if !prepared.accepted.is_empty() {
            self.store.append(prepared.accepted.as_slice())?;
        }
        self.metrics.count(&prepared);
        match prepared.complaint() {
            None => Ok(()),
            Some(complaint) => Err(PushError::Refused {
                entries: prepared.refused,
                complaint,
            }),
        }
    }

    /// What there is to read at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.store)
    }

    /// Makes a snapshot of the store in the folder `to`, which must not hold anything yet.
    pub fn snapshot_to(&self, to: &Path) -> Result<(), MaintainError> {
        self.store.snapshot(to).map(|_| ())
    }

    /// Answers queries over a snapshot, under the limits of the options.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The store, for maintenance and its counters.
    pub const fn store(&self) -> &Arc<Store<LogTable>> {
        &self.store
    }

    /// How the engine behaves.
    pub fn options(&self) -> &LogsOptions {
        &self.options
    }

    /// The clock.
    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Counters, for the API's queues.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Loki's HTTP API. One router is enough: each has queues of its own.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Starts the threads that sync, flush, merge and expire. Stopping them flushes and closes the
    /// store.
    pub fn start_background(&self) -> std::io::Result<Background<LogTable>> {
        Background::start(Arc::clone(&self.store))
    }

    /// Adds the engine's metrics, all named `taffrail_logs_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(&self.store, registry);
    }
}
