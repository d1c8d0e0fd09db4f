//! The member as the binary sees it: open it, append to it, route to it, stop it.
//!
//! A [`Tsdb`] is cheap to clone; clones share the store. Its methods block on the disk, so an async
//! caller moves them off its threads first; the router does so itself.

mod background;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::matcher::Matcher;
use model::sample::{Metadata, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use storage::clock::Clock;
use storage::disk::Disk;
use storage::store::{AppendError, MaintainError, OpenError, Recovered, StoreOptions};
use storage::table::Erasure;
use storage::tier::Tier;

use crate::api::admin::AdminApi;
use crate::api::program::Program;
use crate::api::targets::Targets;
use crate::api::{self, ApiOptions};
use crate::counters::{Counters, TsdbCollector};
use crate::ingest;
use crate::ingest::batch::Batch;
use crate::ingest::census::Census;
use crate::ingest::limits::IngestLimits;
use crate::ingest::metadata::MetadataStore;
use crate::ingest::otlp::{self, Encoding, OtlpError};
use crate::ingest::refusal::Refused;
use crate::ingest::remote_write::{self, DecodeError, Room, Version};
use crate::query::{Engine, EngineOptions};
use crate::rollup::source::RolledSource;
use crate::rollup::{Rollup, RollupOptions};
use crate::store::MetricStore;
use crate::store::memtable::active_registries;
use crate::store::read::{ReadCaches, Reader};

pub use background::TsdbBackground;

/// How the metrics store behaves. Every field has a default.
#[derive(Clone, Debug)]
pub struct TsdbOptions {
    /// Partitions, durability, memory, retention.
    pub store: StoreOptions,
    /// What may come in.
    pub ingest: IngestLimits,
    /// What a query may cost.
    pub query: EngineOptions,
    /// What reading may keep.
    pub read: ReadOptions,
    /// What the HTTP API may do at once.
    pub api: ApiOptions,
    /// The bucket that old parts move to.
    pub tier: Option<Arc<Tier>>,
    /// Roll-ups to make of what is old.
    pub rollups: Vec<RollupOptions>,
}

/// A memtable is flushed at this size: a million series that are scraped every 15 s until the next
/// flush a minute later.
const FLUSH_BYTES: usize = 128 << 20;
/// Shards beyond this bring nothing.
const SHARDS_MAX: u32 = 8;

impl Default for TsdbOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism();
        let cores = cores.map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(SHARDS_MAX));
        Self {
            store: StoreOptions {
                shards: cores.clamp(1, SHARDS_MAX),
                flush_bytes: FLUSH_BYTES,
                memory_bytes_max: 3 * FLUSH_BYTES,
                ..StoreOptions::default()
            },
            ingest: IngestLimits::default(),
            query: EngineOptions::default(),
            read: ReadOptions::default(),
            api: ApiOptions::default(),
            tier: None,
            rollups: Vec::new(),
        }
    }
}

/// What reading keeps in memory.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Decoded blocks, for the next query; 0 keeps none.
    pub cache_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
        }
    }
}

/// What became of a write. What was accepted is as durable as the options say.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// Samples that were stored.
    pub samples: u64,
    /// How many of them are native histograms.
    pub histograms: u64,
    /// Exemplars that were stored.
    pub exemplars: u64,
    /// What was not, and why.
    pub refused: Refused,
}

