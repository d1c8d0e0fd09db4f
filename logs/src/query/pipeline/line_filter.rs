//! `|=`, `!=`, `|~`, `!~`, `|>`, `!>`: the stage that most lines end at.
//!
//! A text is searched for with the vector search of `memchr`; an expression that is a plain text
//! becomes one; `.*` at either end is cut off, since an unanchored search does not need it and a
//! search without it may jump from literal to literal.

use std::borrow::Cow;

use memchr::memmem::Finder;
use model::re2::translate;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::ip::IpPattern;
use super::pattern::LinePattern;
use crate::query::ast::{LineFilter, LineFilterOp, LineOperand};

/// The compiled size a line filter's regular expression may reach, in bytes.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// A line filter, ready to be asked.
pub(crate) struct CompiledLineFilter {
    negative: bool,
    operands: Vec<Operand>,
}

enum Operand {
    Everything,
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    Pattern(LinePattern),
    Ip(IpPattern),
}

impl CompiledLineFilter {
    pub(super) fn compile(filter: &LineFilter) -> Result<Self, String> {
        let mut operands = Vec::with_capacity(filter.operands.len());
        for operand in &filter.operands {
            operands.push(match operand {
                LineOperand::Ip(pattern) => Operand::Ip(pattern.clone()),
                LineOperand::Text(text) => compile_text(filter.op, text)?,
            });
        }
        Ok(Self {
            negative: filter.op.is_negative(),
            operands,
        })
    }

    /// Whether a line passes.
    pub(crate) fn matches(&self, line: &str) -> bool {
        let found = self.operands.iter().any(|operand| match operand {
            Operand::Everything => true,
            Operand::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            Operand::Regex(regex) => regex.is_match(line),
            Operand::Pattern(pattern) => pattern.matches(line),
            Operand::Ip(pattern) => pattern.found_in(line),
        });
        found != self.negative
    }
}

fn compile_text(op: LineFilterOp, text: &str) -> Result<Operand, String> {
    let contains = |text: &str| {
        if text.is_empty() {
            Operand::Everything
        } else {
            Operand::Contains(Box::new(Finder::new(text).into_owned()))
        }
    };
    match op {
        LineFilterOp::Contains | LineFilterOp::NotContains => Ok(contains(text)),
        LineFilterOp::Pattern | LineFilterOp::NotPattern => {
            LinePattern::compile(text).map(Operand::Pattern)
        }
        LineFilterOp::Matches | LineFilterOp::NotMatches => {
            let hir = parse_regex(text)?;
            match plain_text(&hir) {
                Some(plain) => Ok(contains(&plain)),
                None => compile_translated(text, without_open_ends(&translated(text)?))
                    .map(Operand::Regex),
            }
        }
    }
}

/// The syntax tree of a line filter's expression.
pub(crate) fn parse_regex(pattern: &str) -> Result<Hir, String> {
    regex_syntax::parse(&translated(pattern)?)
        .map_err(|error| regex_error(pattern, &error.to_string()))
}

/// Compiles an expression that may match anywhere in a line.
pub(in crate::query) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    compile_translated(pattern, &translated(pattern)?)
}

/// The expression in the library's notation.
fn translated(pattern: &str) -> Result<Cow<'_, str>, String> {
    translate(pattern).map_err(|reason| regex_error(pattern, reason))
}

fn compile_translated(pattern: &str, translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| regex_error(pattern, &error.to_string()))
}

/// The library draws the expression over several lines; the last says what is wrong.
fn regex_error(pattern: &str, message: &str) -> String {
    let reason = message.lines().last().unwrap_or(message);
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    format!("error parsing regexp: {reason}: `{pattern}`")
}

/// The text an expression stands for, if it is no more than a text.
fn plain_text(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty => Some(String::new()),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        _ => None,
    }
}

/// The expression without a `.*` at its ends. An alternation may lose it too: each branch may
/// match anywhere, so what the branch allows around itself does not matter.
fn without_open_ends(pattern: &str) -> &str {
    let pattern = match pattern.strip_prefix(".*") {
        Some(rest) if !rest.starts_with(['?', '*', '+', '{']) => rest,
        _ => pattern,
    };
    match pattern.strip_suffix(".*") {
        Some(rest) if !rest.ends_with('\\') => rest,
        _ => pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_pass_as_written() {
        use LineFilterOp::{Contains, Matches, NotContains, NotMatches, Pattern};
        for (op, text, line, passes) in [
            (Contains, "", "anything", true),
            (Contains, "err", "no error", true),
            (Contains, "ERR", "no error", false),
            (NotContains, "err", "fine", true),
            (Matches, "code=5..", "code=500", true),
            (Matches, ".*code=5.*", "x code=500 y", true),
            (Matches, ".*a|b.*", "b", true),
            (Matches, r"a\.*", "a...", true),
            (Matches, ".*?a", "xa", true),
            (NotMatches, "(?i)CODE", "code", false),
            (Pattern, "GET <_> 200", "GET /api 200", true),
            (Pattern, "GET <_>", "POST /api", false),
            (Pattern, "GET /api", "GET /api 200", false),
        ] {
            let filter = CompiledLineFilter::compile(&LineFilter {
                op,
                operands: vec![LineOperand::Text(text.to_owned())],
            })
            .expect("compiles");
            assert_eq!(filter.matches(line), passes, "{op:?} {text:?} {line:?}");
        }
    }
}
