//! Steps, windows, and what is computed from the samples of a window.

use std::time::Duration;

use model::time::TimestampNs;

use crate::query::ast::RangeOp;
use crate::query::error::QueryError;

/// The instants a query is evaluated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    start_ns: i64,
    step_ns: i64,
    pub(super) count: usize,
}

impl Steps {
    /// One instant.
    pub(super) const fn instant(at: TimestampNs) -> Self {
        Self {
            start_ns: at.nanos(),
            step_ns: 1,
            count: 1,
        }
    }

    /// From `start` to `end`, both included where the step meets them.
    pub(super) fn range(
        start: TimestampNs,
        end: TimestampNs,
        step: Duration,
        steps_max: usize,
    ) -> Result<Self, QueryError> {
        let step_ns = i64::try_from(step.as_nanos())
            .ok()
            .filter(|step_ns| *step_ns > 0)
            .ok_or_else(|| {
                QueryError::BadRequest(
                    "zero or negative query resolution step widths are not accepted. Try a \
                     positive integer"
                        .to_owned(),
                )
            })?;
        let span = end.nanos().saturating_sub(start.nanos());
        let count = usize::try_from(span / step_ns).unwrap_or(usize::MAX - 1) + 1;
        if count > steps_max {
            return Err(QueryError::BadRequest(format!(
                "exceeded maximum resolution of {steps_max} points per time series. Try increasing \
                 the value of the step parameter"
            )));
        }
        Ok(Self {
            start_ns: start.nanos(),
            step_ns,
            count,
        })
    }

    /// The instant of a step.
    pub(super) const fn at(&self, step: usize) -> i64 {
        self.start_ns
            .saturating_add(self.step_ns.saturating_mul(step as i64))
    }

    /// The instant of the last step.
    pub(super) const fn last(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    /// The first and the last step whose window holds an instant.
    pub(super) fn holding(&self, at_ns: i64, range_ns: i64) -> Option<(usize, usize)> {
        let since_start = at_ns.checked_sub(self.start_ns)?;
        let first = since_start.div_euclid(self.step_ns)
            + i64::from(since_start.rem_euclid(self.step_ns) != 0);
        let last = since_start
            .saturating_add(range_ns - 1)
            .div_euclid(self.step_ns);
        let first = usize::try_from(first.max(0)).ok()?;
        let last = usize::try_from(last).ok()?.min(self.count.checked_sub(1)?);
        (first <= last).then_some((first, last))
    }

    /// Whether no window holds any instant from `first_ns` to `last_ns`.
    pub(super) fn miss(&self, first_ns: i64, last_ns: i64, range_ns: i64) -> bool {
        let since_start = first_ns.saturating_sub(self.start_ns);
        let next = since_start.div_euclid(self.step_ns)
            + i64::from(since_start.rem_euclid(self.step_ns) != 0);
        match usize::try_from(next.max(0)) {
            Ok(next) if next < self.count => self.at(next).saturating_sub(range_ns) >= last_ns,
            _ => true,
        }
    }
}

/// A sample: when in nanoseconds, and how much.
pub(super) type Sample = (i64, f64);

/// What an aggregation makes of the samples of a window, of which there is at least one.
pub(super) fn aggregate(
    op: RangeOp,
    samples: &[Sample],
    parameter: f64,
    window: (i64, i64),
) -> f64 {
    let values = || samples.iter().map(|(_, value)| *value);
    let seconds = (window.1 - window.0) as f64 / 1e9;
    match op {
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::RateCounter => counter_rate(samples, window),
        RangeOp::SumOverTime => values().sum(),
        RangeOp::AvgOverTime => mean(values()),
        RangeOp::MinOverTime => values().fold(f64::NAN, f64::min),
        RangeOp::MaxOverTime => values().fold(f64::NAN, f64::max),
        RangeOp::StdvarOverTime => variance(values()),
        RangeOp::StddevOverTime => variance(values()).sqrt(),
        RangeOp::QuantileOverTime => quantile(parameter, values().collect()),
        RangeOp::FirstOverTime => samples.first().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::LastOverTime => samples.last().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::CountOverTime
        | RangeOp::BytesOverTime
        | RangeOp::BytesRate
        | RangeOp::AbsentOverTime => samples.len() as f64,
    }
}

/// The mean, moved step by step so that a large sum cannot overflow.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let mut mean = 0.0_f64;
    for (count, value) in values.enumerate() {
        let stays = mean.is_infinite()
            && (!value.is_finite() && value.signum() == mean.signum() && !value.is_nan()
                || value.is_finite());
        if !stays {
            let count = (count + 1) as f64;
            mean += value / count - mean / count;
        }
    }
    mean
}

