//! The vocabulary every other member speaks: time, label sets, matchers, samples, histograms,
//! log entries, query results, and the wire formats that carry them.
//!
//! Everything here is pure. There is no I/O, no clock, no thread and no async; a function's result
//! depends on its arguments alone. That is what lets a parser be fuzzed, an evaluator be tested
//! from data files, and a decoder be shared by the agent that sends and the store that receives.
//!
//! Modules, in the order data flows:
//!
//! - [`time`]: instants in milliseconds (metrics) and nanoseconds (logs), ranges, durations.
//! - [`labels`]: an interned, ordered label set, its builder and its fingerprint.
//! - [`re2`]: regular expressions as Go reads them, for the `regex` crate.
//! - [`matcher`]: `=`, `!=`, `=~`, `!~` over one label.
//! - [`sample`]: floats, series, exemplars, metadata, the staleness marker.
//! - [`histogram`]: native histograms, exponential and custom buckets.
//! - [`entry`]: a log line with its structured metadata, and a stream of them.
//! - [`vector`]: what a query answers, and its JSON as Prometheus and Loki write it.
//! - [`wire`]: protobuf messages of remote write and Loki push.

pub mod entry;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod re2;
pub mod sample;
pub mod time;
pub mod vector;
pub mod wire;
