//! Operators, calls, aggregations, and what stands behind an expression.

use super::{HEIGHT_MAX, ParseError, Parser};
use crate::query::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, Grouping, Number, Paren, RangeSelector,
    Sign, Span, Subquery, Text, TimeShift, Unary,
};
use crate::query::functions;
use crate::query::lexer::{Keyword, Kind};

impl Parser<'_> {
    /// An expression whose operators bind at least as tightly as `precedence`.
    pub(super) fn expression(&mut self, precedence: u8) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > HEIGHT_MAX {
            return Err(self.too_deep(self.peek().span));
        }
        let mut lhs = self.operand()?;
        while let Kind::Operator(op) = self.peek().kind {
            if op.precedence() < precedence {
                break;
            }
            self.advance();
            let (returns_bool, matching) = self.matching_modifiers()?;
            let left_height = self.height;
            // Powers group from the right, all others from the left.
            let rhs = self.expression(op.precedence() + u8::from(op != BinaryOp::Pow))?;
            let span = lhs.span().to(rhs.span());
            self.grow(span, left_height.max(self.height))?;
            lhs = Expr::Binary(Binary {
                op,
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
                returns_bool,
                matching: Some(matching),
            });
        }
        self.depth -= 1;
        Ok(lhs)
    }

    /// An expression without binary operators, with its sign.
    fn operand(&mut self) -> Result<Expr, ParseError> {
        let sign = match self.peek().kind {
            Kind::Operator(BinaryOp::Add) => Sign::Plus,
            Kind::Operator(BinaryOp::Sub) => Sign::Minus,
            _ => return self.with_suffixes(),
        };
        let start = self.advance().span;
        // A sign binds less than a power: -2^2 is -(2^2).
        let expr = self.expression(BinaryOp::Pow.precedence())?;
        let span = start.to(expr.span());
        if let Expr::Number(number) = expr {
            let value = match sign {
                Sign::Plus => number.value,
                Sign::Minus => -number.value,
            };
            return Ok(Expr::Number(Number {
                value,
                span,
                ..number
            }));
        }
        self.grow(span, self.height)?;
        Ok(Expr::Unary(Unary {
            sign,
            expr: Box::new(expr),
            span,
        }))
    }

    /// An expression with its ranges, offsets and instants.
    fn with_suffixes(&mut self) -> Result<Expr, ParseError> {
        let mut expr = self.primary()?;
        loop {
            match self.peek().kind {
                Kind::LeftBracket => expr = self.brackets(expr)?,
                Kind::At => self.at_modifier(&mut expr)?,
                Kind::Keyword(Keyword::Offset) => self.offset_modifier(&mut expr)?,
                Kind::Keyword(Keyword::Smoothed | Keyword::Anchored) => {
                    self.extension_modifier(&mut expr)?;
                }
                _ => return Ok(expr),
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        self.height = 1;
        let token = self.peek().clone();
        let calls = self.peek_at(1).kind == Kind::LeftParen;
        match token.kind {
            Kind::Number(value) => {
                self.advance();
                Ok(Expr::Number(Number {
                    value,
                    is_duration: false,
                    span: token.span,
                }))
            }
            Kind::Duration(millis) => {
                self.advance();
                Ok(Expr::Number(Number {
                    value: millis as f64 / 1000.0,
                    is_duration: true,
                    span: token.span,
                }))
            }
            Kind::Text(value) => {
                self.advance();
                Ok(Expr::Text(Text {
                    value,
                    span: token.span,
                }))
            }
            Kind::LeftParen => self.paren(),
            Kind::Aggregator(op) if self.aggregates() => self.aggregate(op),
            Kind::Identifier
            | Kind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range)
                if calls =>
            {
                self.call()
            }
            _ => Ok(Expr::Selector(self.vector_selector()?)),
        }
    }

    /// Whether the aggregator's name is used as one, and not as the name of a metric.
    fn aggregates(&self) -> bool {
        matches!(
            self.peek_at(1).kind,
            Kind::LeftParen | Kind::Keyword(Keyword::By | Keyword::Without)
        )
    }

    fn paren(&mut self) -> Result<Expr, ParseError> {
        let start = self.advance().span;
        let expr = self.expression(0)?;
        let end = self.expect(&Kind::RightParen, "", "")?.span;
        let span = start.to(end);
        self.grow(span, self.height)?;
        Ok(Expr::Paren(Paren {
            expr: Box::new(expr),
            span,
        }))
    }

    /// Arguments in parentheses, with the span of the closing one.
    fn arguments(&mut self) -> Result<(Vec<Expr>, Span), ParseError> {
        self.expect(&Kind::LeftParen, "", "\"(\"")?;
        let mut args = Vec::new();
        let mut height = 0;
        if let Some(end) = self.accept(&Kind::RightParen) {
            self.height = 0;
            return Ok((args, end.span));
        }
        loop {
            args.push(self.expression(0)?);
            height = height.max(self.height);
            if let Some(end) = self.accept(&Kind::RightParen) {
                self.height = height;
                return Ok((args, end.span));
            }
            let comma = self.expect(&Kind::Comma, "", "")?;
            if self.peek().kind == Kind::RightParen {
                let message = "trailing commas not allowed in function call args";
                return Err(self.error(comma.span, message));
            }
        }
    }

    fn call(&mut self) -> Result<Expr, ParseError> {
        let token = self.advance();
        let name = self
            .input
            .get(token.span.start..token.span.end)
            .unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let known = match token.kind {
            Kind::Keyword(_) => lower.as_str(),
            _ => name,
        };
        let Some(function) = functions::find(known) else {
            let message = format!("unknown function with name {name:?}");
            return Err(self.error(token.span, message));
        };
        if function.experimental {
            self.experimental(token.span, &format!("{known}()"))?;
        }
        let (args, end) = self.arguments()?;
        let span = token.span.to(end);
        self.grow(span, self.height)?;
        Ok(Expr::Call(Call {
            function,
            args,
            span,
        }))
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Expr, ParseError> {
        let token = self.advance();
        if op.is_experimental() {
            self.experimental(token.span, &format!("{}()", op.as_str()))?;
        }
        let mut grouping = self.grouping()?;
        let (args, mut end) = self.arguments()?;
        let height = self.height;
        if grouping.is_none() {
            let before = self.at;
            grouping = self.grouping()?;
            if self.at > before
                && let Some(last) = self.tokens.get(self.at - 1)
            {
                end = last.span;
            }
        }
        let (grouping, labels) = grouping.unwrap_or((Grouping::By, Vec::new()));
        let span = token.span.to(end);
        let wanted = 1 + usize::from(op.param().is_some());
        if args.is_empty() {
            let message = "no arguments for aggregate expression provided";
            return Err(self.error(span, message));
        }
        if args.len() != wanted {
            let given = args.len();
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {given}"
            );
            return Err(self.error(span, message));
        }
        self.grow(span, height)?;
        let mut args = args.into_iter();
        let param = op.param().and_then(|_| args.next()).map(Box::new);
        let Some(expr) = args.next() else {
            return Err(self.unexpected("aggregation", ""));
        };
        Ok(Expr::Aggregate(Aggregate {
            op,
            grouping,
            labels,
            param,
            expr: Box::new(expr),
            span,
        }))
    }

    fn grouping(&mut self) -> Result<Option<(Grouping, Vec<String>)>, ParseError> {
        let grouping = match self.peek().kind {
            Kind::Keyword(Keyword::By) => Grouping::By,
            Kind::Keyword(Keyword::Without) => Grouping::Without,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((grouping, self.label_list()?)))
    }

    /// A range or a subquery behind an expression.
    fn brackets(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        let open = self.advance().span;
        let height = self.height;
        let range = self.bracket_duration(
            "subquery or range selector",
            "number, duration, step(), or range()",
        )?;
        if self.accept(&Kind::Colon).is_none() {
            let context = "subquery or range";
            let close = self.expect(&Kind::RightBracket, context, "\":\" or \"]\"")?;
            let span = expr.span().to(close.span);
            self.grow(span, height)?;
            let Expr::Selector(selector) = expr else {
                let message = "ranges only allowed for vector selectors";
                return Err(self.error(open.to(close.span), message));
            };
            let misplaced = if selector.shift.offset.is_some() {
                Some("no offset modifiers allowed before range")
            } else if selector.shift.at.is_some() {
                Some("no @ modifiers allowed before range")
            } else {
                None
            };
            if let Some(message) = misplaced {
                return Err(self.error(open.to(close.span), message));
            }
            return Ok(Expr::Range(RangeSelector {
                selector,
                range,
                span,
            }));
        }
        let step = if self.peek().kind == Kind::RightBracket {
            None
        } else {
            Some(self.bracket_duration(
                "subquery selector",
                "number, duration, step(), range(), or \"]\"",
            )?)
        };
        let close = self.expect(&Kind::RightBracket, "subquery selector", "\"]\"")?;
        let span = expr.span().to(close.span);
        self.grow(span, height)?;
        Ok(Expr::Subquery(Subquery {
            expr: Box::new(expr),
            range,
            step,
            shift: TimeShift::default(),
            span,
        }))
    }
}
