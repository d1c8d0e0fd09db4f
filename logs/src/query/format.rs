//! Trees written back as LogQL, in one form whatever form they were read in.

use std::fmt::{self, Write as _};

use super::ast::{
    Binary, Cardinality, Conversion, Expr, Extraction, Grouping, LabelChoice, LabelFilter,
    LabelFormatValue, LineOperand, LogExpr, LogRange, Matching, MatchingLabels, MetricExpr,
    Quantity, QuantityFilter, RangeAggregation, Stage, Unwrap, VectorAggregation,
};
use model::matcher::Matcher;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(log) => log.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

impl fmt::Display for LogExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        write_joined(f, &self.matchers, ", ", write_matcher)?;
        f.write_char('}')?;
        self.stages
            .iter()
            .try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineFilter(filter) => {
                write!(f, "{} ", filter.op.as_str())?;
                write_joined(f, &filter.operands, " or ", |f, operand| match operand {
                    LineOperand::Text(text) => write_quoted(f, text),
                    LineOperand::Ip(pattern) => write_ip(f, pattern.as_str()),
                })
            }
            Self::Json(extractions) => {
                f.write_str("| json")?;
                write_extractions(f, extractions)
            }
            Self::Logfmt(logfmt) => {
                f.write_str("| logfmt")?;
                if logfmt.strict {
                    f.write_str(" --strict")?;
                }
                if logfmt.keep_empty {
                    f.write_str(" --keep-empty")?;
                }
                write_extractions(f, &logfmt.extractions)
            }
            Self::Regexp(pattern) => write_text_stage(f, "regexp", pattern),
            Self::Pattern(pattern) => write_text_stage(f, "pattern", pattern),
            Self::LineFormat(template) => write_text_stage(f, "line_format", template),
            Self::Unpack => f.write_str("| unpack"),
            Self::Decolorize => f.write_str("| decolorize"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                write_joined(f, formats, ", ", |f, format| {
                    write!(f, "{}=", format.label)?;
                    match &format.value {
                        LabelFormatValue::Rename(source) => f.write_str(source),
                        LabelFormatValue::Template(template) => write_quoted(f, template),
                    }
                })
            }
            Self::Drop(choices) => write_choices(f, "drop", choices),
            Self::Keep(choices) => write_choices(f, "keep", choices),
        }
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(matcher) => write_matcher(f, matcher),
            Self::Quantity(QuantityFilter {
                label,
                comparison,
                quantity,
            }) => {
                write!(f, "{label} {} ", comparison.as_str())?;
                match quantity {
                    Quantity::Number(value) => write!(f, "{value}"),
                    Quantity::Duration(nanos) => write_duration(f, *nanos),
                    Quantity::Bytes(bytes) => write!(f, "{bytes}B"),
                }
            }
            Self::Ip {
                label,
                negative,
                pattern,
            } => {
                write!(f, "{label} {} ", if *negative { "!=" } else { "=" })?;
                write_ip(f, pattern.as_str())
            }
            Self::And(left, right) => write!(f, "({left} and {right})"),
            Self::Or(left, right) => write!(f, "({left} or {right})"),
        }
    }
}

impl fmt::Display for Unwrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match self.conversion {
            Conversion::None => write!(f, "| unwrap {label}"),
            Conversion::Bytes => write!(f, "| unwrap bytes({label})"),
            Conversion::Duration => write!(f, "| unwrap duration({label})"),
            Conversion::DurationSeconds => write!(f, "| unwrap duration_seconds({label})"),
        }?;
        self.filters
            .iter()
            .try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl fmt::Display for LogRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        f.write_str(if self.log.stages.is_empty() && self.unwrap.is_none() {
            "["
        } else {
            " ["
        })?;
        write_duration(f, self.range_ns)?;
        f.write_char(']')?;
        if self.offset_ns != 0 {
            f.write_str(" offset ")?;
            write_duration(f, self.offset_ns)?;
        }
        Ok(())
    }
}

impl fmt::Display for MetricExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => write!(f, "{value}"),
            Self::VectorLiteral(value) => write!(f, "vector({value})"),
            Self::Range(aggregation) => aggregation.fmt(f),
            Self::Vector(aggregation) => aggregation.fmt(f),
            Self::LabelReplace(replace) => {
                write!(f, "label_replace({}", replace.inner)?;
                for text in [
                    &replace.destination,
                    &replace.replacement,
                    &replace.source,
                    &replace.pattern,
                ] {
                    f.write_str(", ")?;
                    write_quoted(f, text)?;
                }
                f.write_char(')')
            }
            Self::Binary(binary) => binary.fmt(f),
        }
    }
}

