//! Writing a part of lines, row by row, holding one page and the directory in memory.

use std::collections::HashMap;

use model::labels::Labels;
use model::time::{TimeRange, TimestampNs};
use storage::codec::{put_bytes, put_ivarint, put_uvarint};
use storage::index::writer::IndexWriter;
use storage::part::writer::PartWriter;
use storage::part::{BlockHandle, PartError};
use storage::table::PartSummary;

use super::super::page::PageBuilder;
use super::super::rows::{Row, Span};
use super::{PAGES_SECTION, PagePlace, PageSpan, SETS_SECTION, SPANS_SECTION};

/// A part of lines that is being written.
pub(in super::super) struct RowWriter<'w> {
    part: &'w mut PartWriter,
    page: PageBuilder,
    pages: Vec<PagePlace>,
    index: IndexWriter,
    /// The stream that is being written.
    stream: Option<Labels>,
    /// Sets of metadata that all rows of a span have.
    sets: HashMap<Labels, u32>,
    ordered_sets: Vec<u8>,
    /// Encoded spans of the finished streams.
    spans: Vec<u8>,
    /// Spans of the stream that is being written.
    current: Vec<PageSpan>,
    /// The metadata of every row of the last of them, while they agree.
    metadata: Option<Labels>,
    /// The last span that was encoded: its page and first instant.
    before: (u32, i64),
    rows: u64,
    time: Option<Span>,
}

impl<'w> RowWriter<'w> {
    /// Starts writing rows into `part`.
    pub(in super::super) fn new(part: &'w mut PartWriter) -> Self {
        Self {
            part,
            page: PageBuilder::default(),
            pages: Vec::new(),
            index: IndexWriter::default(),
            stream: None,
            sets: HashMap::new(),
            ordered_sets: Vec::new(),
            spans: Vec::new(),
            current: Vec::new(),
            metadata: None,
            before: (0, 0),
            rows: 0,
            time: None,
        }
    }

    /// Starts a stream. Streams come in order of their labels, each with at least one row.
    pub(in super::super) fn start_stream(&mut self, labels: Labels) {
        self.end_stream();
        debug_assert!(
            self.stream.as_ref().is_none_or(|before| *before < labels),
            "streams come in order"
        );
        self.index.push(&labels);
        self.stream = Some(labels);
    }

    /// Adds a row to the stream. Rows come in order of time.
    pub(in super::super) fn push(&mut self, row: Row<'_>) -> Result<(), PartError> {
        let page = self.pages.len() as u32;
        let at = row.timestamp;
        if let Some(span) = self.current.last_mut().filter(|span| span.page == page) {
            debug_assert!(span.time.end <= at, "rows come in order of time");
            span.rows += 1;
            span.line_bytes += row.line.len() as u64;
            span.time.end = at;
            if self
                .metadata
                .as_ref()
                .is_some_and(|all| all != row.metadata)
            {
                self.metadata = None;
            }
        } else {
            self.start_span(page, row);
        }
        self.page.push(row);
        self.rows += 1;
        let time = self.time.get_or_insert(Span { start: at, end: at });
        time.start = time.start.min(at);
        time.end = time.end.max(at);
        if self.page.is_full() {
            self.end_page()?;
        }
        Ok(())
    }

    /// Writes the last page, the directory and the index; `None` where there is no row.
    pub(in super::super) fn finish(mut self) -> Result<Option<PartSummary>, PartError> {
        self.end_stream();
        self.end_page()?;
        let Some(time) = self.time else {
            return Ok(None);
        };
        let mut pages = Vec::new();
        put_uvarint(&mut pages, self.pages.len() as u64);
        for page in &self.pages {
            for BlockHandle { offset, length } in [page.head, page.lines] {
                put_uvarint(&mut pages, offset);
                put_uvarint(&mut pages, u64::from(length));
            }
            put_uvarint(&mut pages, u64::from(page.rows));
            put_uvarint(&mut pages, page.line_bytes);
        }
        self.part.section(PAGES_SECTION, &pages)?;
        let mut sets = Vec::new();
        put_uvarint(&mut sets, self.sets.len() as u64);
        sets.extend_from_slice(&self.ordered_sets);
        self.part.section(SETS_SECTION, &sets)?;
        self.part.section(SPANS_SECTION, &self.spans)?;
        self.index.finish(self.part)?;
        let millis = |at: TimestampNs| at.floor_millis();
        Ok(Some(PartSummary {
            rows: self.rows,
            range: TimeRange::new(millis(time.start), millis(time.end)),
        }))
    }

    fn end_page(&mut self) -> Result<(), PartError> {
        if self.page.rows() == 0 {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        let (head, lines) = page.blocks();
        let head = self.part.block(&head)?;
        let lines = self.part.block(&lines)?;
        self.pages.push(PagePlace {
            head,
            lines,
            rows: page.rows() as u32,
            line_bytes: page.line_bytes() as u64,
        });
        Ok(())
    }

    fn start_span(&mut self, page: u32, row: Row<'_>) {
        self.end_span();
        self.metadata = Some(row.metadata.clone());
        self.current.push(PageSpan {
            page,
            first_row: self.page.rows() as u32,
            rows: 1,
            line_bytes: row.line.len() as u64,
            time: Span {
                start: row.timestamp,
                end: row.timestamp,
            },
            set: None,
        });
    }

    /// Notes the metadata of the last span, if its rows agree.
    fn end_span(&mut self) {
        if let (Some(metadata), Some(span)) = (self.metadata.take(), self.current.last_mut()) {
            let next = self.sets.len() as u32;
            let ordered = &mut self.ordered_sets;
            span.set = Some(*self.sets.entry(metadata).or_insert_with_key(|set| {
                put_bytes(ordered, set.as_encoded().as_bytes());
                next
            }));
        }
    }

    fn end_stream(&mut self) {
        if self.stream.is_none() {
            return;
        }
        self.end_span();
        let out = &mut self.spans;
        put_uvarint(out, self.current.len() as u64);
        for span in self.current.drain(..) {
            let (page, start) = self.before;
            let (first, last) = (span.time.start.nanos(), span.time.end.nanos());
            put_uvarint(out, u64::from(span.page - page));
            put_uvarint(out, u64::from(span.rows));
            put_uvarint(out, span.line_bytes);
            put_ivarint(out, first.wrapping_sub(start));
            put_uvarint(out, last.wrapping_sub(first) as u64);
            put_uvarint(out, span.set.map_or(0, |set| u64::from(set) + 1));
            self.before = (span.page, first);
        }
    }
}
