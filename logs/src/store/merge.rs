//! Parts become one: stream by stream in order of labels, row by row in order of time.
//!
//! In memory are the label sets of the streams, one page of each part and the page that is
//! being written; never a part's rows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use model::labels::Labels;
use storage::index::SeriesRef;
use storage::part::PartError;
use storage::table::{Erasure, MergePlan, PartSummary};

use super::cursor::{self, Cursor, Piece};
use super::nanos;
use super::part::reader::{LogPart, PageReader};
use super::part::writer::RowWriter;
use super::rows::{Row, Span};
use crate::query::Direction;

/// Writes what the plan leaves of its parts.
pub(super) fn merge(
    plan: &MergePlan<LogPart>,
    mut out: RowWriter<'_>,
) -> Result<Option<PartSummary>, PartError> {
    let inputs = plan.inputs.iter();
    let readers: Vec<(PageReader, &[Erasure])> = inputs
        .map(|input| (PageReader::new(&input.part), &*input.erasures))
        .collect();
    let mut streams: BTreeMap<Labels, Vec<Place<'_>>> = BTreeMap::new();
    for (reader, erasures) in &readers {
        for (stream, labels) in (0..).zip(reader.part().index().all_labels()?) {
            let place = (reader, stream, *erasures);
            streams.entry(labels).or_default().push(place);
        }
    }
    for (labels, places) in streams {
        let mut cursors = Vec::new();
        for (reader, stream, erasures) in places {
            let pages = reader.part().spans(stream);
            for kept in kept(&labels, erasures) {
                let pages = pages.iter().filter(|page| page.time.overlaps(&kept));
                let pieces: Vec<_> = pages.map(|page| Piece::Page(reader, *page)).collect();
                if !pieces.is_empty() {
                    cursors.push(Cursor::new(pieces, kept, Direction::Forward));
                }
            }
        }
        if cursors.is_empty() {
            continue;
        }
        out.start_stream(labels);
        let mut write = |rows: &[Row<'_>]| {
            rows.iter().try_for_each(|row| out.push(*row))?;
            Ok(ControlFlow::Continue(()))
        };
        let _ = cursor::merge(&mut cursors, Direction::Forward, &mut write)?;
    }
    out.finish()
}

/// Where a stream is in one of the parts, and what was deleted of that part.
type Place<'a> = (&'a PageReader, SeriesRef, &'a [Erasure]);

/// What deletions leave of a stream's time.
fn kept(labels: &Labels, erasures: &[Erasure]) -> Vec<Span> {
    let mut kept = vec![Span::ALL];
    for erasure in erasures {
        if !erasure.matchers.iter().all(|m| m.matches_labels(labels)) {
            continue;
        }
        let erased = nanos(erasure.range);
        let parts = kept.iter().flat_map(|span| span.without(&erased));
        kept = parts.collect();
    }
    kept
}
