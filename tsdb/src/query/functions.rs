//! The table of functions, one line each: name, arguments, result, and what it computes.
//!
//! Most functions belong to one of a few families that the evaluator runs alike: a float for each
//! float, a float for each histogram, a part of a date, a value for each window of a range. The
//! rest are [`Special`], and have their own place in the evaluator.
//!
//! - [`math`]: floats to floats.
//! - [`date`]: parts of the calendar.
//! - [`window`]: what range functions see.
//! - [`rate`], [`histogram_rate`]: how fast counters and gauges move.
//! - [`extended`]: the same with `anchored` and `smoothed`.
//! - [`over_time`], [`regression`], [`transitions`]: other functions of ranges.
//! - [`sliding`]: some of them over all windows of a series at once.
//! - [`quantile`], [`native_quantile`]: quantiles and fractions of values and of histograms.

use super::ast::ValueType;

pub mod date;
pub mod extended;
pub mod histogram_rate;
pub mod math;
pub mod native_quantile;
pub mod over_time;
pub mod quantile;
pub mod rate;
pub mod regression;
pub mod sliding;
pub mod transitions;
pub mod window;

use date::Civil;
use model::histogram::Histogram;
use window::RangeFunction;

/// A function of the language.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments.
    args: &'static [ValueType],
    /// How many arguments may be missing or repeated.
    arity: Arity,
    /// What it yields.
    pub returns: ValueType,
    /// Whether upstream calls it experimental.
    pub experimental: bool,
    /// What it computes.
    pub body: Body,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arity {
    /// All of them.
    Exact,
    /// The last may be missing.
    Optional,
    /// The last may be missing or repeated.
    Repeated,
}

/// What a function computes.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// A float for each float.
    Math(fn(f64) -> f64),
    /// A float for each histogram.
    Histogram(fn(&Histogram) -> f64),
    /// A part of the date each float stands for, or of the evaluation's.
    Date(fn(Civil) -> f64),
    /// A value for each window of a range.
    Range(RangeFunction),
    /// Something of its own.
    Special(Special),
}

/// Functions the evaluator knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `absent`
    Absent,
    /// `absent_over_time`
    AbsentOverTime,
    /// `clamp`
    Clamp,
    /// `clamp_max`
    ClampMax,
    /// `clamp_min`
    ClampMin,
    /// `end`
    End,
    /// `histogram_fraction`
    HistogramFraction,
    /// `histogram_quantile`
    HistogramQuantile,
    /// `histogram_quantiles`
    HistogramQuantiles,
    /// `info`
    Info,
    /// `label_join`
    LabelJoin,
    /// `label_replace`
    LabelReplace,
    /// `max_of`
    MaxOf,
    /// `min_of`
    MinOf,
    /// `pi`
    Pi,
    /// `range`
    Range,
    /// `round`
    Round,
    /// `scalar`
    Scalar,
    /// `sort`
    Sort,
    /// `sort_desc`
    SortDesc,
    /// `sort_by_label`
    SortByLabel,
    /// `sort_by_label_desc`
    SortByLabelDesc,
    /// `start`
    Start,
    /// `start_timestamp`
    StartTimestamp,
    /// `step`
    Step,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `vector`
    Vector,
}

impl Function {
    /// How many arguments it needs.
    pub const fn arguments_min(&self) -> usize {
        match self.arity {
            Arity::Exact => self.args.len(),
            Arity::Optional | Arity::Repeated => self.args.len().saturating_sub(1),
        }
    }

    /// How many arguments it takes at most, if there is an end.
    pub const fn arguments_max(&self) -> Option<usize> {
        match self.arity {
            Arity::Exact | Arity::Optional => Some(self.args.len()),
            Arity::Repeated => None,
        }
    }

