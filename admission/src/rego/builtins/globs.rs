//! Globs as OPA matches them, whose delimiters are no business of a list of characters.
//!
//! A glob becomes a regular expression, which is kept as those of the author are.

use regorus::Value;

use super::patterns::with_regex;
use super::{Builtin, arguments, elements, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "glob.match",
        arity: 3,
        run: matches,
    },
    Builtin {
        name: "glob.quote_meta",
        arity: 1,
        run: quote,
    },
];

/// `glob.match(glob, delimiters, text)`; no delimiters are a dot, and null is none at all.
fn matches(given: &[Value]) -> Result<Value, String> {
    let [glob, delimiters, of] = arguments(given)?;
    let delimiters = match delimiters {
        Value::Null => Vec::new(),
        all => match elements(all)?.as_slice() {
            [] => vec!['.'],
            some => some
                .iter()
                .map(|one| delimiter(one))
                .collect::<Result<_, _>>()?,
        },
    };
    let glob = text(glob)?;
    let pattern = Glob::new(&delimiters)
        .pattern(glob)
        .ok_or_else(|| format!("{glob:?} is no glob"))?;
    let of = text(of)?;
    with_regex(&Value::from(pattern), |regex| {
        Value::from(regex.is_match(of))
    })
}

fn delimiter(value: &Value) -> Result<char, String> {
    let delimiter = text(value)?;
    let mut chars = delimiter.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(format!("the delimiter {delimiter:?} is not one character")),
    }
}

/// What means itself is escaped, so that all of a text means itself.
fn quote(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let mut quoted = String::new();
    for c in text(of)?.chars() {
        if matches!(c, '*' | '?' | '\\' | '[' | ']' | '{' | '}') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Ok(Value::from(quoted))
}

/// From a glob to a regular expression.
struct Glob {
    /// Any character that delimits nothing.
    one: String,
}

impl Glob {
    fn new(delimiters: &[char]) -> Self {
        let one = if delimiters.is_empty() {
            "(?s:.)".to_string()
        } else {
            let escaped = delimiters.iter().map(|c| literal(*c));
            format!("[^{}]", escaped.collect::<String>())
        };
        Glob { one }
    }

    fn pattern(&self, glob: &str) -> Option<String> {
        let mut out = "^(?:".to_string();
        let mut depth = 0_usize;
        let mut rest = glob;
        while let Some(c) = rest.chars().next() {
            let mut after = rest.get(c.len_utf8()..)?;
            match c {
                '*' => {
                    let more = after.trim_start_matches('*');
                    let anything = if more.len() < after.len() {
                        "(?s:.)"
                    } else {
                        &self.one
                    };
                    out.extend([anything, "*"]);
                    after = more;
                }
                '?' => out.push_str(&self.one),
                '[' => {
                    let (list, behind) = after.split_once(']')?;
                    out.push_str(&list_of(list)?);
                    after = behind;
                }
                '{' => {
                    depth += 1;
                    out.push_str("(?:");
                }
                '}' if depth > 0 => {
                    depth -= 1;
                    out.push(')');
                }
                ',' if depth > 0 => out.push('|'),
                '\\' => {
                    let escaped = after.chars().next()?;
                    out.push_str(&literal(escaped));
                    after = after.get(escaped.len_utf8()..)?;
                }
                c => out.push_str(&literal(c)),
            }
            rest = after;
        }
        out.push_str(")$");
        (depth == 0).then_some(out)
    }
}

/// `[abc]`, `[!abc]`, `[a-z]`, `[!a-z]`: a list, or one range.
fn list_of(list: &str) -> Option<String> {
    let (not, list) = match list.strip_prefix('!') {
        Some(list) => ("^", list),
        None => ("", list),
    };
    let chars: Vec<char> = list.chars().collect();
    let inner = match chars.as_slice() {
        [low, '-', high] if low <= high => format!("{}-{}", literal(*low), literal(*high)),
        [] | [_, '-', _] => return None,
        all => all.iter().map(|c| literal(*c)).collect(),
    };
    Some(format!("[{not}{inner}]"))
}

/// A character that means itself, within a list and outside of it, in Go's spelling.
fn literal(c: char) -> String {
    match c {
        c if c.is_ascii_punctuation() => format!("\\{c}"),
        c => c.to_string(),
    }
}
