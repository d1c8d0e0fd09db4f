//! Operators between two vectors: which series meet, and what their result is called.
//!
//! Series meet when the labels matching names are the same. One side, the *one* side, has at most
//! one series of a signature at each instant; the other may have many where `group_left` or
//! `group_right` says so. The series of the one side are laid into one column a signature first,
//! so that each series of the many side meets a column, whoever owns its values.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use model::labels::{Labels, METRIC_NAME};

use super::arithmetic::Operand;
use super::binary::signature;
use super::column::SERIES_BYTES;
use super::finish::OutputSeries;
use super::{EvalError, Evaluator, Grid, Result, Sample, Series, Value};
use crate::query::ast::{Binary, Cardinality, Matching, Span};
use crate::query::quoting::quote;
use crate::query::source::Guard;

/// What the set of places that are taken needs for each.
const TAKEN_BYTES: usize = 2 * size_of::<(usize, usize)>();

/// The series of the one side with one signature.
struct OneSide<'a> {
    /// Whose value stands at each instant.
    owners: Vec<Option<&'a Series>>,
    /// Where the many side has met it.
    met: Vec<bool>,
}

/// Everything that is the same for all pairs of one operation.
struct Meeting<'a> {
    node: &'a Binary,
    matching: &'a Matching,
    /// Whether the many side is the right one.
    swapped: bool,
    span: Span,
}

impl Evaluator<'_> {
    pub(super) fn matched(
        &mut self,
        node: &Binary,
        matching: &Matching,
        lhs: &[Series],
        rhs: &[Series],
        grid: Grid,
    ) -> Result<Value> {
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let meeting = Meeting {
            node,
            matching,
            swapped,
            span: node.lhs.span().to(node.rhs.span()),
        };
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        // Without anything on the many side nothing meets, not even what should not be there twice.
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        let anything = (0..grid.len).map(|index| {
            self.guard.check_at(index)?;
            Ok(fills || many.iter().any(|series| series.column.is_present(index)))
        });
        let anything: Vec<bool> = anything.collect::<Result<_>>()?;
        let mut ones = meeting.one_side(one, &anything, grid, self.guard)?;
        let mut output = OutputSeries::new(grid.len, self.guard);
        let mut taken: HashSet<(usize, usize)> = HashSet::new();
        for series in many {
            self.guard.check()?;
            if matching.cardinality != Cardinality::OneToOne {
                self.room(grid.len * TAKEN_BYTES)?;
            }
            let key = signature(&series.labels, matching);
            self.meet(
                &meeting,
                (series, &key),
                ones.get_mut(&key),
                &mut output,
                &mut taken,
                grid,
            )?;
        }
        if let Some(fill) = meeting.fill_many() {
            for (at, (key, one)) in ones.iter().enumerate() {
                self.guard.check_at(at)?;
                self.fill_unmet(&meeting, key, one, fill, &mut output)?;
            }
        }
        let series = self.apart(output.finish())?;
        Ok(Value::Vector(series))
    }

    /// One series of the many side meets the one side.
    fn meet(
        &mut self,
        meeting: &Meeting<'_>,
        (series, key): (&Series, &Labels),
        mut one: Option<&mut OneSide<'_>>,
        output: &mut OutputSeries,
        taken: &mut HashSet<(usize, usize)>,
        grid: Grid,
    ) -> Result<()> {
        // The result is named after the pair; the pair rarely changes.
        let mut last: Option<(Option<*const Series>, usize)> = None;
        for index in 0..grid.len {
            let Some(sample) = series.column.get(index) else {
                continue;
            };
            let owner = one
                .as_ref()
                .and_then(|one| one.owners.get(index).copied().flatten());
            let Some(other) = meeting.other_value(owner, index) else {
                continue;
            };
            let Some((value, keeps)) = self.pair(meeting, sample.operand(), other.operand()) else {
                continue;
            };
            if let Some(met) = one.as_deref_mut().and_then(|one| one.met.get_mut(index)) {
                if *met && meeting.matching.cardinality == Cardinality::OneToOne {
                    return Err(EvalError::Message(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".to_owned(),
                    ));
                }
                *met = true;
            }
            let pair = owner.map(std::ptr::from_ref);
            let place = match last {
                Some((known, place)) if known == pair => place,
                _ => {
                    // A filled value has the labels both sides would share.
                    let one_labels = owner.map_or(key, |owner| &owner.labels);
                    let labels = meeting.result_labels(&series.labels, one_labels);
                    self.result_place(meeting, labels, series.drops_name, output)?
                }
            };
            last = Some((pair, place));
            let grouped = meeting.matching.cardinality != Cardinality::OneToOne;
            if grouped && !taken.insert((place, index)) {
                return Err(EvalError::Message(
                    "multiple matches for labels: grouping labels must ensure unique matches"
                        .to_owned(),
                ));
            }
            if keeps {
                if output.is_taken(place, index) && !grouped {
                    return Err(super::same_labels());
                }
                output.set(place, index, value)?;
            }
        }
        Ok(())
    }

    /// What nobody on the many side met is met by a fill value.
    fn fill_unmet(
        &mut self,
        meeting: &Meeting<'_>,
        key: &Labels,
        one: &OneSide<'_>,
        fill: f64,
        output: &mut OutputSeries,
    ) -> Result<()> {
        for (index, owner) in one.owners.iter().enumerate() {
            let met = one.met.get(index).copied().unwrap_or(false);
            let Some(owner) = owner.filter(|_| !met) else {
                continue;
            };
            let Some(other) = owner.column.get(index) else {
                continue;
            };
            let filled = Operand::Float(fill);
            if let Some((value, true)) = self.pair(meeting, filled, other.operand()) {
                let labels = meeting.result_labels(key, &owner.labels);
                let place = self.result_place(meeting, labels, false, output)?;
                output.set(place, index, value)?;
            }
        }
        Ok(())
    }

    /// Where the values of a pair go. What `bool` yields is no longer what its name says.
    fn result_place(
        &self,
        meeting: &Meeting<'_>,
        labels: Labels,
        drops_name: bool,
        output: &mut OutputSeries,
    ) -> Result<usize> {
        match (meeting.node.returns_bool, self.options.delayed_name_removal) {
            (true, true) => output.place(labels, true),
            (true, false) => output.place(super::finish::without_metadata(&labels), false),
            (false, _) => output.place(labels, drops_name),
        }
    }

    /// The value of a pair, and whether it belongs to the result.
    fn pair(
        &mut self,
        meeting: &Meeting<'_>,
        many: Operand<'_>,
        one: Operand<'_>,
    ) -> Option<(Sample, bool)> {
        let (lhs, rhs) = if meeting.swapped {
            (one, many)
        } else {
            (many, one)
        };
        let outcome = self.combine(meeting.node.op, lhs, rhs, meeting.span)?;
        if meeting.node.returns_bool {
            return Some((Sample::Float(f64::from(outcome.holds)), true));
        }
        Some((outcome.sample, outcome.holds))
    }
}

