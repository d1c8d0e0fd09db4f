//! Regular expressions: Go's syntax and meaning, by the regex crate.
//!
//! OPA's expressions are RE2's. The two agree but for a few spellings, which are rewritten:
//! `\d`, `\w`, `\s` and `\b` know ASCII only, a brace that counts nothing is a brace, a bracket
//! inside a class is a character, `\Q…\E` quotes. Compiled expressions are kept, each thread its
//! own, for a review asks the same ones again and again.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use regorus::Value;

use super::{Builtin, ITEMS_MAX, TEXT_BYTES_MAX, arguments, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "regex.match",
        arity: 2,
        run: matches,
    },
    Builtin {
        name: "re_match",
        arity: 2,
        run: matches,
    },
    Builtin {
        name: "regex.is_valid",
        arity: 1,
        run: is_valid,
    },
    Builtin {
        name: "regex.split",
        arity: 2,
        run: split,
    },
    Builtin {
        name: "regex.replace",
        arity: 3,
        run: replace,
    },
    Builtin {
        name: "regex.find_n",
        arity: 3,
        run: find_n,
    },
    Builtin {
        name: "regex.find_all_string_submatch_n",
        arity: 3,
        run: find_submatches,
    },
    Builtin {
        name: "regex.template_match",
        arity: 4,
        run: template_match,
    },
];

/// How many compiled expressions a thread keeps; when there are more it begins anew.
const KEPT_MAX: usize = 256;

/// A compiled expression takes no more than this.
const COMPILED_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static KEPT: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

pub(super) fn with_regex<T>(
    pattern: &Value,
    use_it: impl FnOnce(&Regex) -> T,
) -> Result<T, String> {
    let pattern = text(pattern)?;
    KEPT.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(pattern) {
            return Ok(use_it(regex));
        }
        let regex = compile(pattern)?;
        let result = use_it(&regex);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern.to_string(), regex);
        Ok(result)
    })
}

/// Compiles what Go's `regexp` would.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&rewrite(pattern))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| format!("{pattern:?} is no regular expression"))
}

fn matches(given: &[Value]) -> Result<Value, String> {
    let [pattern, of] = arguments(given)?;
    let of = text(of)?;
    with_regex(pattern, |regex| Value::from(regex.is_match(of)))
}

fn is_valid(given: &[Value]) -> Result<Value, String> {
    let [pattern] = arguments(given)?;
    Ok(Value::from(match pattern {
        Value::String(_) => with_regex(pattern, |_| ()).is_ok(),
        _ => false,
    }))
}

fn split(given: &[Value]) -> Result<Value, String> {
    let [pattern, of] = arguments(given)?;
    let of = text(of)?;
    with_regex(pattern, |regex| {
        // Go leaves out an empty match at the very beginning and end.
        let mut parts = Vec::new();
        let mut done = 0;
        for found in regex.find_iter(of) {
            if found.end() == 0 || (found.is_empty() && found.start() == of.len()) {
                continue;
            }
            parts.push(Value::from(of.get(done..found.start()).unwrap_or_default()));
            done = found.end();
        }
        parts.push(Value::from(of.get(done..).unwrap_or_default()));
        Value::from(parts)
    })
}

fn replace(given: &[Value]) -> Result<Value, String> {
    let [of, pattern, with] = arguments(given)?;
    let (of, with) = (text(of)?, text(with)?);
    let replaced = with_regex(pattern, |regex| {
        let mut out = String::new();
        let mut done = 0;
        for found in regex.captures_iter(of) {
            let Some(whole) = found.get(0) else { continue };
            out.push_str(of.get(done..whole.start()).unwrap_or_default());
            found.expand(with, &mut out);
            done = whole.end();
            if out.len() > TEXT_BYTES_MAX {
                return None;
            }
        }
        out.push_str(of.get(done..).unwrap_or_default());
        Some(out)
    })?;
    let replaced =
        replaced.ok_or_else(|| format!("the text is longer than {TEXT_BYTES_MAX} bytes"))?;
    Ok(Value::from(replaced))
}

fn limit(value: &Value) -> Result<usize, String> {
    match value.as_i64() {
        Ok(number) => Ok(usize::try_from(number).unwrap_or(ITEMS_MAX).min(ITEMS_MAX)),
        Err(_) => Err("expected a number".to_string()),
    }
}

fn find_n(given: &[Value]) -> Result<Value, String> {
    let [pattern, of, count] = arguments(given)?;
    let (of, count) = (text(of)?, limit(count)?);
    with_regex(pattern, |regex| {
        let found = regex.find_iter(of).take(count);
        Value::from(
            found
                .map(|found| Value::from(found.as_str()))
                .collect::<Vec<_>>(),
        )
    })
}

fn find_submatches(given: &[Value]) -> Result<Value, String> {
    let [pattern, of, count] = arguments(given)?;
    let (of, count) = (text(of)?, limit(count)?);
    with_regex(pattern, |regex| {
        let found = regex.captures_iter(of).take(count).map(|captures| {
            let groups = captures
                .iter()
                .map(|group| Value::from(group.map_or("", |group| group.as_str())));
            Value::from(groups.collect::<Vec<_>>())
        });
        Value::from(found.collect::<Vec<_>>())
    })
}

