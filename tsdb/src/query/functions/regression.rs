//! Trends: linear regression and double exponential smoothing.

use model::histogram::kahan::Kahan;

use super::window::{Sample, Window};
use crate::query::annotations::Annotations;

type Outcome = Result<Option<Sample>, String>;

/// A straight line: its slope a second, and its value at an instant.
struct Line {
    slope: f64,
    intercept: f64,
}

/// The line of least squares, with its value at `origin`.
fn line(window: &Window<'_>, origin: i64) -> Line {
    let first = window.values.first().copied().unwrap_or(f64::NAN);
    if window.values.iter().all(|value| *value == first) {
        if first.is_infinite() {
            return Line {
                slope: f64::NAN,
                intercept: f64::NAN,
            };
        }
        return Line {
            slope: 0.0,
            intercept: first,
        };
    }
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Kahan::default(); 4];
    for (at, y) in window.floats() {
        let x = at.saturating_sub(origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let n = window.values.len() as f64;
    let sum = |kahan: Kahan| kahan.sum + kahan.compensation;
    let (x, y) = (sum(x_sum), sum(y_sum));
    let covariance = sum(xy_sum) - x * y / n;
    let variance = sum(xx_sum) - x * x / n;
    let slope = covariance / variance;
    Line {
        slope,
        intercept: y / n - slope * x / n,
    }
}

/// Whether there are too few floats for a trend.
fn too_few(window: &Window<'_>, annotations: &mut Annotations) -> bool {
    window.ignore_histograms(annotations);
    window.values.len() < 2
}

/// `deriv`
pub fn deriv(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if too_few(window, annotations) {
        return Ok(None);
    }
    // An origin near the samples keeps the squares small.
    let origin = window.times.first().copied().unwrap_or_default();
    Ok(Some(Sample::Float(line(window, origin).slope)))
}

/// `predict_linear`
pub fn predict_linear(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    if too_few(window, annotations) {
        return Ok(None);
    }
    let line = line(window, window.evaluated_at);
    let ahead_seconds = window.scalar(0);
    Ok(Some(Sample::Float(
        line.slope * ahead_seconds + line.intercept,
    )))
}

/// `double_exponential_smoothing`
pub fn double_exponential_smoothing(window: &Window<'_>, annotations: &mut Annotations) -> Outcome {
    let (smoothing, trend_factor) = (window.scalar(0), window.scalar(1));
    for (name, short, factor) in [
        ("smoothing", "sf", smoothing),
        ("trend", "tf", trend_factor),
    ] {
        if factor <= 0.0 || factor >= 1.0 {
            return Err(format!(
                "invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}"
            ));
        }
    }
    if too_few(window, annotations) {
        return Ok(None);
    }
    let mut values = window.values.iter().copied();
    let (Some(first), Some(second)) = (values.next(), values.next()) else {
        return Ok(None);
    };
    let mut trend = second - first;
    let mut previous = first;
    let mut smoothed = smoothing * second + (1.0 - smoothing) * (first + trend);
    for value in values {
        trend = trend_factor * (smoothed - previous) + (1.0 - trend_factor) * trend;
        previous = smoothed;
        smoothed = smoothing * value + (1.0 - smoothing) * (smoothed + trend);
    }
    Ok(Some(Sample::Float(smoothed)))
}
