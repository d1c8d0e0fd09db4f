//! What the evaluator asks of a store, and nothing more.
//!
//! A store keeps the entries of each stream in order of time, in pages. The evaluator hands it a
//! [`Selection`] and a [`Visitor`]; the store pushes what it finds, borrowed from its pages, one
//! stream at a time. Pushing, not pulling, lets a page be decoded into one buffer that is used
//! again for the next, and the visitor's answer lets a store stop a stream as soon as a limit
//! is met.
//!
//! Three seams are there for speed. [`Hints`] name texts without which a line cannot pass: a store
//! may leave out pages and lines by them, and must never leave out a line that holds them. A
//! [`LineNeed`] says when lines themselves are not read. And before decoding a page a store may offer
//! its [`PageSummary`]: where every window holds the page whole, counts and sizes are enough.

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimestampNs;

use super::pruning::Hints;

/// In which order of time entries are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first: what people look at.
    #[default]
    Backward,
}

/// What of a line the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineNeed {
    /// Its text.
    Text,
    /// Nothing: the store may deliver an empty text in its place.
    Nothing,
}

/// Which entries are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'q> {
    /// The streams: those that pass every matcher.
    pub matchers: &'q [Matcher],
    /// The first instant wanted.
    pub start: TimestampNs,
    /// The last instant wanted; it belongs to the range.
    pub end: TimestampNs,
    /// The order within each stream.
    pub direction: Direction,
    /// What every wanted line holds.
    pub hints: &'q Hints,
    /// What of a line is read.
    pub line_need: LineNeed,
}

/// One entry, borrowed from wherever the store has it.
#[derive(Clone, Copy, Debug)]
pub struct EntryRef<'p> {
    /// When.
    pub timestamp: TimestampNs,
    /// The line.
    pub line: &'p str,
    /// The labels of this entry alone. A store should hand out clones of one set where the
    /// entries of a page share it: comparing those costs nothing.
    pub metadata: &'p Labels,
}

/// Entries of one stream, in the order asked for.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'p> {
    /// The stream.
    pub stream: &'p Labels,
    /// The entries.
    pub entries: &'p [EntryRef<'p>],
}

/// What a store knows of a page without decoding it. The page must lie in the selection whole, and
/// all its entries must have the same metadata.
#[derive(Clone, Copy, Debug)]
pub struct PageSummary<'p> {
    /// The stream.
    pub stream: &'p Labels,
    /// The metadata of every entry.
    pub metadata: &'p Labels,
    /// The time of the oldest entry.
    pub first: TimestampNs,
    /// The time of the newest entry.
    pub last: TimestampNs,
    /// How many entries.
    pub entries: u64,
    /// The bytes of all lines.
    pub bytes: u64,
}

/// How a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// With whatever is next.
    Continue,
    /// With the next stream: no later entry of this one is wanted.
    SkipStream,
    /// Not at all.
    Stop,
}

/// What to do with a page whose summary was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryVerdict {
    /// The summary was counted, or no window holds any of it; the page is not wanted.
    Taken,
    /// The entries are wanted.
    Decode,
}

/// Who receives the entries.
pub trait Visitor {
    /// Takes entries of one stream. The batches of a stream come in order of time; a stream may
    /// come back after others only if it was not skipped. A store that searches long without
    /// finding anything delivers an empty batch now and then: the answer is
    /// [`Scan::Stop`] once the query has timed out or was given up.
    fn entries(&mut self, batch: &Batch<'_>) -> Scan;

    /// Takes the place of a page's entries, if it can.
    fn summary(&mut self, _page: &PageSummary<'_>) -> SummaryVerdict {
        SummaryVerdict::Decode
    }
}

/// Why a source could not deliver.
#[derive(Debug, thiserror::Error)]
#[error("reading log entries: {0}")]
pub struct SourceError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Where entries come from.
pub trait Source: Send + Sync {
    /// Pushes every entry of the selection to the visitor until it has enough. Each entry is
    /// delivered at most once. More than asked for by [`Selection::hints`] may be delivered;
    /// matchers and range are exact.
    fn scan(&self, selection: &Selection<'_>, visitor: &mut dyn Visitor)
    -> Result<(), SourceError>;
}
