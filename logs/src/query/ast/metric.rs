//! The metric half of the tree: aggregations over ranges, over vectors, and arithmetic.

use model::matcher::Matcher;
use regex::Regex;

use crate::query::ast::{Comparison, LogExpr, Unwrap};

/// An expression whose value is numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// `rate({…}[5m])`
    Range(Box<RangeAggregation>),
    /// `sum by (a) (…)`
    Vector(Box<VectorAggregation>),
    /// `label_replace(…)`
    LabelReplace(Box<LabelReplace>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `1.5`
    Literal(f64),
    /// `vector(1.5)`
    VectorLiteral(f64),
}

impl MetricExpr {
    /// The selector of every range in the expression.
    pub fn selectors(&self) -> Vec<&[Matcher]> {
        match self {
            Self::Range(aggregation) => vec![&aggregation.range.log.matchers],
            Self::Vector(aggregation) => aggregation.inner.selectors(),
            Self::LabelReplace(replace) => replace.inner.selectors(),
            Self::Binary(binary) => {
                let mut selectors = binary.left.selectors();
                selectors.append(&mut binary.right.selectors());
                selectors
            }
            Self::Literal(_) | Self::VectorLiteral(_) => Vec::new(),
        }
    }
}

/// Log lines of a moving window.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// The lines.
    pub log: LogExpr,
    /// The label that is the sample, where one is.
    pub unwrap: Option<Unwrap>,
    /// The width of the window in nanoseconds.
    pub range_ns: i64,
    /// How far the window lies back in nanoseconds; ahead where negative.
    pub offset_ns: i64,
}

/// Labels an aggregation keeps or removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// `by (…)`
    By(Vec<String>),
    /// `without (…)`
    Without(Vec<String>),
}

/// An aggregation over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// Which.
    pub op: RangeOp,
    /// Over what.
    pub range: LogRange,
    /// The quantile.
    pub parameter: Option<f64>,
    /// The labels of the result, where they are chosen.
    pub grouping: Option<Grouping>,
}

/// The aggregations over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOp {
    /// Lines a second, or the sum of the samples a second.
    Rate,
    /// Increase of a counter a second.
    RateCounter,
    /// Lines.
    CountOverTime,
    /// Bytes a second.
    BytesRate,
    /// Bytes.
    BytesOverTime,
    /// Mean.
    AvgOverTime,
    /// Sum.
    SumOverTime,
    /// Smallest.
    MinOverTime,
    /// Largest.
    MaxOverTime,
    /// Population variance.
    StdvarOverTime,
    /// Population standard deviation.
    StddevOverTime,
    /// Quantile.
    QuantileOverTime,
    /// Earliest.
    FirstOverTime,
    /// Latest.
    LastOverTime,
    /// One where there is nothing.
    AbsentOverTime,
}

/// Whether an aggregation takes an unwrapped sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnwrapNeed {
    /// It must have one.
    Required,
    /// It must not have one.
    Forbidden,
    /// Either.
    Optional,
}

impl RangeOp {
    /// Every aggregation with its name.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Rate, "rate"),
        (Self::RateCounter, "rate_counter"),
        (Self::CountOverTime, "count_over_time"),
        (Self::BytesRate, "bytes_rate"),
        (Self::BytesOverTime, "bytes_over_time"),
        (Self::AvgOverTime, "avg_over_time"),
        (Self::SumOverTime, "sum_over_time"),
        (Self::MinOverTime, "min_over_time"),
        (Self::MaxOverTime, "max_over_time"),
        (Self::StdvarOverTime, "stdvar_over_time"),
        (Self::StddevOverTime, "stddev_over_time"),
        (Self::QuantileOverTime, "quantile_over_time"),
        (Self::FirstOverTime, "first_over_time"),
        (Self::LastOverTime, "last_over_time"),
        (Self::AbsentOverTime, "absent_over_time"),
    ];

    /// The name in a query.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("", |(_, name)| name)
    }

    /// The aggregation of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(op, _)| *op)
    }

    /// Whether samples must, may or must not be unwrapped.
    pub const fn unwrap_need(self) -> UnwrapNeed {
        match self {
            Self::CountOverTime | Self::BytesRate | Self::BytesOverTime => UnwrapNeed::Forbidden,
            Self::Rate | Self::AbsentOverTime => UnwrapNeed::Optional,
            _ => UnwrapNeed::Required,
        }
    }

    /// Whether `by` and `without` may follow.
    pub const fn allows_grouping(self) -> bool {
        matches!(
            self,
            Self::AvgOverTime
                | Self::MinOverTime
                | Self::MaxOverTime
                | Self::StdvarOverTime
                | Self::StddevOverTime
                | Self::QuantileOverTime
                | Self::FirstOverTime
                | Self::LastOverTime
        )
    }
}

