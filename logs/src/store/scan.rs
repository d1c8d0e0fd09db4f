//! What a query reads: every row of the selected streams in a range, in order, each once.
//!
//! Streams are read one after the other in order of their labels, so that the pages of a part are
//! opened one after the other too. Of a stream the pieces in range are gathered from every part and
//! memtable; pieces that no other place overlaps in time are read alone (perhaps not at all:
//! a directory entry may do), and only those that overlap are merged row by row.
//!
//! A part whose bytes are wrong ends the query with an error that names it, and is taken out of
//! the store: the next query is answered from the rest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use memchr::memmem::Finder;
use model::labels::Labels;
use storage::index::SeriesRef;
use storage::index::select::select;
use storage::part::PartError;
use storage::store::Store;
use storage::store::view::View;

use super::cursor::{Cursor, Piece, merge, visit_rows};
use super::part::reader::PageReader;
use super::rows::{MemoryRows, Row, Run, Span};
use super::{LogTable, millis};
use crate::query::{
    Batch, Direction, EntryRef, Hints, LineNeed, PageSummary, Scan, Selection, Source, SourceError,
    SummaryVerdict, Visitor,
};

/// What a store held at a moment. Parts that are merged away and memtables that are flushed stay
/// readable through it.
pub struct Snapshot {
    pub(super) store: Arc<Store<LogTable>>,
    pub(super) view: Arc<View<LogTable>>,
}

/// Where rows of a stream are.
enum Place<'p> {
    Part(&'p PageReader, SeriesRef),
    Memory(Vec<Run>),
}

impl Snapshot {
    /// What `store` holds now.
    pub fn new(store: &Arc<Store<LogTable>>) -> Self {
        Self {
            store: Arc::clone(store),
            view: store.view(),
        }
    }

    /// Takes a part out of the store if its bytes are wrong, and passes the error on.
    pub(super) fn report(&self, error: PartError) -> SourceError {
        let mut parts = self.view.parts.iter();
        let part = parts.find(|part| error.path().ends_with(part.record.id.file_name()));
        if let Some(part) = part
            && let Err(failed) = self.store.quarantine(part.record.id, &error)
        {
            tracing::error!(error = %failed, "a corrupt part could not be taken out; it is tried again when it is read again");
        }
        SourceError(Box::new(error))
    }

    fn readers(&self, range: Span) -> Result<Vec<PageReader>, PartError> {
        let parts = self.view.parts_in(millis(range));
        parts
            .map(|part| Ok(PageReader::new(part.part()?)))
            .collect()
    }

    /// The selected streams and where their rows are, older places first.
    fn places<'p>(
        &self,
        selection: &Selection<'_>,
        range: Span,
        readers: &'p [PageReader],
    ) -> Result<BTreeMap<Labels, Vec<Place<'p>>>, PartError> {
        let mut streams: BTreeMap<Labels, Vec<Place<'p>>> = BTreeMap::new();
        for reader in readers {
            let index = reader.part().index();
            let mut selected = select(index, selection.matchers)?;
            let in_range = |stream| reader.part().spans_in(stream, range).next().is_some();
            selected = selected
                .into_iter()
                .filter(|stream| in_range(*stream))
                .collect();
            index.labels_of(&selected, |stream, labels| {
                let place = Place::Part(reader, stream);
                streams.entry(labels).or_default().push(place);
            })?;
        }
        for memory in &self.view.memtables {
            let table = memory.table.read();
            if !table.overlaps(range) {
                continue;
            }
            for stream in select(table.index(), selection.matchers)? {
                let runs = table.runs(stream).iter();
                let runs: Vec<Run> = runs
                    .filter(|run| run.span().overlaps(&range))
                    .cloned()
                    .collect();
                if let Some(labels) = table.index().labels(stream).filter(|_| !runs.is_empty()) {
                    let place = Place::Memory(runs);
                    streams.entry(labels.clone()).or_default().push(place);
                }
            }
        }
        Ok(streams)
    }
}

impl Source for Snapshot {
    fn scan(
        &self,
        selection: &Selection<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), SourceError> {
        let range = Span {
            start: selection.start,
            end: selection.end,
        };
        if range.start > range.end {
            return Ok(());
        }
        let readers = self.readers(range).map_err(|error| self.report(error))?;
        let streams = self
            .places(selection, range, &readers)
            .map_err(|error| self.report(error))?;
        let needle = needle(selection.hints);
        for (labels, places) in &streams {
            let scan = StreamScan {
                labels,
                range,
                direction: selection.direction,
                line_need: selection.line_need,
                needle: needle.as_ref(),
            };
            let asked = scan
                .run(places, visitor)
                .map_err(|error| self.report(error))?;
            if asked == Scan::Stop {
                break;
            }
        }
        Ok(())
    }
}

/// The longest of the texts that every wanted line holds, ready to be searched for.
fn needle(hints: &Hints) -> Option<Finder<'_>> {
    let single = hints
        .clauses()
        .iter()
        .filter_map(|clause| match clause.as_slice() {
            [text] => Some(text),
            _ => None,
        });
    let longest = single.max_by_key(|text| text.len())?;
    Some(Finder::new(longest.as_bytes()))
}

/// The reading of one stream.
struct StreamScan<'s> {
    labels: &'s Labels,
    range: Span,
    direction: Direction,
    line_need: LineNeed,
    needle: Option<&'s Finder<'s>>,
}

