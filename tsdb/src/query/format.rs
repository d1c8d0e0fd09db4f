//! A tree as text, which parses to the same tree. Matchers are sorted, as upstream does.
//!
//! - [`pretty`]: the same over many lines, where one would be too long.

use std::fmt;

use model::labels::{METRIC_NAME, is_legacy_label_name};
use model::time::format_duration;
use model::vector::format_general;

use super::ast::{
    Aggregate, At, Binary, Cardinality, Duration, DurationExpr, Expr, Extension, Grouping,
    Matching, Number, Sign, Span, Subquery, TimeShift, VectorSelector,
};
use super::quoting::quote;

pub mod pretty;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(node) => node.fmt(f),
            Self::Text(node) => f.write_str(&quote(&node.value)),
            Self::Selector(node) => {
                write_series(f, node)?;
                write_extension(f, node.extension)?;
                write_shift(f, &node.shift)
            }
            Self::Range(node) => {
                write_series(f, &node.selector)?;
                write!(f, "[{}]", node.range)?;
                write_extension(f, node.selector.extension)?;
                write_shift(f, &node.selector.shift)
            }
            Self::Subquery(node) => write!(f, "{}{}", node.expr, Window(node)),
            Self::Call(node) => {
                write!(f, "{}(", node.function.name)?;
                write_list(f, &node.args)?;
                f.write_str(")")
            }
            Self::Aggregate(node) => node.fmt(f),
            Self::Binary(node) => node.fmt(f),
            Self::Unary(node) => write!(f, "{}{}", node.sign, node.expr),
            Self::Paren(node) => write!(f, "({})", node.expr),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plus => "+",
            Self::Minus => "-",
        })
    }
}

/// What makes a subquery of its expression.
struct Window<'a>(&'a Subquery);

impl fmt::Display for Window<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        write!(f, "[{}:", node.range)?;
        node.step.iter().try_for_each(|step| step.fmt(f))?;
        f.write_str("]")?;
        write_shift(f, &node.shift)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            return f.write_str(&format_duration((self.value * 1000.0).round() as i64));
        }
        f.write_str(&format_general(self.value))
    }
}

/// An aggregation as far as its parenthesis.
struct AggregateHead<'a>(&'a Aggregate);

impl fmt::Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        f.write_str(node.op.as_str())?;
        match node.grouping {
            Grouping::Without => write!(f, " without {} ", Labels(&node.labels)),
            Grouping::By if !node.labels.is_empty() => write!(f, " by {} ", Labels(&node.labels)),
            Grouping::By => Ok(()),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", AggregateHead(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// An operator with what is said of its operands.
struct Operator<'a>(&'a Binary);

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        f.write_str(node.op.as_str())?;
        if node.returns_bool {
            f.write_str(" bool")?;
        }
        node.matching
            .iter()
            .try_for_each(|matching| matching.fmt(f))
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.lhs, Operator(self), self.rhs)
    }
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouped = matches!(
            self.cardinality,
            Cardinality::ManyToOne | Cardinality::OneToMany
        );
        if self.on || grouped || !self.labels.is_empty() {
            let word = if self.on { "on" } else { "ignoring" };
            write!(f, " {word} {}", Labels(&self.labels))?;
        }
        match self.cardinality {
            Cardinality::ManyToOne => write!(f, " group_left {}", Labels(&self.include))?,
            Cardinality::OneToMany => write!(f, " group_right {}", Labels(&self.include))?,
            Cardinality::OneToOne | Cardinality::ManyToMany => {}
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
                write!(f, " fill ({})", format_general(left))
            }
            (left, right) => {
                if let Some(value) = left {
                    write!(f, " fill_left ({})", format_general(value))?;
                }
                if let Some(value) = right {
                    write!(f, " fill_right ({})", format_general(value))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Millis(millis) => f.write_str(&format_duration(*millis)),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds { value, is_duration } => Number {
                value: *value,
                is_duration: *is_duration,
                span: Span::default(),
            }
            .fmt(f),
            Self::Step => f.write_str("step()"),
            Self::Range => f.write_str("range()"),
            Self::Negative(inner) => write!(f, "-{inner}"),
            Self::Positive(inner) => write!(f, "+{inner}"),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            Self::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            Self::Arithmetic(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
        }
    }
}

/// A list of labels in parentheses.
struct Labels<'a>(&'a [String]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, label) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write_name(f, label)?;
        }
        f.write_str(")")
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_legacy_label_name(name) {
        f.write_str(name)
    } else {
        f.write_str(&quote(name))
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[Expr]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn write_series(f: &mut fmt::Formatter<'_>, node: &VectorSelector) -> fmt::Result {
    let mut matchers = node.matchers.as_slice();
    if let Some(name) = &node.name {
        f.write_str(name)?;
        matchers = matchers.split_last().map_or(matchers, |(_, rest)| rest);
        if matchers.is_empty() {
            return Ok(());
        }
    }
    let mut texts: Vec<String> = matchers
        .iter()
        .map(|matcher| {
            let name = match matcher.name() {
                name if name == METRIC_NAME || is_legacy_label_name(name) => name.to_owned(),
                name => quote(name),
            };
            format!("{name}{}{}", matcher.op().as_str(), quote(matcher.value()))
        })
        .collect();
    texts.sort_unstable();
    write!(f, "{{{}}}", texts.join(","))
}

fn write_extension(f: &mut fmt::Formatter<'_>, extension: Extension) -> fmt::Result {
    f.write_str(match extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    })
}

fn write_shift(f: &mut fmt::Formatter<'_>, shift: &TimeShift) -> fmt::Result {
    match shift.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Timestamp(at)) => {
            let (sign, at) = (if at < 0 { "-" } else { "" }, at.unsigned_abs());
            write!(f, " @ {sign}{}.{:03}", at / 1000, at % 1000)?;
        }
    }
    match &shift.offset {
        None => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

#[cfg(test)]
mod tests {
    use super::pretty::pretty;
    use crate::query::parse;

    #[test]
    fn a_formatted_tree_parses_to_the_same_tree() {
        for query in [
            "1",
            "-1",
            "0x1F + 1e-7",
            "5m + 1h30m",
            r#"up{"ü.y"="1", job=~"a|b", x!="\"\n"} offset -5m"#,
            r#"{"my.metric", le="1"} @ 1.5"#,
            "rate(x[5m] @ start() offset 1h)",
            "sum by (a, b) (rate(x[1m])) / on (a) group_left (c) y",
            "sum without () (x)",
            "topk(3, x) or ignoring (b) y unless z",
            "a > bool b == on () c",
            "a + fill_left (1) fill_right (-2) b",
            "x[5m:] offset -step()",
            "x[5m + 1m * (2 ^ step()):min_of(1m, range())] @ end()",
            "x smoothed + rate(y[1m] anchored)",
            "-x ^ 2",
            "(a </ 5) >/ -Inf",
            r#"count_values("v", label_replace(x, "a", "$1", "b", "(.*)"))"#,
            "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
        ] {
            let tree = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
            let text = tree.to_string();
            let again = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(again, tree, "{query} became {text}");
            assert_eq!(again.to_string(), text, "{query}");
            let pretty = pretty(&tree);
            assert_eq!(parse(&pretty), Ok(tree), "{query} became {pretty}");
        }
    }
}
