//! The expression tree.
//!
//! Every node knows where it stands in the text, for errors and annotations; two trees are equal
//! when they mean the same, wherever they stand. Types are checked by [`super::check`]: a tree that
//! left the parser is well-typed.
//!
//! Durations, `start()` and `end()` may depend on the query's own range and step, so a tree is
//! *prepared* before evaluation ([`super::prepare`]): from then on every duration is a number and
//! every `@` an instant.

use model::matcher::Matcher;

use super::functions::Function;

mod operators;

pub use operators::{AggregateOp, BinaryOp};

/// Where a node stands: bytes from `start` up to `end`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

/// Positions do not take part in equality, so that trees of differently spaced texts compare equal.
impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Span {
    /// From the start of one to the end of the other.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number at each instant.
    Scalar,
    /// Series with one value at each instant.
    Vector,
    /// Series with a range of values at each instant.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// The type's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// The type's name in the documentation.
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::Scalar | Self::String => self.name(),
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number, or a duration as a number of seconds.
    Number(Number),
    /// A text.
    Text(Text),
    /// `metric{label="value"}`
    Selector(VectorSelector),
    /// `metric[5m]`
    Range(RangeSelector),
    /// `expression[5m:1m]`
    Subquery(Subquery),
    /// `function(argument, …)`
    Call(Call),
    /// `sum by (label) (expression)`
    Aggregate(Aggregate),
    /// `left + right`
    Binary(Binary),
    /// `-expression`
    Unary(Unary),
    /// `(expression)`
    Paren(Paren),
}

/// A number literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its value.
    pub value: f64,
    /// Whether it was written as a duration.
    pub is_duration: bool,
    /// Where it stands.
    pub span: Span,
}

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its value, without quotes and escapes.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

impl Eq for Span {}

/// An instant given with `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the epoch.
    Timestamp(i64),
    /// The start of the query.
    Start,
    /// The end of the query.
    End,
}

/// A duration: a literal, or an expression of the query's step and range.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration {
    /// Milliseconds.
    Millis(i64),
    /// Not known before the query's step and range are.
    Expr(Box<DurationExpr>),
}

impl Duration {
    /// The milliseconds of a literal or of a prepared duration.
    pub const fn millis(&self) -> i64 {
        match self {
            Self::Millis(millis) => *millis,
            Self::Expr(_) => 0,
        }
    }
}

/// Arithmetic on durations, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds.
    Seconds {
        /// How many.
        value: f64,
        /// Whether it was written as a duration.
        is_duration: bool,
    },
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `-d`
    Negative(Box<DurationExpr>),
    /// `+d`
    Positive(Box<DurationExpr>),
    /// `(d)`
    Paren(Box<DurationExpr>),
    /// `min_of(d, d)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(d, d)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `d + d`
    Arithmetic(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeShift {
    /// How far to look back; forward where negative.
    pub offset: Option<Duration>,
    /// The instant to look at instead of the evaluation's.
    pub at: Option<At>,
}

impl TimeShift {
    /// The offset in milliseconds, once prepared.
    pub fn offset_millis(&self) -> i64 {
        self.offset.as_ref().map_or(0, Duration::millis)
    }

    /// The instant a value is looked up at, once prepared.
    pub fn reference(&self, evaluated_at: i64) -> i64 {
        let instant = match self.at {
            Some(At::Timestamp(at)) => at,
            _ => evaluated_at,
        };
        instant.saturating_sub(self.offset_millis())
    }
}

/// How samples outside a range may serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extension {
    /// Not at all.
    #[default]
    None,
    /// The last sample before the range stands for its start.
    Anchored,
    /// Values at the boundaries are interpolated.
    Smoothed,
}

