//! PromQL: from a text to series of values.
//!
//! A query passes through these modules in this order, each pure: no clock but the deadline it was
//! given, no thread that outlives it, no I/O but the [`Source`].
//!
//! - [`lexer`] (with [`numbers`] and [`quoting`]): text to tokens.
//! - [`parser`]: tokens to a tree ([`ast`]), with positions and a bound on depth.
//! - [`check`]: types, in upstream's error words.
//! - [`format`]: a tree back to text.
//! - [`prepare`]: durations and instants that depend on the query.
//! - [`memory`]: what all queries may hold together.
//! - [`source`]: what the evaluator asks the store for.
//! - [`eval`]: the tree over a grid of instants, column by column.
//! - [`functions`]: the table of functions, and what they compute.
//! - `giving_up`, `order`: passes over everything, and sorting, that end when nobody waits.
//! - [`annotations`]: warnings and infos beside a result.
//! - [`engine`]: the whole way, with limits and errors as the API wants them.
//!
//! Values are columns: one series is one label set and one dense column of floats, an entry for
//! each instant of the query. Selectors fill columns by moving indices once through the samples;
//! operators and aggregations then run along columns. Histograms lie in a second, usually absent,
//! column beside the floats.

pub mod annotations;
pub mod ast;
pub mod check;
pub mod engine;
mod eval;
pub mod format;
pub mod functions;
pub(crate) mod giving_up;
pub mod lexer;
pub mod memory;
pub mod numbers;
pub(crate) mod order;
pub mod parser;
pub mod prepare;
pub mod quoting;
pub mod source;

pub use ast::Expr;
pub use engine::{
    Counting, Engine, EngineOptions, QueryError, QueryOptions, QueryOutput, QueryStats,
};
pub use memory::{Allotment, MemoryExceeded, QueryMemory};
pub use parser::{ParseError, parse, parse_series_selector, parse_with};
pub use source::{
    Bounds, Guard, HeldSeries, Interrupted, OnInterrupt, Purpose, ReadSeries, Run, Samples,
    SelectError, SelectedSeries, Selection, Source,
};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod watched;
