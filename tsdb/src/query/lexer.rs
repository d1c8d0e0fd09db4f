//! From text to tokens.
//!
//! The whole text is read at once; a part that is no token becomes an error token in its place, so
//! that the parser reports whichever mistake comes first. Keywords are recognised without regard
//! to case, and are ordinary names where the grammar wants a name: that is the parser's business.

use super::ast::{AggregateOp, BinaryOp, Span};
use super::numbers;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The text is over.
    End,
    /// Not a token: why.
    Error(String),
    /// A number.
    Number(f64),
    /// A duration, in milliseconds.
    Duration(i64),
    /// A text, without quotes and escapes.
    Text(String),
    /// A name without colons.
    Identifier,
    /// A name with colons, which only metrics have.
    MetricIdentifier,
    /// A word of the language.
    Keyword(Keyword),
    /// A word that aggregates.
    Aggregator(AggregateOp),
    /// An operator between expressions.
    Operator(BinaryOp),
    /// `=`
    Equal,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    /// `@`
    At,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `:`
    Colon,
}

/// Words of the language that are neither operators nor aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `bool`
    Bool,
    /// `by`
    By,
    /// `without`
    Without,
    /// `on`
    On,
    /// `ignoring`
    Ignoring,
    /// `group_left`
    GroupLeft,
    /// `group_right`
    GroupRight,
    /// `fill`
    Fill,
    /// `fill_left`
    FillLeft,
    /// `fill_right`
    FillRight,
    /// `offset`
    Offset,
    /// `smoothed`
    Smoothed,
    /// `anchored`
    Anchored,
    /// `start`
    Start,
    /// `end`
    End,
    /// `step`
    Step,
    /// `range`
    Range,
}

/// The spelling of every keyword.
const KEYWORDS: [(&str, Keyword); 17] = [
    ("bool", Keyword::Bool),
    ("by", Keyword::By),
    ("without", Keyword::Without),
    ("on", Keyword::On),
    ("ignoring", Keyword::Ignoring),
    ("group_left", Keyword::GroupLeft),
    ("group_right", Keyword::GroupRight),
    ("fill", Keyword::Fill),
    ("fill_left", Keyword::FillLeft),
    ("fill_right", Keyword::FillRight),
    ("offset", Keyword::Offset),
    ("smoothed", Keyword::Smoothed),
    ("anchored", Keyword::Anchored),
    ("start", Keyword::Start),
    ("end", Keyword::End),
    ("step", Keyword::Step),
    ("range", Keyword::Range),
];

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// Reads the whole text. The last token is [`Kind::End`] or an error.
pub fn lex(input: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        input,
        at: 0,
        parens: 0,
        braces: false,
        brackets: false,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let kind = lexer.next();
        let last = matches!(kind, Kind::End | Kind::Error(_));
        tokens.push(Token {
            kind,
            span: Span {
                start,
                end: lexer.at,
            },
        });
        if last {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    input: &'a str,
    at: usize,
    parens: usize,
    braces: bool,
    brackets: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let text = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - text.len();
            if !text.starts_with('#') {
                return;
            }
            self.at += text.find('\n').unwrap_or(text.len());
        }
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at += bytes;
        kind
    }

    fn next(&mut self) -> Kind {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return self.end();
        };
        let second = chars.next();
        if self.braces && !belongs_in_braces(first) {
            return Kind::Error(format!("unexpected character inside braces: {first:?}"));
        }
        match first {
            '(' => {
                self.parens += 1;
                self.take(1, Kind::LeftParen)
            }
            ')' if self.parens == 0 => Kind::Error("unexpected right parenthesis ')'".to_owned()),
            ')' => {
                self.parens -= 1;
                self.take(1, Kind::RightParen)
            }
            '{' if self.braces => Kind::Error("unexpected left brace '{'".to_owned()),
            '{' => {
                self.braces = true;
                self.take(1, Kind::LeftBrace)
            }
            '}' if !self.braces => Kind::Error("unexpected right brace '}'".to_owned()),
            '}' => {
                self.braces = false;
                self.take(1, Kind::RightBrace)
            }
            '[' if self.brackets => Kind::Error("unexpected left bracket '['".to_owned()),
            '[' => {
                self.brackets = true;
                self.take(1, Kind::LeftBracket)
            }
            ']' if !self.brackets => Kind::Error("unexpected right bracket ']'".to_owned()),
            ']' => {
                self.brackets = false;
                self.take(1, Kind::RightBracket)
            }
            ',' => self.take(1, Kind::Comma),
            '@' => self.take(1, Kind::At),
            ':' if self.brackets => self.take(1, Kind::Colon),
            ':' => Kind::Error("unexpected colon ':'".to_owned()),
            '"' | '\'' | '`' => self.text(first),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            _ => self.symbol(first, second),
        }
    }

    fn end(&self) -> Kind {
        if self.braces {
            Kind::Error("unexpected end of input inside braces".to_owned())
        } else if self.brackets {
            Kind::Error("unclosed left bracket".to_owned())
        } else if self.parens > 0 {
            Kind::Error("unclosed left parenthesis".to_owned())
        } else {
            Kind::End
        }
    }

    fn symbol(&mut self, first: char, second: Option<char>) -> Kind {
        use BinaryOp as Op;
        let (bytes, kind) = match (first, second) {
            ('=', Some('=')) if !self.braces => (2, Kind::Operator(Op::Equal)),
            ('=', Some('~')) => (2, Kind::EqualRegex),
            ('=', _) if self.braces => (1, Kind::Equal),
            ('=', other) => {
                let what = other.map_or_else(|| "EOF".to_owned(), |c| format!("{c:?}"));
                return Kind::Error(format!("unexpected character after '=': {what}"));
            }
            ('!', Some('=')) => (2, Kind::Operator(Op::NotEqual)),
            ('!', Some('~')) => (2, Kind::NotEqualRegex),
            ('!', other) => {
                let what = other.map_or_else(|| "EOF".to_owned(), |c| format!("{c:?}"));
                return Kind::Error(format!("unexpected character after '!': {what}"));
            }
            ('<', Some('=')) => (2, Kind::Operator(Op::LessOrEqual)),
            ('<', Some('/')) => (2, Kind::Operator(Op::TrimUpper)),
            ('<', _) => (1, Kind::Operator(Op::Less)),
            ('>', Some('=')) => (2, Kind::Operator(Op::GreaterOrEqual)),
            ('>', Some('/')) => (2, Kind::Operator(Op::TrimLower)),
            ('>', _) => (1, Kind::Operator(Op::Greater)),
            ('+', _) => (1, Kind::Operator(Op::Add)),
            ('-', _) => (1, Kind::Operator(Op::Sub)),
            ('*', _) => (1, Kind::Operator(Op::Mul)),
            ('/', _) => (1, Kind::Operator(Op::Div)),
            ('%', _) => (1, Kind::Operator(Op::Mod)),
            ('^', _) => (1, Kind::Operator(Op::Pow)),
            (other, _) => return Kind::Error(format!("unexpected character: {other:?}")),
        };
        self.take(bytes, kind)
    }

    fn number(&mut self) -> Kind {
        let text = numbers::scan(self.rest());
        let kind = if let Some(value) = numbers::parse(text) {
            Kind::Number(value)
        } else {
            match model::time::parse_duration(text) {
                Ok(millis) => Kind::Duration(millis),
                Err(model::time::DurationError::OutOfRange(_)) => {
                    Kind::Error("duration out of range".to_owned())
                }
                Err(_) => Kind::Error(format!("bad number or duration syntax: {text:?}")),
            }
        };
        self.take(text.len(), kind)
    }

    fn word(&mut self) -> Kind {
        let rest = self.rest();
        let colons = !self.brackets && !self.braces;
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':')))
            .unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let kind = if word.contains(':') {
            Kind::MetricIdentifier
        } else if self.braces {
            Kind::Identifier
        } else {
            keyword(&word.to_ascii_lowercase())
        };
        self.take(length, kind)
    }

    fn text(&mut self, quote: char) -> Kind {
        match super::quoting::unquote(self.rest(), quote) {
            Ok((value, length)) => self.take(length, Kind::Text(value)),
            Err(reason) => Kind::Error(reason),
        }
    }
}

