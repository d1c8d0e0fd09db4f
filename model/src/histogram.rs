//! Native histograms: a distribution in one sample.
//!
//! Buckets are either exponential (schema −4 to 8, growing by `2^(2^-schema)`, with a zero bucket)
//! or custom (schema −53, with explicit upper bounds). Populated buckets are described by spans:
//! a gap before the span and how many buckets follow. Counts are floats everywhere; integer
//! histograms of the wire are widened, which is exact up to 2^53.
//!
//! Source: Prometheus' `model/histogram` and the native histogram specification.

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
