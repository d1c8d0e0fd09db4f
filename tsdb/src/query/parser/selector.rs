//! Names, matchers and lists of labels.

use model::labels::METRIC_NAME;
use model::matcher::{MatchOp, Matcher};

use super::{ParseError, Parser};
use crate::query::ast::{BinaryOp, Extension, Span, TimeShift, VectorSelector};
use crate::query::lexer::{Keyword, Kind};

impl Parser<'_> {
    /// A metric name, matchers in braces, or both.
    pub(super) fn vector_selector(&mut self) -> Result<VectorSelector, ParseError> {
        self.height = 1;
        let start = self.peek().span;
        let name = self.metric_name();
        let mut matchers = Vec::new();
        if self.peek().kind == Kind::LeftBrace {
            matchers = self.matchers()?;
        } else if name.is_none() {
            return Err(self.unexpected("", ""));
        }
        let end = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let span = start.to(end.map_or(start, |token| token.span));
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        Ok(VectorSelector {
            name,
            matchers,
            shift: TimeShift::default(),
            extension: Extension::None,
            only_labels: false,
            histogram_statistics: false,
            span,
        })
    }

    /// The next token as a metric's name: most words of the language may be one.
    fn metric_name(&mut self) -> Option<String> {
        let token = self.peek();
        match &token.kind {
            Kind::Identifier
            | Kind::MetricIdentifier
            | Kind::Aggregator(_)
            | Kind::Operator(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => {}
            Kind::Keyword(keyword) => match keyword {
                Keyword::Bool
                | Keyword::On
                | Keyword::Ignoring
                | Keyword::GroupLeft
                | Keyword::GroupRight => return None,
                _ => {}
            },
            _ => return None,
        }
        let span = self.advance().span;
        Some(self.text_of(span))
    }

    pub(super) fn text_of(&self, span: Span) -> String {
        self.input
            .get(span.start..span.end)
            .unwrap_or_default()
            .to_owned()
    }

    fn matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.advance();
        let mut matchers = Vec::new();
        loop {
            if self.accept(&Kind::RightBrace).is_some() {
                return Ok(matchers);
            }
            matchers.push(self.matcher()?);
            if self.accept(&Kind::Comma).is_none() {
                self.expect(&Kind::RightBrace, "label matching", "\",\" or \"}\"")?;
                return Ok(matchers);
            }
        }
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let token = self.peek().clone();
        let name = match token.kind {
            Kind::Identifier => self.text_of(token.span),
            Kind::Text(name) => name,
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        let quoted = matches!(self.peek().kind, Kind::Text(_));
        self.advance();
        let op = match self.peek().kind {
            Kind::Equal => MatchOp::Equal,
            Kind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::EqualRegex => MatchOp::Regex,
            Kind::NotEqualRegex => MatchOp::NotRegex,
            Kind::Comma | Kind::RightBrace if quoted => {
                return Ok(Matcher::equal(METRIC_NAME, name));
            }
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.advance();
        let Kind::Text(value) = self.peek().kind.clone() else {
            return Err(self.unexpected("label matching", "string"));
        };
        let end = self.advance().span;
        let span = token.span.to(end);
        let matcher = Matcher::new(op, name, value);
        let matcher = matcher.map_err(|error| self.error(span, error.to_string()))?;
        self.count_regex(span, &matcher)?;
        Ok(matcher)
    }

    /// Labels in parentheses: names, words of the language, quoted names.
    pub(super) fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        const CONTEXT: &str = "grouping opts";
        self.expect(&Kind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        loop {
            if self.accept(&Kind::RightParen).is_some() {
                return Ok(labels);
            }
            let token = self.peek().clone();
            match token.kind {
                Kind::Text(name) => labels.push(name),
                Kind::Identifier | Kind::Keyword(_) | Kind::Aggregator(_) => {
                    labels.push(self.text_of(token.span));
                }
                Kind::Operator(op) if op.as_str().starts_with(|c: char| c.is_alphabetic()) => {
                    labels.push(self.text_of(token.span));
                }
                _ => return Err(self.unexpected(CONTEXT, "label")),
            }
            self.advance();
            if self.accept(&Kind::Comma).is_none() {
                self.expect(&Kind::RightParen, CONTEXT, "\",\" or \")\"")?;
                return Ok(labels);
            }
        }
    }
}
