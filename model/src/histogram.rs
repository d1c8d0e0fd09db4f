//! Native histograms: a distribution in one sample.
//!
//! Buckets are either exponential (schema −4 to 8, growing by `2^(2^-schema)`, with a zero bucket)
//! or custom (schema −53, with explicit upper bounds). Populated buckets are described by spans:
//! a gap before the span and how many buckets follow. Counts are floats everywhere; integer
//! histograms of the wire are widened, which is exact up to 2^53.
//!
//! The fields are the wire's and the store's form. Arithmetic happens elsewhere, on sorted lists of
//! `(index, count)`, which are far simpler to merge than spans; spans are rebuilt at the end.
//!
//! - [`buckets`]: bounds of buckets, and walks over them in order.
//! - [`kahan`]: a compensated sum of floats.
//! - [`sum`]: sums and differences of histograms of unlike layouts.
//! - [`reset`]: whether a counter histogram started again.
//! - [`trim`]: the part of a distribution below or above a value.
//! - [`text`]: the notation people read.
//!
//! Source: Prometheus' `model/histogram` and the native histogram specification.

pub mod buckets;
pub mod kahan;
pub mod reset;
pub mod sum;
pub mod text;
pub mod trim;

/// The schema of histograms with custom bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of populated buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Empty buckets before the run; for the first span its absolute index, which may be negative.
    pub offset: i32,
    /// Buckets in the run.
    pub length: u32,
}

/// What the writer says about a counter reset before this sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing; compare the buckets.
    #[default]
    Unknown,
    /// There was a reset.
    Reset,
    /// There was none.
    NotReset,
    /// The histogram is a gauge; resets have no meaning.
    Gauge,
}

/// A native histogram with float counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Reset information.
    pub counter_reset_hint: CounterResetHint,
    /// Resolution: −4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Half-width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations. The staleness marker here marks the whole histogram stale.
    pub sum: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Absolute counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Absolute counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without `+Inf`.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether the buckets have explicit bounds.
    pub const fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether this sample marks the end of the series.
    pub const fn is_stale(&self) -> bool {
        crate::sample::is_stale_nan(self.sum)
    }

    /// The histogram of `factor` times the observations. A negative factor makes it a gauge: no
    /// counter counts down.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.for_each_count(|count| *count *= factor);
        self.sum *= factor;
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
        self
    }

    /// The histogram with every count divided. Division by zero leaves no buckets: infinitely many
    /// observations have no distribution.
    #[must_use]
    pub fn divided(mut self, divisor: f64) -> Self {
        self.for_each_count(|count| *count /= divisor);
        self.sum /= divisor;
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
        self
    }

    /// The histogram without empty buckets.
    #[must_use]
    pub fn compacted(mut self) -> Self {
        let has_empty = |buckets: &[f64]| buckets.contains(&0.0);
        if has_empty(&self.positive_buckets) || self.positive_spans.len() > 1 {
            let populated = self.positive().filter(|(_, count)| *count != 0.0);
            (self.positive_spans, self.positive_buckets) = buckets::spans_of(populated);
        }
        if has_empty(&self.negative_buckets) || self.negative_spans.len() > 1 {
            let populated = self.negative().filter(|(_, count)| *count != 0.0);
            (self.negative_spans, self.negative_buckets) = buckets::spans_of(populated);
        }
        self
    }

    /// Whether both have the same layout, empty buckets included, and the same counts. What is
    /// said of counter resets does not matter.
    pub fn equals(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && bits(&self.custom_values) == bits(&other.custom_values)
            && self.positive().eq(other.positive())
            && self.negative().eq(other.negative())
    }

    /// Floats this histogram stands for in a sample budget: two and half a bucket's worth each.
    pub fn budget_size(&self) -> usize {
        let floats = self.positive_buckets.len()
            + self.negative_buckets.len()
            + self.custom_values.len()
            + self.positive_spans.len()
            + self.negative_spans.len();
        (floats * 8 + 168 + 8) / 16
    }

    fn for_each_count(&mut self, change: impl Fn(&mut f64)) {
        change(&mut self.zero_count);
        change(&mut self.count);
        self.positive_buckets.iter_mut().for_each(&change);
        self.negative_buckets.iter_mut().for_each(&change);
    }

    /// Whether every field has the same bits, NaN payloads included.
    pub fn same_bits(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.counter_reset_hint == other.counter_reset_hint
            && self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && bits(&self.positive_buckets) == bits(&other.positive_buckets)
            && bits(&self.negative_buckets) == bits(&other.negative_buckets)
            && bits(&self.custom_values) == bits(&other.custom_values)
    }
}