/// Why the body of a remote write was not stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is none, or asks for too much.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Why an export of OTLP's metrics was not stored.
#[derive(Debug, thiserror::Error)]
pub enum OtlpWriteError {
    /// It is none, or asks for too much.
    #[error(transparent)]
    Decode(#[from] OtlpError),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The metrics store.
#[derive(Clone)]
pub struct Tsdb {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<MetricStore>,
    /// The coarsest first.
    rollups: Arc<[Rollup]>,
    clock: Arc<dyn Clock>,
    options: TsdbOptions,
    engine: Engine,
    caches: Arc<ReadCaches>,
    metadata: MetadataStore,
    census: Arc<Census>,
    /// Room for writes, as many as were under way at once.
    rooms: Mutex<Vec<Room>>,
    counters: Counters,
}

/// Rooms that are kept for the next writes.
const ROOMS_MAX: usize = 8;
/// How far before the newest rows parts are asked for metadata at the start.
const METADATA_MS: i64 = 48 * 3_600_000;

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
        let mut rollups = Vec::new();
        let mut recovered = Recovered::default();
        for wanted in &options.rollups {
            let (disk, clock) = (Arc::clone(&disk), Arc::clone(&clock));
            let (rollup, of_rollup) = Rollup::open(disk, clock, dir, *wanted, &options.store)?;
            recovered.add(of_rollup);
            rollups.push(rollup);
        }
        let (store, of_store) = MetricStore::open_tiered(
            disk,
            Arc::clone(&clock),
            dir,
            options.store.clone(),
            options.tier.clone(),
        )?;
        recovered.add(of_store);
        rollups.sort_by_key(|rollup| std::cmp::Reverse(rollup.options().resolution));
        let inner = Inner {
            store: Arc::new(store),
            rollups: rollups.into(),
            clock,
            engine: Engine::new(options.query.clone()),
            caches: Arc::new(ReadCaches::new(options.read.cache_bytes)),
            metadata: MetadataStore::new(options.ingest.families_max),
            census: Arc::new(Census::new(
                options.ingest.series_active_max,
                options.ingest.series_per_target_max,
            )),
            rooms: Mutex::new(Vec::new()),
            counters: Counters::default(),
            options,
        };
        let tsdb = Self {
            inner: Arc::new(inner),
        };
        tsdb.load_metadata();
        Ok((tsdb, recovered))
    }

    /// Starts the threads that sync, flush, merge, expire and roll up. Stopping them flushes and
    /// closes the store.
    pub fn background(&self) -> io::Result<TsdbBackground> {
        let (store, clock) = (&self.inner.store, &self.inner.clock);
        TsdbBackground::start(store, &self.inner.rollups, clock)
    }

    /// Stores what of `series` may be stored. On an error none of it was acknowledged.
    pub fn append(&self, series: &[SeriesSamples]) -> Result<Appended, AppendError> {
        let limits = &self.inner.options.ingest;
        let (mut batch, refused) = ingest::check(series, limits, self.accepted_range());
        self.append_batch(&mut batch, refused)
    }

    /// Stores what of the body of a remote write 1.0 may be stored. On an error none of it was
    /// acknowledged.
    pub fn write(&self, body: &[u8]) -> Result<Appended, WriteError> {
        self.write_version(Version::One, body)
    }

    /// The same of a remote write of either version.
    pub fn write_version(&self, version: Version, body: &[u8]) -> Result<Appended, WriteError> {
        let limits = &self.inner.options.ingest;
        let mut room = self.inner.rooms.lock().pop().unwrap_or_default();
        let registries = active_registries(&self.inner.store.view());
        let accepted = self.accepted_range();
        let decoded = remote_write::decode(version, body, limits, accepted, &registries, &mut room);
        let written = decoded.map_err(WriteError::from);
        let written = written.and_then(|(mut batch, refused)| {
            let appended = self.append_batch(&mut batch, refused);
            room.keep(batch);
            Ok(appended?)
        });
        let mut rooms = self.inner.rooms.lock();
        if rooms.len() < ROOMS_MAX {
            rooms.push(room);
        }
        drop(rooms);
        written
    }

    /// The same of an export of OTLP's metrics.
    pub fn write_otlp(&self, body: &[u8], encoding: Encoding) -> Result<Appended, OtlpWriteError> {
        let limits = &self.inner.options.ingest;
        let (mut batch, refused) = otlp::decode(body, encoding, limits, self.accepted_range())?;
        Ok(self.append_batch(&mut batch, refused)?)
    }

