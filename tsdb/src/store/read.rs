//! Reading everything a view holds: parts from the oldest to the newest, then memtables.
//!
//! Whatever comes later is written over what came before, so the last write stays here as it does
//! in a merge. No lock of the store is held while parts are read; a memtable is locked while its
//! matching samples are copied.
//!
//! A part whose bytes are wrong fails the one read that meets it: the part goes to quarantine, the
//! error names its file and offset, and the next read is served from what is left.
//!
//! - [`labels`]: names, values and label sets, for which no sample is read.

pub mod labels;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use storage::index::select::select;
use storage::manifest::PartId;
use storage::part::PartError;

use super::MetricStore;
use super::columns::Columns;
use crate::query::{Guard, SelectError, SelectedSeries, Source};

/// What there is to read of a store.
#[derive(Clone)]
pub struct Reader {
    store: Arc<MetricStore>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.store.dir()).finish()
    }
}

impl Reader {
    /// A reader of a store.
    pub const fn new(store: Arc<MetricStore>) -> Self {
        Self { store }
    }

    /// Takes a corrupt part out, and says what happened.
    fn failed(&self, part: Option<PartId>, error: &PartError) -> SelectError {
        if let Some(part) = part
            && error.is_corruption()
        {
            if let Err(failure) = self.store.quarantine(part, error) {
                tracing::error!(%failure, "a corrupt part could not be moved to quarantine");
            }
            return SelectError::Storage(format!(
                "{error}; the part is moved to quarantine, ask again for what is left"
            ));
        }
        SelectError::Storage(error.to_string())
    }
}

/// What a selection has gathered so far.
struct Gathered<'a> {
    series: BTreeMap<Labels, Columns>,
    samples: usize,
    guard: &'a Guard,
}

impl Gathered<'_> {
    fn overlay(&mut self, labels: Labels, columns: Columns) -> Result<(), SelectError> {
        if columns.is_empty() {
            return Ok(());
        }
        self.guard.check()?;
        self.samples += columns.floats.len();
        self.samples += columns
            .histograms
            .iter()
            .map(|sample| sample.histogram.budget_size())
            .sum::<usize>();
        if self.samples > self.guard.samples_max {
            let limit = self.guard.samples_max;
            return Err(SelectError::TooManySamples { limit });
        }
        self.series.entry(labels).or_default().overlay(columns);
        Ok(())
    }
}

impl Source for Reader {
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Vec<SelectedSeries>, SelectError> {
        let mut gathered = Gathered {
            series: BTreeMap::new(),
            samples: 0,
            guard,
        };
        let view = self.store.view();
        for part in view.parts_in(range) {
            guard.check()?;
            let failed = |error: PartError| self.failed(Some(part.record.id), &error);
            let opened = part.part().map_err(failed)?;
            let index = opened.index();
            let mut labels = Vec::new();
            select(index, matchers)
                .and_then(|found| index.labels_of(&found, |n, l| labels.push((n, l))))
                .map_err(failed)?;
            let mut scan = opened.scan();
            for (number, labels) in labels {
                gathered.overlay(labels, scan.read(number, range).map_err(failed)?)?;
            }
        }
        for memory in &view.memtables {
            guard.check()?;
            let table = memory.table.read();
            let found =
                select(table.index(), matchers).map_err(|error| self.failed(None, &error))?;
            for number in found {
                if let (Some(labels), Some(columns)) =
                    (table.index().labels(number), table.columns(number))
                {
                    gathered.overlay(labels.clone(), columns.copy_of(range))?;
                }
            }
        }
        Ok(gathered.series.into_iter().map(selected).collect())
    }
}

fn selected((labels, columns): (Labels, Columns)) -> SelectedSeries {
    SelectedSeries {
        labels,
        timestamps: columns.floats.timestamps,
        values: columns.floats.values,
        start_timestamps: columns.floats.starts,
        histograms: columns
            .histograms
            .into_iter()
            .map(|sample| (sample.timestamp, Arc::new(sample.histogram)))
            .collect(),
        histogram_start_timestamps: columns.histogram_starts,
    }
}