    /// The types of its arguments, an optional or repeated one once.
    pub const fn arguments(&self) -> &'static [ValueType] {
        self.args
    }

    /// The type of an argument.
    pub fn argument(&self, index: usize) -> ValueType {
        let last = self.args.last().copied().unwrap_or(ValueType::Scalar);
        self.args.get(index).copied().unwrap_or(last)
    }

    /// Whether its result depends on when it is evaluated even if its arguments do not.
    pub fn depends_on_time(&self) -> bool {
        match self.body {
            Body::Date(_) => true,
            Body::Special(special) => matches!(
                special,
                Special::Time
                    | Special::Timestamp
                    | Special::StartTimestamp
                    | Special::Start
                    | Special::End
                    | Special::Step
                    | Special::Range
            ),
            Body::Range(_) => self.name == "predict_linear",
            Body::Math(_) | Body::Histogram(_) => false,
        }
    }

    /// Whether the metric's name still fits its result.
    pub fn keeps_name(&self) -> bool {
        matches!(self.name, "last_over_time" | "first_over_time")
    }
}

/// The function with this name.
pub fn find(name: &str) -> Option<&'static Function> {
    let at = FUNCTIONS
        .binary_search_by(|function| function.name.cmp(name))
        .ok()?;
    FUNCTIONS.get(at)
}

const S: ValueType = ValueType::Scalar;
const V: ValueType = ValueType::Vector;
const M: ValueType = ValueType::Matrix;
const T: ValueType = ValueType::String;

const fn function(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    body: Body,
) -> Function {
    Function {
        name,
        args,
        arity: Arity::Exact,
        returns,
        experimental: false,
        body,
    }
}

const fn math(name: &'static str, run: fn(f64) -> f64) -> Function {
    function(name, &[V], V, Body::Math(run))
}

const fn histogram(name: &'static str, run: fn(&Histogram) -> f64) -> Function {
    function(name, &[V], V, Body::Histogram(run))
}

const fn date(name: &'static str, run: fn(Civil) -> f64) -> Function {
    function(name, &[V], V, Body::Date(run)).optional()
}

const fn range(name: &'static str, run: RangeFunction) -> Function {
    function(name, &[M], V, Body::Range(run))
}

const fn special(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    special: Special,
) -> Function {
    function(name, args, returns, Body::Special(special))
}

impl Function {
    const fn optional(mut self) -> Self {
        self.arity = Arity::Optional;
        self
    }

    const fn repeated(mut self) -> Self {
        self.arity = Arity::Repeated;
        self
    }

    const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }
}

