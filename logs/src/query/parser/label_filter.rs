//! Conditions on labels: `a="b" and (c > 5 or d = ip("10.0.0.0/8"))`.
//!
//! `and` binds tighter than `or`; a comma and mere adjacency are `and`.

use model::matcher::{MatchOp, Matcher};

use super::{ParseError, Parser, TokenKind};
use crate::query::ast::{Comparison, IpPattern, LabelFilter, Quantity, QuantityFilter};
use crate::query::units::parse_float;

impl Parser {
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.label_filter_and()?;
        while self.accept("or") {
            let right = self.label_filter_and()?;
            left = LabelFilter::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn label_filter_and(&mut self) -> Result<LabelFilter, ParseError> {
        let mut left = self.label_filter_unit()?;
        loop {
            let adjacent = self.peek().kind == TokenKind::Identifier || self.peek().is("(");
            if !(self.accept("and") || self.accept(",") || adjacent) {
                return Ok(left);
            }
            let right = self.label_filter_unit()?;
            left = LabelFilter::And(Box::new(left), Box::new(right));
        }
    }

    fn label_filter_unit(&mut self) -> Result<LabelFilter, ParseError> {
        self.link()?;
        if self.accept("(") {
            let filter = self.nested(Self::label_filter)?;
            self.expect(")")?;
            return Ok(filter);
        }
        let position = self.peek().position;
        let label = self.identifier()?;
        let matcher = |op, label: String, value| {
            Matcher::new(op, label, value)
                .map(LabelFilter::Text)
                .map_err(|error| ParseError::at(position, error.to_string()))
        };
        let match_op = self.match_op();
        let operator = self.next();
        if let Some(op) = match_op {
            match &self.peek().kind {
                TokenKind::String(value) => {
                    let value = value.clone();
                    self.next();
                    return matcher(op, label, value);
                }
                _ if matches!(op, MatchOp::Regex | MatchOp::NotRegex) => {
                    return Err(self.unexpected(&["STRING"]));
                }
                _ if self.peek().is("ip") => {
                    return Ok(LabelFilter::Ip {
                        label,
                        negative: op.is_negative(),
                        pattern: self.ip_pattern()?,
                    });
                }
                _ => {}
            }
        }
        let comparison = comparison(&operator.text).ok_or_else(|| operator.unexpected(&[]))?;
        let quantity = self.quantity()?;
        Ok(LabelFilter::Quantity(QuantityFilter {
            label,
            comparison,
            quantity,
        }))
    }

    fn quantity(&mut self) -> Result<Quantity, ParseError> {
        let negative = self.peek().is("-");
        if negative || self.peek().is("+") {
            self.next();
        }
        let token = self.peek().clone();
        let quantity = match token.kind {
            TokenKind::Number => {
                let value = parse_float(&token.text).map_err(|error| {
                    ParseError::at(
                        token.position,
                        format!("unable to parse literal as a float: {error}"),
                    )
                })?;
                Quantity::Number(if negative { -value } else { value })
            }
            TokenKind::Duration(nanos) => Quantity::Duration(if negative { -nanos } else { nanos }),
            TokenKind::Bytes(bytes) if !negative => Quantity::Bytes(bytes),
            _ => return Err(token.unexpected(&["BYTES", "DURATION", "NUMBER"])),
        };
        self.next();
        Ok(quantity)
    }

    /// `ip("…")`
    pub(super) fn ip_pattern(&mut self) -> Result<IpPattern, ParseError> {
        let position = self.expect("ip")?.position;
        self.expect("(")?;
        let text = self.string()?;
        self.expect(")")?;
        IpPattern::parse(&text).map_err(|error| ParseError::at(position, error))
    }
}

/// The comparison of quantities an operator stands for; `=` is another way to write `==`.
fn comparison(operator: &str) -> Option<Comparison> {
    Some(match operator {
        "=" | "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessEqual,
        _ => return None,
    })
}
