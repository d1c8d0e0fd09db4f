//! What can go wrong between the text of a query and its answer.
//!
//! A parse error carries the position of the token that surprised the parser, in Loki's words,
//! because Grafana shows the text as it is. A query error says whose fault it was: the API turns
//! the kinds into status codes and nothing else may guess them from the text.

use std::fmt;

use super::source::SourceError;

/// Where a token starts: line and column, both from one, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Why a text is not LogQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, if one token is to blame.
    pub position: Option<Position>,
    /// What was found and what was expected.
    pub message: String,
}

impl ParseError {
    /// An error that one token is to blame for.
    pub(crate) fn at(position: Position, message: impl Into<String>) -> Self {
        Self {
            position: Some(position),
            message: message.into(),
        }
    }

    /// An error of the query as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self {
            position: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(
                    f,
                    "parse error at line {line}, col {column}: {}",
                    self.message
                )
            }
            None => write!(f, "parse error : {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text or its parameters are wrong; asking again will not help.
    #[error("{0}")]
    BadRequest(String),
    /// The text does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The data or a limit stopped the query.
    #[error("{0}")]
    Execution(String),
    /// The source failed to deliver.
    #[error(transparent)]
    Source(SourceError),
    /// The deadline passed.
    #[error("query timed out after {0:?}: narrow the selector or the time range")]
    Timeout(std::time::Duration),
    /// The caller gave up.
    #[error("query was canceled")]
    Canceled,
}
