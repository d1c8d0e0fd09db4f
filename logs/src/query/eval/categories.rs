//! The lines of an answer as Grafana asks for them, with labels by origin.
//!
//! Under the encoding flag `categorize-labels` a result stream is a stream of the store again, and each
//! entry carries its metadata and what was parsed from it.

use model::labels::Labels;

use super::engine::{ResultEntry, ResultStream};
use crate::query::source::Direction;

/// The entries of one stored stream.
#[derive(Clone, Debug, PartialEq)]
pub struct CategorizedStream<'r> {
    /// The labels of the stream, as far as stages left them.
    pub labels: &'r Labels,
    /// Its entries, in the direction asked for.
    pub entries: Vec<CategorizedEntry<'r>>,
}

/// One entry with the labels that are not of its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CategorizedEntry<'r> {
    /// Time and line.
    pub entry: &'r ResultEntry,
    /// Labels of the structured metadata.
    pub structured_metadata: &'r Labels,
    /// Labels a stage made.
    pub parsed: &'r Labels,
}

impl ResultStream {
    /// Regroups an answer by the labels of the streams alone.
    pub fn categorize(streams: &[Self], direction: Direction) -> Vec<CategorizedStream<'_>> {
        let mut order: Vec<&Self> = streams.iter().collect();
        order.sort_by(|a, b| a.stream.cmp(&b.stream));
        let mut categorized: Vec<CategorizedStream<'_>> = Vec::new();
        for stream in order {
            let entries = stream.entries.iter().map(|entry| CategorizedEntry {
                entry,
                structured_metadata: &stream.structured_metadata,
                parsed: &stream.parsed,
            });
            match categorized.last_mut() {
                Some(last) if *last.labels == stream.stream => last.entries.extend(entries),
                _ => categorized.push(CategorizedStream {
                    labels: &stream.stream,
                    entries: entries.collect(),
                }),
            }
        }
        for stream in &mut categorized {
            // Stable, so that entries of one instant stay as they were.
            match direction {
                Direction::Forward => stream.entries.sort_by_key(|e| e.entry.timestamp),
                Direction::Backward => stream
                    .entries
                    .sort_by_key(|e| std::cmp::Reverse(e.entry.timestamp)),
            }
        }
        categorized
    }
}
