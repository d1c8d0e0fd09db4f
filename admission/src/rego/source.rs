//! Mending on tokens: what regorus' parser would read otherwise than OPA's.
//!
//! Three things. A parenthesis that begins a line begins a statement in OPA, and continues a call
//! in regorus: a semicolon before it says which. A rule may have several bodies,
//! `head { … } { … }`, which stand for several rules with one head; regorus refuses that for
//! sets and gives later bodies another value, so the head is repeated. And a minus is of what stands next to it in
//! OPA, and of all that follows in regorus, for which `-x + 1` is `-(x + 1)`: it is put into parentheses with what it is of.

use regorus::Source;
use regorus::unstable::{Lexer, Token, TokenKind};

use super::edit::{Edit, edited};
use super::extent::one_line;
use super::{Edition, LENGTHS, Refusal, Text};

/// The text with all of them mended, or why its tokens cannot be read.
pub fn mend(text: &Text) -> Result<String, Refusal> {
    let tokens = tokens(text)?;
    shallow(&text.name, &tokens)?;
    let mut insertions = Vec::new();
    minuses(&tokens, &mut insertions);
    if !insertions.is_empty() {
        // Heads that are repeated below are so with their parentheses.
        let text = Text {
            rego: edited(&text.rego, insertions),
            ..text.clone()
        };
        return Ok(lines(&text, &self::tokens(&text)?));
    }
    Ok(lines(text, &tokens))
}

/// What depends on how the text is laid out.
fn lines(text: &Text, tokens: &[Token]) -> String {
    let mut insertions = Vec::new();
    statements(tokens, &mut insertions);
    if text.edition == Edition::V0 {
        bodies(text, tokens, &mut insertions);
    }
    edited(&text.rego, insertions)
}

/// How deep collections and bodies may be nested.
const NESTED_MAX: usize = 14;

/// Refuses text that regorus' parser would never be done with: at each bracket that may open a comprehension it reads what follows as
/// one, and then again as what it is, so that every level takes twice the time of the one in it.
fn shallow(name: &str, tokens: &[Token]) -> Result<(), Refusal> {
    let mut depth = 0_usize;
    for token in tokens {
        match word(token) {
            "[" | "{" => depth += 1,
            "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTED_MAX {
            return Err(Refusal {
                name: name.to_string(),
                line: token.1.line,
                problem: format!(
                    "brackets are nested more than {NESTED_MAX} deep: give the inner ones a name"
                ),
            });
        }
    }
    Ok(())
}

fn tokens(text: &Text) -> Result<Vec<Token>, Refusal> {
    let refuse = |error: &dyn std::fmt::Display| Refusal::from_regorus(&text.name, error);
    let source =
        Source::from_contents(text.name.clone(), text.rego.clone()).map_err(|e| refuse(&e))?;
    let mut lexer = Lexer::new(&source);
    lexer.set_max_col(LENGTHS.max_col);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token().map_err(|e| refuse(&e))?;
        if token.0 == TokenKind::Eof {
            return Ok(tokens);
        }
        tokens.push(token);
    }
}

/// The token as it is written; strings are told apart from symbols that look like them.
fn word(token: &Token) -> &str {
    match token.0 {
        TokenKind::String | TokenKind::RawString => "\"",
        _ => token.1.text(),
    }
}

fn statements(tokens: &[Token], insertions: &mut Vec<Edit>) {
    // What encloses the token: a statement can only begin inside braces, which hold bodies.
    let mut enclosing = Vec::new();
    let mut before: Option<&Token> = None;
    for token in tokens {
        let word_now = word(token);
        if let Some(before) = before
            && word_now == "("
            && enclosing.last() == Some(&"{")
            && token.1.line > before.1.line
            && (before.0 == TokenKind::Ident || matches!(word(before), "]"))
            && !is_before_a_term(word(before))
        {
            insertions.push(Edit::insert(token.1.start as usize, ";"));
        }
        match word_now {
            "{" | "[" | "(" | "set(" => enclosing.push(word_now),
            "}" | "]" | ")" => {
                enclosing.pop();
            }
            _ => {}
        }
        before = Some(token);
    }
}

/// Puts parentheses around each minus that has one side.
fn minuses(tokens: &[Token], insertions: &mut Vec<Edit>) {
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        if is_minus(token)
            && !before.is_some_and(ends_term)
            && let Some(end) = tokens.get(at + 1..).and_then(term_end)
        {
            // A blank, for a word may stand next to it.
            insertions.push(Edit::insert(token.1.start as usize, " ("));
            insertions.push(Edit::insert(end, ")"));
        }
    }
}

