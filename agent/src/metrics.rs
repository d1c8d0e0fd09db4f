//! What the agent counts about itself: `taffrail_agent_*`.
//!
//! The values are made first and registered once, so that a part under test can count without a
//! registry. A name carries its unit last; the encoder adds `_total` to counters.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// One label of a metric, with the few values it can have.
type Label = [(&'static str, &'static str); 1];

/// Everything the agent counts.
#[derive(Debug, Default)]
pub struct AgentMetrics {
    /// Writes of samples, by how they ended.
    pub series: FlowMetrics,
    /// Writes of lines, by how they ended.
    pub streams: FlowMetrics,
    /// Samples dropped because the outbox was full.
    pub samples_dropped: Counter,
    /// Scrapes that delivered.
    pub scrapes: Counter,
    /// Scrapes that failed and were rolled back.
    pub scrapes_failed: Counter,
    /// Samples that scrapes delivered, report series not counted.
    pub samples_scraped: Counter,
    /// Samples that repeated a series of their scrape, of which the first was kept.
    pub samples_duplicate: Counter,
    /// What was read of log files.
    pub tail: TailMetrics,
}

/// Counters of tailing.
#[derive(Debug, Default)]
pub struct TailMetrics {
    /// Files (generations) open now.
    pub files: Gauge,
    /// Bytes read, decompressed where they were compressed.
    pub read_bytes: Counter,
    /// Lines handed on.
    pub lines: Counter,
    /// Lines over the limit, handed on in parts.
    pub lines_split: Counter,
    /// Lines that do not follow the format of their file, handed on as they are.
    pub lines_malformed: Counter,
    /// Lines with invalid UTF-8, replaced by U+FFFD.
    pub lines_replaced: Counter,
    /// Generations found behind the one that was being read.
    pub rotations: Counter,
    /// Files cut to nothing while they were read.
    pub truncations: Counter,
    /// Bytes of files that were long before the first start and were not read.
    pub skipped_bytes: Counter,
    /// Files and folders that could not be read, each counted once.
    pub unreadable: Counter,
    /// Bytes of a generation that went away before they were read.
    pub lost_generations: Counter,
    /// Checkpoints that could not be written.
    pub checkpoint_failures: Counter,
}

/// How writes of one kind ended.
#[derive(Debug, Default)]
pub struct FlowMetrics {
    name: &'static str,
    writes: Family<Label, Counter>,
}

/// How an attempt to write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side has it.
    Acknowledged,
    /// It failed and is tried again.
    Retried,
    /// It was refused and dropped.
    Refused,
}

impl FlowMetrics {
    /// Counts one attempt.
    pub fn count(&self, outcome: Outcome) {
        let label = match outcome {
            Outcome::Acknowledged => "acknowledged",
            Outcome::Retried => "retried",
            Outcome::Refused => "refused",
        };
        self.writes.get_or_create(&[("outcome", label)]).inc();
    }

    /// `series` or `streams`, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl AgentMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let mut metrics = Self::default();
        metrics.series.name = "series";
        metrics.streams.name = "streams";
        let tail = &metrics.tail;
        let counters = [
            (
                "samples_dropped",
                "Samples dropped because the outbox was full",
                &metrics.samples_dropped,
            ),
            ("scrapes", "Scrapes that delivered", &metrics.scrapes),
            (
                "scrapes_failed",
                "Scrapes that failed and were rolled back",
                &metrics.scrapes_failed,
            ),
            (
                "samples_scraped",
                "Samples that scrapes delivered",
                &metrics.samples_scraped,
            ),
            (
                "samples_duplicate",
                "Samples that repeated a series of their scrape and were dropped",
                &metrics.samples_duplicate,
            ),
            (
                "tail_read_bytes",
                "Bytes read from log files, decompressed",
                &tail.read_bytes,
            ),
            ("tail_lines", "Lines read from log files", &tail.lines),
            (
                "tail_lines_split",
                "Lines over the limit, handed on in parts",
                &tail.lines_split,
            ),
            (
                "tail_lines_malformed",
                "Lines that do not follow the format of their file, handed on as they are",
                &tail.lines_malformed,
            ),
            (
                "tail_lines_replaced",
                "Lines with invalid UTF-8 that was replaced",
                &tail.lines_replaced,
            ),
            (
                "tail_rotations",
                "Generations of log files that followed another",
                &tail.rotations,
            ),
            (
                "tail_truncations",
                "Log files cut while they were read",
                &tail.truncations,
            ),
            (
                "tail_skipped_bytes",
                "Bytes not read of files that were long before the first start",
                &tail.skipped_bytes,
            ),
            (
                "tail_unreadable",
                "Files and folders that could not be read",
                &tail.unreadable,
            ),
            (
                "tail_lost_generations",
                "Log files that went away before they were read to their end",
                &tail.lost_generations,
            ),
            (
                "tail_checkpoint_failures",
                "Checkpoints that could not be written",
                &tail.checkpoint_failures,
            ),
        ];
        let registry = registry.sub_registry_with_prefix("taffrail_agent");
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("tail_files", "Log files open now", tail.files.clone());
        for flow in [&metrics.series, &metrics.streams] {
            registry.register(
                format!("ship_{}_writes", flow.name),
                format!("Attempts to write {} by how they ended", flow.name),
                flow.writes.clone(),
            );
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use model::wire::exposition::{Format, Item, Parser};

    use super::*;

    #[test]
    fn what_is_registered_is_an_exposition_we_read() {
        let mut registry = Registry::default();
        let metrics = AgentMetrics::register(&mut registry);
        metrics.series.count(Outcome::Retried);
        metrics.tail.lines.inc_by(3);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
        let mut parser = Parser::new(&text, Format::OpenMetrics);
        let mut samples = Vec::new();
        while let Some(item) = parser.next().expect("our own exposition") {
            if let Item::Sample(sample) = item {
                samples.push((sample.series.to_owned(), sample.value));
            }
        }
        for (series, value) in [
            ("taffrail_agent_tail_lines_total", 3.0),
            ("taffrail_agent_tail_files", 0.0),
            (
                "taffrail_agent_ship_series_writes_total{outcome=\"retried\"}",
                1.0,
            ),
        ] {
            assert!(
                samples.contains(&(series.to_owned(), value)),
                "{series} in {text}"
            );
        }
    }
}
