//! Reading a part of lines.

use std::cell::RefCell;
use std::sync::Arc;

use model::labels::Labels;
use model::time::TimestampNs;
use storage::codec::{Cursor, Malformed};
use storage::index::reader::IndexReader;
use storage::index::{LabelIndex as _, SeriesRef};
use storage::part::reader::PartFile;
use storage::part::{BlockHandle, PartError};

use super::super::page::Page;
use super::super::record::labels;
use super::super::rows::Span;
use super::{PAGES_SECTION, PagePlace, PageSpan, SETS_SECTION, SPANS_SECTION};

/// Most bytes a head may unpack to beside what its rows need: the sets of metadata.
const HEAD_BYTES_MAX: usize = 512 << 20;

/// An open part: its index and its directory.
#[derive(Debug)]
pub struct LogPart {
    file: PartFile,
    index: IndexReader,
    pages: Vec<PagePlace>,
    sets: Vec<Labels>,
    spans: Vec<PageSpan>,
    /// For each stream the first of its spans, and behind the last stream the number of all.
    first_spans: Vec<u32>,
}

impl LogPart {
    /// Reads what stays in memory.
    pub(in super::super) fn open(file: PartFile) -> Result<Self, PartError> {
        let index = IndexReader::open(&file)?;
        let pages = read_pages(&file.section(PAGES_SECTION)?)
            .map_err(|malformed| file.malformed(PAGES_SECTION, malformed))?;
        let sets = read_sets(&file.section(SETS_SECTION)?)
            .map_err(|malformed| file.malformed(SETS_SECTION, malformed))?;
        let (spans, first_spans) = read_spans(&file.section(SPANS_SECTION)?, index.len(), &pages)
            .map_err(|malformed| file.malformed(SPANS_SECTION, malformed))?;
        Ok(Self {
            file,
            index,
            pages,
            sets,
            spans,
            first_spans,
        })
    }

    /// The index of the streams.
    pub(in super::super) const fn index(&self) -> &IndexReader {
        &self.index
    }

    /// What the pages hold of a stream, in order of time.
    pub(in super::super) fn spans(&self, stream: SeriesRef) -> &[PageSpan] {
        let bound = |stream: usize| self.first_spans.get(stream).map(|span| *span as usize);
        let stream = stream as usize;
        match (bound(stream), bound(stream + 1)) {
            (Some(start), Some(end)) => self.spans.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// What the pages hold of a stream in a range, in order of time.
    pub(in super::super) fn spans_in(
        &self,
        stream: SeriesRef,
        range: Span,
    ) -> impl Iterator<Item = &PageSpan> {
        let spans = self.spans(stream);
        let start = spans.partition_point(|span| span.time.end < range.start);
        let inside = spans.get(start..).unwrap_or_default().iter();
        inside.take_while(move |span| span.time.start <= range.end)
    }

    /// The metadata that all rows of a span have, if they agree.
    pub(in super::super) fn metadata(&self, span: &PageSpan) -> Option<&Labels> {
        self.sets.get(span.set? as usize)
    }

    fn read_page(&self, number: u32) -> Result<Page, PartError> {
        let place = self.place(number)?;
        let head = self.file.block_lz4(place.head, HEAD_BYTES_MAX)?;
        Page::decode(&head, place.rows as usize, place.line_bytes as usize)
            .map_err(|malformed| self.file.corrupt(place.head.offset, malformed.to_string()))
    }

    fn read_lines(&self, number: u32, page: &Page) -> Result<(), PartError> {
        let place = self.place(number)?;
        let lines = self
            .file
            .block_lz4(place.lines, place.line_bytes as usize)?;
        page.set_lines(lines)
            .map_err(|reason| self.file.corrupt(place.lines.offset, reason))
    }

    fn place(&self, number: u32) -> Result<&PagePlace, PartError> {
        self.pages.get(number as usize).ok_or_else(|| {
            self.file
                .corrupt_section(PAGES_SECTION, format!("there is no page {number}"))
        })
    }
}

/// Reads the pages of a part one after the other and keeps the last: neighbouring streams share it.
#[derive(Debug)]
pub(in super::super) struct PageReader {
    part: Arc<LogPart>,
    last: RefCell<Option<(u32, Arc<Page>)>>,
}

impl PageReader {
    /// A reader that has read nothing yet.
    pub(in super::super) fn new(part: &Arc<LogPart>) -> Self {
        Self {
            part: Arc::clone(part),
            last: RefCell::new(None),
        }
    }

    /// The part.
    pub(in super::super) fn part(&self) -> &LogPart {
        &self.part
    }

    /// The head of a page.
    pub(in super::super) fn page(&self, number: u32) -> Result<Arc<Page>, PartError> {
        if let Some((last, page)) = &*self.last.borrow()
            && *last == number
        {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(self.part.read_page(number)?);
        *self.last.borrow_mut() = Some((number, Arc::clone(&page)));
        Ok(page)
    }

    /// The page with its lines.
    pub(in super::super) fn page_with_lines(&self, number: u32) -> Result<Arc<Page>, PartError> {
        let page = self.page(number)?;
        if !page.has_lines() {
            self.part.read_lines(number, &page)?;
        }
        Ok(page)
    }
}

fn read_pages(bytes: &[u8]) -> Result<Vec<PagePlace>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(6)?;
    let mut pages = Vec::with_capacity(count);
    for _ in 0..count {
        pages.push(PagePlace {
            head: read_handle(&mut cursor)?,
            lines: read_handle(&mut cursor)?,
            rows: read_u32(&mut cursor)?,
            line_bytes: u64::from(read_u32(&mut cursor)?),
        });
    }
    if cursor.is_at_end() {
        Ok(pages)
    } else {
        Err(cursor.malformed("the end of the section"))
    }
}

fn read_sets(bytes: &[u8]) -> Result<Vec<Labels>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let mut sets = Vec::new();
    for _ in 0..cursor.count(1)? {
        sets.push(labels(&mut cursor)?);
    }
    Ok(sets)
}

fn read_handle(cursor: &mut Cursor<'_>) -> Result<BlockHandle, Malformed> {
    Ok(BlockHandle {
        offset: cursor.uvarint()?,
        length: read_u32(cursor)?,
    })
}

fn read_u32(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    u32::try_from(cursor.uvarint()?).map_err(|_| cursor.malformed("a number below 2^32"))
}

/// Where the spans read so far end: the page, the rows and bytes of it they took, the last start.
#[derive(Default)]
struct Tiling {
    page: u32,
    rows: u32,
    line_bytes: u64,
    start: i64,
}

impl Tiling {
    /// Reads a span that begins where those before it end.
    fn next(
        &mut self,
        cursor: &mut Cursor<'_>,
        pages: &[PagePlace],
    ) -> Result<PageSpan, Malformed> {
        let pages_on = read_u32(cursor)?;
        if pages_on > 0 {
            self.end_page(cursor, pages)?;
            self.page = self
                .page
                .checked_add(1)
                .filter(|_| pages_on == 1)
                .ok_or_else(|| cursor.malformed("the next page"))?;
            (self.rows, self.line_bytes) = (0, 0);
        }
        let rows = read_u32(cursor)?;
        let line_bytes = u64::from(read_u32(cursor)?);
        self.start = self.start.wrapping_add(cursor.ivarint()?);
        let end = i64::try_from(i128::from(self.start) + i128::from(cursor.uvarint()?))
            .map_err(|_| cursor.malformed("an instant that fits"))?;
        let set = read_u32(cursor)?.checked_sub(1);
        let first_row = self.rows;
        let place = pages.get(self.page as usize);
        self.rows = first_row
            .checked_add(rows)
            .filter(|total| rows > 0 && place.is_some_and(|place| *total <= place.rows))
            .ok_or_else(|| cursor.malformed("rows that the page holds"))?;
        self.line_bytes += line_bytes;
        Ok(PageSpan {
            page: self.page,
            first_row,
            rows,
            line_bytes,
            time: Span {
                start: TimestampNs(self.start),
                end: TimestampNs(end),
            },
            set,
        })
    }

