//! Operators between expressions, by precedence climbing, and what they stand between.

use super::{ParseError, Parser, TokenKind};
use crate::query::ast::{
    Binary, BinaryOp, Cardinality, Comparison, Expr, Matching, MatchingLabels, MetricExpr,
};
use crate::query::eval::arithmetic::scalar_operation;

const OPERATORS: [BinaryOp; 15] = [
    BinaryOp::Or,
    BinaryOp::And,
    BinaryOp::Unless,
    BinaryOp::Compare(Comparison::Equal),
    BinaryOp::Compare(Comparison::NotEqual),
    BinaryOp::Compare(Comparison::Greater),
    BinaryOp::Compare(Comparison::GreaterEqual),
    BinaryOp::Compare(Comparison::Less),
    BinaryOp::Compare(Comparison::LessEqual),
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
];

impl Parser {
    /// An expression whose operators bind at least as tight as `precedence`.
    pub(super) fn expr(&mut self, precedence: u8) -> Result<Expr, ParseError> {
        let mut left = self.primary()?;
        loop {
            let token = self.peek().clone();
            let Some(op) = OPERATORS.into_iter().find(|op| token.is(op.as_str())) else {
                return Ok(left);
            };
            if op.precedence() < precedence.max(1) {
                return Ok(left);
            }
            let Expr::Metric(left_metric) = left else {
                return Err(token.unexpected(&[]));
            };
            self.next();
            self.link()?;
            let (return_bool, matching) = self.modifier(op)?;
            let right_precedence = if op == BinaryOp::Pow {
                op.precedence()
            } else {
                op.precedence() + 1
            };
            let start = self.peek().clone();
            let Expr::Metric(right) = self.nested(|parser| parser.expr(right_precedence))? else {
                return Err(start.unexpected(&[]));
            };
            left = Expr::Metric(combine(Binary {
                op,
                left: left_metric,
                right,
                return_bool,
                matching,
            })?);
        }
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let token = self.peek().clone();
        match token.kind {
            TokenKind::Number => self.number().map(MetricExpr::Literal).map(Expr::Metric),
            TokenKind::Function => self.nested(Self::function).map(Expr::Metric),
            _ if token.is("{") => self.log_expr().map(Expr::Log),
            _ if token.is("-") || token.is("+") => {
                self.next();
                let value = self.number()?;
                let value = if token.text == "-" { -value } else { value };
                Ok(Expr::Metric(MetricExpr::Literal(value)))
            }
            _ if token.is("(") => {
                self.next();
                let inner = self.nested(|parser| parser.expr(0))?;
                self.expect(")")?;
                match inner {
                    Expr::Log(mut log) => {
                        log.stages.append(&mut self.stages()?);
                        super::check_stages(&log)?;
                        Ok(Expr::Log(log))
                    }
                    metric @ Expr::Metric(_) => Ok(metric),
                }
            }
            _ => Err(token.unexpected(&[])),
        }
    }

    /// `bool`, and which series meet.
    fn modifier(&mut self, op: BinaryOp) -> Result<(bool, Option<Matching>), ParseError> {
        let bool_token = self.peek().clone();
        let return_bool = self.accept("bool");
        if return_bool && !matches!(op, BinaryOp::Compare(_)) {
            return Err(bool_token.unexpected(&[]));
        }
        let labels = if self.accept("on") {
            MatchingLabels::On(self.identifiers_in_brackets()?)
        } else if self.accept("ignoring") {
            MatchingLabels::Ignoring(self.identifiers_in_brackets()?)
        } else {
            return Ok((return_bool, None));
        };
        let group = self.peek().clone();
        let cardinality = if self.accept("group_left") {
            Cardinality::GroupLeft(self.included_labels()?)
        } else if self.accept("group_right") {
            Cardinality::GroupRight(self.included_labels()?)
        } else {
            Cardinality::OneToOne
        };
        if op.is_set() && cardinality != Cardinality::OneToOne {
            return Err(ParseError::at(
                group.position,
                format!("no grouping allowed for {} operation", op.as_str()),
            ));
        }
        Ok((
            return_bool,
            Some(Matching {
                labels,
                cardinality,
            }),
        ))
    }

    /// The labels behind `group_left`; a bracket that opens an expression is not theirs.
    fn included_labels(&mut self) -> Result<Vec<String>, ParseError> {
        if !self.peek().is("(") {
            return Ok(Vec::new());
        }
        let inside = self.peek_ahead(1);
        if inside.is(")") || inside.kind == TokenKind::Identifier {
            return self.identifiers_in_brackets();
        }
        Ok(Vec::new())
    }
}

/// Two numbers are computed at once; sets of numbers do not exist.
fn combine(binary: Binary) -> Result<MetricExpr, ParseError> {
    let literal = |side: &MetricExpr| match side {
        MetricExpr::Literal(value) => Some(*value),
        _ => None,
    };
    let (left, right) = (literal(&binary.left), literal(&binary.right));
    if binary.op.is_set() {
        for (value, leg) in [(left, "left"), (right, "right")] {
            if let Some(value) = value {
                return Err(ParseError::whole(format!(
                    "unexpected literal for {leg} leg of logical/set binary operation ({}): {value}",
                    binary.op.as_str()
                )));
            }
        }
    }
    if let (Some(left), Some(right)) = (left, right) {
        return Ok(MetricExpr::Literal(scalar_operation(
            binary.op, left, right,
        )));
    }
    Ok(MetricExpr::Binary(Box::new(binary)))
}