/// Every function, in order of name.
pub static FUNCTIONS: [Function; 90] = [
    math("abs", f64::abs),
    special("absent", &[V], V, Special::Absent),
    special("absent_over_time", &[M], V, Special::AbsentOverTime),
    math("acos", f64::acos),
    math("acosh", f64::acosh),
    math("asin", f64::asin),
    math("asinh", f64::asinh),
    math("atan", f64::atan),
    math("atanh", f64::atanh),
    range("avg_over_time", over_time::avg),
    math("ceil", f64::ceil),
    range("changes", transitions::changes),
    special("clamp", &[V, S, S], V, Special::Clamp),
    special("clamp_max", &[V, S], V, Special::ClampMax),
    special("clamp_min", &[V, S], V, Special::ClampMin),
    math("cos", f64::cos),
    math("cosh", f64::cosh),
    range("count_over_time", over_time::count),
    date("day_of_month", date::day_of_month),
    date("day_of_week", date::day_of_week),
    date("day_of_year", date::day_of_year),
    date("days_in_month", date::days_in_month),
    math("deg", f64::to_degrees),
    range("delta", rate::delta),
    range("deriv", regression::deriv),
    function(
        "double_exponential_smoothing",
        &[M, S, S],
        V,
        Body::Range(regression::double_exponential_smoothing),
    )
    .experimental(),
    special("end", &[], S, Special::End).experimental(),
    math("exp", f64::exp),
    range("first_over_time", over_time::first).experimental(),
    math("floor", f64::floor),
    histogram("histogram_avg", math::histogram_avg),
    histogram("histogram_count", math::histogram_count),
    special(
        "histogram_fraction",
        &[S, S, V],
        V,
        Special::HistogramFraction,
    ),
    special("histogram_quantile", &[S, V], V, Special::HistogramQuantile),
    special(
        "histogram_quantiles",
        &[V, T, S],
        V,
        Special::HistogramQuantiles,
    )
    .repeated()
    .experimental(),
    histogram("histogram_stddev", math::histogram_stddev),
    histogram("histogram_stdvar", math::histogram_stdvar),
    histogram("histogram_sum", math::histogram_sum),
    date("hour", date::hour),
    range("idelta", rate::idelta),
    range("increase", rate::increase),
    special("info", &[V, V], V, Special::Info)
        .optional()
        .experimental(),
    range("irate", rate::irate),
    special("label_join", &[V, T, T, T], V, Special::LabelJoin).repeated(),
    special("label_replace", &[V, T, T, T, T], V, Special::LabelReplace),
    range("last_over_time", over_time::last),
    math("ln", f64::ln),
    math("log10", f64::log10),
    math("log2", f64::log2),
    range("mad_over_time", over_time::mad).experimental(),
    special("max_of", &[S, S], S, Special::MaxOf).experimental(),
    range("max_over_time", over_time::max),
    special("min_of", &[S, S], S, Special::MinOf).experimental(),
    range("min_over_time", over_time::min),
    date("minute", date::minute),
    date("month", date::month),
    special("pi", &[], S, Special::Pi),
    function(
        "predict_linear",
        &[M, S],
        V,
        Body::Range(regression::predict_linear),
    ),
    range("present_over_time", over_time::present),
    function(
        "quantile_over_time",
        &[S, M],
        V,
        Body::Range(over_time::quantile),
    ),
    math("rad", f64::to_radians),
    special("range", &[], S, Special::Range).experimental(),
    range("rate", rate::rate),
    range("resets", transitions::resets),
    special("round", &[V, S], V, Special::Round).optional(),
    special("scalar", &[V], S, Special::Scalar),
    math("sgn", math::sgn),
    math("sin", f64::sin),
    math("sinh", f64::sinh),
    special("sort", &[V], V, Special::Sort),
    special("sort_by_label", &[V, T], V, Special::SortByLabel)
        .repeated()
        .experimental(),
    special("sort_by_label_desc", &[V, T], V, Special::SortByLabelDesc)
        .repeated()
        .experimental(),
    special("sort_desc", &[V], V, Special::SortDesc),
    math("sqrt", f64::sqrt),
    special("start", &[], S, Special::Start).experimental(),
    special("start_timestamp", &[V], V, Special::StartTimestamp).experimental(),
    range("stddev_over_time", over_time::stddev),
    range("stdvar_over_time", over_time::stdvar),
    special("step", &[], S, Special::Step).experimental(),
    range("sum_over_time", over_time::sum),
    math("tan", f64::tan),
    math("tanh", f64::tanh),
    special("time", &[], S, Special::Time),
    special("timestamp", &[V], V, Special::Timestamp),
    range("ts_of_first_over_time", over_time::ts_of_first).experimental(),
    range("ts_of_last_over_time", over_time::ts_of_last).experimental(),
    range("ts_of_max_over_time", over_time::ts_of_max).experimental(),
    range("ts_of_min_over_time", over_time::ts_of_min).experimental(),
    special("vector", &[S], V, Special::Vector),
    date("year", date::year),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_found() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} is misplaced", pair[1].name);
        }
        assert_eq!(find("rate").map(|f| f.name), Some("rate"));
        assert!(find("no_such").is_none());
    }

    #[test]
    fn arities_are_those_of_the_language() {
        for (name, min, max) in [
            ("rate", 1, Some(1)),
            ("round", 1, Some(2)),
            ("minute", 0, Some(1)),
            ("label_join", 3, None),
            ("histogram_quantiles", 2, None),
            ("time", 0, Some(0)),
        ] {
            let function = find(name).expect("in the table");
            assert_eq!(function.arguments_min(), min, "{name}");
            assert_eq!(function.arguments_max(), max, "{name}");
        }
    }
}
