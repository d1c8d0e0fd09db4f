//! The samples of a view, one series at a time.
//!
//! A selection lists which series match, and where each has samples: its numbers in parts, from
//! the oldest to the newest, and then in memtables. Whatever comes later is written over what came
//! before, so the last write stays here as it does in a merge; a series that is in one place, which
//! is the common case, is read without that.
//!
//! Parts list their series in the order of labels, so the list of a selection is a merge of sorted
//! runs. No lock of the store is held while parts are read; a memtable is locked while the samples
//! of one series are copied.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use storage::index::SeriesRef;
use storage::index::select::select;
use storage::manifest::PartId;
use storage::part::PartError;
use storage::store::Reading;
use storage::store::view::Memory;
use storage::table::Erasure;

use super::Reader;
use super::findings::{Asked, Findings, KEPT_PLACES_MAX, List, Place};
use super::row::Row;
use crate::query::{Bounds, Guard, ReadSeries, Samples, SelectError, Selection, Source};
use crate::store::Metrics;
use crate::store::chunk::ChunkKind;
use crate::store::columns::Columns;
use crate::store::part_reader::{Keeping, MetricsPart, PartScan};

/// What a view holds of a range for a set of matchers.
pub(super) struct ViewSelection {
    pub(super) reader: Reader,
    /// Has merges give way for as long as the selection is held.
    _reading: Reading,
    pub(super) range: TimeRange,
    guard: Guard,
    /// The parts of the range.
    parts: Vec<SelectedPart>,
    memtables: Vec<Arc<Memory<Metrics>>>,
    found: Arc<Findings>,
}

/// A part of a selection.
struct SelectedPart {
    id: PartId,
    part: Arc<MetricsPart>,
    /// What was deleted of it since it was written.
    erasures: Arc<[Erasure]>,
}

impl Source for Reader {
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let reading = self.store.reading();
        let view = self.store.view();
        let mut parts = Vec::new();
        for stored in view.parts_in(range) {
            guard.check()?;
            let part = stored.part();
            parts.push(SelectedPart {
                id: stored.record.id,
                part: Arc::clone(part.map_err(|e| self.failed(Some(stored.record.id), &e))?),
                erasures: Arc::clone(&stored.erasures),
            });
        }
        let memtables = view.memtables.clone();
        let listed =
            |list: &mut _| self.list_memory(&memtables, parts.len(), matchers, guard, list);
        let found = match self.find_in_parts(&parts, matchers, guard)? {
            InParts::Kept(kept) => {
                let mut in_memory = Vec::new();
                listed(&mut in_memory)?;
                if in_memory.is_empty() {
                    kept
                } else {
                    let mut list: List = kept.entries().collect();
                    guard.memory.take(list.len() * ENTRY_BYTES)?;
                    list.append(&mut in_memory);
                    Arc::new(Findings::of(list, guard)?)
                }
            }
            InParts::Listed(mut list) => {
                listed(&mut list)?;
                Arc::new(Findings::of(list, guard)?)
            }
        };
        guard.allow_series(found.labels().len())?;
        Ok(Arc::new(ViewSelection {
            reader: self.clone(),
            _reading: reading,
            range,
            guard: guard.clone(),
            parts,
            memtables,
            found,
        }))
    }
}

/// What is found in parts.
enum InParts {
    Kept(Arc<Findings>),
    Listed(List),
}

