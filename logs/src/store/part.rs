//! A part of lines: rows sorted by stream, then by time, cut into pages.
//!
//! ```text
//! part               a container of storage::part, which checks every block and section
//!   block*           pages, two blocks each: see `page`
//!   index            storage::index: the streams in order of their labels, numbered from 0
//!   section "pages"  count uvarint, then per page:
//!                      offset uvarint and length uvarint of the head
//!                      offset uvarint and length uvarint of the lines
//!                      rows uvarint, bytes of lines uvarint
//!   section "sets"   sets of metadata that all rows of some span have: count uvarint, then per set its
//!                      encoded labels behind their length
//!   section "spans"  per stream of the index: count uvarint, then per span:
//!                      page uvarint: the difference from the page of the part's span before
//!                      rows uvarint, bytes of lines uvarint
//!                      first instant ivarint: nanoseconds since that of the part's span before
//!                      last instant uvarint: nanoseconds since the first
//!                      metadata uvarint: 0 where the rows differ, n where all have the set n − 1
//! ```
//!
//! A *span* is what one page holds of one stream. Spans stand in the order of the rows, so where a
//! span begins in its page follows from those before it, and together they tile every page: a
//! directory that does not is corrupt. Directory and index terms stay in memory, about 100 bytes a
//! page and 50 a span; counts and volumes of whole spans are answered from there without a read.

pub(super) mod reader;
pub(super) mod writer;

use storage::part::BlockHandle;

use super::rows::Span;

/// Name of the section with the places of the pages.
const PAGES_SECTION: &str = "pages";
/// Name of the section with the sets of metadata that spans refer to.
const SETS_SECTION: &str = "sets";
/// Name of the section with the spans of the streams.
const SPANS_SECTION: &str = "spans";

/// Where a page is and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PagePlace {
    head: BlockHandle,
    lines: BlockHandle,
    rows: u32,
    line_bytes: u64,
}

/// What one page holds of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageSpan {
    /// The page.
    pub(super) page: u32,
    /// The first of its rows there.
    pub(super) first_row: u32,
    /// How many rows.
    pub(super) rows: u32,
    /// Bytes of their lines.
    pub(super) line_bytes: u64,
    /// From the first row to the last.
    pub(super) time: Span,
    /// The set of the part's directory that all rows have as metadata, if they agree.
    pub(super) set: Option<u32>,
}
