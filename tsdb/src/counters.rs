//! What is counted, and how it is exposed.
//!
//! Counters are plain atomics where they are counted; a collector reads them, and those of the
//! storage core, when they are scraped.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use storage::table::Memtable as _;
use storage::tier::TierCounts;

use crate::database::Tsdb;
use crate::ingest::census::TurnedAway;

/// What this member counts beside the storage core.
#[derive(Debug, Default)]
pub struct Counters {
    /// Samples that were stored.
    pub samples: AtomicU64,
    /// Samples that were refused.
    pub refused_samples: AtomicU64,
    /// Series that were refused because there are too many altogether.
    pub series_refused_total: AtomicU64,
    /// Series that were refused because their target has too many.
    pub series_refused_per_target: AtomicU64,
    /// Writes that found no place to wait.
    pub writes_turned_away: AtomicU64,
    /// Descriptions of families that found no room.
    pub metadata_dropped: AtomicU64,
    /// Queries that were evaluated, or tried to be.
    pub queries: AtomicU64,
    /// Queries that ended with an error.
    pub query_errors: AtomicU64,
}

impl Counters {
    /// Counts a write that found no place to wait.
    pub fn turn_write_away(&self) {
        self.writes_turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts series that were refused because there are too many.
    pub fn turn_series_away(&self, turned_away: TurnedAway) {
        self.series_refused_total
            .fetch_add(turned_away.total, Ordering::Relaxed);
        self.series_refused_per_target
            .fetch_add(turned_away.per_target, Ordering::Relaxed);
    }

    /// Counts samples that were refused.
    pub fn refuse(&self, samples: u64) {
        self.refused_samples.fetch_add(samples, Ordering::Relaxed);
    }
}

/// Reads the counters when they are scraped.
#[derive(Debug)]
pub struct TsdbCollector {
    tsdb: Tsdb,
}

impl TsdbCollector {
    /// A collector of a store's counters.
    pub const fn new(tsdb: Tsdb) -> Self {
        Self { tsdb }
    }
}

impl Collector for TsdbCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let own = self.tsdb.counters();
        let store = self.tsdb.store();
        let core = store.counters();
        for (name, help, counter) in [
            ("samples", "Samples stored", &own.samples),
            (
                "refused_samples",
                "Samples refused because they break a rule",
                &own.refused_samples,
            ),
            (
                "writes_turned_away",
                "Writes that found no place to wait",
                &own.writes_turned_away,
            ),
            (
                "metadata_dropped",
                "Descriptions of metric families dropped for lack of room",
                &own.metadata_dropped,
            ),
            ("queries", "Queries evaluated", &own.queries),
            (
                "query_errors",
                "Queries that ended with an error",
                &own.query_errors,
            ),
            ("wal_records", "Records written to the log", &core.records),
            (
                "wal_record_bytes",
                "Bytes of records written to the log",
                &core.record_bytes,
            ),
            (
                "writes_refused",
                "Writes refused for lack of memory, disk or because of an error",
                &core.refused,
            ),
            ("flushes", "Memtables that became parts", &core.flushes),
            ("merges", "Merges of parts", &core.merges),
            (
                "maintenance_errors",
                "Flushes, merges and syncs that failed",
                &core.maintenance_errors,
            ),
            (
                "quarantined_parts",
                "Parts moved to quarantine because of wrong bytes",
                &core.quarantined,
            ),
        ] {
            encode_counter(&mut encoder, name, help, counter.load(Ordering::Relaxed))?;
        }
        let active = store.view().memtables.clone();
        let active = active.iter().rev().take(store.options().shards as usize);
        let dropped = active.map(|memory| memory.table.read().exemplars_dropped());
        let dropped = ConstCounter::new(dropped.sum::<u64>());
        let (name, help) = (
            "taffrail_tsdb_exemplars_dropped",
            "Exemplars dropped for lack of room",
        );
        let to = encoder.encode_descriptor(name, help, None, dropped.metric_type())?;
        dropped.encode(to)?;
        let refused = Family::<Vec<(&str, &str)>, Counter>::default();
        for (reason, counter) in [
            ("series_max", &own.series_refused_total),
            ("series_per_target_max", &own.series_refused_per_target),
        ] {
            let refused = refused.get_or_create(&vec![("reason", reason)]);
            refused.inc_by(counter.load(Ordering::Relaxed));
        }
        let (name, help) = (
            "taffrail_tsdb_series_refused",
            "New series that were refused",
        );
        let to = encoder.encode_descriptor(name, help, None, refused.metric_type())?;
        refused.encode(to)?;
        let view = store.view();
        let memory: u64 = view.memtables.iter().map(|m| m.table.read().rows()).sum();
        let part_bytes: u64 = view.parts.iter().map(|part| part.record.bytes).sum();
        let part_rows: u64 = view.parts.iter().map(|part| part.record.rows).sum();
        for (name, help, value) in [
            (
                "memtable_bytes",
                "Memory that samples not yet in a part take",
                store.memory_bytes() as u64,
            ),
            ("memtable_samples", "Samples not yet in a part", memory),
            (
                "active_series",
                "Series that were written lately",
                self.tsdb.census().active(),
            ),
            ("parts", "Parts", view.parts.len() as u64),
            (
                "part_bytes",
                "Bytes of all parts, index included",
                part_bytes,
            ),
            ("part_samples", "Samples in parts", part_rows),
        ] {
            encode_gauge(&mut encoder, name, help, value)?;
        }
        match store.tier() {
            Some(tier) => encode_tier(&mut encoder, tier.counts(), store.remote_bytes()),
            None => Ok(()),
        }
    }
}

/// What concerns the bucket that old parts move to.
fn encode_tier(
    encoder: &mut DescriptorEncoder<'_>,
    counts: TierCounts,
    remote_bytes: u64,
) -> Result<(), fmt::Error> {
    for (name, help, value) in [
        (
            "tier_uploads",
            "Parts uploaded to the bucket and verified",
            counts.uploads,
        ),
        (
            "tier_upload_bytes",
            "Bytes of parts uploaded to the bucket and verified",
            counts.upload_bytes,
        ),
        (
            "tier_failures",
            "Requests to the bucket that failed",
            counts.failures,
        ),
        (
            "tier_cache_hits",
            "Ranges of remote parts that were in the cache when they were wanted",
            counts.cache_hits,
        ),
        (
            "tier_cache_misses",
            "Ranges of remote parts that were fetched",
            counts.cache_misses,
        ),
    ] {
        encode_counter(encoder, name, help, value)?;
    }
    encode_gauge(
        encoder,
        "tier_bytes",
        "Bytes of the parts that lie in the bucket",
        remote_bytes,
    )?;
    encode_gauge(
        encoder,
        "tier_cache_bytes",
        "Bytes of remote parts that are in the cache",
        counts.cache_bytes,
    )
}

fn encode_counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    let name = format!("taffrail_tsdb_{name}");
    metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)
}

fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let name = format!("taffrail_tsdb_{name}");
    metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)
}
