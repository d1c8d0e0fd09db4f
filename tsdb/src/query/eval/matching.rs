//! Operators between two vectors: which series meet, and what their result is called.
//!
//! Series meet when the labels matching names are the same. One side, the *one* side, has at most
//! one series of a signature at each instant; the other may have many where `group_left` or
//! `group_right` says so. The series of the one side are laid into one column a signature first,
//! so that each series of the many side meets a column, whoever owns its values.

use model::labels::{Labels, METRIC_NAME};
use model::sample::is_stale_nan;

use super::arithmetic::{Operand, of_floats};
use super::column::SERIES_BYTES;
use super::finish::OutputSeries;
use super::groups::{Groups, Left};
use super::{EvalError, Evaluator, Grid, Result, Sample, Series, Value};
use crate::query::ast::{Binary, Cardinality, Matching, Span};
use crate::query::giving_up::{let_go, present_at};
use crate::query::order::sort_by;
use crate::query::quoting::quote;
use crate::query::source::Guard;

/// The series of the one side with one signature.
struct OneSide<'a> {
    /// The series that has all values, as long as it is one.
    only: Option<&'a Series>,
    /// Whose value stands at each instant.
    owners: Vec<Option<&'a Series>>,
    /// Where the many side has met it.
    met: Vec<bool>,
}

/// The series of the one side by signature.
struct OneSides<'n, 'a> {
    groups: Groups<'n>,
    sides: Vec<OneSide<'a>>,
}

/// At which instants results have been yielded, for each place of the output.
struct Taken {
    len: usize,
    places: Vec<Vec<bool>>,
}

impl Taken {
    /// The instants of a place.
    fn of(&mut self, place: usize, guard: &Guard) -> Result<&mut [bool]> {
        if self.places.len() <= place {
            self.places.resize_with(place + 1, Vec::new);
        }
        let Some(taken) = self.places.get_mut(place) else {
            return Ok(&mut []);
        };
        if taken.is_empty() {
            guard.memory.take(self.len + size_of::<Vec<bool>>())?;
            taken.resize(self.len, false);
        }
        Ok(taken)
    }
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
        let anything = if fills {
            vec![true; grid.len]
        } else {
            present_at(many, grid.len, self.guard)?
        };
        let mut ones = meeting.one_side(one, &anything, grid, self.guard)?;
        let mut output = OutputSeries::new(grid.len, self.guard);
        let mut taken = Taken {
            len: grid.len,
            places: Vec::new(),
        };
        for series in many {
            self.guard.check()?;
            let number = ones.groups.find(&series.labels);
            let one = number.and_then(|number| ones.sides.get_mut(number));
            if let Some(one) = one {
                let only = one.only;
                let met = &mut one.met;
                if let Some(only) = only
                    && self.meet_floats(&meeting, (series, only), met, &mut output, &mut taken)?
                {
                    continue;
                }
                self.meet(&meeting, series, Some(one), &mut output, &mut taken, grid)?;
            } else if meeting.fill_one().is_some() {
                self.meet(&meeting, series, None, &mut output, &mut taken, grid)?;
            }
        }
        if let Some(fill) = meeting.fill_many() {
            let mut all: Vec<(&Labels, &OneSide<'_>)> =
                ones.groups.all_labels().iter().zip(&ones.sides).collect();
            sort_by(&mut all, self.guard, |(a, _), (b, _)| a.cmp(b))?;
            for (at, (key, one)) in all.into_iter().enumerate() {
                self.guard.check_wide(at, grid.len)?;
                self.fill_unmet(&meeting, key, one, fill, &mut output)?;
            }
        }
        let_go(ones.sides, self.guard)?;
        ones.groups.let_go(self.guard)?;
        let_go(taken.places, self.guard)?;
        let series = self.apart(output.finish()?)?;
        Ok(Value::Vector(series))
    }

