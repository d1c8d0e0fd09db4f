//! What series there are: label names, their values, label sets.
//!
//! Nothing here reads a sample. A part or memtable counts whole: its series are those of every range it
//! reaches into. A series that was deleted for as long as its part reaches is not among them; one of
//! which a part may still hold something is.
//!
//! Parts are shared out to the cores, and what each core finds is merged. So no more values are held than
//! there are cores times what is answered.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::thread::{available_parallelism, scope};

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;
use roaring::RoaringBitmap;
use storage::index::LabelIndex;
use storage::index::reader::IndexReader;
use storage::index::select::{label_names, select};
use storage::index::values::{Listed, Values, merge};
use storage::part::PartError;
use storage::patience::Patience;
use storage::store::view::{StoredPart, View};

use super::Reader;
use crate::query::{Guard, SelectError};
use crate::store::Metrics;

/// What is asked of the labels: of series that pass one of the sets of matchers (of all where
/// there is no set) in parts and memtables that reach into the range.
#[derive(Clone, Copy, Debug)]
pub struct LabelQuery<'a> {
    /// Sets of matchers; a series needs to pass one.
    pub matchers: &'a [Vec<Matcher>],
    /// When the series are to have samples, to the granularity of parts.
    pub range: TimeRange,
}

/// How many values, or label sets, are read between two looks at the guard.
const READ_PER_CHECK: usize = 1024;
/// What a value or a label set takes beside its text.
const LISTED_BYTES: usize = 64;
/// A core that has fewer parts to read than this is not worth waking.
const PARTS_PER_CORE: usize = 4;

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
        let view = self.store.view();
        let parts = parts_of(&view, query.range);
        let patience = guard.patience();
        let found = shared_out(&parts, |parts| {
            let mut names = BTreeSet::new();
            for part in parts {
                for matchers in query.sets() {
                    guard.check()?;
                    let found = index_of(part, &patience)
                        .and_then(|index| names_of(part, &index, matchers));
                    names.extend(found.map_err(|e| self.failed(Some(part.record.id), &e))?);
                }
            }
            Ok(names)
        })?;
        let mut names: BTreeSet<String> = found.into_iter().flatten().collect();
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index(guard)?;
            for matchers in query.sets() {
                guard.check()?;
                let found = label_names(&index, matchers, &mut names);
                found.map_err(|error| self.failed(None, &error))?;
            }
        }
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
        let parts = parts_of(&view, query.range);
        let patience = guard.patience();
        let mut lists = shared_out(&parts, |parts| {
            let mut indexes = Vec::new();
            for part in parts {
                let failed = |error| self.failed(Some(part.record.id), &error);
                indexes.push((part, index_of(part, &patience).map_err(failed)?));
            }
            let mut sources = Vec::new();
            let mut ids = Vec::new();
            for (part, index) in &indexes {
                for matchers in query.sets() {
                    guard.check()?;
                    let failed = |error| self.failed(Some(part.record.id), &error);
                    sources.push(values_of(part, index, name, matchers).map_err(failed)?);
                    ids.push(part.record.id);
                }
            }
            let failed = |source, error| self.failed(ids.get(source).copied(), &error);
            merged(sources, most, guard, failed)
        })?;
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index(guard)?;
            for matchers in query.sets() {
                guard.check()?;
                let found = index.label_values(name, matchers);
                let mut found = found.map_err(|error| self.failed(None, &error))?;
                // Taken out, so that writers do not wait for other memtables to be read.
                let mut values = Vec::new();
                while values.len() < most
                    && let Some(value) = found.next().map_err(|e| self.failed(None, &e))?
                {
                    guard.check_at(values.len())?;
                    guard.memory.take(value.len() + LISTED_BYTES)?;
                    values.push(value.to_owned());
                }
                lists.push(values);
            }
        }
        lists.retain(|values| !values.is_empty());
        if lists.len() <= 1 {
            return Ok(lists.pop().unwrap_or_default());
        }
        let sources = lists.into_iter().map(|values| {
            let listed: Box<dyn Values> = Box::new(Listed::new(values));
            listed
        });
        merged(sources.collect(), most, guard, |_, error| {
            self.failed(None, &error)
        })
    }

    /// The label sets, in order. With a limit, at most one more than it, so that the caller can
    /// tell that some are left out; what lies behind them in a part is not read.
    pub fn series(
        &self,
        query: LabelQuery<'_>,
        limit: Option<usize>,
        guard: &Guard,
    ) -> Result<BTreeSet<Labels>, SelectError> {
        let mut first = First {
            most: limit.unwrap_or(usize::MAX).saturating_add(1),
            series: BTreeSet::new(),
        };
        let view = self.store.view();
        let patience = guard.patience();
        for part in view.parts_in(query.range) {
            for matchers in query.matchers {
                guard.check()?;
                let mut interrupted = Ok(());
                let mut read = 0_usize;
                let visit = |_, labels| {
                    read += 1;
                    if read.is_multiple_of(READ_PER_CHECK) {
                        interrupted = guard.check().map_err(SelectError::from);
                    }
                    if interrupted.is_ok() {
                        interrupted = first.room(&labels, guard);
                    }
                    match interrupted {
                        Ok(()) => first.insert(labels),
                        Err(_) => ControlFlow::Break(()),
                    }
                };
                index_of(part, &patience)
                    .and_then(|index| {
                        let mut found = select(&index, matchers)?;
                        if let Some(gone) = gone(part, &index)? {
                            found -= gone;
                        }
                        index.labels_until(&found, visit)
                    })
                    .map_err(|error| self.failed(Some(part.record.id), &error))?;
                interrupted?;
            }
        }
        for memory in &view.memtables {
            let table = memory.table.read();
            let index = table.index(guard)?;
            for matchers in query.matchers {
                guard.check()?;
                let found = select(&index, matchers).map_err(|error| self.failed(None, &error))?;
                for (at, number) in found.iter().enumerate() {
                    guard.check_at(at)?;
                    if table.holds(number)
                        && let Some(labels) = index.labels(number)
                    {
                        first.room(&labels, guard)?;
                        // They come in no order: a later one may belong to the first.
                        let _ = first.insert(labels);
                    }
                }
            }
        }
        Ok(first.series)
    }
}