fn is_minus(token: &Token) -> bool {
    token.0 == TokenKind::Symbol && word(token) == "-"
}

/// Whether a term may end with it, so that a minus behind it has two sides.
fn ends_term(token: &Token) -> bool {
    match token.0 {
        TokenKind::Symbol => matches!(word(token), ")" | "]" | "}"),
        TokenKind::Ident => !matches!(word(token), "contains") && !is_before_a_term(word(token)),
        _ => true,
    }
}

/// Where the term ends that the tokens begin with: a name, a number or brackets, and the references and arguments behind it.
fn term_end(tokens: &[Token]) -> Option<usize> {
    let (first, rest) = tokens.split_first()?;
    if is_minus(first) {
        return term_end(rest);
    }
    let mut end = end_of(first);
    let mut depth = usize::from(opens(first));
    let mut is_field = false;
    for token in rest {
        let word_now = word(token);
        let is_next = token.1.start as usize == end;
        match word_now {
            _ if depth > 0 => {}
            "." | "[" | "(" if is_next && first.0 != TokenKind::Number => {
                is_field = word_now == ".";
            }
            _ if is_next && is_field => is_field = false,
            _ => return Some(end),
        }
        if opens(token) {
            depth += 1;
        } else if matches!(word_now, "}" | "]" | ")") {
            depth = depth.saturating_sub(1);
        }
        end = end_of(token);
    }
    Some(end)
}

fn opens(token: &Token) -> bool {
    matches!(word(token), "{" | "[" | "(" | "set(")
}

/// Where a token ends in the text, its quotes included.
fn end_of(token: &Token) -> usize {
    let quote = usize::from(matches!(token.0, TokenKind::String | TokenKind::RawString));
    token.1.end as usize + quote
}

fn is_before_a_term(word: &str) -> bool {
    KEYWORDS_BEFORE_A_TERM.contains(&word)
}

/// Words after which a parenthesis on the next line goes on with what they began.
const KEYWORDS_BEFORE_A_TERM: [&str; 7] = ["not", "in", "some", "every", "with", "as", "if"];

/// Where the walk is in the rule at hand.
#[derive(Clone, Copy)]
enum Place {
    /// Before its first body, if it has one.
    Head,
    /// Inside a body or after it; the head ended there.
    Body { head_end: usize },
    /// After an `else`.
    Else,
}

fn bodies(text: &Text, tokens: &[Token], insertions: &mut Vec<Edit>) {
    let mut depth = 0_usize;
    let mut rule = 0;
    let mut place = Place::Head;
    let mut before: Option<&Token> = None;
    for token in tokens {
        let word_now = word(token);
        let at = token.1.start as usize;
        if depth == 0 {
            let new_line = before.is_none_or(|before| token.1.line > before.1.line);
            match (place, word_now) {
                (Place::Head, "{") if begins_body(before) => place = Place::Body { head_end: at },
                (Place::Body { head_end }, "{") => {
                    let head = text.rego.get(rule..head_end).unwrap_or_default();
                    insertions.push(Edit::insert(at, format!("{} ", one_line(head).trim_end())));
                }
                (Place::Body { .. }, "else") => place = Place::Else,
                (Place::Body { .. }, _) => (rule, place) = (at, Place::Head),
                (Place::Head | Place::Else, _) if new_line && begins_rule(token, before) => {
                    (rule, place) = (at, Place::Head);
                }
                _ => {}
            }
        }
        match word_now {
            "{" | "[" | "(" | "set(" => depth += 1,
            "}" | "]" | ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = Some(token);
    }
}

/// A brace begins a body unless what stands before it wants a value.
fn begins_body(before: Option<&Token>) -> bool {
    before
        .is_some_and(|token| token.0 != TokenKind::Symbol || matches!(word(token), ")" | "]" | "}"))
}

/// A word on a line of its own begins a rule unless an operator awaits its second side.
fn begins_rule(token: &Token, before: Option<&Token>) -> bool {
    token.0 == TokenKind::Ident
        && !matches!(word(token), "if" | "contains" | "else" | "as" | "in")
        && before.is_none_or(|token| {
            token.0 != TokenKind::Symbol || matches!(word(token), ")" | "]" | "}")
        })
}