/// The population variance (Welford).
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut sum) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// The quantile with linear interpolation between ranks, as PromQL defines it.
fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() || values.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (left, right) => right.cmp(&left),
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let value = |at: f64| values.get(at as usize).copied().unwrap_or(f64::NAN);
    let upper = (lower + 1.0).min((values.len() - 1) as f64);
    value(lower) * (1.0 - weight) + value(upper) * weight
}

/// The increase of a counter a second. A drop is a reset. The increase is stretched to the ends
/// of the window where samples come regularly up to there, and never to below zero.
/// Source: the documentation of PromQL's `rate`.
fn counter_rate(samples: &[Sample], window: (i64, i64)) -> f64 {
    let ([first, ..], [.., last]) = (samples, samples) else {
        return 0.0;
    };
    if samples.len() < 2 || last.0 == first.0 {
        return 0.0;
    }
    let resets: f64 = samples
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, before), (_, after)] if after < before => Some(*before),
            _ => None,
        })
        .sum();
    let increase = last.1 - first.1 + resets;
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e9;
    let sampled = seconds(first.0, last.0);
    let interval = sampled / (samples.len() - 1) as f64;
    let threshold = interval * 1.1;
    let cap = |gap: f64| {
        if gap >= threshold {
            interval / 2.0
        } else {
            gap
        }
    };
    let mut to_start = cap(seconds(window.0, first.0));
    let to_end = cap(seconds(last.0, window.1));
    if increase > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / increase));
    }
    increase * ((sampled + to_start + to_end) / sampled) / seconds(window.0, window.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_at_their_start() {
        let steps = Steps::range(
            TimestampNs(60),
            TimestampNs(120),
            Duration::from_nanos(30),
            100,
        )
        .expect("steps");
        assert_eq!(steps.count, 3);
        assert_eq!(steps.holding(60, 30), Some((0, 0)));
        assert_eq!(steps.holding(61, 30), Some((1, 1)));
        assert_eq!(steps.holding(30, 30), None);
        assert_eq!(steps.holding(31, 30), Some((0, 0)));
        assert_eq!(steps.holding(61, 90), Some((1, 2)));
        assert_eq!(steps.holding(121, 90), None);
        assert_eq!(steps.holding(65, 10), None);
        for (first, last, range, miss) in [
            (61, 80, 10, true),
            (61, 81, 10, false),
            (61, 80, 11, false),
            (0, 50, 10, true),
            (0, 51, 10, false),
            (121, 200, 500, true),
            (0, 200, 1, false),
        ] {
            assert_eq!(
                steps.miss(first, last, range),
                miss,
                "{first} {last} {range}"
            );
        }
    }

    #[test]
    fn too_many_steps_are_refused() {
        let steps = Steps::range(
            TimestampNs(0),
            TimestampNs(100),
            Duration::from_nanos(1),
            100,
        );
        assert!(matches!(steps, Err(QueryError::BadRequest(_))));
        let steps = Steps::range(TimestampNs(0), TimestampNs(100), Duration::ZERO, 100);
        assert!(matches!(steps, Err(QueryError::BadRequest(_))));
    }

    #[test]
    fn quantiles_interpolate() {
        let values = vec![5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(0.4, values.clone()), 2.6);
        assert_eq!(quantile(1.0, values), 5.0);
        assert_eq!(quantile(2.0, vec![1.0]), f64::INFINITY);
    }
}
