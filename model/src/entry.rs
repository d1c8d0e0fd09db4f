//! Log lines: an entry, and the entries of one stream in a push.

use crate::labels::Labels;
use crate::time::TimestampNs;

/// One log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When it was written.
    pub timestamp: TimestampNs,
    /// The line, without its newline. Invalid UTF-8 was replaced when it was read.
    pub line: String,
    /// Structured metadata: labels of this line alone.
    pub metadata: Labels,
}

/// Entries of one stream in a push: what tailing yields, what Loki's push carries and what the
/// store ingests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEntries {
    /// The identity of the stream.
    pub labels: Labels,
    /// Its entries, in any order.
    pub entries: Vec<Entry>,
}
