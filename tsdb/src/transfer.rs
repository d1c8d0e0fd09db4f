//! Samples on the move: what other programs and other stores wrote becomes batches, and what the
//! store holds becomes text.
//!
//! Readers turn bytes into [`Piece`]s, each a few series with samples and the [`Position`] behind
//! them, so that whoever imports can say how far it got and go on there. Writers turn one series
//! at a time into text. Neither knows the other, nor the store: an import is a reader and
//! [`crate::Tsdb::append`] (or a remote write), an export is [`export`] and a writer.
//!
//! Nothing here holds more than a piece in memory, and nothing is lost in silence: what a format cannot say
//! is counted by its writer, and what a reader does not understand is an [`InputError`] that names
//! file and place. Most of them cost one line or one chunk, and the reader can be asked on.
//!
//! Modules, in the order data flows:
//!
//! - [`lines`]: a stream of bytes as lines of bounded length.
//! - [`json_lines`]: the lossless text, one JSON object a line.
//! - [`open_metrics`]: OpenMetrics and Prometheus' text, with timestamps.
//! - [`prometheus`]: the block folders of Prometheus' own store.
//! - [`detect`]: which of them some bytes are.
//! - [`export`]: the store's samples, series by series, to a writer.

pub mod detect;
pub mod export;
pub mod json_lines;
pub mod lines;
pub mod open_metrics;
pub mod prometheus;

use std::io;

use model::sample::{Metadata, SeriesSamples};

/// How far a reader got: everything before it has been handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Bytes from the start of the text, unpacked, or of a block's index.
    pub offset: u64,
    /// Lines of the text, or series of the block.
    pub items: u64,
}

/// A few series, read at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// The series; each may be there in other pieces too.
    pub series: Vec<SeriesSamples>,
    /// What was said of families beside them.
    pub metadata: Vec<Metadata>,
    /// How far the reader is now.
    pub position: Position,
}

impl Piece {
    /// How many samples it holds, floats and histograms.
    pub fn samples(&self) -> usize {
        let each = |series: &SeriesSamples| series.samples.len() + series.histograms.len();
        self.series.iter().map(each).sum()
    }
}

/// Something that pieces are read from.
pub trait Source {
    /// The next piece; nothing at the end. After an error that [is passable](InputError::is_passable)
    /// it can be asked again, for what comes behind it.
    fn next(&mut self) -> Result<Option<Piece>, InputError>;
}

/// What is wrong with an input. The reader does not know the file's name; whoever does puts it in
/// front.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A line is not what it should be; the others can be.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong and what to do.
        what: String,
    },
    /// Bytes of a file of a block are not what they should be; others can be.
    #[error("{file}: at offset {offset}: {what}")]
    Bytes {
        /// The file within the block.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong and what to do.
        what: String,
    },
    /// Nothing behind this can be made sense of.
    #[error("{0}")]
    Unreadable(String),
    /// The bytes cannot be read at all.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl InputError {
    /// Whether the reader can go on behind it.
    pub const fn is_passable(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::Bytes { .. })
    }

    pub(crate) fn line(line: u64, what: impl std::fmt::Display) -> Self {
        let what = what.to_string();
        Self::Line { line, what }
    }

    pub(crate) fn bytes(file: &str, offset: u64, what: impl std::fmt::Display) -> Self {
        Self::Bytes {
            file: file.to_owned(),
            offset,
            what: what.to_string(),
        }
    }
}
