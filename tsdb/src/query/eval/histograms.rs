//! Quantiles and fractions of histograms, classic and native, in one vector.
//!
//! The floats with a bound in `le` and otherwise equal labels are one classic histogram. Where a
//! native histogram has the labels of a classic one at the same instant, neither counts.

use model::histogram::Histogram;
use model::labels::{BUCKET, Labels};
use model::vector::format_general;

use super::finish::OutputSeries;
use super::groups::{Groups, Left};
use super::{Evaluator, Grid, Result, Sample, Series, Value};
use crate::query::ast::{Call, Expr, Span};
use crate::query::functions::native_quantile::{Remark, native_fraction, native_quantile};
use crate::query::functions::quantile::{ClassicBucket, classic_fraction, classic_quantile};
use crate::query::giving_up::let_go;
use crate::query::order::sort_by;

/// The series of one histogram.
struct Distribution<'a> {
    labels: Labels,
    drops_name: bool,
    /// Bounds and the series that count up to them.
    buckets: Vec<(f64, &'a Series)>,
    native: Vec<&'a Series>,
    /// Where its values go, once there is one.
    place: Option<usize>,
}

impl Distribution<'_> {
    /// Puts a value where this histogram's values go.
    fn put(&mut self, output: &mut OutputSeries, index: usize, value: f64) -> Result<()> {
        let place = match self.place {
            Some(place) => place,
            None => output.place(self.labels.clone(), self.drops_name)?,
        };
        self.place = Some(place);
        output.set(place, index, Sample::Float(value))
    }
}

