//! Entries in memory as a [`Source`] that uses every seam a real store has: it leaves out lines by
//! their hints, offers summaries of small pages before it delivers them, and stops when told.

use std::collections::BTreeMap;

use logs::query::{
    Batch, Direction, EntryRef, LineNeed, PageSummary, Scan, Selection, Source, SourceError,
    SummaryVerdict, Visitor,
};
use model::entry::Entry;
use model::labels::Labels;
use model::time::TimestampNs;

/// Entries a page has at most; small, so that windows cut through pages and hold them whole.
const PAGE_ENTRIES: usize = 3;

/// Streams with their entries in order of time.
#[derive(Default)]
pub(crate) struct MemorySource {
    streams: BTreeMap<Labels, Vec<Entry>>,
}

impl MemorySource {
    pub(crate) fn load(&mut self, entries: Vec<(Labels, Entry)>) {
        for (labels, entry) in entries {
            self.streams.entry(labels).or_default().push(entry);
        }
        for entries in self.streams.values_mut() {
            entries.sort_by_key(|entry| entry.timestamp);
        }
    }
}

impl Source for MemorySource {
    fn scan(
        &self,
        selection: &Selection<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), SourceError> {
        for (labels, entries) in &self.streams {
            if !selection
                .matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                continue;
            }
            let mut wanted: Vec<&Entry> = entries
                .iter()
                .filter(|entry| {
                    selection.start <= entry.timestamp && entry.timestamp <= selection.end
                })
                .collect();
            if selection.direction == Direction::Backward {
                wanted.reverse();
            }
            for page in wanted.chunks(PAGE_ENTRIES) {
                match visit_page(labels, page, selection, visitor) {
                    Scan::Continue => {}
                    Scan::SkipStream => break,
                    Scan::Stop => return Ok(()),
                }
            }
        }
        Ok(())
    }
}

fn visit_page(
    labels: &Labels,
    page: &[&Entry],
    selection: &Selection<'_>,
    visitor: &mut dyn Visitor,
) -> Scan {
    if let Some(summary) = summary(labels, page)
        && visitor.summary(&summary) == SummaryVerdict::Taken
    {
        return Scan::Continue;
    }
    let entries: Vec<EntryRef<'_>> = page
        .iter()
        .filter(|entry| selection.hints.may_match(&entry.line))
        .map(|entry| EntryRef {
            timestamp: entry.timestamp,
            line: match selection.line_need {
                LineNeed::Text => &entry.line,
                LineNeed::Nothing => "",
            },
            metadata: &entry.metadata,
        })
        .collect();
    visitor.entries(&Batch {
        stream: labels,
        entries: &entries,
    })
}

fn summary<'p>(labels: &'p Labels, page: &[&'p Entry]) -> Option<PageSummary<'p>> {
    let metadata = &page.first()?.metadata;
    if page.iter().any(|entry| entry.metadata != *metadata) {
        return None;
    }
    let times = || page.iter().map(|entry| entry.timestamp);
    Some(PageSummary {
        stream: labels,
        metadata,
        first: times().min().unwrap_or(TimestampNs(0)),
        last: times().max().unwrap_or(TimestampNs(0)),
        entries: page.len() as u64,
        bytes: page.iter().map(|entry| entry.line.len() as u64).sum(),
    })
}