/// Pieces of a stream that are read together.
#[derive(Debug)]
enum Step<'p> {
    /// No other place has rows in its time.
    Alone(Piece<'p>),
    /// Pieces of several places, each with its place.
    Together(Vec<(usize, Piece<'p>)>),
}

impl StreamScan<'_> {
    fn run(&self, places: &[Place<'_>], visitor: &mut dyn Visitor) -> Result<Scan, PartError> {
        let mut steps = steps(self.pieces(places));
        if self.direction == Direction::Backward {
            steps.reverse();
        }
        for step in steps {
            let asked = match step {
                Step::Alone(piece) => self.read_alone(&piece, visitor)?,
                Step::Together(pieces) => self.read_together(pieces, visitor)?,
            };
            if asked != Scan::Continue {
                return Ok(asked);
            }
        }
        Ok(Scan::Continue)
    }

    /// The pieces in range, each with the number of its place.
    fn pieces<'p>(&self, places: &[Place<'p>]) -> Vec<(usize, Piece<'p>)> {
        let mut pieces = Vec::new();
        for (number, place) in places.iter().enumerate() {
            match place {
                Place::Part(reader, stream) => {
                    let spans = reader.part().spans_in(*stream, self.range);
                    pieces.extend(spans.map(|span| (number, Piece::Page(reader, *span))));
                }
                Place::Memory(runs) => {
                    let rows = MemoryRows::new(runs.iter(), self.range);
                    if let Some(span) = rows.span() {
                        pieces.push((number, Piece::Memory(Arc::new(rows), span)));
                    }
                }
            }
        }
        pieces
    }

    fn read_alone(&self, piece: &Piece<'_>, visitor: &mut dyn Visitor) -> Result<Scan, PartError> {
        if self.is_summed_up(piece, visitor) {
            return Ok(Scan::Continue);
        }
        let block = piece.open(self.range)?;
        if self.needle.is_some() || self.line_need == LineNeed::Text {
            piece.read_lines()?;
        }
        let mut asked = Scan::Continue;
        let mut visit = |rows: &[Row<'_>]| Ok(self.hand_on(rows, visitor, &mut asked));
        let _ = match self.needle {
            Some(needle) => {
                let places = block.candidates(needle);
                if places.is_empty() {
                    // Asked all the same: nothing may be found for long, and time passes.
                    visit(&[])?
                } else {
                    visit_rows(&block, places.into_iter(), self.direction, &mut visit)?
                }
            }
            None => visit_rows(&block, 0..block.len(), self.direction, &mut visit)?,
        };
        Ok(asked)
    }

    /// Offers a whole page by what the directory says of it.
    fn is_summed_up(&self, piece: &Piece<'_>, visitor: &mut dyn Visitor) -> bool {
        let Piece::Page(reader, span) = piece else {
            return false;
        };
        let Some(metadata) = reader.part().metadata(span) else {
            return false;
        };
        if self.needle.is_some() || !self.range.covers(&span.time) {
            return false;
        }
        let summary = PageSummary {
            stream: self.labels,
            metadata,
            first: span.time.start,
            last: span.time.end,
            entries: u64::from(span.rows),
            bytes: span.line_bytes,
        };
        visitor.summary(&summary) == SummaryVerdict::Taken
    }

    fn read_together(
        &self,
        pieces: Vec<(usize, Piece<'_>)>,
        visitor: &mut dyn Visitor,
    ) -> Result<Scan, PartError> {
        let mut by_place: BTreeMap<usize, Vec<Piece<'_>>> = BTreeMap::new();
        for (place, piece) in pieces {
            by_place.entry(place).or_default().push(piece);
        }
        let mut cursors: Vec<Cursor<'_>> = by_place
            .into_values()
            .map(|pieces| Cursor::new(pieces, self.range, self.direction))
            .collect();
        let mut asked = Scan::Continue;
        let mut visit = |rows: &[Row<'_>]| Ok(self.hand_on(rows, visitor, &mut asked));
        let _ = merge(&mut cursors, self.direction, &mut visit)?;
        Ok(asked)
    }

    fn hand_on(
        &self,
        rows: &[Row<'_>],
        visitor: &mut dyn Visitor,
        asked: &mut Scan,
    ) -> ControlFlow<()> {
        let entries: Vec<EntryRef<'_>> = rows
            .iter()
            .map(|row| EntryRef {
                timestamp: row.timestamp,
                line: row.line,
                metadata: row.metadata,
            })
            .collect();
        *asked = visitor.entries(&Batch {
            stream: self.labels,
            entries: &entries,
        });
        match asked {
            Scan::Continue => ControlFlow::Continue(()),
            Scan::SkipStream | Scan::Stop => ControlFlow::Break(()),
        }
    }
}

/// Puts pieces in order of time, those of several places that overlap together.
fn steps(mut pieces: Vec<(usize, Piece<'_>)>) -> Vec<Step<'_>> {
    // Stable: pieces of one place that begin at one instant stay in their order.
    pieces.sort_by_key(|(_, piece)| piece.span().start);
    let mut steps = Vec::new();
    let mut group: Vec<(usize, Piece<'_>)> = Vec::new();
    let mut group_end = None;
    for (place, piece) in pieces {
        let span = piece.span();
        if group_end.is_some_and(|end| end < span.start) {
            end_group(&mut group, &mut steps);
            group_end = None;
        }
        group_end = group_end.max(Some(span.end));
        group.push((place, piece));
    }
    end_group(&mut group, &mut steps);
    steps
}

fn end_group<'p>(group: &mut Vec<(usize, Piece<'p>)>, steps: &mut Vec<Step<'p>>) {
    let first = group.first().map(|(place, _)| *place);
    if group.iter().all(|(place, _)| Some(*place) == first) {
        steps.extend(group.drain(..).map(|(_, piece)| Step::Alone(piece)));
    } else {
        steps.push(Step::Together(std::mem::take(group)));
    }
}