/// `regex.template_match(template, text, start, end)`: text that is taken as it is, and expressions between delimiters.
fn template_match(given: &[Value]) -> Result<Value, String> {
    let [template, of, start, end] = arguments(given)?;
    let [start, end] = [start, end].map(|delimiter| match text(delimiter)?.as_bytes() {
        [one] if one.is_ascii() => Ok(char::from(*one)),
        _ => Err("a delimiter has to be one character of ASCII".to_string()),
    });
    let (start, end) = (start?, end?);
    let mut pattern = String::from("^");
    let mut rest = text(template)?;
    while let Some(at) = rest.find([start, end]) {
        let (literal, inner) = rest.split_at(at);
        let close = closing(inner, start, end)
            .ok_or_else(|| format!("{start} and {end} are not in pairs in the template"))?;
        pattern.push_str(&regex::escape(literal));
        let expression = inner.get(1..close).unwrap_or_default();
        compile(&format!("^{expression}$"))?;
        pattern.extend(["(", expression, ")"]);
        rest = inner.get(close + 1..).unwrap_or_default();
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    let of = text(of)?;
    with_regex(&Value::from(pattern), |regex| {
        Value::from(regex.is_match(of))
    })
}

/// Where the delimiter ends that a text begins with.
fn closing(text: &str, start: char, end: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == start {
            depth += 1;
        } else if c == end {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// From RE2's spelling to the regex crate's.
fn rewrite(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len());
    let mut i = 0;
    let mut class: Option<usize> = None;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        match c {
            '\\' => {
                i += escape(&chars, i, class.is_some(), &mut out);
                continue;
            }
            '[' if class.is_none() => {
                out.push('[');
                i += 1;
                if chars.get(i) == Some(&'^') {
                    out.push('^');
                    i += 1;
                }
                // The first bracket of a class that closes is one of its characters.
                if chars.get(i) == Some(&']') {
                    out.push_str("\\]");
                    i += 1;
                }
                class = Some(i);
                continue;
            }
            '[' if next == Some(':') => match ascii_class(&chars, i) {
                Some(length) => {
                    out.extend(chars.iter().skip(i).take(length));
                    i += length;
                    continue;
                }
                None => out.push_str("\\["),
            },
            '[' => out.push_str("\\["),
            ']' if class.is_some() => {
                class = None;
                out.push(']');
            }
            '&' | '~' if class.is_some() && next == Some(c) => {
                out.push('\\');
                out.push(c);
            }
            '-' if class.is_some() && next == Some('-') => out.push_str("\\-"),
            '{' if class.is_none() && !counts(&chars, i) => out.push_str("\\{"),
            '}' if class.is_none() && !closes_count(&chars, i) => out.push_str("\\}"),
            _ => out.push(c),
        }
        i += 1;
    }
    out
}

/// Writes an escape; how many characters of the pattern it took.
fn escape(chars: &[char], at: usize, in_class: bool, out: &mut String) -> usize {
    match chars.get(at + 1) {
        Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str(if in_class {
            "0-9A-Za-z_"
        } else {
            "[0-9A-Za-z_]"
        }),
        Some('W') => out.push_str("[^0-9A-Za-z_]"),
        Some('s') => out.push_str(if in_class {
            "\\t\\n\\f\\r "
        } else {
            "[\\t\\n\\f\\r ]"
        }),
        Some('S') => out.push_str("[^\\t\\n\\f\\r ]"),
        Some('b') if !in_class => out.push_str("(?-u:\\b)"),
        Some('B') if !in_class => out.push_str("(?-u:\\B)"),
        Some('<') => out.push('<'),
        Some('>') => out.push('>'),
        Some('Q') if !in_class => {
            let rest: String = chars.iter().skip(at + 2).collect();
            let quoted = rest
                .split_once("\\E")
                .map_or(rest.as_str(), |(quoted, _)| quoted);
            out.push_str(&regex::escape(quoted));
            let ends = rest.contains("\\E");
            return 2 + quoted.chars().count() + if ends { 2 } else { 0 };
        }
        Some(c @ ('p' | 'P' | 'x')) if chars.get(at + 2) == Some(&'{') => {
            let name: String = chars
                .iter()
                .skip(at + 3)
                .take_while(|c| **c != '}')
                .collect();
            out.push('\\');
            out.push(*c);
            out.push('{');
            out.push_str(&name);
            out.push('}');
            return 4 + name.chars().count();
        }
        Some(c) => {
            out.push('\\');
            out.push(*c);
        }
        None => out.push('\\'),
    }
    2
}

/// The length of `[:name:]`, where that is what begins here.
fn ascii_class(chars: &[char], at: usize) -> Option<usize> {
    let rest: String = chars.iter().skip(at).take(12).collect();
    let end = rest.find(":]")?;
    let name = rest.get(2..end)?;
    let name = name.strip_prefix('^').unwrap_or(name);
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase())).then_some(end + 2)
}

/// Whether the brace at `at` begins a count: `{2}`, `{2,}`, `{2,5}`.
fn counts(chars: &[char], at: usize) -> bool {
    let inside: String = chars
        .iter()
        .skip(at + 1)
        .take_while(|c| **c != '}')
        .take(16)
        .collect();
    let closed = chars.get(at + 1 + inside.chars().count()) == Some(&'}');
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    closed
        && match inside.split_once(',') {
            Some((least, most)) => digits(least) && (most.is_empty() || digits(most)),
            None => digits(&inside),
        }
}

/// Whether the brace at `at` ends a count.
fn closes_count(chars: &[char], at: usize) -> bool {
    let before = chars.get(..at).unwrap_or_default();
    let Some(open) = before.iter().rposition(|c| *c == '{') else {
        return false;
    };
    counts(chars, open) && !before.iter().skip(open).any(|c| *c == '}')
}
