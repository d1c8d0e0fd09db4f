//! The member as the binary sees it: open it, append to it, route to it, stop it.
//!
//! A [`Tsdb`] is cheap to clone; clones share the store. Its methods block on the disk, so an async
//! caller moves them off its threads first; the router does so itself.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::sample::{Metadata, SeriesSamples};
use model::time::TimeRange;
use prometheus_client::registry::Registry;
use storage::clock::Clock;
use storage::disk::Disk;
use storage::store::background::Background;
use storage::store::{AppendError, OpenError, Recovered, StoreOptions};

use crate::api::{self, ApiOptions};
use crate::counters::{Counters, TsdbCollector};
use crate::ingest::limits::IngestLimits;
use crate::ingest::metadata::MetadataStore;
use crate::ingest::refusal::Refused;
use crate::ingest::validate::validate;
use crate::query::{Engine, EngineOptions};
use crate::store::read::Reader;
use crate::store::{MetricStore, Metrics};

/// How the metrics store behaves. Every field has a default.
#[derive(Clone, Debug, Default)]
pub struct TsdbOptions {
    /// Partitions, durability, memory, retention.
    pub store: StoreOptions,
    /// What may come in.
    pub ingest: IngestLimits,
    /// What a query may cost.
    pub query: EngineOptions,
    /// What the HTTP API may do at once.
    pub api: ApiOptions,
}

/// What became of a write. What was accepted is as durable as the options say.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// Samples that were stored.
    pub samples: u64,
    /// What was not, and why.
    pub refused: Refused,
}

/// The metrics store.
#[derive(Clone)]
pub struct Tsdb {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<MetricStore>,
    clock: Arc<dyn Clock>,
    options: TsdbOptions,
    engine: Engine,
    metadata: MetadataStore,
    counters: Counters,
}

impl std::fmt::Debug for Tsdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tsdb")
            .field(&self.inner.store.dir())
            .finish()
    }
}

impl Tsdb {
    /// Opens the store in `dir`, making it if it is not there, and says what a crash had left.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: TsdbOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        let (store, recovered) = MetricStore::open(disk, Arc::clone(&clock), dir, options.store)?;
        let inner = Inner {
            store: Arc::new(store),
            clock,
            engine: Engine::new(options.query.clone()),
            metadata: MetadataStore::new(options.ingest.families_max),
            counters: Counters::default(),
            options,
        };
        let inner = Arc::new(inner);
        Ok((Self { inner }, recovered))
    }

    /// Starts the threads that sync, flush, merge and expire. Stopping them flushes and closes the
    /// store.
    pub fn background(&self) -> io::Result<Background<Metrics>> {
        Background::start(Arc::clone(&self.inner.store))
    }

    /// Stores what of `batch` may be stored. On an error none of it was acknowledged.
    pub fn append(&self, batch: &[SeriesSamples]) -> Result<Appended, AppendError> {
        let counters = &self.inner.counters;
        let (accepted, refused) =
            validate(batch, &self.inner.options.ingest, self.accepted_range());
        counters.refuse(refused.samples);
        let samples = accepted
            .iter()
            .map(|series| (series.samples.len() + series.histograms.len()) as u64)
            .sum();
        if samples > 0 {
            self.inner.store.append(&accepted)?;
            counters.samples.fetch_add(samples, Ordering::Relaxed);
        }
        Ok(Appended { samples, refused })
    }

    /// The instants that are accepted now.
    fn accepted_range(&self) -> TimeRange {
        let latest = self.inner.clock.now();
        TimeRange::new(
            self.inner.store.oldest_kept(),
            latest.saturating_add(self.inner.options.ingest.future_ms_max),
        )
    }

    /// Remembers what is known of metric families.
    pub fn record_metadata(&self, metadata: &[Metadata]) {
        let without_room = self.inner.metadata.record(metadata);
        let dropped = &self.inner.counters.metadata_dropped;
        dropped.fetch_add(without_room as u64, Ordering::Relaxed);
    }

    /// The HTTP API, everything below `/api/v1`.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Makes the store's counters part of what `registry` exposes, under `taffrail_tsdb_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(TsdbCollector::new(self.clone())));
    }

    /// What the evaluator and the label API read from.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.inner.store))
    }

    /// The evaluator.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The store of samples.
    pub fn store(&self) -> &Arc<MetricStore> {
        &self.inner.store
    }

    /// Metadata of metric families.
    pub fn metadata(&self) -> &MetadataStore {
        &self.inner.metadata
    }

    /// The clock that was handed in.
    pub fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    /// How the store behaves.
    pub fn options(&self) -> &TsdbOptions {
        &self.inner.options
    }

    /// What was counted beside the store's own counters.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }
}