/// Whether matchers may contain a token that begins so.
fn belongs_in_braces(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | ',' | '=' | '!' | '"' | '\'' | '`' | '{' | '}')
}

fn keyword(word: &str) -> Kind {
    if let Some((_, keyword)) = KEYWORDS.iter().find(|(text, _)| *text == word) {
        return Kind::Keyword(*keyword);
    }
    if let Some(op) = AggregateOp::from_word(word) {
        return Kind::Aggregator(op);
    }
    if let Some(op) = BinaryOp::from_word(word) {
        return Kind::Operator(op);
    }
    match word {
        "inf" => Kind::Number(f64::INFINITY),
        "nan" => Kind::Number(f64::NAN),
        _ => Kind::Identifier,
    }
}

impl Token {
    /// How an error names the token.
    pub fn describe(&self, input: &str) -> String {
        let text = input
            .get(self.span.start..self.span.end)
            .unwrap_or_default();
        let shown = if text.chars().count() > 10 {
            format!("{:?}...", text.chars().take(10).collect::<String>())
        } else {
            format!("{text:?}")
        };
        match &self.kind {
            Kind::End => "end of input".to_owned(),
            Kind::Error(reason) => reason.clone(),
            Kind::Number(_) => format!("number {shown}"),
            Kind::Duration(_) => format!("duration {shown}"),
            Kind::Text(_) => format!("string {shown}"),
            Kind::Identifier => format!("identifier {text:?}"),
            Kind::MetricIdentifier => format!("metric identifier {text:?}"),
            Kind::Keyword(_) => format!("<{text}>"),
            Kind::Aggregator(_) => format!("<aggr:{text}>"),
            Kind::Operator(_) | Kind::EqualRegex | Kind::NotEqualRegex | Kind::At => {
                format!("<op:{text}>")
            }
            _ => shown,
        }
    }
}