/// One histogram at one instant.
enum Observed<'a> {
    /// To be put in order by whoever looks at it.
    Classic(&'a mut Vec<ClassicBucket>),
    Native(&'a Histogram),
}

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let quantiles = self.scalar_argument(call, 0, grid)?;
        let series = self.argument(call, 1, grid)?;
        let (span, arg_span) = (span_of(call, 0), span_of(call, 1));
        self.warn_of_quantiles(&quantiles, span);
        let mut output = OutputSeries::new(grid.len, self.guard);
        self.each_histogram(&series, grid, arg_span, |evaluator, of, index, observed| {
            let q = quantiles.get(index).copied().unwrap_or(f64::NAN);
            let value = evaluator.quantile(q, observed, &of.labels, arg_span);
            of.put(&mut output, index, value)
        })?;
        let_go(series, self.guard)?;
        self.computed(output.finish()?)
    }

    pub(super) fn histogram_quantiles(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let series = self.argument(call, 0, grid)?;
        let label = Self::text_argument(call, 1)?;
        let span = span_of(call, 0);
        let mut quantiles = Vec::new();
        for index in 2..call.args.len() {
            let values = self.scalar_argument(call, index, grid)?;
            self.warn_of_quantiles(&values, span_of(call, index));
            quantiles.push(values);
        }
        let mut output = OutputSeries::new(grid.len, self.guard);
        self.each_histogram(&series, grid, span, |evaluator, of, index, observed| {
            for values in &quantiles {
                let q = values.get(index).copied().unwrap_or(f64::NAN);
                let value = evaluator.quantile(q, observed, &of.labels, span);
                let mut labels = of.labels.to_builder();
                labels.set(label, &open_metrics_float(q));
                output.put(labels.build(), of.drops_name, index, value)?;
            }
            Ok(())
        })?;
        let_go(series, self.guard)?;
        self.computed(output.finish()?)
    }

    pub(super) fn histogram_fraction(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let lower = self.scalar_argument(call, 0, grid)?;
        let upper = self.scalar_argument(call, 1, grid)?;
        let series = self.argument(call, 2, grid)?;
        let span = span_of(call, 2);
        let mut output = OutputSeries::new(grid.len, self.guard);
        self.each_histogram(&series, grid, span, |evaluator, of, index, observed| {
            let bound = |bounds: &[f64]| bounds.get(index).copied().unwrap_or(f64::NAN);
            let (lower, upper) = (bound(&lower), bound(&upper));
            let value = match observed {
                Observed::Classic(buckets) => classic_fraction(lower, upper, buckets),
                Observed::Native(histogram) => {
                    let (value, remark) = native_fraction(lower, upper, histogram);
                    if remark == Remark::HasNan {
                        let metric = of.labels.metric_name();
                        evaluator.annotations.fraction_without_nan(span, metric);
                    }
                    value
                }
            };
            of.put(&mut output, index, value)
        })?;
        let_go(series, self.guard)?;
        self.computed(output.finish()?)
    }

    /// Warns of the furthest quantiles outside 0 to 1.
    pub(super) fn warn_of_quantile_range(&mut self, quantiles: &[f64], span: Span) {
        if quantiles.iter().any(|q| q.is_nan()) {
            self.annotations.invalid_quantile(span, f64::NAN);
            return;
        }
        let max = quantiles.iter().copied().fold(1.0, f64::max);
        let min = quantiles.iter().copied().fold(0.0, f64::min);
        if max > 1.0 {
            self.annotations.invalid_quantile(span, max);
        }
        if min < 0.0 {
            self.annotations.invalid_quantile(span, min);
        }
    }

    fn warn_of_quantiles(&mut self, quantiles: &[f64], span: Span) {
        for q in quantiles {
            if !(0.0..=1.0).contains(q) {
                self.annotations.invalid_quantile(span, *q);
            }
        }
    }

    fn quantile(
        &mut self,
        q: f64,
        observed: &mut Observed<'_>,
        labels: &Labels,
        span: Span,
    ) -> f64 {
        match observed {
            Observed::Classic(buckets) => {
                let quantile = classic_quantile(q, buckets);
                if quantile.forced_monotonicity {
                    let metric = self.known_name(labels);
                    self.annotations.forced_monotonicity(span, &metric);
                }
                quantile.value
            }
            Observed::Native(histogram) => {
                let (value, remark) = native_quantile(q, histogram);
                let metric = labels.metric_name();
                match remark {
                    Remark::None => {}
                    Remark::IsNan => self.annotations.quantile_is_nan(span, metric),
                    Remark::HasNan => self.annotations.quantile_is_skewed(span, metric),
                }
                value
            }
        }
    }

    /// The metric's name, where names are still there to be told.
    fn known_name(&self, labels: &Labels) -> String {
        if self.options.delayed_name_removal {
            labels.metric_name().to_owned()
        } else {
            String::new()
        }
    }

    /// Calls `with` for every histogram at every instant.
    fn each_histogram<'s>(
        &mut self,
        series: &'s [Series],
        grid: Grid,
        span: Span,
        mut with: impl FnMut(&mut Self, &mut Distribution<'s>, usize, &mut Observed<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut distributions = self.distributions(series, span)?;
        let mut buckets: Vec<ClassicBucket> = Vec::new();
        for of in &mut distributions {
            self.guard.check()?;
            for index in 0..grid.len {
                self.guard.check_wide(index, of.buckets.len())?;
                buckets.clear();
                buckets.extend(of.buckets.iter().filter_map(|(upper, series)| {
                    let count = series.column.float(index)?;
                    Some(ClassicBucket {
                        upper: *upper,
                        count,
                    })
                }));
                let natives: Vec<&Histogram> = of
                    .native
                    .iter()
                    .filter_map(|series| series.column.histogram(index).map(|h| &**h))
                    .collect();
                for native in &natives {
                    if buckets.is_empty() {
                        with(self, of, index, &mut Observed::Native(native))?;
                    } else {
                        let metric = self.known_name(&of.labels);
                        self.annotations.mixed_classic_and_native(span, &metric);
                    }
                }
                if !buckets.is_empty() && natives.is_empty() {
                    with(self, of, index, &mut Observed::Classic(&mut buckets))?;
                }
            }
        }
        Ok(let_go(distributions, self.guard)?)
    }

    /// Groups series into histograms, and warns of floats that belong to none.
    fn distributions<'s>(
        &mut self,
        series: &'s [Series],
        span: Span,
    ) -> Result<Vec<Distribution<'s>>> {
        // Classic histograms without the bounds of their buckets; native ones may have such a label.
        let mut classic = Groups::new(Left::Without(BUCKET));
        let mut places = Groups::new(Left::All);
        let mut all: Vec<Distribution<'s>> = Vec::new();
        let mut place_of = |labels: Labels, drops_name: bool, all: &mut Vec<Distribution<'s>>| {
            let place = places.number(&labels);
            if place == all.len() {
                all.push(Distribution {
                    labels,
                    drops_name,
                    buckets: Vec::new(),
                    native: Vec::new(),
                    place: None,
                });
            }
            place
        };
        // The places of the classic ones, by number.
        let mut known: Vec<usize> = Vec::new();
        for (at, one) in series.iter().enumerate() {
            self.guard.check_wide(at, one.column.len())?;
            if one.column.floats().next().is_some() {
                let text = one.labels.get(BUCKET).unwrap_or_default();
                if let Some(upper) = parse_bound(text) {
                    let number = classic.number(&one.labels);
                    if number == known.len() {
                        known.push(place_of(classic.labels(number), one.drops_name, &mut all));
                    }
                    if let Some(of) = known.get(number).and_then(|place| all.get_mut(*place)) {
                        of.buckets.push((upper, one));
                    }
                } else {
                    let metric = self.known_name(&one.labels);
                    self.annotations.bad_bucket_label(span, &metric, text);
                }
            }
            if one.column.has_histograms() {
                let place = place_of(one.labels.clone(), one.drops_name, &mut all);
                if let Some(of) = all.get_mut(place) {
                    of.native.push(one);
                }
            }
        }
        for (at, of) in all.iter_mut().enumerate() {
            self.guard.check_at(at)?;
            // Stable: counts of equal bounds are added up in the order of the series.
            sort_by(&mut of.buckets, self.guard, |(a, _), (b, _)| a.total_cmp(b))?;
        }
        classic.let_go(self.guard)?;
        places.let_go(self.guard)?;
        Ok(all)
    }
}

/// A bound as Go parses floats.
fn parse_bound(text: &str) -> Option<f64> {
    let plain = text.trim_start_matches(['+', '-']);
    match plain.to_ascii_lowercase().as_str() {
        "inf" | "infinity" if text.starts_with('-') => Some(f64::NEG_INFINITY),
        "inf" | "infinity" => Some(f64::INFINITY),
        _ => text.parse().ok(),
    }
}

/// A float as OpenMetrics writes label values: integers carry `.0`.
fn open_metrics_float(value: f64) -> String {
    let text = format_general(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        return text + ".0";
    }
    text
}

fn span_of(call: &Call, index: usize) -> Span {
    call.args.get(index).map_or(call.span, Expr::span)
}
