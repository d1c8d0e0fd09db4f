//! Lines, kept: what the storage core is told about them.
//!
//! [`LogTable`] describes log lines to `storage`: a push becomes a record ([`record`]) and runs of rows in a
//! [`memtable`]; memtables become parts ([`part`]) of pages ([`page`]) sorted by stream and time; parts become
//! one by a merge that holds one page a part. [`scan`] reads all of it in order for a query, and
//! [`labels`] answers what streams there are.
//!
//! Invariants, beside those of `storage::store`:
//!
//! 1. Two entries of a stream with the same timestamp, line and metadata are one row, wherever they
//!    lie; different lines at one timestamp all stay, in order of arrival. Reading, flushing and merging use the
//!    same two functions for it, so that no maintenance changes an answer.
//! 2. A line comes back byte for byte.
//! 3. Whatever a directory says without opening a page (counts, bytes, times) is exact, or it is not
//!    used: rows that another place may repeat are counted by looking.
//!
//! Never let a query or a request into this module: it knows streams, ranges and rows.
//!
//! - [`record`]: a push in the write-ahead log.
//! - [`rows`]: rows of a stream in order, each once.
//! - [`memtable`]: rows in memory.
//! - [`page`], [`part`]: rows in a part, and its directory.
//! - [`cursor`]: rows of a stream from many places as one sequence.
//! - [`merge`]: parts become one.
//! - [`scan`]: what a query reads.
//! - [`labels`]: streams, label names and values, volumes.

mod cursor;
mod labels;
mod memtable;
mod merge;
mod page;
mod part;
mod record;
mod rows;
mod scan;

use model::matcher::Matcher;
use model::time::{TimeRange, TimestampNs};
use storage::index::select::select;
use storage::part::PartError;
use storage::part::reader::PartFile;
use storage::part::writer::PartWriter;
use storage::table::{MergePlan, PartSummary, Table};

pub use labels::StreamVolume;
pub use memtable::LogMemtable;
pub use part::reader::LogPart;
pub use rows::{Row, Span, Volume};
pub use scan::Snapshot;

use part::writer::RowWriter;

/// Log lines as a kind of rows.
#[derive(Clone, Copy, Debug)]
pub struct LogTable;

impl Table for LogTable {
    const NAME: &'static str = "logs";
    type Memtable = LogMemtable;
    type Part = LogPart;

    fn open(file: PartFile) -> Result<LogPart, PartError> {
        LogPart::open(file)
    }

    fn may_hold(part: &LogPart, matchers: &[Matcher]) -> Result<bool, PartError> {
        Ok(!select(part.index(), matchers)?.is_empty())
    }

    fn flush(
        memtables: &[&LogMemtable],
        range: TimeRange,
        writer: &mut PartWriter,
    ) -> Result<PartSummary, PartError> {
        let range = nanos(range);
        let mut streams = Vec::new();
        for memtable in memtables {
            let numbered = (0..).zip(memtable.index().series());
            streams.extend(numbered.map(|(stream, labels)| (labels, stream, *memtable)));
        }
        streams.sort_by(|a, b| a.0.cmp(b.0));
        let mut out = RowWriter::new(writer);
        for (labels, stream, memtable) in streams {
            let rows = memtable.rows_of(stream, range);
            if rows.len() == 0 {
                continue;
            }
            out.start_stream(labels.clone());
            for row in rows.iter() {
                out.push(row)?;
            }
        }
        let summary = out.finish()?;
        summary.ok_or_else(|| writer.unexpected(&"there is no line to write"))
    }

    fn merge(
        plan: &MergePlan<LogPart>,
        writer: &mut PartWriter,
    ) -> Result<Option<PartSummary>, PartError> {
        merge::merge(plan, RowWriter::new(writer))
    }
}

/// The nanoseconds of a range of whole milliseconds.
fn nanos(range: TimeRange) -> Span {
    let end = range
        .end
        .0
        .checked_add(1)
        .and_then(|next| next.checked_mul(1_000_000));
    Span {
        start: TimestampNs::from_millis(range.start),
        end: end.map_or(TimestampNs::MAX, |next| TimestampNs(next.saturating_sub(1))),
    }
}

/// The milliseconds that hold a range of nanoseconds.
fn millis(span: Span) -> TimeRange {
    TimeRange::new(span.start.floor_millis(), span.end.floor_millis())
}
