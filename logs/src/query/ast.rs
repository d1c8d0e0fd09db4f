//! The tree of a query, as it was written.
//!
//! The tree says what was asked and nothing about how it is answered: expressions stay texts,
//! templates stay texts. What is in a tree has been checked: every regular expression compiles,
//! every aggregation has the unwrap and the grouping it may have. [`super::format`] writes a tree
//! back as LogQL.

mod metric;

use model::matcher::Matcher;

pub use super::pipeline::ip::IpPattern;
pub use metric::*;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Lines.
    Log(LogExpr),
    /// Numbers.
    Metric(MetricExpr),
}

impl Expr {
    /// The selector of every part of the query that reads lines.
    pub fn selectors(&self) -> Vec<&[Matcher]> {
        match self {
            Self::Log(log) => vec![&log.matchers],
            Self::Metric(metric) => metric.selectors(),
        }
    }
}

/// A stream selector and the stages its lines go through.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// The selector.
    pub matchers: Vec<Matcher>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "a" or "b"`
    LineFilter(LineFilter),
    /// `| json`, `| json a="b.c"`
    Json(Vec<Extraction>),
    /// `| logfmt --strict --keep-empty a="b"`
    Logfmt(Logfmt),
    /// ``| regexp `(?P<name>…)` ``
    Regexp(String),
    /// `| pattern "<name> …"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| name="value"`
    LabelFilter(LabelFilter),
    /// `| line_format "…"`
    LineFormat(String),
    /// `| label_format a=b, c="…"`
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="c"`
    Drop(Vec<LabelChoice>),
    /// `| keep a, b="c"`
    Keep(Vec<LabelChoice>),
}

/// How a line filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFilterOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineFilterOp {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "|=",
            Self::NotContains => "!=",
            Self::Matches => "|~",
            Self::NotMatches => "!~",
            Self::Pattern => "|>",
            Self::NotPattern => "!>",
        }
    }

    /// Whether lines that match are dropped.
    pub const fn is_negative(self) -> bool {
        matches!(
            self,
            Self::NotContains | Self::NotMatches | Self::NotPattern
        )
    }
}

/// A line filter with its alternatives.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// How it compares.
    pub op: LineFilterOp,
    /// What it compares with; one that fits is enough.
    pub operands: Vec<LineOperand>,
}

/// What a line filter compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum LineOperand {
    /// A text, an expression or a pattern, as the operator has it.
    Text(String),
    /// `ip("…")`
    Ip(IpPattern),
}

/// `name="expression"` of a parser: which part of the line becomes which label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// The label.
    pub label: String,
    /// Where its value is.
    pub expression: String,
}

/// The options of `logfmt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logfmt {
    /// A malformed pair fails the line instead of being skipped.
    pub strict: bool,
    /// Keys without a value become empty labels.
    pub keep_empty: bool,
    /// The labels wanted; all where there is none.
    pub extractions: Vec<Extraction>,
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    /// The label assigned.
    pub label: String,
    /// Where its value comes from.
    pub value: LabelFormatValue,
}

/// Where `label_format` takes a value from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormatValue {
    /// Another label, which is removed.
    Rename(String),
    /// A template.
    Template(String),
}

/// A label of `drop` and `keep`, perhaps only where its value matches.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelChoice {
    /// The label whatever its value.
    Name(String),
    /// The label where it matches.
    Matching(Matcher),
}

/// A condition on labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// A text or a regular expression.
    Text(Matcher),
    /// A number, a duration or a size.
    Quantity(QuantityFilter),
    /// An address.
    Ip {
        /// The label.
        label: String,
        /// Whether values that hold such an address are dropped.
        negative: bool,
        /// The addresses.
        pattern: IpPattern,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// One of the two.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// A comparison of a label read as a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityFilter {
    /// The label.
    pub label: String,
    /// The comparison.
    pub comparison: Comparison,
    /// What it is compared with, and how the label is read.
    pub quantity: Quantity,
}

/// What a label is read as and compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A plain number.
    Number(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A size in bytes.
    Bytes(u64),
}

/// A comparison of two quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
}

impl Comparison {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
        }
    }

    /// Whether it holds.
    pub fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
        }
    }
}

/// `| unwrap …` and the label filters behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// The label whose value is the sample.
    pub label: String,
    /// How it is read.
    pub conversion: Conversion,
    /// Conditions that see the labels with the unwrapped one.
    pub filters: Vec<LabelFilter>,
}

/// How an unwrapped value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As a number.
    None,
    /// `bytes(…)`
    Bytes,
    /// `duration(…)`, in seconds.
    Duration,
    /// `duration_seconds(…)`, the same under its longer name.
    DurationSeconds,
}
