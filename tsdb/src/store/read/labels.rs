//! What series there are: label names, their values, label sets.
//!
//! Nothing here reads a sample. A part or memtable counts whole: its series are those of every range it
//! reaches into.

use std::collections::BTreeSet;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use storage::index::LabelIndex;
use storage::index::select::{label_names, select};
use storage::index::values::{Listed, Values, merge};
use storage::part::PartError;

use super::Reader;
use crate::query::{Guard, SelectError};

/// What is asked of the labels: of series that pass one of the sets of matchers (of all where
/// there is no set) in parts and memtables that reach into the range.
#[derive(Clone, Copy, Debug)]
pub struct LabelQuery<'a> {
    /// Sets of matchers; a series needs to pass one.
    pub matchers: &'a [Vec<Matcher>],
    /// When the series are to have samples, to the granularity of parts.
    pub range: TimeRange,
}

/// How many values are read between two looks at the guard.
const VALUES_PER_CHECK: usize = 1024;

impl LabelQuery<'_> {
    /// The sets of matchers; one that every series passes where none is given.
    fn sets(&self) -> &[Vec<Matcher>] {
        const EVERYTHING: &[Vec<Matcher>] = &[Vec::new()];
        if self.matchers.is_empty() {
            EVERYTHING
        } else {
            self.matchers
        }
    }
}

impl Reader {
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

    /// The values of a label, in order. With a limit, at most one more than it, so that the caller
    /// can tell that some are left out; what lies behind them is not read.
    pub fn label_values(
        &self,
        name: &str,
        query: LabelQuery<'_>,
        limit: Option<usize>,
        guard: &Guard,
    ) -> Result<Vec<String>, SelectError> {
        let most = limit.unwrap_or(usize::MAX).saturating_add(1);
        let view = self.store.view();
        let mut sources: Vec<Box<dyn Values + '_>> = Vec::new();
        let mut parts = Vec::new();
        for part in view.parts_in(query.range) {
            for matchers in query.sets() {
                guard.check()?;
                let failed = |error| self.failed(Some(part.record.id), &error);
                let index = part.part().map_err(failed)?.index();
                sources.push(index.label_values(name, matchers).map_err(failed)?);
                parts.push(part.record.id);
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index();
            for matchers in query.sets() {
                guard.check()?;
                let found = index.label_values(name, matchers);
                let mut found = found.map_err(|error| self.failed(None, &error))?;
                // Taken out, so that writers do not wait for parts to be read.
                let mut values = Vec::new();
                while values.len() < most
                    && let Some(value) = found.next().map_err(|e| self.failed(None, &e))?
                {
                    values.push(value.to_owned());
                }
                sources.push(Box::new(Listed::new(values)));
            }
        }
        let mut values = Vec::new();
        let mut interrupted = Ok(());
        merge(&mut sources, |value| {
            values.push(value.to_owned());
            if values.len().is_multiple_of(VALUES_PER_CHECK) {
                interrupted = guard.check();
            }
            interrupted.is_ok() && values.len() < most
        })
        .map_err(|(source, error)| self.failed(parts.get(source).copied(), &error))?;
        interrupted?;
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
                part.part()
                    .and_then(|part| {
                        let found = select(part.index(), matchers)?;
                        part.index().labels_of(&found, |_, labels| insert(labels))
                    })
                    .map_err(|error| self.failed(Some(part.record.id), &error))?;
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index();
            for matchers in query.matchers {
                guard.check()?;
                let found = select(&index, matchers).map_err(|error| self.failed(None, &error))?;
                for number in found {
                    if table.holds(number)
                        && let Some(labels) = index.labels(number)
                    {
                        insert(labels);
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
        let view = self.store.view();
        for part in view.parts_in(query.range) {
            for matchers in query.sets() {
                guard.check()?;
                part.part()
                    .and_then(|part| visit(part.index(), matchers))
                    .map_err(|error| self.failed(Some(part.record.id), &error))?;
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index();
            for matchers in query.sets() {
                guard.check()?;
                visit(&index, matchers).map_err(|error| self.failed(None, &error))?;
            }
        }
        Ok(())
    }
}
