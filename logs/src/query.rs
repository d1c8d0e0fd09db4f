//! LogQL: its text, its tree, and its evaluation over a [`Source`] of entries.
//!
//! The way of a query: the lexer cuts the text into tokens with positions, the parser builds the
//! [`ast`], the pipeline compiles the stages behind a selector into something that judges and
//! rewrites one entry at a time, and the evaluator asks the source for entries and folds them
//! into streams or series. Each step only knows the step before it.
//!
//! Two rules hold everywhere in here. *Pure*: no file, no network and no thread; the only clock is
//! the deadline a caller asks for. *Cheap per line*: what can be decided once per query or once per stream is
//! not decided per entry, and a line that a filter drops costs no allocation.
//!
//! What a user typed wrong is a [`QueryError::BadRequest`]; what the data made impossible is a
//! [`QueryError::Execution`], which always names the limit or the label that stopped the query.

pub mod ast;
mod error;
mod eval;
mod format;
mod lexer;
mod parser;
mod pipeline;
mod pruning;
mod source;
mod units;

#[cfg(test)]
mod tests;

pub use error::{ParseError, QueryError};
pub use eval::{
    CategorizedEntry, CategorizedStream, Engine, EngineOptions, Limits, QueryOutput, QueryResult,
    QueryStats, ResultEntry, ResultStream,
};
pub use parser::{parse, parse_selector, parse_stream_labels};
pub use pruning::Hints;
pub use source::{
    Batch, Direction, EntryRef, LineNeed, PageSummary, Scan, Selection, Source, SourceError,
    SummaryVerdict, Visitor,
};
