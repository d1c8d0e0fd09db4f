//! Reading everything a view holds: parts from the oldest to the newest, then memtables.
//!
//! Whatever comes later is written over what came before, so the last write stays here as it does
//! in a merge. No lock of the store is held while parts are read; a memtable is locked while its
//! matching samples are copied.
//!
//! A part whose bytes are wrong fails the one read that meets it: the part goes to quarantine, the
//! error names its file and offset, and the next read is served from what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use storage::index::LabelIndex;
use storage::index::select::{label_names, label_values, select};
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

/// What is asked of the labels: of series that pass one of the sets of matchers (of all where
/// there is no set) in parts and memtables that reach into the range.
#[derive(Clone, Copy, Debug)]
pub struct LabelQuery<'a> {
    /// Sets of matchers; a series needs to pass one.
    pub matchers: &'a [Vec<Matcher>],
    /// When the series are to have samples, to the granularity of parts.
    pub range: TimeRange,
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

    /// The label names, in order.
    pub fn label_names(
        &self,
        query: LabelQuery<'_>,
        guard: &Guard,
    ) -> Result<BTreeSet<String>, SelectError> {
        let mut names = BTreeSet::new();
        self.each_index(query, guard, |index, matchers| {
            label_names(index, matchers, &mut names)
        })?;
        Ok(names)
    }

    /// The values of a label, in order.
    pub fn label_values(
        &self,
        name: &str,
        query: LabelQuery<'_>,
        guard: &Guard,
    ) -> Result<BTreeSet<String>, SelectError> {
        let mut values = BTreeSet::new();
        self.each_index(query, guard, |index, matchers| {
            label_values(index, name, matchers, &mut values)
        })?;
        Ok(values)
    }

    /// The label sets, in order. With a limit, at most one more than it, so that the caller can
    /// tell that some are left out.
    pub fn series(
        &self,
        query: LabelQuery<'_>,
        limit: Option<usize>,
        guard: &Guard,
    ) -> Result<BTreeSet<Labels>, SelectError> {
        let mut series = BTreeSet::new();
        let limit = limit.unwrap_or(usize::MAX);
        let view = self.store.view();
        let mut insert = |labels: Labels| {
            if series.len() <= limit {
                series.insert(labels);
            }
        };
        for part in view.parts_in(query.range) {
            for matchers in query.matchers {
                guard.check()?;
                let index = part.part.index();
                select(index, matchers)
                    .and_then(|found| index.labels_of(&found, |_, labels| insert(labels)))
                    .map_err(|error| self.failed(Some(part.record.id), &error))?;
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            for matchers in query.matchers {
                guard.check()?;
                let found =
                    select(table.index(), matchers).map_err(|error| self.failed(None, &error))?;
                for number in found {
                    if let Some(labels) = table.index().labels(number) {
                        insert(labels.clone());
                    }
                }
            }
        }
        Ok(series)
    }

    /// Runs `visit` on the index of each part and memtable, once for each set of matchers.
    fn each_index(
        &self,
        query: LabelQuery<'_>,
        guard: &Guard,
        mut visit: impl FnMut(&dyn LabelIndex, &[Matcher]) -> Result<(), PartError>,
    ) -> Result<(), SelectError> {
        let everything = [Vec::new()];
        let sets = if query.matchers.is_empty() {
            &everything
        } else {
            query.matchers
        };
        let view = self.store.view();
        for part in view.parts_in(query.range) {
            for matchers in sets {
                guard.check()?;
                visit(part.part.index(), matchers)
                    .map_err(|error| self.failed(Some(part.record.id), &error))?;
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            for matchers in sets {
                guard.check()?;
                visit(table.index(), matchers).map_err(|error| self.failed(None, &error))?;
            }
        }
        Ok(())
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
            let index = part.part.index();
            let mut labels = Vec::new();
            select(index, matchers)
                .and_then(|found| index.labels_of(&found, |n, l| labels.push((n, l))))
                .map_err(failed)?;
            let mut scan = part.part.scan();
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
        histograms: columns
            .histograms
            .into_iter()
            .map(|sample| (sample.timestamp, Arc::new(sample.histogram)))
            .collect(),
        ..SelectedSeries::default()
    }
}
