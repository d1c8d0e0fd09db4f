//! From text to tokens with positions.
//!
//! Three things make the words of LogQL depend on what follows them. A function name is a function
//! only before `(`, `by` or `without`, so that a label may be called `rate`. A number may turn
//! out to be a duration or a byte size. And `[5m]` is one token, because nothing else may stand
//! between the brackets. All three are settled here, so that the parser looks at kinds alone.

mod scan;

use super::error::{ParseError, Position};
pub(super) use scan::tokenize;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A name that means nothing to the language.
    Identifier,
    /// A word of the language.
    Keyword,
    /// The name of a function, with its bracket or grouping following.
    Function,
    /// A quoted text, unquoted.
    String(String),
    /// A number, not yet read.
    Number,
    /// A duration in nanoseconds.
    Duration(i64),
    /// A byte size.
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict` and its like.
    Flag,
    /// Anything that is not a word.
    Operator,
    /// The end of the text.
    End,
}

/// A token: what it is, how it is written, where it starts.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) text: String,
    pub(super) position: Position,
}

impl Token {
    /// The token as error messages call it.
    pub(super) fn describe(&self) -> &str {
        match self.kind {
            TokenKind::Identifier => "IDENTIFIER",
            TokenKind::String(_) => "STRING",
            TokenKind::Number => "NUMBER",
            TokenKind::Duration(_) => "DURATION",
            TokenKind::Bytes(_) => "BYTES",
            TokenKind::Range(_) => "RANGE",
            TokenKind::Flag => "PARSER_FLAG",
            TokenKind::End => "$end",
            TokenKind::Keyword | TokenKind::Function | TokenKind::Operator => &self.text,
        }
    }

    /// Whether the token is this word or sign of the language.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(
            self.kind,
            TokenKind::Keyword | TokenKind::Operator | TokenKind::Function
        ) && self.text == text
    }

    /// The complaint that this token cannot stand here.
    pub(super) fn unexpected(&self, expected: &[&str]) -> ParseError {
        let mut message = format!("syntax error: unexpected {}", self.describe());
        if !expected.is_empty() {
            message.push_str(", expecting ");
            message.push_str(&expected.join(" or "));
        }
        ParseError::at(self.position, message)
    }
}

/// Words that are never names.
const KEYWORDS: [&str; 22] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "unwrap",
    "json",
    "logfmt",
    "regexp",
    "unpack",
    "pattern",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
];

/// Words that are functions where a bracket or a grouping follows.
const FUNCTIONS: [&str; 33] = [
    "rate",
    "rate_counter",
    "count_over_time",
    "bytes_rate",
    "bytes_over_time",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "stdvar_over_time",
    "stddev_over_time",
    "quantile_over_time",
    "first_over_time",
    "last_over_time",
    "absent_over_time",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "approx_topk",
    "sort",
    "sort_desc",
    "label_replace",
    "vector",
    "bytes",
    "duration",
    "duration_seconds",
    "ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, String)> {
        tokenize(text)
            .expect("tokens")
            .into_iter()
            .map(|token| (token.kind, token.text))
            .collect()
    }

    #[test]
    fn a_function_is_one_only_before_a_bracket() {
        let found = kinds("rate rate(");
        assert_eq!(found[0], (TokenKind::Identifier, "rate".to_owned()));
        assert_eq!(found[1], (TokenKind::Function, "rate".to_owned()));
        assert_eq!(kinds("sum by")[0].0, TokenKind::Function);
    }

    #[test]
    fn numbers_durations_and_sizes_are_told_apart() {
        for (text, kind) in [
            ("5", TokenKind::Number),
            ("1e3", TokenKind::Number),
            ("0x1P3", TokenKind::Number),
            ("5m", TokenKind::Duration(300_000_000_000)),
            ("1.5h", TokenKind::Duration(5_400_000_000_000)),
            ("1d", TokenKind::Duration(86_400_000_000_000)),
            ("3MB", TokenKind::Bytes(3_000_000)),
            ("2KiB", TokenKind::Bytes(2048)),
            ("[1m]", TokenKind::Range(60_000_000_000)),
            ("--strict", TokenKind::Flag),
        ] {
            assert_eq!(kinds(text)[0].0, kind, "{text}");
        }
        assert_eq!(kinds("1mb")[0].0, TokenKind::Duration(60_000_000_000));
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let tokens = tokenize("{ä=\"b\"} # none\n |= `x`").expect("tokens");
        let last = &tokens[tokens.len() - 2];
        assert_eq!(last.position, Position { line: 2, column: 5 });
        assert_eq!(last.kind, TokenKind::String("x".to_owned()));
        let error = tokenize("{a=\"").expect_err("unclosed");
        assert_eq!(
            error.to_string(),
            "parse error at line 1, col 4: literal not terminated"
        );
    }
}