/// An aggregation across series.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// Which.
    pub op: VectorOp,
    /// Over what.
    pub inner: MetricExpr,
    /// How many series `topk` and its like select.
    pub parameter: Option<usize>,
    /// The groups; one for all where absent.
    pub grouping: Option<Grouping>,
}

/// The aggregations across series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorOp {
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// How many.
    Count,
    /// Population standard deviation.
    Stddev,
    /// Population variance.
    Stdvar,
    /// The largest series themselves.
    Topk,
    /// The smallest series themselves.
    Bottomk,
    /// The largest series, which upstream estimates and this program knows.
    ApproxTopk,
    /// In order of value.
    Sort,
    /// In reverse order of value.
    SortDesc,
}

impl VectorOp {
    /// Every aggregation with its name.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Sum, "sum"),
        (Self::Avg, "avg"),
        (Self::Min, "min"),
        (Self::Max, "max"),
        (Self::Count, "count"),
        (Self::Stddev, "stddev"),
        (Self::Stdvar, "stdvar"),
        (Self::Topk, "topk"),
        (Self::Bottomk, "bottomk"),
        (Self::ApproxTopk, "approx_topk"),
        (Self::Sort, "sort"),
        (Self::SortDesc, "sort_desc"),
    ];

    /// The name in a query.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("", |(_, name)| name)
    }

    /// The aggregation of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(op, _)| *op)
    }

    /// Whether it selects a number of series.
    pub const fn takes_parameter(self) -> bool {
        matches!(self, Self::Topk | Self::Bottomk | Self::ApproxTopk)
    }
}

/// `label_replace(inner, "destination", "replacement", "source", "regex")`.
#[derive(Clone, Debug)]
pub struct LabelReplace {
    /// Over what.
    pub inner: MetricExpr,
    /// The label written.
    pub destination: String,
    /// The value written, with `$1` for what a group matched.
    pub replacement: String,
    /// The label read.
    pub source: String,
    /// The expression as written.
    pub pattern: String,
    /// The expression, anchored.
    pub regex: Regex,
}

impl PartialEq for LabelReplace {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
            && self.destination == other.destination
            && self.replacement == other.replacement
            && self.source == other.source
            && self.pattern == other.pattern
    }
}

/// An operator between two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// Its left side.
    pub left: MetricExpr,
    /// Its right side.
    pub right: MetricExpr,
    /// Whether a comparison answers 0 and 1 instead of selecting.
    pub return_bool: bool,
    /// Which series meet which.
    pub matching: Option<Matching>,
}

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// A comparison.
    Compare(Comparison),
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Compare(comparison) => comparison.as_str(),
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
        }
    }

    /// How tight it binds; a larger number binds tighter.
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Compare(_) => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod => 5,
            Self::Pow => 6,
        }
    }

    /// Whether it works on sets of series.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }
}

/// Which labels decide that two series meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// The labels.
    pub labels: MatchingLabels,
    /// Whether one side may have many series for one of the other.
    pub cardinality: Cardinality,
}

/// The labels of a matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchingLabels {
    /// `on (…)`
    On(Vec<String>),
    /// `ignoring (…)`
    Ignoring(Vec<String>),
}

/// How many series meet how many; the labels are copied from the one to the many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One series meets one.
    OneToOne,
    /// `group_left (…)`
    GroupLeft(Vec<String>),
    /// `group_right (…)`
    GroupRight(Vec<String>),
}
