//! Rows of one stream in order of time, wherever they are kept.
//!
//! Two rows of a stream are the same row when timestamp, line and metadata are the same; of those
//! one is kept. Different lines at one timestamp all stay, in the order in which they arrived. Both
//! rules are written once, in [`unique`] and in the stable sort of [`MemoryRows`], and used by reading, flushing
//! and merging alike.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use model::labels::Labels;
use model::time::TimestampNs;

use super::record::RecordRow;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row<'a> {
    /// When it was written.
    pub timestamp: TimestampNs,
    /// Its text.
    pub line: &'a str,
    /// Its structured metadata; the empty set where it has none.
    pub metadata: &'a Labels,
}

/// Nanoseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub start: TimestampNs,
    /// The last instant.
    pub end: TimestampNs,
}

impl Span {
    /// Every instant there is.
    pub const ALL: Self = Self {
        start: TimestampNs::MIN,
        end: TimestampNs::MAX,
    };

    /// Whether an instant lies inside.
    pub const fn contains(&self, at: TimestampNs) -> bool {
        self.start.0 <= at.0 && at.0 <= self.end.0
    }

    /// Whether the two share an instant.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start.0 <= other.end.0 && other.start.0 <= self.end.0
    }

    /// The parts of the span that `other` does not cover.
    pub fn without(self, other: &Self) -> impl Iterator<Item = Self> + use<> {
        let before = other.start.0.checked_sub(1).map(|end| Self {
            start: self.start,
            end: self.end.min(TimestampNs(end)),
        });
        let after = other.end.0.checked_add(1).map(|start| Self {
            start: self.start.max(TimestampNs(start)),
            end: self.end,
        });
        let parts = [before, after].into_iter().flatten();
        parts.filter(|part| part.start <= part.end)
    }

    /// Whether every instant of `other` lies inside.
    pub const fn covers(&self, other: &Self) -> bool {
        self.start.0 <= other.start.0 && other.end.0 <= self.end.0
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Lines.
    pub entries: u64,
    /// Bytes of the lines.
    pub bytes: u64,
    /// Pieces they are kept in.
    pub chunks: u64,
}

impl std::ops::AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.chunks += other.chunks;
    }
}

/// The rows that one record gave one stream. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Run {
    text: Arc<RunText>,
    rows: Arc<[RecordRow]>,
    span: Span,
}

/// The texts of a record, shared by the runs of its streams.
#[derive(Debug)]
pub(super) struct RunText {
    pub(super) lines: String,
    pub(super) sets: Vec<Labels>,
    pub(super) no_metadata: Labels,
}

impl Run {
    /// A run, unless there are no rows.
    pub(super) fn new(text: &Arc<RunText>, rows: Vec<RecordRow>) -> Option<Self> {
        let times = || rows.iter().map(|row| TimestampNs(row.timestamp));
        let (start, end) = (times().min()?, times().max()?);
        Some(Self {
            text: Arc::clone(text),
            rows: rows.into(),
            span: Span { start, end },
        })
    }

    /// From the first to the last row.
    pub(super) const fn span(&self) -> Span {
        self.span
    }

    /// When the rows are, in order of arrival.
    pub(super) fn timestamps(&self) -> impl Iterator<Item = TimestampNs> {
        self.rows.iter().map(|row| TimestampNs(row.timestamp))
    }

    /// How many rows lie in `range`, and the bytes of their lines.
    pub(super) fn volume(&self, range: Span) -> Volume {
        let inside = self
            .rows
            .iter()
            .filter(|row| range.contains(TimestampNs(row.timestamp)));
        inside.fold(Volume::default(), |volume, row| Volume {
            entries: volume.entries + 1,
            bytes: volume.bytes + u64::from(row.end - row.start),
            ..volume
        })
    }

    fn row(&self, index: u32) -> Option<Row<'_>> {
        let row = self.rows.get(index as usize)?;
        let line = self.text.lines.get(row.start as usize..row.end as usize)?;
        let metadata = match row.set.checked_sub(1) {
            Some(set) => self.text.sets.get(set as usize)?,
            None => &self.text.no_metadata,
        };
        Some(Row {
            timestamp: TimestampNs(row.timestamp),
            line,
            metadata,
        })
    }
}

/// The rows of one stream of a memtable in a range of time: in order, each once.
#[derive(Debug, Default)]
pub(super) struct MemoryRows {
    runs: Vec<Run>,
    /// Timestamp, run, row in the run.
    order: Vec<(i64, u32, u32)>,
}

impl MemoryRows {
    /// Puts the rows of `runs` that lie in `range` in order. Runs come in order of arrival.
    pub(super) fn new<'a>(runs: impl Iterator<Item = &'a Run>, range: Span) -> Self {
        let runs: Vec<Run> = runs
            .filter(|run| run.span.overlaps(&range))
            .cloned()
            .collect();
        let mut order = Vec::new();
        for (number, run) in (0u32..).zip(&runs) {
            for (index, at) in (0u32..).zip(run.timestamps()) {
                if range.contains(at) {
                    order.push((at.nanos(), number, index));
                }
            }
        }
        if !order.is_sorted_by_key(|(at, _, _)| *at) {
            order.sort_by_key(|(at, _, _)| *at);
        }
        let mut rows = Self { runs, order };
        rows.remove_repeated();
        rows
    }

    fn remove_repeated(&mut self) {
        let repeats = self.order.windows(2).any(|pair| match pair {
            [a, b] => a.0 == b.0,
            _ => false,
        });
        if !repeats {
            return;
        }
        let mut kept = Vec::with_capacity(self.order.len());
        for group in self.order.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<Row<'_>> = group.iter().filter_map(|place| self.at(*place)).collect();
            let places = unique(&rows);
            kept.extend(places.into_iter().filter_map(|place| group.get(place)));
        }
        self.order = kept;
    }

    fn at(&self, (_, run, row): (i64, u32, u32)) -> Option<Row<'_>> {
        self.runs.get(run as usize)?.row(row)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// From the first to the last row; none where there is no row.
    pub(super) fn span(&self) -> Option<Span> {
        Some(Span {
            start: self.timestamp(0)?,
            end: self.timestamp(self.len().checked_sub(1)?)?,
        })
    }

    /// When a row is.
    pub(super) fn timestamp(&self, index: usize) -> Option<TimestampNs> {
        self.order.get(index).map(|(at, _, _)| TimestampNs(*at))
    }

    /// A row.
    pub(super) fn row(&self, index: usize) -> Option<Row<'_>> {
        self.order.get(index).and_then(|place| self.at(*place))
    }

    /// The rows in order of time.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.order.iter().filter_map(|place| self.at(*place))
    }
}

/// Groups up to this size are compared pair by pair, larger ones by hash.
const PAIRWISE_MAX: usize = 16;

/// The places of the rows that no row before them equals. The rows are of one timestamp.
pub(super) fn unique(rows: &[Row<'_>]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::with_capacity(rows.len());
    if rows.len() <= PAIRWISE_MAX {
        for (place, row) in rows.iter().enumerate() {
            let mut before = places.iter().filter_map(|before| rows.get(*before));
            if !before.any(|before| before == row) {
                places.push(place);
            }
        }
        return places;
    }
    let mut seen = HashSet::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        if seen.insert(row) {
            places.push(place);
        }
    }
    places
}

/// The part of sorted timestamps that lies in `range`.
pub(super) fn inside(timestamps: &[i64], range: Span) -> Range<usize> {
    let start = timestamps.partition_point(|at| *at < range.start.nanos());
    let end = timestamps.partition_point(|at| *at <= range.end.nanos());
    start..end.max(start)
}
