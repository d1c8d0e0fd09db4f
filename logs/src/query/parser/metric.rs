//! Aggregations and functions, with the rules the grammar alone cannot say.

use model::matcher::anchored;

use super::{ParseError, Parser, TokenKind, check_stages};
use crate::query::ast::{
    Expr, Grouping, LabelReplace, LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, Unwrap,
    UnwrapNeed, VectorAggregation, VectorOp,
};
use crate::query::units::parse_float;

impl Parser {
    /// An expression that yields numbers.
    pub(super) fn metric_expr(&mut self) -> Result<MetricExpr, ParseError> {
        let token = self.peek().clone();
        match self.expr(0)? {
            Expr::Metric(metric) => Ok(metric),
            Expr::Log(_) => Err(ParseError::at(
                token.position,
                "syntax error: unexpected log query, expecting a metric query",
            )),
        }
    }

    /// What a function name begins.
    pub(super) fn function(&mut self) -> Result<MetricExpr, ParseError> {
        let token = self.peek().clone();
        if let Some(op) = RangeOp::from_name(&token.text) {
            self.next();
            return self
                .range_aggregation(op)
                .map(|range| MetricExpr::Range(Box::new(range)));
        }
        if let Some(op) = VectorOp::from_name(&token.text) {
            self.next();
            return self
                .vector_aggregation(op)
                .map(|vector| MetricExpr::Vector(Box::new(vector)));
        }
        match token.text.as_str() {
            "label_replace" => {
                self.next();
                self.label_replace()
                    .map(|replace| MetricExpr::LabelReplace(Box::new(replace)))
            }
            "vector" => {
                self.next();
                self.expect("(")?;
                let value = self.number()?;
                self.expect(")")?;
                Ok(MetricExpr::VectorLiteral(value))
            }
            _ => Err(token.unexpected(&[])),
        }
    }

