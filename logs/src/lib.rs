//! Logs: from a pushed entry to the answer of a LogQL query.
//!
//! An entry belongs to a *stream*, which a label set identifies, and may carry *structured
//! metadata*, labels of its own. The member owns everything that happens to entries inside the
//! program and nothing outside of it: who sends them is the agent's matter, how a durable store is
//! built is `storage`'s.
//!
//! The language is kept apart from the store on purpose: [`query`] is pure and synchronous, it sees
//! entries only through the trait [`query::Source`], so the same evaluator runs over an open
//! store, over a memory of test entries and over anything that is yet to come. Never let a page
//! format or a request type leak into it.
//!
//! Modules, in the order data flows:
//!
//! - [`ingest`]: what a push must be, and what is derived from it.
//! - [`store`]: streams of lines in a durable store, and what a query reads of them.
//! - [`query`]: LogQL, parsed and evaluated over a source of entries.
//! - [`api`]: Loki's HTTP API.
//! - [`metrics`]: what the engine says of itself.
//! - [`logs`]: the engine as the program holds it, [`Logs`].

mod api;
pub mod ingest;
mod logs;
mod metrics;
pub mod query;
pub mod store;

pub use logs::{Logs, LogsOptions, PushError};