impl fmt::Display for RangeAggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.as_str())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.range)?;
        match &self.grouping {
            Some(grouping) => write!(f, " {grouping}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for VectorAggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if let Some(grouping) = &self.grouping {
            write!(f, " {grouping} ")?;
        }
        f.write_char('(')?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.inner)
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(names) => write!(f, "by ({})", names.join(", ")),
            Self::Without(names) => write!(f, "without ({})", names.join(", ")),
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {}", self.left, self.op.as_str())?;
        if self.return_bool {
            f.write_str(" bool")?;
        }
        if let Some(Matching {
            labels,
            cardinality,
        }) = &self.matching
        {
            match labels {
                MatchingLabels::On(names) => write!(f, " on ({})", names.join(", ")),
                MatchingLabels::Ignoring(names) => write!(f, " ignoring ({})", names.join(", ")),
            }?;
            match cardinality {
                Cardinality::OneToOne => Ok(()),
                Cardinality::GroupLeft(names) => write!(f, " group_left ({})", names.join(", ")),
                Cardinality::GroupRight(names) => write!(f, " group_right ({})", names.join(", ")),
            }?;
        }
        write!(f, " {})", self.right)
    }
}

fn write_joined<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

fn write_matcher(f: &mut fmt::Formatter<'_>, matcher: &Matcher) -> fmt::Result {
    write!(f, "{}{}", matcher.name(), matcher.op().as_str())?;
    write_quoted(f, matcher.value())
}

fn write_extractions(f: &mut fmt::Formatter<'_>, extractions: &[Extraction]) -> fmt::Result {
    if !extractions.is_empty() {
        f.write_char(' ')?;
    }
    write_joined(f, extractions, ", ", |f, extraction| {
        f.write_str(&extraction.label)?;
        if extraction.label == extraction.expression {
            return Ok(());
        }
        f.write_char('=')?;
        write_quoted(f, &extraction.expression)
    })
}

fn write_choices(f: &mut fmt::Formatter<'_>, stage: &str, choices: &[LabelChoice]) -> fmt::Result {
    write!(f, "| {stage} ")?;
    write_joined(f, choices, ", ", |f, choice| match choice {
        LabelChoice::Name(name) => f.write_str(name),
        LabelChoice::Matching(matcher) => write_matcher(f, matcher),
    })
}

fn write_text_stage(f: &mut fmt::Formatter<'_>, stage: &str, text: &str) -> fmt::Result {
    write!(f, "| {stage} ")?;
    write_quoted(f, text)
}

fn write_ip(f: &mut fmt::Formatter<'_>, pattern: &str) -> fmt::Result {
    f.write_str("ip(")?;
    write_quoted(f, pattern)?;
    f.write_char(')')
}

/// A text as the lexer reads it: backquoted where that saves escapes, else with Go's escapes.
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let awkward = text.contains(['"', '\\']);
    if awkward && !text.contains(|c: char| c == '`' || c.is_control()) {
        return write!(f, "`{text}`");
    }
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// A duration in the units the lexer reads: `1h30m`, `250ms`, `7ns`.
fn write_duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    if nanos % 1_000_000 == 0 {
        return f.write_str(&model::time::format_duration(nanos / 1_000_000));
    }
    write!(f, "{nanos}ns")
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_written_tree_reads_back_as_the_same_tree() {
        for query in [
            r#"{a="b", c=~"d.+"} |= "x" or ip("10.0.0.0/8") !~ `\d+` |> "<_> y""#,
            r#"{a="b"} | json x="y.z", w | logfmt --strict --keep-empty | unpack | decolorize"#,
            r#"{a="b"} | regexp `(?P<m>\w+)` | pattern "<m> <_>" | line_format "{{.m}}\n""#,
            r#"{a="b"} | x="1" and (y > 5 or z != 2KB), t >= 1m30s | ip = ip("::1")"#,
            r#"{a="b"} | label_format a=b, c="{{.d}}" | drop a, b="c" | keep d, e=~"f""#,
            r#"sum by (a, b) (rate({a="b"} | json [5m] offset 1h)) / 2"#,
            r#"quantile_over_time(0.9, {a="b"} | unwrap bytes(x) | y="1" [1m]) by (a)"#,
            r#"topk(3, count_over_time({a="b"}[1m])) without (c)"#,
            r#"label_replace(vector(1), "a", "$1", "b", "(.*)") or on (a) vector(0)"#,
            r#"rate({a="b"}[1m]) > bool ignoring (x) group_left (y) rate({a="c"}[250ms])"#,
        ] {
            let tree = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
            let written = tree.to_string();
            let again = parse(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(again, tree, "{written}");
            assert_eq!(again.to_string(), written);
        }
    }
}
