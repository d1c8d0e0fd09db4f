//! Evaluation: a tree, a source and a range of time become an answer.
//!
//! A log query keeps the entries nearest to where the reader looks ([`log`]). A metric query is
//! computed for all steps at once, series by series: [`range_aggregation`] reads the source and gives
//! one column of points per series; everything above it ([`vector_aggregation`], [`binary`],
//! [`label_replace`]) only combines columns. An instant query is a range of one step.
//!
//! A window is open at its start and closed at its end: the value at `t` covers `(t-range, t]`. The
//! range of a log query is closed at its start and open at its end, as upstream has it.
//!
//! Whatever grows with the data is counted against a limit in [`guard`], which also looks at the
//! deadline and at whether the caller gave up.

pub(super) mod arithmetic;
mod binary;
mod categories;
mod engine;
mod guard;
mod label_replace;
mod log;
mod matrix;
mod metric;
mod range_aggregation;
mod series_index;
mod vector_aggregation;
mod windows;

pub use categories::{CategorizedEntry, CategorizedStream};
pub use engine::{
    Engine, EngineOptions, QueryOutput, QueryResult, QueryStats, ResultEntry, ResultStream,
};
pub use guard::Limits;
