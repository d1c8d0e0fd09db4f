//! Durations in brackets and behind `offset`.
//!
//! In brackets a whole expression may stand. Behind `offset` only one term does, unless in
//! parentheses: `metric offset 1m + 2` adds 2 to the values.

use super::{HEIGHT_MAX, ParseError, Parser};
use crate::query::ast::{BinaryOp, Duration, DurationExpr};
use crate::query::lexer::{Keyword, Kind};
use crate::query::prepare;

/// What could have stood where no duration does.
const EXPECTED: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// The duration in brackets, which must be positive.
    pub(super) fn bracket_duration(
        &mut self,
        context: &str,
        expected: &str,
    ) -> Result<Duration, ParseError> {
        let start = self.peek().span;
        let expr = self.duration_sum(0, context, expected)?;
        if let DurationExpr::Seconds { value, .. } = expr {
            let millis = prepare::checked_millis(value, prepare::Range::Positive)
                .map_err(|reason| self.error(start, reason))?;
            return Ok(Duration::Millis(millis));
        }
        self.experimental(start, "duration expression")?;
        Ok(Duration::Expr(Box::new(expr)))
    }

    /// The duration behind `offset`, which may be negative.
    pub(super) fn offset_duration(&mut self) -> Result<Duration, ParseError> {
        let start = self.peek().span;
        let sign = match self.peek().kind {
            Kind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => Some(op),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        let term = self.duration_term("offset", EXPECTED)?;
        let expr = match sign {
            Some(BinaryOp::Sub) => DurationExpr::Negative(Box::new(term)),
            Some(_) => DurationExpr::Positive(Box::new(term)),
            None => term,
        };
        let literal = match &expr {
            DurationExpr::Seconds { value, .. } => Some(*value),
            DurationExpr::Negative(inner) => match **inner {
                DurationExpr::Seconds { value, .. } => Some(-value),
                _ => None,
            },
            DurationExpr::Positive(inner) => match **inner {
                DurationExpr::Seconds { value, .. } => Some(value),
                _ => None,
            },
            _ => None,
        };
        if let Some(value) = literal {
            let millis = prepare::checked_millis(value, prepare::Range::Any)
                .map_err(|reason| self.error(start, reason))?;
            return Ok(Duration::Millis(millis));
        }
        self.experimental(start, "duration expression")?;
        Ok(Duration::Expr(Box::new(expr)))
    }

    fn duration_sum(
        &mut self,
        precedence: u8,
        context: &str,
        expected: &str,
    ) -> Result<DurationExpr, ParseError> {
        self.depth += 1;
        if self.depth > HEIGHT_MAX {
            return Err(self.too_deep(self.peek().span));
        }
        let mut lhs = self.duration_operand(context, expected)?;
        let mut height = 1;
        while let Kind::Operator(op) = self.peek().kind {
            let arithmetic = op.changes_meaning() && op != BinaryOp::Atan2;
            if !arithmetic || op.precedence() < precedence {
                break;
            }
            let span = self.advance().span;
            height += 1;
            if height + self.depth > HEIGHT_MAX {
                return Err(self.too_deep(span));
            }
            let tighter = op.precedence() + u8::from(op != BinaryOp::Pow);
            let rhs = self.duration_sum(tighter, context, expected)?;
            lhs = DurationExpr::Arithmetic(op, Box::new(lhs), Box::new(rhs));
        }
        self.depth -= 1;
        Ok(lhs)
    }

    /// One term with its sign, which binds less than a power.
    fn duration_operand(
        &mut self,
        context: &str,
        expected: &str,
    ) -> Result<DurationExpr, ParseError> {
        let negative = match self.peek().kind {
            Kind::Operator(BinaryOp::Sub) => true,
            Kind::Operator(BinaryOp::Add) => false,
            _ => return self.duration_term(context, expected),
        };
        self.advance();
        let inner = self.duration_sum(BinaryOp::Pow.precedence(), context, expected)?;
        let inner = Box::new(inner);
        Ok(if negative {
            DurationExpr::Negative(inner)
        } else {
            DurationExpr::Positive(inner)
        })
    }

    /// One term.
    fn duration_term(&mut self, context: &str, expected: &str) -> Result<DurationExpr, ParseError> {
        let token = self.peek().clone();
        match token.kind {
            Kind::Number(value) => {
                self.advance();
                Ok(DurationExpr::Seconds {
                    value,
                    is_duration: false,
                })
            }
            Kind::Duration(millis) => {
                self.advance();
                Ok(DurationExpr::Seconds {
                    value: millis as f64 / 1000.0,
                    is_duration: true,
                })
            }
            Kind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
                self.advance();
                self.expect(&Kind::LeftParen, context, "\"(\"")?;
                self.expect(&Kind::RightParen, context, "\")\"")?;
                Ok(if keyword == Keyword::Step {
                    DurationExpr::Step
                } else {
                    DurationExpr::Range
                })
            }
            Kind::LeftParen => {
                self.advance();
                let inner = self.duration_sum(0, context, expected)?;
                self.expect(&Kind::RightParen, context, "\")\"")?;
                Ok(DurationExpr::Paren(Box::new(inner)))
            }
            Kind::Identifier => self.duration_extreme(context, expected),
            _ => Err(self.unexpected(context, expected)),
        }
    }

    /// `min_of(a, b)` and `max_of(a, b)`.
    fn duration_extreme(
        &mut self,
        context: &str,
        expected: &str,
    ) -> Result<DurationExpr, ParseError> {
        let name = self.text_of(self.peek().span).to_ascii_lowercase();
        if name != "min_of" && name != "max_of" {
            return Err(self.unexpected(context, expected));
        }
        self.advance();
        self.expect(&Kind::LeftParen, context, "\"(\"")?;
        let a = Box::new(self.duration_sum(0, context, expected)?);
        self.expect(&Kind::Comma, context, "\",\"")?;
        let b = Box::new(self.duration_sum(0, context, expected)?);
        self.expect(&Kind::RightParen, context, "\")\"")?;
        Ok(if name == "min_of" {
            DurationExpr::MinOf(a, b)
        } else {
            DurationExpr::MaxOf(a, b)
        })
    }
}
