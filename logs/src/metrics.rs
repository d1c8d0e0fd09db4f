//! What the log engine says of itself: `taffrail_logs_…`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use storage::store::Store;

use crate::ingest::Prepared;
use crate::store::LogTable;

/// Counters of what comes in.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    lines: Counter,
    line_bytes: Counter,
    refused_lines: Counter,
    pub(crate) queries: QueueMetrics,
    pub(crate) pushes: QueueMetrics,
}

/// A queue of requests. Cloning shares the counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueMetrics {
    requests: Counter,
    in_flight: Gauge,
    pub(crate) refused: Counter,
}

/// A request that is waiting or running.
pub(crate) struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl QueueMetrics {
    /// Counts a request, and counts it as in flight while the guard lives.
    pub(crate) fn start(&self) -> InFlight<'_> {
        self.requests.inc();
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    fn register(&self, what: &str, registry: &mut Registry) {
        registry.register(
            format!("taffrail_logs_{what}"),
            format!("Requests of the log API taken on: {what}"),
            self.requests.clone(),
        );
        registry.register(
            format!("taffrail_logs_{what}_in_flight"),
            format!("Requests of the log API that wait or run: {what}"),
            self.in_flight.clone(),
        );
        registry.register(
            format!("taffrail_logs_refused_{what}"),
            format!("Requests of the log API refused because too many wait: {what}"),
            self.refused.clone(),
        );
    }
}

impl Metrics {
    /// Counts a push whose accepted part was appended.
    pub(crate) fn count(&self, prepared: &Prepared) {
        let entries = || prepared.accepted.iter().flat_map(|stream| &stream.entries);
        self.lines.inc_by(entries().count() as u64);
        self.line_bytes
            .inc_by(entries().map(|entry| entry.line.len() as u64).sum());
        self.refused_lines.inc_by(prepared.refused);
    }

    pub(crate) fn register(&self, store: &Arc<Store<LogTable>>, registry: &mut Registry) {
        registry.register(
            "taffrail_logs_received_lines",
            "Log lines that were accepted",
            self.lines.clone(),
        );
        registry.register(
            "taffrail_logs_received_bytes",
            "Bytes of the log lines that were accepted",
            self.line_bytes.clone(),
        );
        registry.register(
            "taffrail_logs_refused_lines",
            "Log lines that were refused because of what they are",
            self.refused_lines.clone(),
        );
        self.queries.register("queries", registry);
        self.pushes.register("pushes", registry);
        registry.register_collector(Box::new(StoreCollector(Arc::clone(store))));
    }
}

/// Reads the store's own counters when somebody looks.
struct StoreCollector(Arc<Store<LogTable>>);

impl fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreCollector")
            .field(&self.0.dir())
            .finish()
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters = self.0.counters();
        for (name, help, value) in [
            (
                "wal_records",
                "Records appended to the write-ahead log",
                &counters.records,
            ),
            (
                "wal_bytes",
                "Bytes appended to the write-ahead log",
                &counters.record_bytes,
            ),
            (
                "refused_writes",
                "Writes the store refused",
                &counters.refused,
            ),
            ("flushes", "Memtables that became parts", &counters.flushes),
            ("merges", "Merges of parts", &counters.merges),
            (
                "maintenance_errors",
                "Flushes, merges and syncs that failed",
                &counters.maintenance_errors,
            ),
            (
                "quarantined_parts",
                "Corrupt parts taken out",
                &counters.quarantined,
            ),
        ] {
            let name = format!("taffrail_logs_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value.load(Ordering::Relaxed)).encode(metric)?;
        }
        let view = self.0.view();
        let bytes = view.parts.iter().map(|part| part.record.bytes).sum::<u64>();
        for (name, help, value) in [
            ("parts", "Parts that are served", view.parts.len() as i64),
            (
                "part_bytes",
                "Bytes of the parts that are served",
                bytes as i64,
            ),
            (
                "memory_bytes",
                "Bytes of lines that are only in memory and in the log",
                self.0.memory_bytes() as i64,
            ),
        ] {
            let name = format!("taffrail_logs_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }
}
