//! Rows of one stream from many places as one sequence in order of time, in either direction.
//!
//! Each place (a part, a memtable) is a [`Cursor`] over pieces that are in order by themselves; pages
//! are opened when the sequence reaches them. Where only one cursor has rows before the others begin,
//! its rows are handed on without a comparison; where several have a row at the same instant, the
//! group is gathered in order of arrival (older places first) and each row handed on once.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use memchr::memmem::Finder;
use model::time::TimestampNs;
use storage::part::PartError;

use super::page::Page;
use super::part::PageSpan;
use super::part::reader::PageReader;
use super::rows::{MemoryRows, Row, Span, inside, unique};
use crate::query::Direction;

/// Rows in order that are found together.
#[derive(Clone, Debug)]
pub(super) enum Piece<'p> {
    /// In a page of a part.
    Page(&'p PageReader, PageSpan),
    /// In a memtable.
    Memory(Arc<MemoryRows>, Span),
}

impl Piece<'_> {
    /// From the first row to the last.
    pub(super) const fn span(&self) -> Span {
        match self {
            Self::Page(_, span) => span.time,
            Self::Memory(_, span) => *span,
        }
    }

    /// Opens the rows that lie in `range`.
    pub(super) fn open(&self, range: Span) -> Result<Block, PartError> {
        match self {
            Self::Page(reader, span) => {
                let page = reader.page(span.page)?;
                let first = span.first_row as usize;
                let rows = first..first + span.rows as usize;
                let timestamps = page.timestamps().get(rows).unwrap_or_default();
                let inside = inside(timestamps, range);
                let rows = first + inside.start..first + inside.end;
                Ok(Block::Page(page, rows))
            }
            // Cut to the range when it was made.
            Self::Memory(rows, _) => Ok(Block::Memory(Arc::clone(rows))),
        }
    }

    /// Sees to it that the lines of an opened block are there.
    pub(super) fn read_lines(&self) -> Result<(), PartError> {
        match self {
            Self::Page(reader, span) => reader.page_with_lines(span.page).map(drop),
            Self::Memory(..) => Ok(()),
        }
    }
}

/// The rows of a piece, opened.
#[derive(Clone, Debug)]
pub(super) enum Block {
    Page(Arc<Page>, Range<usize>),
    Memory(Arc<MemoryRows>),
}

impl Block {
    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Page(_, rows) => rows.len(),
            Self::Memory(rows) => rows.len(),
        }
    }

    /// When a row is.
    pub(super) fn timestamp(&self, index: usize) -> Option<TimestampNs> {
        match self {
            Self::Page(page, rows) => {
                let at = page.timestamps().get(rows.start + index)?;
                Some(TimestampNs(*at))
            }
            Self::Memory(rows) => rows.timestamp(index),
        }
    }

    /// A row; its line is empty where the lines were not read.
    pub(super) fn row(&self, index: usize) -> Option<Row<'_>> {
        match self {
            Self::Page(page, rows) => page.row(rows.start + index),
            Self::Memory(rows) => rows.row(index),
        }
    }

    /// The places of the rows whose lines may hold a needle: none is left out that holds it. Lines
    /// of a page are searched as one text.
    pub(super) fn candidates(&self, needle: &Finder<'_>) -> Vec<usize> {
        match self {
            Self::Page(page, rows) => page.candidates(rows, needle),
            Self::Memory(rows) => (0..rows.len())
                .filter(|place| {
                    rows.row(*place)
                        .is_some_and(|row| needle.find(row.line.as_bytes()).is_some())
                })
                .collect(),
        }
    }
}

/// What takes neighbouring rows and says when it has enough.
pub(super) type VisitRows<'a> = dyn FnMut(&[Row<'_>]) -> Result<ControlFlow<()>, PartError> + 'a;

/// How many rows are handed on at once.
const ROWS_AT_ONCE: usize = 1024;

/// The rows of one place that were not handed on yet.
pub(super) struct Cursor<'p> {
    pieces: VecDeque<Piece<'p>>,
    range: Span,
    direction: Direction,
    open: Option<Open>,
}

struct Open {
    block: Block,
    /// Rows of the block that were not handed on yet.
    left: Range<usize>,
}

impl<'p> Cursor<'p> {
    /// A cursor over the rows of `pieces` (in order of time) that lie in `range`.
    pub(super) fn new(
        pieces: impl IntoIterator<Item = Piece<'p>>,
        range: Span,
        direction: Direction,
    ) -> Self {
        Self {
            pieces: pieces.into_iter().collect(),
            range,
            direction,
            open: None,
        }
    }

    /// When the next row is. Opens a piece where none is open.
    fn peek(&mut self) -> Result<Option<TimestampNs>, PartError> {
        loop {
            if let Some(open) = self.open.as_ref().filter(|open| !open.left.is_empty()) {
                return Ok(open.block.timestamp(next_of(&open.left, self.direction)));
            }
            let piece = match self.direction {
                Direction::Forward => self.pieces.pop_front(),
                Direction::Backward => self.pieces.pop_back(),
            };
            let Some(piece) = piece else {
                return Ok(None);
            };
            let block = piece.open(self.range)?;
            if block.len() > 0 {
                // Merged rows are compared, and that takes their lines.
                piece.read_lines()?;
            }
            let left = 0..block.len();
            self.open = Some(Open { block, left });
        }
    }

