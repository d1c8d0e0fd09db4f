//! OpenMetrics, and Prometheus' text format, with a timestamp on every sample.
//!
//! The grammar is [`model::wire::exposition`]'s. A scrape is parsed whole; a backfill may be larger than
//! memory, so [`reader`] hands the parser a line at a time, which the grammar allows: no line depends
//! on another, but for the `# EOF` that must be the last.
//!
//! What the text cannot say is left out by [`writer`], and counted: native histograms, and staleness
//! markers. A NaN comes back as the ordinary one.

pub mod reader;
pub mod writer;

#[cfg(test)]
mod tests;
