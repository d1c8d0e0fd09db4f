//! The lines of one write, and how far each file is settled once it is acknowledged.

use std::collections::HashMap;

use model::entry::{Entry, StreamEntries};
use model::labels::Labels;
use model::time::TimestampNs;

use super::decoder::{Line, Place};
use super::source::Source;

/// The structured metadata that numbers the parts of an overlong line.
const PART: &str = "line_part";
/// What an entry costs beside its line, for the bound of a batch.
const ENTRY_BYTES: usize = 32;

/// A generation of a log, unique while the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationNumber(pub u64);

/// Lines that are written together.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines, by stream.
    pub streams: Vec<StreamEntries>,
    by_labels: HashMap<Labels, usize>,
    /// The stream of the line before: most lines follow one of their own.
    last: usize,
    /// One set for all lines without metadata.
    no_metadata: Labels,
    bytes: usize,
    /// The places before which everything is acknowledged with this batch.
    pub settled: HashMap<GenerationNumber, Place>,
    /// Whether it holds lines that were dated now: they are repeated under another date unless it
    /// is written down first.
    pub newly_dated: bool,
}

impl Batch {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing would change by its acknowledgement.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.settled.is_empty()
    }

    /// Adds a line.
    pub fn push(&mut self, source: &Source, line: Line<'_>, timestamp: TimestampNs) {
        self.last = self.position(source.labels(line.stream));
        let metadata = match line.part {
            Some(part) => Labels::from_pairs([(PART, part.to_string())]),
            None => self.no_metadata.clone(),
        };
        self.bytes += line.text.len() + ENTRY_BYTES;
        if let Some(stream) = self.streams.get_mut(self.last) {
            stream.entries.push(Entry {
                timestamp,
                line: line.text.into_owned(),
                metadata,
            });
        }
    }

    /// Where the stream of these labels is in the batch.
    fn position(&mut self, labels: &Labels) -> usize {
        if let Some(stream) = self.streams.get(self.last)
            && stream.labels == *labels
        {
            return self.last;
        }
        if let Some(position) = self.by_labels.get(labels) {
            return *position;
        }
        let position = self.streams.len();
        self.streams.push(StreamEntries {
            labels: labels.clone(),
            entries: Vec::new(),
        });
        self.by_labels.insert(labels.clone(), position);
        position
    }
}