impl Reader {
    /// What is found in parts, from what was found before where that is kept.
    fn find_in_parts(
        &self,
        parts: &[SelectedPart],
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<InParts, SelectError> {
        let mut list = List::new();
        let Some(caches) = self.caches.as_ref().filter(|_| !parts.is_empty()) else {
            self.list_parts(parts, matchers, guard, &mut list)?;
            return Ok(InParts::Listed(list));
        };
        let asked = Asked::new(parts.iter().map(|part| part.id).collect(), matchers);
        if let Some(found) = caches.findings.get(&asked) {
            guard.memory.take(found.bytes())?;
            return Ok(InParts::Kept(found));
        }
        self.list_parts(parts, matchers, guard, &mut list)?;
        if list.len() > KEPT_PLACES_MAX {
            return Ok(InParts::Listed(list));
        }
        let found = Arc::new(Findings::of(list, guard)?);
        caches.findings.insert(&asked, &found);
        Ok(InParts::Kept(found))
    }

    fn list_parts(
        &self,
        parts: &[SelectedPart],
        matchers: &[Matcher],
        guard: &Guard,
        list: &mut List,
    ) -> Result<(), SelectError> {
        let patience = guard.patience();
        for (source, SelectedPart { id, part, .. }) in (0..).zip(parts) {
            guard.check()?;
            let failed = |error: PartError| self.failed(Some(*id), &error);
            let index = part.index().patient(&patience);
            let series = select(&index, matchers).map_err(failed)?;
            guard.allow_series(usize::try_from(series.len()).unwrap_or(usize::MAX))?;
            // A list that moves because it grows cannot be interrupted.
            list.reserve(usize::try_from(series.len()).unwrap_or(0));
            let mut refused = Ok(());
            let note = |number, labels| {
                refused = take(&labels, guard, list.len());
                list.push((labels, (source, number)));
                match refused {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            };
            index.labels_until(&series, note).map_err(failed)?;
            refused?;
        }
        Ok(())
    }

    /// Adds what is found in memtables, which stand behind so many parts.
    fn list_memory(
        &self,
        memtables: &[Arc<Memory<Metrics>>],
        parts: usize,
        matchers: &[Matcher],
        guard: &Guard,
        list: &mut List,
    ) -> Result<(), SelectError> {
        for (source, memory) in (parts as u32..).zip(memtables) {
            guard.check()?;
            let table = memory.table.read();
            let index = table.index(guard)?;
            let series = select(&index, matchers).map_err(|error| self.failed(None, &error))?;
            guard.allow_series(usize::try_from(series.len()).unwrap_or(usize::MAX))?;
            for (at, number) in series.iter().enumerate() {
                guard.check_at(at)?;
                if table.holds(number)
                    && let Some(labels) = index.labels(number)
                {
                    guard.memory.take(ENTRY_BYTES + labels.as_encoded().len())?;
                    list.push((labels, (source, number)));
                }
            }
        }
        Ok(())
    }
}

/// Entries that are listed between two looks at the guard.
const LISTED_PER_CHECK: usize = 1024;
/// What an entry takes beside the text of its labels: the entry, once more in the lists of the
/// selection, and what an allocation costs.
const ENTRY_BYTES: usize = 2 * size_of::<(Labels, Place)>() + 32;

/// Takes the memory of an entry, of which there are some already.
fn take(labels: &Labels, guard: &Guard, listed: usize) -> Result<(), SelectError> {
    if listed.is_multiple_of(LISTED_PER_CHECK) {
        guard.check()?;
    }
    guard.memory.take(ENTRY_BYTES + labels.as_encoded().len())?;
    Ok(())
}

impl Selection for ViewSelection {
    fn labels(&self) -> &[Labels] {
        self.found.labels()
    }

    fn reader(&self) -> Box<dyn ReadSeries + '_> {
        Box::new(ViewReader {
            selection: self,
            scans: self.parts.iter().map(|_| None).collect(),
        })
    }
}

impl ViewSelection {
    fn labels_of(&self, series: usize) -> &Labels {
        static NONE: LazyLock<Labels> = LazyLock::new(Labels::empty);
        self.found.labels().get(series).unwrap_or(&NONE)
    }

    /// Whether something was deleted of what a part holds of a series in the range.
    fn erases(&self, part: &SelectedPart, series: usize) -> bool {
        let labels = self.labels_of(series);
        part.erasures.iter().any(|erasure| {
            erasure.range.overlaps(&self.range)
                && erasure.matchers.iter().all(|m| m.matches_labels(labels))
        })
    }

    fn keeping(&self) -> Keeping {
        if self.found.labels().len() > KEPT_SERIES_MAX {
            Keeping::Nothing
        } else {
            Keeping::Directories
        }
    }
}

/// Series of a selection of which directories and timestamps are kept. Those of more would push out of the
/// cache what finds series at all.
const KEPT_SERIES_MAX: usize = 4096;

/// Reads a [`ViewSelection`], with a scan of each part it has come to.
struct ViewReader<'s> {
    selection: &'s ViewSelection,
    scans: Vec<Option<PartScan<'s>>>,
}

