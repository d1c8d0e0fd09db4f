//! How many samples a query looks at for each of its instants: upstream's measure of what a query costs.
//!
//! A selector counts the series that have a value at the instant, a range the samples in its window, and
//! a subquery the points that it yields, not those it is made of. Native histograms count as many as floats
//! that they stand for. The evaluator itself does not count so, because it looks at most samples once for
//! all instants; so those who ask pay for a second look.

use model::histogram::Histogram;
use parking_lot::Mutex;

use super::range::windows::Part;
use super::{Evaluator, Grid, Result, Value};
use crate::query::ast::Expr;
use crate::query::functions::window::Sample;
use crate::query::giving_up::let_go;

impl Evaluator<'_> {
    /// The samples of each instant of the grid.
    pub(in crate::query) fn samples_by_step(
        &mut self,
        expr: &Expr,
        grid: Grid,
    ) -> Result<Vec<usize>> {
        let mut counts = vec![0; grid.len];
        let held = self.held;
        self.count(expr, grid, &mut counts)?;
        self.held = held;
        Ok(counts)
    }

    fn count(&mut self, expr: &Expr, grid: Grid, counts: &mut [usize]) -> Result<()> {
        self.guard.check()?;
        match expr {
            Expr::Number(_) | Expr::Text(_) => Ok(()),
            Expr::Selector(selector) => {
                let Value::Vector(series) = self.select_instants(selector, grid)? else {
                    return Ok(());
                };
                for (at, series) in series.iter().enumerate() {
                    self.guard.check_wide(at, grid.len)?;
                    for (index, count) in counts.iter_mut().enumerate() {
                        *count += match series.column.get(index) {
                            Some(Sample::Float(_)) => 1,
                            Some(Sample::Histogram(histogram)) => histogram.budget_size(),
                            None => 0,
                        };
                    }
                }
                Ok(let_go(series, self.guard)?)
            }
            Expr::Range(_) | Expr::Subquery(_) => self.count_windows(expr, grid, counts),
            Expr::Call(call) => call
                .args
                .iter()
                .try_for_each(|argument| self.count(argument, grid, counts)),
            Expr::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.count(param, grid, counts)?;
                }
                self.count(&aggregate.expr, grid, counts)
            }
            Expr::Binary(binary) => {
                self.count(&binary.lhs, grid, counts)?;
                self.count(&binary.rhs, grid, counts)
            }
            Expr::Unary(unary) => self.count(&unary.expr, grid, counts),
            Expr::Paren(paren) => self.count(&paren.expr, grid, counts),
        }
    }

    fn count_windows(&mut self, expr: &Expr, grid: Grid, counts: &mut [usize]) -> Result<()> {
        let argument = self.range_argument(expr, None, grid)?;
        let shared = Mutex::new(counts);
        self.each_series(&argument.origin, |worker, series| {
            worker.read_present(series)?;
            let sizes = grid.instants().map(|at| {
                let (start, end) = argument.range_at(at);
                let part = Part::between(&worker.samples, start, end);
                let histograms = part.histograms.iter();
                let size = |histogram: &Histogram| histogram.budget_size();
                part.times.len() + histograms.map(|(_, of)| size(of)).sum::<usize>()
            });
            let sizes: Vec<usize> = sizes.collect();
            for (count, size) in shared.lock().iter_mut().zip(sizes) {
                *count += size;
            }
            Ok(None::<()>)
        })?;
        argument.origin.let_go(self.guard)
    }
}
