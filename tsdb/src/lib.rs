//! The metrics store: what is ingested, how it is kept, how it is asked for.
//!
//! Data flows one way: samples are ingested, stored, selected by a query, and answered over HTTP.
//! Each stage knows only the one before it. The evaluator in particular knows the store as a
//! [`query::Source`], a small trait: it can be tested from data files, run over any
//! snapshot, and asked by siblings that the binary wires to it, without a server in between.
//!
//! Modules, in the order data flows:
//!
//! - [`ingest`]: what comes in, checked: limits, refusals, remote write, metadata.
//! - [`store`]: samples in the storage core: log record, memtable, part, merge, read.
//! - [`transfer`]: samples on the move: JSON lines, OpenMetrics, Prometheus' blocks.
//! - [`rollup`]: what is old, in brief.
//! - [`query`]: PromQL, from text to vectors.
//! - [`rules`]: rules and alerts: what is asked again and again.
//! - [`api`]: the HTTP API of Prometheus.
//! - [`database`]: all of it behind one handle, for the binary.
//! - [`counters`]: what is counted, and how it is exposed.

pub mod api;
pub mod counters;
pub mod database;
pub mod ingest;
pub mod query;
pub mod rollup;
pub mod rules;
pub mod store;
pub mod transfer;

pub use database::{Appended, ReadOptions, Tsdb, TsdbOptions};