    /// Checks that the spans took all of the page.
    fn end_page(&self, cursor: &Cursor<'_>, pages: &[PagePlace]) -> Result<(), Malformed> {
        let whole = pages
            .get(self.page as usize)
            .is_some_and(|page| page.rows == self.rows && page.line_bytes == self.line_bytes);
        if whole {
            Ok(())
        } else {
            Err(cursor.malformed("spans that tile their page"))
        }
    }
}

/// The spans of all streams, and for each stream where its own begin.
fn read_spans(
    bytes: &[u8],
    streams: u32,
    pages: &[PagePlace],
) -> Result<(Vec<PageSpan>, Vec<u32>), Malformed> {
    let mut cursor = Cursor::new(bytes);
    let mut tiling = Tiling::default();
    let mut spans = Vec::new();
    let mut first_spans = vec![0];
    for _ in 0..streams {
        for _ in 0..cursor.count(6)? {
            spans.push(tiling.next(&mut cursor, pages)?);
        }
        first_spans.push(spans.len() as u32);
    }
    tiling.end_page(&cursor, pages)?;
    if !cursor.is_at_end() || tiling.page as usize + 1 != pages.len() {
        return Err(cursor.malformed("the end of the section behind the last page"));
    }
    Ok((spans, first_spans))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(pages: Vec<u8>, spans: Vec<u8>, streams in 0..5u32) {
            let pages = read_pages(&pages).unwrap_or_default();
            let _ = read_spans(&spans, streams, &pages);
            let _ = read_sets(&spans);
        }
    }

    #[test]
    fn spans_must_tile_their_pages() {
        let page = PagePlace {
            head: BlockHandle::default(),
            lines: BlockHandle::default(),
            rows: 3,
            line_bytes: 5,
        };
        let check = |spans: &[u8], streams, fits: bool| {
            let read = read_spans(spans, streams, &[page, page]);
            assert_eq!(read.is_ok(), fits, "{spans:?}: {read:?}");
        };
        // count, then page, rows, bytes, start, width, set
        check(&[1, 0, 3, 5, 0, 0, 0, 1, 1, 3, 5, 0, 0, 0], 2, true);
        check(&[2, 0, 3, 5, 0, 0, 0, 1, 3, 5, 0, 0, 0], 1, true);
        check(&[2, 0, 2, 5, 0, 0, 0, 1, 3, 5, 0, 0, 0], 1, false);
        check(&[2, 0, 3, 5, 0, 0, 0, 2, 3, 5, 0, 0, 0], 1, false);
        check(&[1, 0, 3, 5, 0, 0, 0], 1, false);
        check(&[2, 0, 3, 4, 0, 0, 0, 1, 3, 5, 0, 0, 0], 1, false);
        check(&[2, 0, 4, 5, 0, 0, 0, 1, 3, 5, 0, 0, 0], 1, false);
    }
}
