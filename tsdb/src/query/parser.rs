//! From tokens to a well-typed tree, or to the first error with its place.
//!
//! A recursive descent with precedences, by hand: positions, upstream's error words and a bound on
//! depth come easier than from a generated parser. Both the nesting of the text and the height of
//! the tree are bounded, so that neither the parser, nor the evaluator, nor dropping the tree can
//! exhaust the stack of a thread, whatever is sent; and so is what regular expressions compile to, for a
//! short text may hold many large ones. Tokens and tree are as long as the text: who takes texts from
//! outside bounds these ([`super::Guard::allow_text`]).
//!
//! - [`expression`]: operators, calls, aggregations, what stands behind an expression.
//! - [`selector`]: names, matchers, lists of labels.
//! - [`duration`]: what may stand in brackets and behind `offset`.
//! - [`modifiers`]: `bool`, `on`, `group_left`, `fill` between operator and operand.

use model::matcher::{Matcher, REGEX_BYTES_MAX};

use super::ast::{Expr, Span};
use super::check;
use super::lexer::{self, Kind, Token};

mod duration;
mod expression;
mod modifiers;
mod selector;

/// How high a tree may grow.
pub const HEIGHT_MAX: usize = 160;
/// The stack of a thread that parses, evaluates or drops trees: 2 MiB are too few for the highest where
/// nothing is optimised.
pub const STACK_BYTES: usize = 8 << 20;
/// What all regular expressions of a text may compile to: two of the largest.
pub const REGEXES_BYTES_MAX: usize = 2 * REGEX_BYTES_MAX;

/// Which parts of the language are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// What upstream calls stable.
    Stable,
    /// Everything: experimental functions, duration expressions, `smoothed`, `fill`.
    #[default]
    Experimental,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes.
    pub span: Span,
    /// The line of the place, from 1.
    pub line: usize,
    /// The column of the place in bytes, from 1.
    pub column: usize,
}

impl ParseError {
    /// An error at a place of the text.
    pub fn at(input: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = line_and_column(input, span.start);
        Self {
            message: message.into(),
            span,
            line,
            column,
        }
    }
}

/// Line and column, from 1, of a byte of the text.
pub fn line_and_column(input: &str, at: usize) -> (usize, usize) {
    let before = input.as_bytes().get(..at).unwrap_or(input.as_bytes());
    let line = before.split(|b| *b == b'\n').count();
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |p| p + 1);
    (line, before.len() - line_start + 1)
}

/// Parses and checks an expression in the whole language.
pub fn parse(input: &str) -> Result<Expr, ParseError> {
    parse_with(input, Syntax::Experimental)
}

/// Parses and checks an expression.
pub fn parse_with(input: &str, syntax: Syntax) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(input, syntax);
    if parser.peek().kind == Kind::End {
        let nowhere = Span::default();
        return Err(ParseError::at(
            input,
            nowhere,
            "no expression found in input",
        ));
    }
    let mut expr = parser.expression(0)?;
    parser.expect_end()?;
    check::check(input, &mut expr)?;
    Ok(expr)
}

/// Parses a series selector, as the API's `match[]` takes it.
pub fn parse_series_selector(input: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(input, Syntax::Experimental);
    let selector = parser.vector_selector()?;
    parser.expect_end()?;
    let mut expr = Expr::Selector(selector);
    check::check(input, &mut expr)?;
    match expr {
        Expr::Selector(selector) => Ok(selector.matchers),
        _ => Ok(Vec::new()),
    }
}

/// The parser's place in the tokens.
struct Parser<'a> {
    input: &'a str,
    tokens: Vec<Token>,
    at: usize,
    syntax: Syntax,
    /// Expressions entered and not yet left.
    depth: usize,
    /// Height of the expression parsed last.
    height: usize,
    /// What the regular expressions so far compile to.
    regex_bytes: usize,
}

const END: Token = Token {
    kind: Kind::End,
    span: Span { start: 0, end: 0 },
};

impl<'a> Parser<'a> {
    fn new(input: &'a str, syntax: Syntax) -> Self {
        Self {
            input,
            tokens: lexer::lex(input),
            at: 0,
            syntax,
            depth: 0,
            height: 0,
            regex_bytes: 0,
        }
    }

    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens
            .get(self.at + ahead)
            .or(self.tokens.last())
            .unwrap_or(&END)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// Takes the next token if it is this one.
    fn accept(&mut self, kind: &Kind) -> Option<Token> {
        (self.peek().kind == *kind).then(|| self.advance())
    }

    /// Takes the next token, which must be this one.
    fn expect(&mut self, kind: &Kind, context: &str, expected: &str) -> Result<Token, ParseError> {
        self.accept(kind)
            .ok_or_else(|| self.unexpected(context, expected))
    }

    fn expect_end(&self) -> Result<(), ParseError> {
        if self.peek().kind == Kind::End {
            return Ok(());
        }
        Err(self.unexpected("", ""))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::at(self.input, span, message)
    }

    /// The error that the next token does not fit.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        if let Kind::Error(reason) = &token.kind {
            return self.error(token.span, reason.clone());
        }
        let mut message = format!("unexpected {}", token.describe(self.input));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.span, message)
    }

    /// The error that a part of the language is not switched on.
    fn experimental(&self, span: Span, what: &str) -> Result<(), ParseError> {
        if self.syntax == Syntax::Experimental {
            return Ok(());
        }
        let message = format!("{what} is experimental and must be enabled in the configuration");
        Err(self.error(span, message))
    }

    /// Notes the height of a new node above its children.
    fn grow(&mut self, span: Span, children: usize) -> Result<(), ParseError> {
        self.height = children + 1;
        if self.height <= HEIGHT_MAX {
            return Ok(());
        }
        Err(self.too_deep(span))
    }

    /// Counts what a matcher takes beside its text.
    fn count_regex(&mut self, span: Span, matcher: &Matcher) -> Result<(), ParseError> {
        self.regex_bytes = self.regex_bytes.saturating_add(matcher.regex_bytes());
        if self.regex_bytes <= REGEXES_BYTES_MAX {
            return Ok(());
        }
        Err(self.error(span, too_many_regexes()))
    }

    fn too_deep(&self, span: Span) -> ParseError {
        let message = format!(
            "the expression is nested more than {HEIGHT_MAX} levels deep; split it with recording rules"
        );
        self.error(span, message)
    }
}

/// The message where regular expressions are too large together.
pub(crate) fn too_many_regexes() -> String {
    format!(
        "the regular expressions compile to more than {REGEXES_BYTES_MAX} bytes together; use fewer, or simpler ones"
    )
}

#[cfg(test)]
mod tests;