    /// A number without a sign.
    pub(super) fn number(&mut self) -> Result<f64, ParseError> {
        let token = self.peek().clone();
        if token.kind != TokenKind::Number {
            return Err(token.unexpected(&["NUMBER"]));
        }
        self.next();
        parse_float(&token.text).map_err(|error| {
            ParseError::at(
                token.position,
                format!("unable to parse literal as a float: {error}"),
            )
        })
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Result<RangeAggregation, ParseError> {
        self.expect("(")?;
        let parameter = if op == RangeOp::QuantileOverTime {
            let value = self.number()?;
            self.expect(",")?;
            Some(value)
        } else {
            None
        };
        let range = self.log_range()?;
        self.expect(")")?;
        let grouping = self.grouping()?;
        let name = op.as_str();
        if grouping.is_some() && !op.allows_grouping() {
            return Err(ParseError::whole(format!(
                "grouping not allowed for {name} aggregation"
            )));
        }
        match (op.unwrap_need(), &range.unwrap) {
            (UnwrapNeed::Required, None) => Err(ParseError::whole(format!(
                "invalid aggregation {name} without unwrap"
            ))),
            (UnwrapNeed::Forbidden, Some(_)) => Err(ParseError::whole(format!(
                "invalid aggregation {name} with unwrap"
            ))),
            _ => Ok(RangeAggregation {
                op,
                range,
                parameter,
                grouping,
            }),
        }
    }

    /// A selector with its window. Stages may stand on either side of the window, and brackets
    /// around any of it.
    fn log_range(&mut self) -> Result<LogRange, ParseError> {
        let partial = self.partial_range()?;
        let Some((range_ns, offset_ns)) = partial.window else {
            return Err(self.unexpected(&["RANGE"]));
        };
        check_stages(&partial.log)?;
        Ok(LogRange {
            log: partial.log,
            unwrap: partial.unwrap,
            range_ns,
            offset_ns,
        })
    }

    fn partial_range(&mut self) -> Result<PartialRange, ParseError> {
        let mut partial = if self.accept("(") {
            let inner = self.nested(Self::partial_range)?;
            self.expect(")")?;
            inner
        } else {
            PartialRange {
                log: LogExpr {
                    matchers: self.bounded_matchers()?,
                    stages: Vec::new(),
                },
                unwrap: None,
                window: None,
            }
        };
        self.partial_stages(&mut partial)?;
        if partial.window.is_none()
            && let TokenKind::Range(range_ns) = self.peek().kind
        {
            self.next();
            partial.window = Some((range_ns, self.offset()?));
            self.partial_stages(&mut partial)?;
        }
        Ok(partial)
    }

    /// Stages and the unwrap; nothing but filters may follow an unwrap.
    fn partial_stages(&mut self, partial: &mut PartialRange) -> Result<(), ParseError> {
        if partial.unwrap.is_none() {
            partial.log.stages.append(&mut self.stages()?);
            partial.unwrap = self.unwrap_stage()?;
        }
        Ok(())
    }

    fn offset(&mut self) -> Result<i64, ParseError> {
        if !self.accept("offset") {
            return Ok(0);
        }
        let sign = if self.accept("-") { -1 } else { 1 };
        let TokenKind::Duration(nanos) = self.peek().kind else {
            return Err(self.unexpected(&["DURATION"]));
        };
        self.next();
        Ok(sign * nanos)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        if self.accept("by") {
            return self.identifiers_in_brackets().map(Grouping::By).map(Some);
        }
        if self.accept("without") {
            return self
                .identifiers_in_brackets()
                .map(Grouping::Without)
                .map(Some);
        }
        Ok(None)
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Result<VectorAggregation, ParseError> {
        let name = op.as_str();
        let mut grouping = self.grouping()?;
        self.expect("(")?;
        let parameter = if self.peek().kind == TokenKind::Number && self.peek_ahead(1).is(",") {
            Some(self.next().text)
        } else {
            None
        };
        if parameter.is_some() {
            self.expect(",")?;
        }
        let inner = self.nested(Self::metric_expr)?;
        self.expect(")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let parameter = check_parameter(op, parameter)?;
        let ungrouped = matches!(
            op,
            VectorOp::ApproxTopk | VectorOp::Sort | VectorOp::SortDesc
        );
        if ungrouped && grouping.is_some() {
            return Err(ParseError::whole(format!(
                "grouping not allowed for {name} aggregation"
            )));
        }
        Ok(VectorAggregation {
            op,
            inner,
            parameter,
            grouping,
        })
    }

    fn label_replace(&mut self) -> Result<LabelReplace, ParseError> {
        self.expect("(")?;
        let inner = self.nested(Self::metric_expr)?;
        let mut texts = Vec::new();
        for _ in 0..4 {
            self.expect(",")?;
            texts.push(self.string()?);
        }
        self.expect(")")?;
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        let (destination, replacement, source, pattern) = (text(), text(), text(), text());
        let regex = anchored(&pattern).map_err(|error| {
            ParseError::whole(format!("invalid regex in label_replace: {error}"))
        })?;
        Ok(LabelReplace {
            inner,
            destination,
            replacement,
            source,
            pattern,
            regex,
        })
    }
}

/// A range of which brackets may have closed before the window came.
struct PartialRange {
    log: LogExpr,
    unwrap: Option<Unwrap>,
    window: Option<(i64, i64)>,
}

/// The parameter of an aggregation that takes one, and none of any other.
fn check_parameter(op: VectorOp, parameter: Option<String>) -> Result<Option<usize>, ParseError> {
    let name = op.as_str();
    match (op.takes_parameter(), parameter) {
        (true, None) => Err(ParseError::whole(format!(
            "parameter required for operation {name}"
        ))),
        (false, Some(_)) => Err(ParseError::whole(format!(
            "unsupported parameter for operation {name}"
        ))),
        (true, Some(text)) => parse_count(name, &text).map(Some),
        (false, None) => Ok(None),
    }
}

/// How many series `topk` selects: a whole number above zero.
fn parse_count(name: &str, text: &str) -> Result<usize, ParseError> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
        ParseError::whole(format!(
            "invalid parameter {name}({text},: it must be a whole number above zero"
        ))
    })
}
