//! Regular expressions as Go's `regexp` (RE2) reads them, written for the `regex` crate.
//!
//! Prometheus and Loki are asked in RE2. The crate reads almost the same notation; this module
//! rewrites what it would refuse or understand otherwise:
//!
//! - a brace that is no repetition is a character (`{"level"` is common in log queries);
//! - `\d`, `\w`, `\s` and `\b` know ASCII alone, which is also what keeps searches fast;
//! - `\Q…\E` quotes, `\<` and `\>` are characters;
//! - in a class `[`, `&&`, `~~` and `--` are characters, and a `]` that comes first is one.
//!
//! It also refuses a closing bracket too many, so that an expression may be put inside a group.
//! Source: the syntax page of RE2 and the documentation of the `regex` crate.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Rewrites an RE2 expression for the `regex` crate. What is wrong with it beyond a closing bracket
/// too many is left for the crate to say.
pub fn translate(pattern: &str) -> Result<Cow<'_, str>, &'static str> {
    if !pattern.contains(['\\', '{', '[', ')']) {
        return Ok(Cow::Borrowed(pattern));
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut groups = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out),
            '[' => class(&mut chars, &mut out),
            '{' => brace(&mut chars, &mut out),
            '(' => {
                groups += 1;
                out.push(c);
            }
            ')' => {
                groups = groups.checked_sub(1).ok_or("unexpected )")?;
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(Cow::Owned(out))
}

/// What stands for a class of ASCII characters inside brackets.
const fn ascii_class(letter: char) -> Option<&'static str> {
    match letter.to_ascii_lowercase() {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some(r"\t\n\f\r "),
        _ => None,
    }
}

/// An escape outside of a class, behind its backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let Some(c) = chars.next() else {
        out.push('\\');
        return;
    };
    match c {
        'Q' => quoted(chars, out),
        'E' => {}
        'b' => out.push_str(r"(?-u:\b)"),
        '<' | '>' => out.push(c),
        'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
            out.push_str(if c.is_ascii_uppercase() { "[^" } else { "[" });
            out.push_str(ascii_class(c).unwrap_or_default());
            out.push(']');
        }
        c => plain_escape(c, chars, out),
    }
}

/// An escape both notations share, with the name or number in braces behind it.
fn plain_escape(c: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('\\');
    out.push(c);
    if matches!(c, 'p' | 'P' | 'x') && chars.peek() == Some(&'{') {
        for c in chars.by_ref() {
            out.push(c);
            if c == '}' {
                return;
            }
        }
    }
}

/// The text of `\Q…\E`.
fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// A brace: a repetition such as `{2}`, `{2,}` or `{2,3}`, or a character.
fn brace(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut ahead = chars.clone();
    let digits = |ahead: &mut Peekable<Chars<'_>>| {
        let mut count = 0;
        while ahead.next_if(char::is_ascii_digit).is_some() {
            count += 1;
        }
        count
    };
    let mut repetition = digits(&mut ahead) > 0;
    if ahead.next_if_eq(&',').is_some() {
        digits(&mut ahead);
    }
    repetition &= ahead.next() == Some('}');
    out.push_str(if repetition { "{" } else { r"\{" });
}

/// A class behind its opening bracket.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if chars.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    let mut previous = ' ';
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(c);
                return;
            }
            '[' if chars.peek() == Some(&':') => posix_class(chars, out),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if previous == '-' => out.push_str(r"\-"),
            '\\' => class_escape(chars, out),
            c => out.push(c),
        }
        previous = c;
    }
}

/// `[:alpha:]`, behind its bracket.
fn posix_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    let mut previous = ' ';
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' && previous == ':' {
            return;
        }
        previous = c;
    }
}

/// An escape inside a class, behind its backslash.
fn class_escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let Some(c) = chars.next() else {
        out.push('\\');
        return;
    };
    match (c, ascii_class(c)) {
        ('<' | '>', _) => out.push(c),
        (c, Some(ranges)) if c.is_ascii_uppercase() => {
            out.push_str("[^");
            out.push_str(ranges);
            out.push(']');
        }
        (_, Some(ranges)) => out.push_str(ranges),
        (c, None) => plain_escape(c, chars, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn expressions_mean_what_they_mean_in_re2() {
        for (pattern, text, matches) in [
            (r#"{"level":"error""#, r#"{"level":"error"}"#, true),
            ("a{,2}", "a{,2}", true),
            ("^a{2}$", "aa", true),
            ("^a{2,}$", "aaa", true),
            ("a{2", "a{2", true),
            (r"^\d$", "٣", false),
            (r"^\w+$", "ab_9", true),
            (r"^\w$", "é", false),
            (r"^[\w-]+$", "a-b", true),
            (r"^[\D]$", "5", false),
            (r"^[^\s]+$", "a b", false),
            (r"\bfoo\b", "a foo b", true),
            (r"\bfoo\b", "éfooé", true),
            (r"\Qa.b*\E+", "a.b**", true),
            (r"\Qa.b", "axb", false),
            (r"\<b\>", "<b>", true),
            ("^[[]$", "[", true),
            ("^[]a]+$", "]a", true),
            ("^[a&&b]+$", "a&b", true),
            ("^[+--]$", ",", true),
            ("^[[:alpha:]]$", "a", true),
            (r"^\p{Greek}\x{3b1}$", "αα", true),
            (r"\/\.", "/.", true),
            ("(a|b)c", "bc", true),
        ] {
            let translated = translate(pattern).expect(pattern);
            let regex = Regex::new(&translated)
                .unwrap_or_else(|error| panic!("{pattern} became {translated}: {error}"));
            assert_eq!(
                regex.is_match(text),
                matches,
                "{pattern} as {translated} in {text}"
            );
        }
    }

    #[test]
    fn a_group_cannot_be_left() {
        assert!(translate("a)(b").is_err());
        assert!(translate(r"a\)(b").is_ok());
        assert!(translate("[)]").is_ok());
        assert_eq!(translate("plain.*"), Ok(Cow::Borrowed("plain.*")));
    }

    #[test]
    fn what_breaks_off_is_left_to_the_crate() {
        for pattern in ["[a", "(", r"a\", r"\p{", "[[:", r"[\", r"\Q", "{"] {
            let translated = translate(pattern).expect(pattern);
            let _ = Regex::new(&translated);
        }
    }
}
