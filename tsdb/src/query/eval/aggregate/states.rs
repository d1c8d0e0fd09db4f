//! What a group has come to at every instant: a column for each thing that its aggregation keeps.
//!
//! A series is added as a whole, so which aggregation it is is asked once for each series and not for
//! each value, and what is kept of an instant is no more than the aggregation needs.

use std::sync::Arc;

use model::histogram::Histogram;
use model::histogram::kahan::{Kahan, Mean};
use model::sample::is_stale_nan;

use crate::query::ast::AggregateOp;
use crate::query::eval::Column;
use crate::query::functions::quantile::quantile_of;

/// The state of a group at every instant.
pub(super) struct States {
    op: AggregateOp,
    /// How many floats there were.
    floats: Vec<u32>,
    kept: Kept,
    /// Histograms that are added up; none until there is one.
    histograms: Vec<Vec<Arc<Histogram>>>,
}

/// What is kept of floats.
enum Kept {
    /// For `sum`: the sums, and what rounding took from them.
    Totals(Vec<f64>, Vec<f64>),
    /// For `avg`.
    Means(Vec<Mean>),
    /// For `min` and `max`; NaN at first.
    Extremes(Vec<f64>),
    /// For the variance: means, and sums of squared distances.
    Spreads(Vec<(f64, f64)>),
    /// For `quantile`.
    Values(Vec<Vec<f64>>),
    /// For `count` and `group`, histograms among them.
    Counts(Vec<u32>),
}

/// What a group comes to at an instant.
pub(super) enum Settled<'s> {
    Nothing,
    Float(f64),
    /// Histograms to be added up, and how many floats are among them.
    Histograms(&'s [Arc<Histogram>], usize),
}

impl States {
    /// What an instant takes, and its value.
    pub(super) const BYTES: usize = size_of::<Mean>() + size_of::<u32>() + size_of::<f64>();

    pub(super) fn new(op: AggregateOp, len: usize) -> Self {
        let kept = match op {
            // Whatever is added to it is what it was: 0 would make 0 of -0.
            AggregateOp::Sum => Kept::Totals(vec![-0.0; len], vec![0.0; len]),
            AggregateOp::Avg => Kept::Means(vec![Mean::default(); len]),
            AggregateOp::Min | AggregateOp::Max => Kept::Extremes(vec![f64::NAN; len]),
            AggregateOp::Stdvar | AggregateOp::Stddev => Kept::Spreads(vec![(0.0, 0.0); len]),
            AggregateOp::Quantile => Kept::Values(vec![Vec::new(); len]),
            _ => Kept::Counts(vec![0; len]),
        };
        Self {
            op,
            floats: vec![0; len],
            kept,
            histograms: Vec::new(),
        }
    }

    /// Adds a series. False where it has histograms of which the aggregation has no use.
    pub(super) fn add(&mut self, column: &Column) -> bool {
        let floats = &mut self.floats;
        let present = column.dense().iter().zip(floats.iter_mut());
        let present = present.map(|(value, floats)| {
            let is_present = !is_stale_nan(*value);
            *floats += u32::from(is_present);
            is_present.then_some((*value, *floats))
        });
        match &mut self.kept {
            Kept::Totals(sums, compensations) => {
                let totals = sums.iter_mut().zip(compensations);
                for (value, (sum, compensation)) in present.zip(totals) {
                    if let Some((value, _)) = value {
                        let total = Kahan {
                            sum: *sum,
                            compensation: *compensation,
                        };
                        let total = total.plus(value);
                        (*sum, *compensation) = (total.sum, total.compensation);
                    }
                }
            }
            Kept::Means(means) => each(present, means, |mean, value, _| mean.add(value)),
            Kept::Extremes(extremes) if self.op == AggregateOp::Min => {
                each(present, extremes, |extreme, value, _| {
                    if value < *extreme || extreme.is_nan() {
                        *extreme = value;
                    }
                });
            }
            Kept::Extremes(extremes) => each(present, extremes, |extreme, value, _| {
                if value > *extreme || extreme.is_nan() {
                    *extreme = value;
                }
            }),
            Kept::Spreads(spreads) => each(present, spreads, spread),
            Kept::Values(values) => each(present, values, |values, value, _| values.push(value)),
            Kept::Counts(counts) => each(present, counts, |count, _, _| *count += 1),
        }
        !column.has_histograms() || self.add_histograms(column)
    }

    fn add_histograms(&mut self, column: &Column) -> bool {
        match (&mut self.kept, self.op) {
            (_, AggregateOp::Sum | AggregateOp::Avg) => {
                self.histograms.resize_with(self.floats.len(), Vec::new);
                for (index, histogram) in column.histograms() {
                    if let Some(all) = self.histograms.get_mut(index) {
                        all.push(Arc::clone(histogram));
                    }
                }
                true
            }
            (Kept::Counts(counts), _) => {
                for (index, _) in column.histograms() {
                    if let Some(count) = counts.get_mut(index) {
                        *count += 1;
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// What the group comes to at an instant; `q` is the quantile that is asked for, if one is.
    pub(super) fn settle(&mut self, index: usize, q: f64) -> Settled<'_> {
        let floats = self.floats.get(index).copied().unwrap_or_default();
        if let Some(histograms) = self.histograms.get(index)
            && !histograms.is_empty()
        {
            return Settled::Histograms(histograms, floats as usize);
        }
        let value = match &mut self.kept {
            Kept::Counts(counts) => {
                counts
                    .get(index)
                    .filter(|count| **count > 0)
                    .map(|count| match self.op {
                        AggregateOp::Group => 1.0,
                        _ => f64::from(*count),
                    })
            }
            _ if floats == 0 => None,
            Kept::Totals(sums, compensations) => {
                let total = sums.get(index).zip(compensations.get(index));
                total.map(|(sum, compensation)| {
                    let (sum, compensation) = (*sum, *compensation);
                    Kahan { sum, compensation }.value()
                })
            }
            Kept::Means(means) => means.get(index).map(Mean::value),
            Kept::Extremes(extremes) => extremes.get(index).copied(),
            Kept::Spreads(spreads) => spreads.get(index).map(|(_, squares)| {
                let variance = squares / f64::from(floats);
                match self.op {
                    AggregateOp::Stddev => variance.sqrt(),
                    _ => variance,
                }
            }),
            Kept::Values(values) => values.get_mut(index).map(|values| quantile_of(q, values)),
        };
        value.map_or(Settled::Nothing, Settled::Float)
    }
}

/// Adds present values to what is kept, each with its number at that instant, from 1 on.
fn each<T>(
    present: impl Iterator<Item = Option<(f64, u32)>>,
    kept: &mut [T],
    mut add: impl FnMut(&mut T, f64, u32),
) {
    for (value, kept) in present.zip(kept) {
        if let Some((value, number)) = value {
            add(kept, value, number);
        }
    }
}

fn spread(spread: &mut (f64, f64), value: f64, number: u32) {
    *spread = if number == 1 {
        let squares = if value.is_finite() { 0.0 } else { f64::NAN };
        (value, squares)
    } else {
        let (mean, squares) = *spread;
        let delta = value - mean;
        let mean = mean + delta / f64::from(number);
        (mean, squares + delta * (value - mean))
    };
}