/// Where a place leads to.
enum Found<'r, 's> {
    Part(&'s SelectedPart, &'r mut PartScan<'s>),
    Memtable(&'s Memory<Metrics>),
}

impl<'s> ViewReader<'s> {
    fn source(&mut self, source: u32) -> Option<Found<'_, 's>> {
        let source = source as usize;
        let parts = &self.selection.parts;
        if let (Some(part), Some(scan)) = (parts.get(source), self.scans.get_mut(source)) {
            let keeping = self.selection.keeping();
            let scan = scan.get_or_insert_with(|| part.part.scan_that(keeping));
            return Some(Found::Part(part, scan));
        }
        let memory = source.checked_sub(parts.len());
        let memory = memory.and_then(|memory| self.selection.memtables.get(memory))?;
        Some(Found::Memtable(memory))
    }

    /// Everything of a series, whatever it is and wherever it lies: the later over the earlier.
    fn read_overlaid(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError> {
        let selection = self.selection;
        let mut columns = Columns::default();
        for (source, number) in selection.found.places_of(series) {
            let newer = match self.source(*source) {
                Some(Found::Part(part, scan)) => {
                    let read = scan.read(*number, selection.range);
                    let mut columns =
                        read.map_err(|error| selection.reader.failed(Some(part.id), &error))?;
                    columns.erase(selection.labels_of(series), &part.erasures);
                    columns
                }
                Some(Found::Memtable(memory)) => {
                    let held = memory.table.read().columns(*number);
                    let mut columns = held.unwrap_or_default();
                    columns.restrict(selection.range);
                    columns
                }
                None => Columns::default(),
            };
            columns.overlay(newer);
        }
        samples.clear();
        samples.timestamps = columns.floats.timestamps.into();
        samples.values = columns.floats.values.into();
        samples.start_timestamps = columns.floats.starts;
        let histograms = columns.histograms.into_iter();
        let histograms = histograms.map(|sample| (sample.timestamp, Arc::new(sample.histogram)));
        samples.histograms.extend(histograms);
        samples.histogram_start_timestamps = columns.histogram_starts;
        Ok(())
    }

    /// A series whose pieces are floats alone and follow each other, or nothing if it is none such.
    fn read_in_a_row(
        &mut self,
        series: usize,
        samples: &mut Samples,
    ) -> Result<Option<()>, SelectError> {
        let selection = self.selection;
        let places = selection.found.places_of(series);
        let mut row = Row::new(samples, selection);
        for (source, number) in places {
            let went_on = match self.source(*source) {
                Some(Found::Part(part, scan)) => {
                    if selection.erases(part, series) {
                        return Ok(None);
                    }
                    row.append_chunks(part.id, scan, *number)
                        .map_err(|error| selection.reader.failed(Some(part.id), &error))?
                }
                Some(Found::Memtable(memory)) => {
                    let held = memory.table.read().columns(*number);
                    held.map_or(Some(()), |held| row.append_columns(&held))
                }
                None => Some(()),
            };
            if went_on.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

impl ReadSeries for ViewReader<'_> {
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError> {
        self.selection.guard.check()?;
        if self.read_in_a_row(series, samples)?.is_none() {
            self.read_overlaid(series, samples)?;
        }
        let limit = self.selection.guard.samples_max;
        if samples.budget_size() > limit {
            return Err(SelectError::TooManySamples { limit });
        }
        Ok(())
    }

    fn bounds(&mut self, series: usize) -> Result<Option<Bounds>, SelectError> {
        let selection = self.selection;
        selection.guard.check()?;
        let mut bounds = NO_BOUNDS;
        for (source, number) in selection.found.places_of(series) {
            let told = match self.source(*source) {
                Some(Found::Part(part, scan)) => {
                    bounds_of_chunks(scan, *number, selection.range)
                        .map_err(|error| selection.reader.failed(Some(part.id), &error))?
                }
                Some(Found::Memtable(memory)) => {
                    let held = memory.table.read().columns(*number);
                    held.map_or(Some(NO_BOUNDS), |held| bounds_of(&held, selection.range))
                }
                None => None,
            };
            let Some(told) = told else {
                return Ok(None);
            };
            bounds = around(bounds, told);
        }
        Ok(Some(bounds))
    }
}

/// The bounds of nothing.
const NO_BOUNDS: Bounds = Bounds {
    first: i64::MAX,
    last: i64::MIN,
    min: f64::INFINITY,
    max: f64::NEG_INFINITY,
};

/// Bounds of what lies within either.
const fn around(a: Bounds, b: Bounds) -> Bounds {
    Bounds {
        first: if a.first < b.first { a.first } else { b.first },
        last: if a.last > b.last { a.last } else { b.last },
        min: a.min.min(b.min),
        max: a.max.max(b.max),
    }
}

/// Bounds of what is in memory; none where there are histograms.
fn bounds_of(columns: &Columns, range: TimeRange) -> Option<Bounds> {
    if !columns.histograms.is_empty() {
        return None;
    }
    let floats = columns.floats.timestamps.iter().zip(&columns.floats.values);
    let inside = floats.filter(|(at, _)| range.contains(Timestamp(**at)));
    Some(inside.fold(NO_BOUNDS, |bounds, (at, value)| {
        let sample = Bounds {
            first: *at,
            last: *at,
            min: *value,
            max: *value,
        };
        around(bounds, sample)
    }))
}

/// Bounds of the blocks of a series, where every one has a summary. What was deleted of them, or
/// written over, only makes them wider than need be.
fn bounds_of_chunks(
    scan: &mut PartScan<'_>,
    series: SeriesRef,
    range: TimeRange,
) -> Result<Option<Bounds>, PartError> {
    let chunks = scan.chunks(series)?;
    let chunks = chunks
        .iter()
        .filter(|header| header.kind != ChunkKind::Exemplars && header.range.overlaps(&range));
    let mut bounds = NO_BOUNDS;
    for header in chunks {
        let (ChunkKind::Floats, Some(summary)) = (header.kind, header.summary) else {
            return Ok(None);
        };
        let block = Bounds {
            first: header.range.start.millis(),
            last: header.range.end.millis(),
            min: summary.min,
            max: summary.max,
        };
        bounds = around(bounds, block);
    }
    Ok(Some(bounds))
}
