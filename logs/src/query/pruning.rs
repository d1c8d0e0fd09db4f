//! What a line must hold to have a chance.
//!
//! The texts are necessary, never sufficient: a page without one of them may be left out, and
//! every line that is delivered is still judged by the pipeline. Only filters that see the
//! line as it was stored count, so the search ends at the first stage that rewrites it. Negations
//! say nothing about what a line holds and are passed over.
//!
//! Of an expression the literals it cannot match without are taken: a sequence needs those of all
//! its parts, an alternation one of each branch, a repetition those of what it repeats at least
//! once. Letters without case are no literals, so nothing is lost under `(?i)`.

use regex_syntax::hir::{Hir, HirKind};

use super::ast::{LineFilterOp, LineOperand, Stage};
use super::pipeline::{line_filter_regex, required_texts};

/// Texts a wanted line holds: of each clause at least one, as bytes, with case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    clauses: Vec<Vec<String>>,
}

/// The shortest text worth looking for.
const TEXT_BYTES_MIN: usize = 1;
/// How many alternatives a clause may have.
const ALTERNATIVES_MAX: usize = 64;

impl Hints {
    /// The clauses: a wanted line holds at least one text of each.
    pub fn clauses(&self) -> &[Vec<String>] {
        &self.clauses
    }

    /// Whether a line may be wanted as far as the hints tell.
    pub fn may_match(&self, line: &str) -> bool {
        self.clauses
            .iter()
            .all(|clause| clause.iter().any(|text| line.contains(text.as_str())))
    }

    /// What the stages of a query ask of a stored line.
    pub(super) fn of(stages: &[Stage]) -> Self {
        let mut hints = Self::default();
        for stage in stages {
            match stage {
                Stage::LineFilter(filter) => match filter.operands.as_slice() {
                    [operand] => hints.add_all(operand_clauses(filter.op, operand)),
                    operands => hints.add_any(filter.op, operands),
                },
                Stage::LineFormat(_) | Stage::Decolorize | Stage::Unpack => break,
                _ => {}
            }
        }
        hints
    }

    fn add_all(&mut self, clauses: Vec<Vec<String>>) {
        self.clauses.extend(clauses);
    }

    /// Alternatives: the longest text of each, if each has one.
    fn add_any(&mut self, op: LineFilterOp, operands: &[LineOperand]) {
        let mut clause = Vec::new();
        for operand in operands {
            match best(operand_clauses(op, operand)) {
                Some(mut texts) => clause.append(&mut texts),
                None => return,
            }
        }
        if clause.len() <= ALTERNATIVES_MAX {
            self.clauses.push(clause);
        }
    }
}

fn operand_clauses(op: LineFilterOp, operand: &LineOperand) -> Vec<Vec<String>> {
    let LineOperand::Text(text) = operand else {
        return Vec::new();
    };
    let clauses = match op {
        LineFilterOp::Contains => vec![vec![text.clone()]],
        LineFilterOp::Matches => {
            line_filter_regex(text).map_or_else(|_| Vec::new(), |hir| hir_clauses(&hir))
        }
        LineFilterOp::Pattern => required_texts(text)
            .into_iter()
            .map(|text| vec![text])
            .collect(),
        LineFilterOp::NotContains | LineFilterOp::NotMatches | LineFilterOp::NotPattern => {
            Vec::new()
        }
    };
    clauses
        .into_iter()
        .filter(|clause| clause.iter().all(|text| text.len() >= TEXT_BYTES_MIN))
        .collect()
}

/// The clause whose shortest text is longest.
fn best(clauses: Vec<Vec<String>>) -> Option<Vec<String>> {
    clauses
        .into_iter()
        .max_by_key(|clause| clause.iter().map(String::len).min())
}

/// What every match of an expression holds.
fn hir_clauses(hir: &Hir) -> Vec<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec())
            .map(|text| vec![vec![text]])
            .unwrap_or_default(),
        HirKind::Capture(capture) => hir_clauses(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => hir_clauses(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(hir_clauses).collect(),
        HirKind::Alternation(branches) => {
            let mut clause = Vec::new();
            for branch in branches {
                match best(hir_clauses(branch)) {
                    Some(mut texts) => clause.append(&mut texts),
                    None => return Vec::new(),
                }
            }
            if clause.len() > ALTERNATIVES_MAX {
                return Vec::new();
            }
            vec![clause]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::ast::Expr;

    fn check(query: &str, expected: &[&[&str]]) {
        let Ok(Expr::Log(log)) = super::super::parse(query) else {
            panic!("{query} is no log query");
        };
        let hints = Hints::of(&log.stages);
        let clauses: Vec<Vec<&str>> = hints
            .clauses()
            .iter()
            .map(|clause| clause.iter().map(String::as_str).collect())
            .collect();
        assert_eq!(clauses, expected, "{query}");
    }

    #[test]
    fn only_what_a_line_must_hold_is_told() {
        check(r#"{a="b"} |= "x" != "y" |= """#, &[&["x"]]);
        check(r#"{a="b"} |= "x" or "yy""#, &[&["x", "yy"]]);
        check(r#"{a="b"} |= "x" or ip("1.1.1.1")"#, &[]);
        check(
            r#"{a="b"} |~ "Failed password for .* port [0-9]+""#,
            &[&["Failed password for "], &[" port "]],
        );
        check(
            r#"{a="b"} |~ "(?i)fail" |~ "(ab|cde+)x?""#,
            &[&["ab", "cd"]],
        );
        check(r#"{a="b"} |~ "(ab|.*)""#, &[]);
        check(r#"{a="b"} |> "GET <_> 200""#, &[&["GET "], &[" 200"]]);
        check(r#"{a="b"} |= "x" | line_format "y" |= "y""#, &[&["x"]]);
        check(r#"{a="b"} | json | k="v" |= "x""#, &[&["x"]]);
    }
}