/// Selects series.
#[derive(Clone, Debug)]
pub struct VectorSelector {
    /// The metric name written before the braces.
    pub name: Option<String>,
    /// All conditions, that of the name last.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub shift: TimeShift,
    /// `smoothed` and `anchored`.
    pub extension: Extension,
    /// Whether `info()` takes it as a list of labels, which may be empty.
    pub only_labels: bool,
    /// Whether nothing but counts and sums of histograms are read of it.
    pub histogram_statistics: bool,
    /// Where it stands.
    pub span: Span,
}

/// In whatever order the conditions stand, they select the same.
impl PartialEq for VectorSelector {
    fn eq(&self, other: &Self) -> bool {
        let all_in = |a: &[Matcher], b: &[Matcher]| a.iter().all(|matcher| b.contains(matcher));
        self.name == other.name
            && self.matchers.len() == other.matchers.len()
            && all_in(&self.matchers, &other.matchers)
            && all_in(&other.matchers, &self.matchers)
            && self.shift == other.shift
            && self.extension == other.extension
            && self.only_labels == other.only_labels
            && self.histogram_statistics == other.histogram_statistics
    }
}

/// Selects a range of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSelector {
    /// The series.
    pub selector: VectorSelector,
    /// How long the range is.
    pub range: Duration,
    /// Where it stands.
    pub span: Span,
}

/// Evaluates an expression over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// How long the range is.
    pub range: Duration,
    /// The distance of evaluations; the engine's default where absent.
    pub step: Option<Duration>,
    /// `offset` and `@`.
    pub shift: TimeShift,
    /// Where it stands.
    pub span: Span,
}

/// Calls a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which.
    pub function: &'static Function,
    /// With what.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// How an aggregation groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By these labels alone.
    By,
    /// By all labels but these and the metric name.
    Without,
}

/// Aggregates series.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// How.
    pub op: AggregateOp,
    /// How the labels group.
    pub grouping: Grouping,
    /// The labels named.
    pub labels: Vec<String>,
    /// The first argument of `topk`, `quantile` and their like.
    pub param: Option<Box<Expr>>,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// Combines two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// How.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Box<Expr>,
    /// Right side.
    pub rhs: Box<Expr>,
    /// Whether a comparison yields 0 and 1 instead of filtering.
    pub returns_bool: bool,
    /// How series of the two sides find each other; none where a side is a scalar.
    pub matching: Option<Matching>,
}

/// How many series of each side may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// Many on the left: `group_left`.
    ManyToOne,
    /// Many on the right: `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How series of two vectors find each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// How many of each side.
    pub cardinality: Cardinality,
    /// Whether only the labels named count; else all but them do.
    pub on: bool,
    /// The labels named.
    pub labels: Vec<String>,
    /// Labels taken over from the one side.
    pub include: Vec<String>,
    /// Stands for a missing left side.
    pub fill_left: Option<f64>,
    /// Stands for a missing right side.
    pub fill_right: Option<f64>,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            cardinality: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        }
    }
}

/// The sign before an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// A signed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub sign: Sign,
    /// What it stands before.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What stands in them.
    pub expr: Box<Expr>,
    /// Where they stand.
    pub span: Span,
}

impl Expr {
    /// What it yields.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::Text(_) => ValueType::String,
            Self::Selector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Range(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(call) => call.function.returns,
            Self::Unary(unary) => unary.expr.value_type(),
            Self::Paren(paren) => paren.expr.value_type(),
            Self::Binary(binary) => {
                let scalar = |side: &Self| side.value_type() == ValueType::Scalar;
                if scalar(&binary.lhs) && scalar(&binary.rhs) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(node) => node.span,
            Self::Text(node) => node.span,
            Self::Selector(node) => node.span,
            Self::Range(node) => node.span,
            Self::Subquery(node) => node.span,
            Self::Call(node) => node.span,
            Self::Aggregate(node) => node.span,
            Self::Binary(node) => node.lhs.span().to(node.rhs.span()),
            Self::Unary(node) => node.span,
            Self::Paren(node) => node.span,
        }
    }

    /// The expression inside any parentheses.
    pub fn unwrapped(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}
