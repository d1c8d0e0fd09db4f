//! From tokens to a tree, by recursive descent.
//!
//! One function per construct of the language, each in the module of its half: [`selector`],
//! [`stages`] and [`label_filter`] for log queries, [`metric`] and [`binary`] for metric queries.
//! They share the [`Parser`], a cursor over tokens that counts its depth, so that no text can
//! exhaust the stack. What the grammar cannot say (an aggregation without its unwrap, a selector
//! that selects everything) is checked where the construct is complete, in [`metric`] and
//! [`selector`].

mod binary;
mod label_filter;
mod metric;
mod selector;
mod stages;

use super::ast::{Expr, LogExpr};
use super::error::ParseError;
use super::lexer::{Token, TokenKind, tokenize};
use super::pipeline::Pipeline;
pub use selector::{parse_selector, parse_stream_labels};

/// The longest query taken, in bytes.
const QUERY_BYTES_MAX: usize = 128 << 10;
/// How deep expressions may nest.
const DEPTH_MAX: usize = 128;
/// How many operators, conditions and stages a query may have. Chains become trees as deep as
/// they are long, and each stage may hold a compiled expression.
const LINKS_MAX: usize = 512;

/// Reads a query.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    let expr = parser.expr(0)?;
    parser.end()?;
    Ok(expr)
}

/// A cursor over the tokens of a query.
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    links: usize,
    end: Token,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, ParseError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(ParseError::whole(format!(
                "query of {} bytes is longer than {QUERY_BYTES_MAX} bytes",
                text.len()
            )));
        }
        let tokens = tokenize(text)?;
        let end = tokens.last().cloned().unwrap_or_else(|| Token {
            kind: TokenKind::End,
            text: String::new(),
            position: super::error::Position { line: 1, column: 1 },
        });
        Ok(Self {
            tokens,
            at: 0,
            depth: 0,
            links: 0,
            end,
        })
    }

    /// The token at the cursor.
    fn peek(&self) -> &Token {
        self.peek_ahead(0)
    }

    /// A token behind the cursor.
    fn peek_ahead(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).unwrap_or(&self.end)
    }

    /// Takes the token at the cursor.
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// Takes this word or sign if it comes next.
    fn accept(&mut self, text: &str) -> bool {
        let found = self.peek().is(text);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes this word or sign, or complains.
    fn expect(&mut self, text: &str) -> Result<Token, ParseError> {
        if self.peek().is(text) {
            Ok(self.next())
        } else {
            Err(self.unexpected(&[text]))
        }
    }

    /// The complaint about the token at the cursor.
    fn unexpected(&self, expected: &[&str]) -> ParseError {
        self.peek().unexpected(expected)
    }

    /// Takes a name.
    fn identifier(&mut self) -> Result<String, ParseError> {
        if self.peek().kind == TokenKind::Identifier {
            Ok(self.next().text)
        } else {
            Err(self.unexpected(&["IDENTIFIER"]))
        }
    }

    /// Takes a quoted text.
    fn string(&mut self) -> Result<String, ParseError> {
        match &self.peek().kind {
            TokenKind::String(value) => {
                let value = value.clone();
                self.at += 1;
                Ok(value)
            }
            _ => Err(self.unexpected(&["STRING"])),
        }
    }

    /// Takes names in brackets, perhaps none.
    fn identifiers_in_brackets(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("(")?;
        let mut names = Vec::new();
        if self.accept(")") {
            return Ok(names);
        }
        loop {
            names.push(self.identifier()?);
            if self.accept(")") {
                return Ok(names);
            }
            if !self.accept(",") {
                return Err(self.unexpected(&[",", ")"]));
            }
        }
    }

    /// Complains about anything that is left.
    fn end(&self) -> Result<(), ParseError> {
        if self.peek().kind == TokenKind::End {
            Ok(())
        } else {
            Err(self.unexpected(&[]))
        }
    }

    /// Counts an operator, a condition or a stage.
    fn link(&mut self) -> Result<(), ParseError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(ParseError::at(
                self.peek().position,
                format!("query has more than {LINKS_MAX} operators, conditions and stages"),
            ));
        }
        Ok(())
    }

    /// Runs a nested construct one level deeper.
    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= DEPTH_MAX {
            return Err(ParseError::at(
                self.peek().position,
                format!("expression nests deeper than {DEPTH_MAX} levels"),
            ));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }
}

/// Compiles the stages once, so that a tree only holds what runs.
fn check_stages(log: &LogExpr) -> Result<(), ParseError> {
    Pipeline::compile(&log.stages, None)
        .map(drop)
        .map_err(ParseError::whole)
}

#[cfg(test)]
mod tests;
