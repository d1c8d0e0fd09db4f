//! What modifies an operator or a selector: `bool`, `on`, `group_left`, `fill`; `offset`, `@`,
//! `smoothed`, `anchored`.

use super::{ParseError, Parser};
use crate::query::ast::{At, BinaryOp, Cardinality, Expr, Extension, Matching, Span, TimeShift};
use crate::query::lexer::{Keyword, Kind};

impl Parser<'_> {
    /// Everything between a binary operator and its right side.
    pub(super) fn matching_modifiers(&mut self) -> Result<(bool, Matching), ParseError> {
        let mut matching = Matching::default();
        let returns_bool = self.accept(&Kind::Keyword(Keyword::Bool)).is_some();
        if let Kind::Keyword(keyword @ (Keyword::On | Keyword::Ignoring)) = self.peek().kind {
            self.advance();
            matching.on = keyword == Keyword::On;
            matching.labels = self.label_list()?;
            if let Kind::Keyword(side @ (Keyword::GroupLeft | Keyword::GroupRight)) =
                self.peek().kind
            {
                self.advance();
                matching.cardinality = if side == Keyword::GroupLeft {
                    Cardinality::ManyToOne
                } else {
                    Cardinality::OneToMany
                };
                if self.peek().kind == Kind::LeftParen {
                    matching.include = self.label_list()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok((returns_bool, matching))
    }

    fn fill_modifiers(&mut self, matching: &mut Matching) -> Result<(), ParseError> {
        while let Kind::Keyword(
            keyword @ (Keyword::Fill | Keyword::FillLeft | Keyword::FillRight),
        ) = self.peek().kind
        {
            if self.peek_at(1).kind != Kind::LeftParen {
                // The name of a metric.
                return Ok(());
            }
            let span = self.advance().span;
            self.experimental(span, "binary operation fill modifier")?;
            self.advance();
            let value = self.signed_number("fill modifier", "number")?;
            self.expect(&Kind::RightParen, "fill modifier", "\")\"")?;
            if keyword != Keyword::FillRight {
                matching.fill_left = Some(value);
            }
            if keyword != Keyword::FillLeft {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    fn signed_number(&mut self, context: &str, expected: &str) -> Result<f64, ParseError> {
        let sign = match self.peek().kind {
            Kind::Operator(BinaryOp::Sub) => -1.0,
            Kind::Operator(BinaryOp::Add) => 1.0,
            _ => 0.0,
        };
        if sign != 0.0 {
            self.advance();
        }
        let value = match self.peek().kind {
            Kind::Number(value) => value,
            Kind::Duration(millis) => millis as f64 / 1000.0,
            _ => return Err(self.unexpected(context, expected)),
        };
        self.advance();
        Ok(if sign < 0.0 { -value } else { value })
    }

    /// The time shift of an expression that may have one, and its span to grow.
    fn shift_of<'e>(
        &self,
        expr: &'e mut Expr,
        modifier: &str,
    ) -> Result<(&'e mut TimeShift, &'e mut Span), ParseError> {
        match expr {
            Expr::Selector(node) => Ok((&mut node.shift, &mut node.span)),
            Expr::Range(node) => Ok((&mut node.selector.shift, &mut node.span)),
            Expr::Subquery(node) => Ok((&mut node.shift, &mut node.span)),
            other => {
                let message = format!(
                    "{modifier} modifier must be preceded by an instant vector selector or range vector selector or a subquery"
                );
                Err(self.error(other.span(), message))
            }
        }
    }

    pub(super) fn offset_modifier(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.advance();
        let duration = self.offset_duration()?;
        let end = self.last_span();
        let place = expr.span();
        let (shift, span) = self.shift_of(expr, "offset")?;
        if shift.offset.is_some() {
            return Err(self.error(place, "offset may not be set multiple times"));
        }
        shift.offset = Some(duration);
        *span = span.to(end);
        Ok(())
    }

    pub(super) fn at_modifier(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.advance();
        let instant =
            if let Kind::Keyword(keyword @ (Keyword::Start | Keyword::End)) = self.peek().kind {
                self.advance();
                self.expect(&Kind::LeftParen, "@", "\"(\"")?;
                self.expect(&Kind::RightParen, "@", "\")\"")?;
                if keyword == Keyword::Start {
                    At::Start
                } else {
                    At::End
                }
            } else {
                let place = self.peek().span;
                let seconds = self.signed_number("@", "timestamp")?;
                // Milliseconds must fit.
                if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 / 1000.0 {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds}");
                    return Err(self.error(place, message));
                }
                At::Timestamp((seconds * 1000.0).round() as i64)
            };
        let end = self.last_span();
        let place = expr.span();
        let (shift, span) = self.shift_of(expr, "@")?;
        if shift.at.is_some() {
            return Err(self.error(place, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(instant);
        *span = span.to(end);
        Ok(())
    }

    pub(super) fn extension_modifier(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        let token = self.advance();
        let (name, extension) = match token.kind {
            Kind::Keyword(Keyword::Smoothed) => ("smoothed", Extension::Smoothed),
            _ => ("anchored", Extension::Anchored),
        };
        self.experimental(token.span, &format!("{name} modifier"))?;
        let (selector, span) = match expr {
            Expr::Selector(node) if extension == Extension::Smoothed => {
                let span = node.span.to(token.span);
                (node, span)
            }
            Expr::Range(node) => {
                node.span = node.span.to(token.span);
                let span = node.selector.span;
                (&mut node.selector, span)
            }
            Expr::Selector(node) => {
                let message = "anchored modifier must be preceded by a range vector selector";
                return Err(self.error(node.span, message));
            }
            other => {
                let message = format!(
                    "{name} modifier must be preceded by an instant vector selector or range vector selector"
                );
                return Err(self.error(other.span(), message));
            }
        };
        if selector.extension != Extension::None {
            let message = "smoothed and anchored modifiers cannot be combined or repeated";
            return Err(self.error(token.span, message));
        }
        selector.extension = extension;
        selector.span = span;
        Ok(())
    }

    fn last_span(&self) -> Span {
        self.at
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .map_or(Span::default(), |token| token.span)
    }
}