    /// One series of the many side meets the only one of the one side, where both are floats alone and
    /// nothing stands for what is missing. False where that is not so.
    fn meet_floats(
        &mut self,
        meeting: &Meeting<'_>,
        (series, only): (&Series, &Series),
        met: &mut [bool],
        output: &mut OutputSeries,
        taken: &mut Taken,
    ) -> Result<bool> {
        let node = meeting.node;
        let alone = |series: &Series| !series.column.has_histograms();
        let fills = meeting.fill_one().is_some() || meeting.fill_many().is_some();
        if fills || !node.op.is_of_floats() || !alone(series) || !alone(only) {
            return Ok(false);
        }
        let many = series.column.dense();
        let one = only.column.dense();
        let pairs = || many.iter().zip(one).map(|(many, one)| (*many, *one));
        let is_pair = |(many, one)| !is_stale_nan(many) && !is_stale_nan(one);
        if !pairs().any(is_pair) {
            return Ok(true);
        }
        let labels = meeting.result_labels(&series.labels, &only.labels);
        let is_grouped = meeting.matching.cardinality != Cardinality::OneToOne;
        if !is_grouped {
            // Asked before the place, whose labels another pair may have taken.
            let again = pairs().zip(&*met).any(|(pair, met)| *met && is_pair(pair));
            if again {
                return Err(multiple_matches());
            }
        }
        let place = self.result_place(meeting, labels, series.drops_name, output)?;
        let taken = if is_grouped {
            taken.of(place, self.guard)?
        } else {
            met
        };
        let results = output.floats_mut(place).unwrap_or_default();
        for (((many, one), result), taken) in pairs().zip(results).zip(taken) {
            if !is_pair((many, one)) {
                continue;
            }
            if std::mem::replace(taken, true) {
                return Err(not_unique());
            }
            let value = if meeting.swapped {
                of_floats(node, one, many, one)
            } else {
                of_floats(node, many, one, many)
            };
            if !is_stale_nan(value) {
                if !is_stale_nan(*result) {
                    return Err(super::same_labels());
                }
                *result = value;
            }
        }
        Ok(true)
    }

    /// One series of the many side meets the one side.
    fn meet(
        &mut self,
        meeting: &Meeting<'_>,
        series: &Series,
        mut one: Option<&mut OneSide<'_>>,
        output: &mut OutputSeries,
        taken: &mut Taken,
        grid: Grid,
    ) -> Result<()> {
        let key = &Left::matched(meeting.matching).of(&series.labels);
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
                    return Err(multiple_matches());
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
            if grouped && let Some(taken) = taken.of(place, self.guard)?.get_mut(index) {
                if *taken {
                    return Err(not_unique());
                }
                *taken = true;
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

fn multiple_matches() -> EvalError {
    let message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
    EvalError::Message(message.to_owned())
}

fn not_unique() -> EvalError {
    let message = "multiple matches for labels: grouping labels must ensure unique matches";
    EvalError::Message(message.to_owned())
}

impl<'n> Meeting<'n> {
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
    ) -> Result<OneSides<'n, 's>> {
        let mut ones = OneSides {
            groups: Groups::new(Left::matched(self.matching)),
            sides: Vec::with_capacity(series.len()),
        };
        for (at, series) in series.iter().enumerate() {
            guard.check_wide(at, grid.len)?;
            let number = ones.groups.number(&series.labels);
            if number == ones.sides.len() {
                let instant = size_of::<Option<&Series>>() + size_of::<bool>();
                guard.memory.take(SERIES_BYTES + grid.len * instant)?;
                ones.sides.push(OneSide {
                    only: Some(series),
                    owners: vec![None; grid.len],
                    met: vec![false; grid.len],
                });
            }
            let Some(one) = ones.sides.get_mut(number) else {
                continue;
            };
            one.only = one.only.filter(|only| std::ptr::eq(*only, series));
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
        let included = self.matching.include.iter();
        included.fold(base, |labels, name| {
            labels.replaced(name, one.get(name).unwrap_or_default())
        })
    }
}

/// Labels all in braces, the name among them.
fn plain(labels: &Labels) -> String {
    let pairs = labels.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", quote(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
