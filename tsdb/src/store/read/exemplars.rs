//! Exemplars: traces that stand for samples, by series.

use std::collections::BTreeMap;

use model::labels::Labels;
use model::matcher::Matcher;
use model::sample::Exemplar;
use model::time::TimeRange;
use storage::index::select::select;
use storage::part::PartError;
use storage::table::Erasure;

use super::Reader;
use crate::query::{Guard, SelectError};
use crate::store::columns::Columns;

impl Reader {
    /// The exemplars in `range` of the series that pass every matcher, each once, in the order of
    /// labels and of time.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        guard: &Guard,
    ) -> Result<BTreeMap<Labels, Vec<Exemplar>>, SelectError> {
        let mut found: BTreeMap<Labels, Columns> = BTreeMap::new();
        let patience = guard.patience();
        let mut add = |labels: Labels, exemplars: Vec<Exemplar>, erasures: &[Erasure]| {
            if exemplars.is_empty() {
                return;
            }
            let mut columns = Columns::default();
            columns.write_exemplars(exemplars);
            columns.erase(&labels, erasures);
            if !columns.exemplars.is_empty() {
                let before = found.entry(labels).or_default();
                before.write_exemplars(columns.exemplars);
            }
        };
        let view = self.store.view();
        for stored in view.parts_in(range) {
            guard.check()?;
            let failed = |error: PartError| self.failed(Some(stored.record.id), &error);
            let part = stored.part().map_err(failed)?;
            let index = part.index().patient(&patience);
            let selected = select(&index, matchers).map_err(failed)?;
            let mut series = Vec::with_capacity(usize::try_from(selected.len()).unwrap_or(0));
            let note = |number, labels| series.push((number, labels));
            index.labels_of(&selected, note).map_err(failed)?;
            let mut scan = part.scan();
            for (at, (number, labels)) in series.into_iter().enumerate() {
                guard.check_at(at)?;
                let exemplars = scan.exemplars(number, range).map_err(failed)?;
                add(labels, exemplars, &stored.erasures);
            }
        }
        for memory in &view.memtables {
            guard.check()?;
            let table = memory.table.read();
            let index = table.index(guard)?;
            let selected = select(&index, matchers).map_err(|error| self.failed(None, &error))?;
            for (at, number) in selected.iter().enumerate() {
                guard.check_at(at)?;
                let exemplars = table.exemplars(number, range);
                if let (false, Some(labels)) = (exemplars.is_empty(), index.labels(number)) {
                    add(labels, exemplars, &[]);
                }
            }
        }
        let exemplars = found.into_iter();
        Ok(exemplars
            .map(|(labels, columns)| (labels, columns.exemplars))
            .collect())
    }
}
