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

use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use storage::index::SeriesRef;
use storage::index::select::select;
use storage::manifest::PartId;
use storage::part::PartError;
use storage::store::view::Memory;

use super::Reader;
use crate::query::{Guard, ReadSeries, Samples, SelectError, Selection, Source};
use crate::store::Metrics;
use crate::store::columns::Columns;
use crate::store::part_reader::{MetricsPart, PartScan};

/// Where a series has samples: the place of the part or memtable in the selection's list, and the
/// number of the series there.
type Place = (u32, SeriesRef);

/// What a view holds of a range for a set of matchers.
struct ViewSelection {
    reader: Reader,
    range: TimeRange,
    guard: Guard,
    /// The parts of the range.
    parts: Vec<(PartId, Arc<MetricsPart>)>,
    memtables: Vec<Arc<Memory<Metrics>>>,
    labels: Vec<Labels>,
    /// The places of all series, one behind another.
    places: Vec<Place>,
    /// Where the places of each series end.
    ends: Vec<usize>,
}

impl Source for Reader {
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let view = self.store.view();
        let mut found: Vec<(Labels, Place)> = Vec::new();
        let mut parts = Vec::new();
        for (source, stored) in (0..).zip(view.parts_in(range)) {
            guard.check()?;
            let failed = |error: PartError| self.failed(Some(stored.record.id), &error);
            let part = stored.part().map_err(failed)?;
            let index = part.index();
            let series = select(index, matchers).map_err(failed)?;
            let note = |number, labels| found.push((labels, (source, number)));
            index.labels_of(&series, note).map_err(failed)?;
            parts.push((stored.record.id, Arc::clone(part)));
        }
        let memtables = view.memtables.clone();
        for (source, memory) in (parts.len() as u32..).zip(&memtables) {
            guard.check()?;
            let table = memory.table.read();
            let index = table.index();
            for number in select(&index, matchers).map_err(|error| self.failed(None, &error))? {
                if table.holds(number)
                    && let Some(labels) = index.labels(number)
                {
                    found.push((labels, (source, number)));
                }
            }
        }
        // Stable, so that the places of a series stay in the order of writing; and a merge of what
        // is sorted already.
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut selection = ViewSelection {
            reader: self.clone(),
            range,
            guard: guard.clone(),
            parts,
            memtables,
            labels: Vec::new(),
            places: Vec::with_capacity(found.len()),
            ends: Vec::new(),
        };
        for (labels, place) in found {
            if selection.labels.last() != Some(&labels) {
                selection.labels.push(labels);
                selection.ends.push(selection.places.len());
            }
            selection.places.push(place);
            if let Some(end) = selection.ends.last_mut() {
                *end = selection.places.len();
            }
        }
        Ok(Arc::new(selection))
    }
}

impl Selection for ViewSelection {
    fn labels(&self) -> &[Labels] {
        &self.labels
    }

    fn reader(&self) -> Box<dyn ReadSeries + '_> {
        Box::new(ViewReader {
            selection: self,
            scans: self.parts.iter().map(|_| None).collect(),
        })
    }
}

impl ViewSelection {
    fn places_of(&self, series: usize) -> &[Place] {
        let start = series
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let end = self.ends.get(series).copied().unwrap_or_default();
        let start = start.copied().unwrap_or_default();
        self.places.get(start..end).unwrap_or_default()
    }
}

/// Reads a [`ViewSelection`], with a scan of each part it has come to.
struct ViewReader<'s> {
    selection: &'s ViewSelection,
    scans: Vec<Option<PartScan<'s>>>,
}

impl ViewReader<'_> {
    fn columns_at(&mut self, (source, number): Place) -> Result<Columns, SelectError> {
        let selection = self.selection;
        let (parts, range) = (&selection.parts, selection.range);
        let source = source as usize;
        if let (Some((id, part)), Some(scan)) = (parts.get(source), self.scans.get_mut(source)) {
            let scan = scan.get_or_insert_with(|| part.scan());
            let columns = scan.read(number, range);
            return columns.map_err(|error| selection.reader.failed(Some(*id), &error));
        }
        let memory = source.checked_sub(parts.len());
        let memory = memory.and_then(|memory| selection.memtables.get(memory));
        let columns = memory.and_then(|memory| {
            let table = memory.table.read();
            let mut columns = table.columns(number)?;
            columns.restrict(range);
            Some(columns)
        });
        Ok(columns.unwrap_or_default())
    }
}

impl ReadSeries for ViewReader<'_> {
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError> {
        let mut columns = Columns::default();
        for place in self.selection.places_of(series) {
            self.selection.guard.check()?;
            columns.overlay(self.columns_at(*place)?);
        }
        samples.clear();
        samples.timestamps = columns.floats.timestamps.into();
        samples.values = columns.floats.values.into();
        samples.start_timestamps = columns.floats.starts;
        samples.histogram_start_timestamps = columns.histogram_starts;
        let histograms = columns.histograms.into_iter();
        let histograms = histograms.map(|sample| (sample.timestamp, Arc::new(sample.histogram)));
        samples.histograms.extend(histograms);
        let limit = self.selection.guard.samples_max;
        if samples.budget_size() > limit {
            return Err(SelectError::TooManySamples { limit });
        }
        Ok(())
    }
}
