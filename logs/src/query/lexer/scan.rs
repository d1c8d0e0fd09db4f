//! The scanner proper: one pass over the characters.

use super::{FUNCTIONS, KEYWORDS, ParseError, Position, Token, TokenKind};
use crate::query::units::{parse_bytes, parse_query_duration};

/// Signs, longest first, so that the first that fits is the one meant.
const OPERATORS: [&str; 30] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", "[", "]", ",",
    ".", "|", "=", ">", "<", "+", "-", "*", "/", "%", "^", ":", ";",
];

/// Cuts a text into tokens; the last is always [`TokenKind::End`].
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut scanner = Scanner {
        rest: text,
        position: Position { line: 1, column: 1 },
    };
    let mut tokens = Vec::new();
    loop {
        let token = scanner.next_token()?;
        let done = token.kind == TokenKind::End;
        tokens.push(token);
        if done {
            return Ok(tokens);
        }
    }
}

struct Scanner<'t> {
    rest: &'t str,
    position: Position,
}

impl<'t> Scanner<'t> {
    fn next_token(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks();
        let position = self.position;
        let Some(first) = self.rest.chars().next() else {
            return Ok(token(TokenKind::End, "", position));
        };
        if first == '"' || first == '`' {
            return self.string(first, position);
        }
        if first == '[' {
            return self.range(position);
        }
        if is_digit_start(self.rest) {
            return Ok(self.number(position));
        }
        if first.is_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
            return Ok(token(self.word_kind(word), word, position));
        }
        if let Some(length) = flag_length(self.rest) {
            let flag = self.take(length);
            return Ok(token(TokenKind::Flag, flag, position));
        }
        for operator in OPERATORS {
            if self.rest.starts_with(operator) {
                self.take(operator.len());
                return Ok(token(TokenKind::Operator, operator, position));
            }
        }
        Err(ParseError::at(
            position,
            format!("syntax error: unexpected character {first:?}"),
        ))
    }

    fn word_kind(&self, word: &str) -> TokenKind {
        if KEYWORDS.contains(&word) {
            return TokenKind::Keyword;
        }
        if FUNCTIONS.contains(&word) {
            let next = self.rest.trim_start();
            let grouped = ["by", "without"].iter().any(|keyword| {
                next.strip_prefix(keyword).is_some_and(|after| {
                    !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
            });
            if next.starts_with('(') || grouped {
                return TokenKind::Function;
            }
        }
        TokenKind::Identifier
    }

    /// A duration, a byte size or a number: the first reading that holds, in that order.
    fn number(&mut self, position: Position) -> Token {
        let duration = length_while(self.rest, |c| {
            c.is_ascii_digit() || ".nuµμmshdwy".contains(c)
        });
        let text = self.rest.get(..duration).unwrap_or_default();
        if text.ends_with(char::is_alphabetic)
            && let Some(nanos) = parse_query_duration(text)
        {
            self.take(duration);
            return token(TokenKind::Duration(nanos), text, position);
        }
        let digits = length_while(self.rest, |c| c.is_ascii_digit() || c == '.');
        let unit = length_while(self.rest.get(digits..).unwrap_or_default(), |c| {
            "BikKMGTP".contains(c)
        });
        let text = self.rest.get(..digits + unit).unwrap_or_default();
        if unit > 0
            && let Ok(bytes) = parse_bytes(text)
        {
            self.take(digits + unit);
            return token(TokenKind::Bytes(bytes), text, position);
        }
        let length = number_length(self.rest);
        let text = self.take(length);
        token(TokenKind::Number, text, position)
    }

    fn range(&mut self, position: Position) -> Result<Token, ParseError> {
        let Some(end) = self.rest.find(']') else {
            return Err(ParseError::at(position, "missing closing ']' in duration"));
        };
        let text = self.rest.get(1..end).unwrap_or_default().trim();
        let nanos = parse_query_duration(text).filter(|nanos| *nanos > 0);
        let Some(nanos) = nanos else {
            return Err(ParseError::at(
                position,
                format!("not a valid duration string: {text:?}"),
            ));
        };
        self.take(end + 1);
        Ok(token(TokenKind::Range(nanos), text, position))
    }

    fn string(&mut self, quote: char, position: Position) -> Result<Token, ParseError> {
        let not_terminated = || ParseError::at(position, "literal not terminated");
        let body = self.rest.get(1..).unwrap_or_default();
        if quote == '`' {
            let end = body.find('`').ok_or_else(not_terminated)?;
            let value = body.get(..end).unwrap_or_default().to_owned();
            let text = self.take(end + 2);
            return Ok(token(TokenKind::String(value), text, position));
        }
        let mut escaped = false;
        let mut end = None;
        for (at, c) in body.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                '\n' => return Err(not_terminated()),
                _ => {}
            }
        }
        let end = end.ok_or_else(not_terminated)?;
        let value = unescape(body.get(..end).unwrap_or_default())
            .ok_or_else(|| ParseError::at(position, "invalid char escape"))?;
        let text = self.take(end + 2);
        Ok(token(TokenKind::String(value), text, position))
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn take_while(&mut self, pass: impl Fn(char) -> bool) -> &'t str {
        self.take(length_while(self.rest, pass))
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.position.line += 1;
                self.position.column = 1;
            } else {
                self.position.column += 1;
            }
        }
        self.rest = rest;
        taken
    }
}

fn token(kind: TokenKind, text: &str, position: Position) -> Token {
    Token {
        kind,
        text: text.to_owned(),
        position,
    }
}

fn length_while(text: &str, pass: impl Fn(char) -> bool) -> usize {
    text.find(|c| !pass(c)).unwrap_or(text.len())
}

/// Whether a number starts here: a digit, or a dot before one.
fn is_digit_start(text: &str) -> bool {
    let text = text.strip_prefix('.').unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// `--name`, as parsers take it; `a --b` of two minus signs does not occur in LogQL.
fn flag_length(text: &str) -> Option<usize> {
    let name = text.strip_prefix("--")?;
    let length = length_while(name, |c| c.is_ascii_alphabetic() || c == '-');
    (length > 0).then_some(length + 2)
}

/// A number of any base, with a fraction and an exponent whose sign belongs to it.
fn number_length(text: &str) -> usize {
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        let exponent = if hex {
            matches!(previous, 'p' | 'P')
        } else {
            matches!(previous, 'e' | 'E')
        };
        let sign = matches!(c, '+' | '-') && exponent;
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        previous = c;
    }
    text.len()
}

/// Resolves the escapes of a Go string; `None` where one is unknown.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits = |chars: &mut std::str::Chars<'_>, count: usize, radix: u32| {
            let mut value = 0_u32;
            for _ in 0..count {
                value = value * radix + chars.next()?.to_digit(radix)?;
            }
            char::from_u32(value)
        };
        out.push(match chars.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            '"' => '"',
            '\'' => '\'',
            'x' => digits(&mut chars, 2, 16)?,
            'u' => digits(&mut chars, 4, 16)?,
            'U' => digits(&mut chars, 8, 16)?,
            first @ '0'..='7' => {
                let rest = digits(&mut chars, 2, 8)? as u32;
                char::from_u32(first.to_digit(8)? * 64 + rest)?
            }
            _ => return None,
        });
    }
    Some(out)
}
