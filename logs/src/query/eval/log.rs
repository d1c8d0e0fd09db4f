//! Log queries: the entries nearest to where the reader looks, by the labels they end up with.
//!
//! Streams come one after the other, so the nearest entries of all are kept in a heap of `limit`
//! places whose top is the farthest. Once it is full, a stream is left as soon as it comes to an
//! entry that is no nearer, and only entries that find a place are copied.

use std::collections::{BinaryHeap, HashMap};

use model::labels::Labels;
use model::time::TimestampNs;

use super::engine::{ResultEntry, ResultStream};
use super::guard::Guard;
use crate::query::ast::LogExpr;
use crate::query::error::{ParseError, QueryError};
use crate::query::pipeline::{Category, Pipeline, WorkingLabels};
use crate::query::pruning::Hints;
use crate::query::source::{Batch, Direction, LineNeed, Scan, Selection, Source, Visitor};

pub(super) fn evaluate(
    source: &dyn Source,
    log: &LogExpr,
    start: TimestampNs,
    end: TimestampNs,
    limit: usize,
    direction: Direction,
    guard: &mut Guard<'_>,
) -> Result<Vec<ResultStream>, QueryError> {
    if limit == 0 || end <= start {
        return Ok(Vec::new());
    }
    let pipeline = Pipeline::compile(&log.stages, None).map_err(ParseError::whole)?;
    let hints = Hints::of(&log.stages);
    let selection = Selection {
        matchers: &log.matchers,
        start,
        end: TimestampNs(end.nanos() - 1),
        direction,
        hints: &hints,
        line_need: LineNeed::Text,
    };
    let mut visitor = NearestEntries {
        pipeline: &pipeline,
        guard,
        limit,
        direction,
        labels: WorkingLabels::default(),
        stream: None,
        key: Vec::new(),
        numbers: HashMap::new(),
        streams: Vec::new(),
        nearest: BinaryHeap::new(),
        seen: 0,
        failure: None,
    };
    source
        .scan(&selection, &mut visitor)
        .map_err(QueryError::Source)?;
    visitor.finish()
}

/// An entry with a place in the heap. The derived order is the order of the heap: `distance`
/// grows away from where the reader looks, `seen` keeps entries of one instant in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    distance: i64,
    seen: u64,
    timestamp: i64,
    stream: usize,
    line: String,
}

struct NearestEntries<'q, 'e> {
    pipeline: &'q Pipeline,
    guard: &'q mut Guard<'e>,
    limit: usize,
    direction: Direction,
    labels: WorkingLabels,
    stream: Option<Labels>,
    key: Vec<u8>,
    numbers: HashMap<Vec<u8>, usize>,
    streams: Vec<ResultStream>,
    nearest: BinaryHeap<Held>,
    seen: u64,
    failure: Option<QueryError>,
}

impl NearestEntries<'_, '_> {
    /// How far an instant is from where the reader looks, in an order that cannot overflow.
    const fn distance(&self, timestamp: i64) -> i64 {
        match self.direction {
            Direction::Forward => timestamp,
            Direction::Backward => !timestamp,
        }
    }

    /// Whether an entry at this distance cannot get a place, nor any farther one.
    fn is_too_far(&self, distance: i64) -> bool {
        self.nearest.len() >= self.limit
            && self
                .nearest
                .peek()
                .is_some_and(|farthest| farthest.distance <= distance)
    }

    /// The number of the result stream the labels at hand belong to.
    fn stream_number(&mut self) -> usize {
        self.labels.write_key(&mut self.key, true, |_| true);
        if let Some(number) = self.numbers.get(&self.key) {
            return *number;
        }
        let number = self.streams.len();
        let labels = &self.labels;
        let of = |wanted: Category| labels.to_labels(|_, category| category == wanted);
        self.streams.push(ResultStream {
            labels: labels.with_error(&labels.to_labels(|_, _| true)),
            stream: of(Category::Stream),
            structured_metadata: of(Category::Metadata),
            parsed: labels.with_error(&of(Category::Parsed)),
            entries: Vec::new(),
        });
        self.numbers.insert(self.key.clone(), number);
        number
    }

    fn finish(mut self) -> Result<Vec<ResultStream>, QueryError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for held in self.nearest.into_sorted_vec() {
            if let Some(stream) = self.streams.get_mut(held.stream) {
                stream.entries.push(ResultEntry {
                    timestamp: TimestampNs(held.timestamp),
                    line: held.line,
                });
            }
        }
        self.streams.retain(|stream| !stream.entries.is_empty());
        self.streams.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(self.streams)
    }
}

impl Visitor for NearestEntries<'_, '_> {
    fn entries(&mut self, batch: &Batch<'_>) -> Scan {
        if let Err(failure) = self.guard.check() {
            self.failure = Some(failure);
            return Scan::Stop;
        }
        if self.stream.as_ref() != Some(batch.stream) {
            self.labels.begin_stream(batch.stream);
            self.stream = Some(batch.stream.clone());
        }
        for entry in batch.entries {
            let timestamp = entry.timestamp.nanos();
            let distance = self.distance(timestamp);
            if self.is_too_far(distance) {
                return Scan::SkipStream;
            }
            if let Err(failure) = self.guard.entry(entry.line.len()) {
                self.failure = Some(failure);
                return Scan::Stop;
            }
            if !self.pipeline.passes(entry.line) {
                continue;
            }
            self.labels.begin_entry(entry.metadata);
            let Some(line) = self
                .pipeline
                .process(timestamp, entry.line, &mut self.labels)
            else {
                continue;
            };
            let held = Held {
                distance,
                seen: self.seen,
                timestamp,
                stream: self.stream_number(),
                line: line.into_owned(),
            };
            self.seen += 1;
            self.nearest.push(held);
            if self.nearest.len() > self.limit {
                self.nearest.pop();
            }
        }
        Scan::Continue
    }
}