    /// Takes the rows of the open block that are before `bound`.
    fn take_before(&mut self, bound: Option<TimestampNs>) -> Option<(Block, Range<usize>)> {
        let open = self.open.as_mut()?;
        let mut taken = open.left.clone();
        let before = |index: usize| match (bound, self.direction) {
            (None, _) => true,
            (Some(bound), Direction::Forward) => open.block.timestamp(index) < Some(bound),
            (Some(bound), Direction::Backward) => open.block.timestamp(index) > Some(bound),
        };
        match self.direction {
            Direction::Forward => {
                taken.end = taken
                    .clone()
                    .find(|index| !before(*index))
                    .unwrap_or(taken.end);
                open.left.start = taken.end;
            }
            Direction::Backward => {
                let beyond = taken.clone().rev().find(|index| !before(*index));
                taken.start = beyond.map_or(taken.start, |index| index + 1);
                open.left.end = taken.start;
            }
        }
        (!taken.is_empty()).then(|| (open.block.clone(), taken))
    }

    /// Takes the next row of the open block.
    fn take_one(&mut self) -> Option<(Block, usize)> {
        let open = self.open.as_mut().filter(|open| !open.left.is_empty())?;
        let index = next_of(&open.left, self.direction);
        match self.direction {
            Direction::Forward => open.left.start += 1,
            Direction::Backward => open.left.end -= 1,
        }
        Some((open.block.clone(), index))
    }

    /// Takes the rows at an instant, in order of arrival.
    fn take_at(
        &mut self,
        at: TimestampNs,
        group: &mut Vec<(Block, usize)>,
    ) -> Result<(), PartError> {
        let first = group.len();
        while self.peek()? == Some(at) {
            match self.take_one() {
                Some(place) => group.push(place),
                None => break,
            }
        }
        if self.direction == Direction::Backward
            && let Some(own) = group.get_mut(first..)
        {
            own.reverse();
        }
        Ok(())
    }
}

fn next_of(left: &Range<usize>, direction: Direction) -> usize {
    match direction {
        Direction::Forward => left.start,
        Direction::Backward => left.end.saturating_sub(1),
    }
}

/// Hands on the rows of all cursors, each row once, until `visit` breaks off. Cursors stand in order
/// of arrival and go in `direction`.
pub(super) fn merge(
    cursors: &mut [Cursor<'_>],
    direction: Direction,
    visit: &mut VisitRows<'_>,
) -> Result<ControlFlow<()>, PartError> {
    let mut group = Vec::new();
    loop {
        let Some((place, at, next)) = first(cursors, direction)? else {
            return Ok(ControlFlow::Continue(()));
        };
        if next == Some(at) {
            group.clear();
            for cursor in cursors.iter_mut() {
                cursor.take_at(at, &mut group)?;
            }
            if visit_group(&group, direction, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            continue;
        }
        let Some(cursor) = cursors.get_mut(place) else {
            return Ok(ControlFlow::Continue(()));
        };
        if let Some((block, rows)) = cursor.take_before(next)
            && visit_rows(&block, rows, direction, visit)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
}

/// The cursor with the first row, when that row is, and when the first row of the others is.
fn first(
    cursors: &mut [Cursor<'_>],
    direction: Direction,
) -> Result<Option<(usize, TimestampNs, Option<TimestampNs>)>, PartError> {
    let is_before = |a: TimestampNs, b: TimestampNs| match direction {
        Direction::Forward => a < b,
        Direction::Backward => a > b,
    };
    let mut found: Option<(usize, TimestampNs, Option<TimestampNs>)> = None;
    for (place, cursor) in cursors.iter_mut().enumerate() {
        let Some(at) = cursor.peek()? else {
            continue;
        };
        found = Some(match found {
            None => (place, at, None),
            Some((_, best, _)) if is_before(at, best) => (place, at, Some(best)),
            Some((best_place, best, next)) => {
                let next = next.filter(|next| !is_before(at, *next)).unwrap_or(at);
                (best_place, best, Some(next))
            }
        });
    }
    Ok(found)
}

/// Hands on rows of a block, named by their places.
pub(super) fn visit_rows(
    block: &Block,
    places: impl DoubleEndedIterator<Item = usize>,
    direction: Direction,
    visit: &mut VisitRows<'_>,
) -> Result<ControlFlow<()>, PartError> {
    let mut places = places;
    let mut rows = Vec::new();
    loop {
        rows.clear();
        while rows.len() < ROWS_AT_ONCE {
            let place = match direction {
                Direction::Forward => places.next(),
                Direction::Backward => places.next_back(),
            };
            let Some(place) = place else {
                break;
            };
            rows.extend(block.row(place));
        }
        if rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if visit(&rows)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

fn visit_group(
    group: &[(Block, usize)],
    direction: Direction,
    visit: &mut VisitRows<'_>,
) -> Result<ControlFlow<()>, PartError> {
    let rows: Vec<Row<'_>> = group
        .iter()
        .filter_map(|(block, index)| block.row(*index))
        .collect();
    let mut places = unique(&rows);
    if direction == Direction::Backward {
        places.reverse();
    }
    let rows: Vec<Row<'_>> = places
        .iter()
        .filter_map(|place| rows.get(*place).copied())
        .collect();
    visit(&rows)
}
