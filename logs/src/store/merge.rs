//! Parts become one: stream by stream in order of labels, row by row in order of time.
//!
//! In memory are the label sets of the streams, one page of each part and the page that is
//! being written; never a part's rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use model::labels::Labels;
use storage::index::SeriesRef;
use storage::part::PartError;
use storage::table::PartSummary;

use super::cursor::{self, Cursor, Piece};
use super::part::reader::{LogPart, PageReader};
use super::part::writer::RowWriter;
use super::rows::{Row, Span};
use crate::query::Direction;

/// Writes the rows of `parts`, which go from the oldest to the newest.
pub(super) fn merge(
    parts: &[Arc<LogPart>],
    mut out: RowWriter<'_>,
) -> Result<PartSummary, PartError> {
    let readers: Vec<PageReader> = parts.iter().map(PageReader::new).collect();
    let mut streams: BTreeMap<Labels, Vec<(&PageReader, SeriesRef)>> = BTreeMap::new();
    for reader in &readers {
        for (stream, labels) in (0..).zip(reader.part().index().all_labels()?) {
            streams.entry(labels).or_default().push((reader, stream));
        }
    }
    for (labels, places) in streams {
        out.start_stream(labels);
        let mut cursors: Vec<Cursor<'_>> = places
            .into_iter()
            .map(|(reader, stream)| {
                let spans = reader.part().spans(stream);
                let pieces = spans.iter().map(|span| Piece::Page(reader, *span));
                Cursor::new(pieces, Span::ALL, Direction::Forward)
            })
            .collect();
        let mut write = |rows: &[Row<'_>]| {
            rows.iter().try_for_each(|row| out.push(*row))?;
            Ok(ControlFlow::Continue(()))
        };
        let _ = cursor::merge(&mut cursors, Direction::Forward, &mut write)?;
    }
    out.finish()
}
