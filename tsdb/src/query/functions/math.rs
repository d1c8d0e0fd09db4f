//! Floats, and single histograms, to floats.

use model::histogram::Histogram;
use model::histogram::kahan::Kahan;

/// The sign of a float; zeros and NaN are their own.
pub fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// `histogram_count`
pub fn histogram_count(histogram: &Histogram) -> f64 {
    histogram.count
}

/// `histogram_sum`
pub fn histogram_sum(histogram: &Histogram) -> f64 {
    histogram.sum
}

/// `histogram_avg`
pub fn histogram_avg(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// `histogram_stddev`
pub fn histogram_stddev(histogram: &Histogram) -> f64 {
    histogram_stdvar(histogram).sqrt()
}

/// `histogram_stdvar`: every observation counts as the middle of its bucket, which is the
/// geometric one between exponential bounds.
pub fn histogram_stdvar(histogram: &Histogram) -> f64 {
    let mean = histogram_avg(histogram);
    let mut variance = Kahan::default();
    for bucket in histogram.all_buckets() {
        if bucket.count == 0.0 {
            continue;
        }
        let middle = if histogram.uses_custom_buckets() {
            // Not the midpoint function: an infinite bound must show in the result.
            (bucket.upper + bucket.lower) * 0.5
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        variance.add(bucket.count * delta * delta);
    }
    variance.value() / histogram.count
}
