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
        let operator = self.next();
        let comparison = match operator.text.as_str() {
            "=" | "==" => Comparison::Equal,
            "!=" => Comparison::NotEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessEqual,
            "=~" | "!~" => {
                let op = if operator.text == "=~" {
                    MatchOp::Regex
                } else {
                    MatchOp::NotRegex
                };
                let value = self.string()?;
                return Matcher::new(op, label, value)
                    .map(LabelFilter::Text)
                    .map_err(|error| ParseError::at(position, error.to_string()));
            }
            _ => return Err(operator.unexpected(&[])),
        };
        let equality = matches!(operator.text.as_str(), "=" | "!=");
        let negative = comparison == Comparison::NotEqual;
        if equality && let TokenKind::String(value) = &self.peek().kind {
            let op = if negative {
                MatchOp::NotEqual
            } else {
                MatchOp::Equal
            };
            let matcher = Matcher::new(op, label, value.clone());
            self.next();
            return matcher
                .map(LabelFilter::Text)
                .map_err(|error| ParseError::at(position, error.to_string()));
        }
        if equality && self.peek().is("ip") {
            let pattern = self.ip_pattern()?;
            return Ok(LabelFilter::Ip {
                label,
                negative,
                pattern,
            });
        }
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