    fn append_batch(
        &self,
        batch: &mut Batch,
        mut refused: Refused,
    ) -> Result<Appended, AppendError> {
        let Inner {
            store,
            clock,
            metadata,
            census,
            counters,
            ..
        } = &*self.inner;
        counters.refuse(refused.samples);
        let now = clock.now();
        let news = metadata.news(batch.take_metadata(), now);
        batch.describe(news);
        if batch.is_empty() && batch.metadata().is_empty() {
            return Ok(Appended {
                refused,
                ..Appended::default()
            });
        }
        batch.counted_by(Arc::clone(census));
        store.append(batch)?;
        let without_room = metadata.record(batch.metadata(), now);
        counters
            .metadata_dropped
            .fetch_add(without_room as u64, Ordering::Relaxed);
        let (not_new, turned_away) = batch.take_refused();
        counters.refuse(not_new.samples);
        counters.turn_series_away(turned_away);
        let samples = (batch.samples() as u64).saturating_sub(not_new.samples);
        counters.samples.fetch_add(samples, Ordering::Relaxed);
        let (histograms, exemplars) = batch.histograms_and_exemplars();
        let appended = Appended {
            samples,
            histograms: (histograms as u64).saturating_sub(not_new.histograms),
            exemplars: (exemplars as u64).saturating_sub(not_new.exemplars),
            refused: Refused::default(),
        };
        refused.extend(not_new);
        Ok(Appended {
            refused,
            ..appended
        })
    }

    /// Reads what parts and memtables know of metric families.
    fn load_metadata(&self) {
        let view = self.inner.store.view();
        let newest = view.parts.iter().map(|part| part.record.end_ms).max();
        let since = newest.unwrap_or_default().saturating_sub(METADATA_MS);
        for part in &view.parts {
            let end = Timestamp(part.record.end_ms);
            if end < Timestamp(since) {
                continue;
            }
            match part.part().and_then(|part| part.metadata()) {
                Ok(known) => {
                    self.inner.metadata.record(&known, end);
                }
                // Whoever reads the part's samples finds out, and takes it out.
                Err(error) => tracing::warn!(%error, "a part's metadata cannot be read"),
            }
        }
        for memory in &view.memtables {
            let known: Vec<Metadata> = memory.table.read().families().cloned().collect();
            self.inner.metadata.record(&known, self.inner.clock.now());
        }
    }

    /// The instants that are accepted now.
    fn accepted_range(&self) -> TimeRange {
        let latest = self.inner.clock.now();
        TimeRange::new(
            self.inner.store.oldest_kept(),
            latest.saturating_add(self.inner.options.ingest.future_ms_max),
        )
    }

    /// Stores what is known of metric families.
    pub fn record_metadata(&self, metadata: &[Metadata]) -> Result<(), AppendError> {
        let mut batch = Batch::default();
        batch.describe(metadata.to_vec());
        self.append_batch(&mut batch, Refused::default())
            .map(|_| ())
    }

    /// The HTTP API, everything below `/api/v1`; what administers it is refused.
    pub fn router(&self) -> axum::Router {
        self.router_with(AdminApi::Disabled)
    }

    /// The HTTP API, everything below `/api/v1`.
    pub fn router_with(&self, admin: AdminApi) -> axum::Router {
        api::router(self.clone(), admin)
    }

    /// The part of the HTTP API that tells of the program and of what it scrapes.
    pub fn surroundings_router(&self, program: Program, targets: Arc<dyn Targets>) -> axum::Router {
        api::surroundings(self, program, targets)
    }

    /// Has the answers of a router beside this one say which pages of other origins may read them.
    pub fn with_origins(&self, router: axum::Router) -> axum::Router {
        api::with_origins(self, router)
    }

    /// Makes the store's counters part of what `registry` exposes, under `taffrail_tsdb_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(TsdbCollector::new(self.clone())));
    }

    /// What the evaluator and the label API read from.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.inner.store)).with_caches(Arc::clone(&self.inner.caches))
    }

    /// Deletes the samples of the series that pass `matchers` within `range`, and what roll-ups tell
    /// of the stretches they lay in.
    pub fn delete(&self, matchers: Vec<Matcher>, range: TimeRange) -> Result<(), MaintainError> {
        for rollup in self.rollups() {
            rollup.delete(matchers.clone(), range)?;
        }
        self.inner.store.delete(Erasure { matchers, range })?;
        Ok(())
    }

    /// What queries read from: samples, and roll-ups where they serve as well.
    pub fn source(&self) -> RolledSource {
        RolledSource::new(self.reader(), Arc::clone(&self.inner.rollups))
    }

    /// The roll-ups, the coarsest first.
    pub fn rollups(&self) -> &[Rollup] {
        &self.inner.rollups
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

    /// How many series there are.
    pub fn census(&self) -> &Census {
        &self.inner.census
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