/// The parts that reach into a range.
fn parts_of(view: &View<Metrics>, range: TimeRange) -> Vec<&StoredPart<Metrics>> {
    view.parts_in(range).map(AsRef::as_ref).collect()
}

/// The first of some label sets in their order.
struct First {
    most: usize,
    series: BTreeSet<Labels>,
}

impl First {
    /// Takes the memory of a label set, unless it is known or takes the place of another.
    fn room(&self, labels: &Labels, guard: &Guard) -> Result<(), SelectError> {
        if self.series.len() < self.most && !self.series.contains(labels) {
            let text = labels.as_encoded().len();
            guard.memory.take(text + LISTED_BYTES)?;
            guard.allow_series(self.series.len() + 1)?;
        }
        Ok(())
    }

    /// Adds a label set if it is among the first. Breaks where none that is greater can be.
    fn insert(&mut self, labels: Labels) -> ControlFlow<()> {
        if self.series.len() >= self.most {
            if self.series.last().is_some_and(|last| *last <= labels) {
                return ControlFlow::Break(());
            }
            if self.series.insert(labels) {
                self.series.pop_last();
            }
        } else {
            self.series.insert(labels);
        }
        ControlFlow::Continue(())
    }
}

/// The series of a part of which everything was deleted; `None` where nothing says so.
fn gone(
    part: &StoredPart<Metrics>,
    index: &dyn LabelIndex,
) -> Result<Option<RoaringBitmap>, PartError> {
    let range = part.record.range();
    let mut gone: Option<RoaringBitmap> = None;
    for erasure in part.erasures.iter() {
        if erasure.range.contains(range.start) && erasure.range.contains(range.end) {
            *gone.get_or_insert_default() |= select(index, &erasure.matchers)?;
        }
    }
    Ok(gone.filter(|gone| !gone.is_empty()))
}

/// The index of a part, for as long as somebody waits.
fn index_of(part: &StoredPart<Metrics>, patience: &Patience) -> Result<IndexReader, PartError> {
    Ok(part.part()?.index().patient(patience))
}

fn names_of(
    part: &StoredPart<Metrics>,
    index: &IndexReader,
    matchers: &[Matcher],
) -> Result<Vec<String>, PartError> {
    match gone(part, index)? {
        None => index.label_names_of(matchers),
        Some(gone) => index.label_names_among(&(select(index, matchers)? - gone)),
    }
}

fn values_of<'a>(
    part: &StoredPart<Metrics>,
    index: &'a IndexReader,
    name: &'a str,
    matchers: &[Matcher],
) -> Result<Box<dyn Values + 'a>, PartError> {
    match gone(part, index)? {
        None => index.label_values(name, matchers),
        Some(gone) => index.label_values_among(name, &(select(index, matchers)? - gone)),
    }
}

/// The values of all sources in order, each once, at most so many.
fn merged(
    mut sources: Vec<Box<dyn Values + '_>>,
    most: usize,
    guard: &Guard,
    failed: impl Fn(usize, PartError) -> SelectError,
) -> Result<Vec<String>, SelectError> {
    let mut values = Vec::new();
    let mut interrupted = Ok(());
    merge(&mut sources, |value| {
        if let Err(refusal) = guard.memory.take(value.len() + LISTED_BYTES) {
            interrupted = Err(refusal.into());
        }
        values.push(value.to_owned());
        if interrupted.is_ok() && values.len().is_multiple_of(READ_PER_CHECK) {
            interrupted = guard.check().map_err(SelectError::from);
        }
        interrupted.is_ok() && values.len() < most
    })
    .map_err(|(source, error)| failed(source, error))?;
    interrupted?;
    Ok(values)
}

/// Runs `work` on the parts, a share of them on each core. The first failure is the answer.
fn shared_out<'a, T: Send>(
    parts: &[&'a StoredPart<Metrics>],
    work: impl Fn(Vec<&'a StoredPart<Metrics>>) -> Result<T, SelectError> + Sync,
) -> Result<Vec<T>, SelectError> {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| available_parallelism().map_or(1, NonZeroUsize::get));
    let shares = CORES.min(parts.len() / PARTS_PER_CORE).max(1);
    // Neighbours in time are alike, so each core has some of every time.
    let share = |number: usize| work(parts.iter().skip(number).step_by(shares).copied().collect());
    scope(|scope| {
        let share = &share;
        let others: Vec<_> = (1..shares).map(|n| scope.spawn(move || share(n))).collect();
        let mut found = vec![share(0)];
        for other in others {
            let joined = other.join();
            found.push(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found.into_iter().collect()
    })
}