impl Meeting<'_> {
    /// What stands for a missing series of the one side: `fill_right`, also where that side is the
    /// left one; so upstream has it.
    const fn fill_one(&self) -> Option<f64> {
        self.matching.fill_right
    }

    /// The value of the one side at an instant, or what stands for it.
    fn other_value(&self, owner: Option<&Series>, index: usize) -> Option<Sample> {
        match owner {
            Some(owner) => owner.column.get(index),
            None => self.fill_one().map(Sample::Float),
        }
    }

    /// What stands for a missing series of the many side.
    const fn fill_many(&self) -> Option<f64> {
        self.matching.fill_left
    }

    /// Lays the one side out by signature.
    fn one_side<'s>(
        &self,
        series: &'s [Series],
        anything: &[bool],
        grid: Grid,
        guard: &Guard,
    ) -> Result<BTreeMap<Labels, OneSide<'s>>> {
        let mut ones: BTreeMap<Labels, OneSide<'s>> = BTreeMap::new();
        for (at, series) in series.iter().enumerate() {
            guard.check_at(at)?;
            let key = signature(&series.labels, self.matching);
            let one = match ones.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let instant = size_of::<Option<&Series>>() + size_of::<bool>();
                    guard.memory.take(SERIES_BYTES + grid.len * instant)?;
                    new.insert(OneSide {
                        owners: vec![None; grid.len],
                        met: vec![false; grid.len],
                    })
                }
            };
            for (index, owner) in one.owners.iter_mut().enumerate() {
                if !series.column.is_present(index) || anything.get(index) != Some(&true) {
                    continue;
                }
                if let Some(owner) = owner {
                    return Err(self.duplicate(series, owner));
                }
                *owner = Some(series);
            }
        }
        Ok(ones)
    }

    fn duplicate(&self, series: &Series, owner: &Series) -> EvalError {
        let named = |name: &str| self.matching.labels.iter().any(|label| label == name);
        let group = if self.matching.on {
            series.labels.filtered(named)
        } else {
            series
                .labels
                .filtered(|name| name != METRIC_NAME && !named(name))
        };
        let side = if self.swapped { "left" } else { "right" };
        EvalError::Message(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            plain(&group),
            plain(&owner.labels),
            plain(&series.labels)
        ))
    }

    /// The labels of the result of a pair.
    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let base = if self.node.op.changes_meaning() {
            super::finish::without_metadata(many)
        } else {
            many.clone()
        };
        if self.matching.cardinality == Cardinality::OneToOne {
            let named = |name: &str| self.matching.labels.iter().any(|label| label == name);
            return base.filtered(|name| named(name) == self.matching.on);
        }
        if self.matching.include.is_empty() {
            return base;
        }
        let mut labels = base.to_builder();
        for name in &self.matching.include {
            labels.set(name, one.get(name).unwrap_or_default());
        }
        labels.build()
    }
}

/// Labels all in braces, the name among them.
fn plain(labels: &Labels) -> String {
    let pairs = labels.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", quote(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
