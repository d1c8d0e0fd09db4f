//! Texts, where Go's differ from Rust's: letters one by one, replacements all at once, JSON that may stand in HTML.

use std::fmt::Write as _;

use regorus::Value;

use super::{Builtin, TEXT_BYTES_MAX, arguments, kind, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "lower",
        arity: 1,
        run: lower,
    },
    Builtin {
        name: "upper",
        arity: 1,
        run: upper,
    },
    Builtin {
        name: "strings.replace_n",
        arity: 2,
        run: replace_n,
    },
    Builtin {
        name: "indexof",
        arity: 2,
        run: index_of,
    },
    Builtin {
        name: "indexof_n",
        arity: 2,
        run: indices_of,
    },
    Builtin {
        name: "strings.count",
        arity: 2,
        run: count,
    },
    Builtin {
        name: "json.marshal",
        arity: 1,
        run: marshal,
    },
];

fn lower(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let lower = |c: char| match c {
        // The one capital whose small form is two characters.
        'İ' => 'i',
        _ => single(c.to_lowercase()).unwrap_or(c),
    };
    Ok(Value::from(
        text(of)?.chars().map(lower).collect::<String>(),
    ))
}

/// Where the second text begins in the first, in characters; -1 where it does not.
fn index_of(given: &[Value]) -> Result<Value, String> {
    let (of, what) = searched(given)?;
    let found = of.find(what).map(|at| characters(of, at));
    Ok(found.map_or(Value::from(-1), Value::from))
}

/// All of them, also where they overlap.
fn indices_of(given: &[Value]) -> Result<Value, String> {
    let (of, what) = searched(given)?;
    let starts = of.char_indices().enumerate();
    let found = starts.filter(|(_, (at, _))| of.get(*at..).is_some_and(|of| of.starts_with(what)));
    let found: Vec<_> = found.map(|(number, _)| Value::from(number)).collect();
    Ok(Value::from(found))
}

fn searched(given: &[Value]) -> Result<(&str, &str), String> {
    let [of, what] = arguments(given)?;
    match text(what)? {
        "" => Err("the text to be found is empty".to_string()),
        what => Ok((text(of)?, what)),
    }
}

fn characters(of: &str, bytes: usize) -> usize {
    of.get(..bytes).map_or(0, |before| before.chars().count())
}

/// Nothing is found before each character, and behind the last.
fn count(given: &[Value]) -> Result<Value, String> {
    let [of, what] = arguments(given)?;
    Ok(Value::from(text(of)?.matches(text(what)?).count()))
}

fn upper(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let upper = |c: char| single(c.to_uppercase()).unwrap_or_else(|| capital(c));
    Ok(Value::from(
        text(of)?.chars().map(upper).collect::<String>(),
    ))
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

/// The one character that is the capital of one whose capital is written as several: only Greek vowels with an iota
/// below have any.
fn capital(c: char) -> char {
    let distance = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(c as u32 + distance).unwrap_or(c)
}

/// `strings.replace_n({old: new}, text)`: from the left, the first of the old texts that stands there.
fn replace_n(given: &[Value]) -> Result<Value, String> {
    let [patterns, of] = arguments(given)?;
    let Value::Object(patterns) = patterns else {
        return Err(format!("expected an object, got {}", kind(patterns)));
    };
    let mut replacements = Vec::new();
    for (old, new) in patterns.iter_sorted() {
        replacements.push((text(old)?, text(new)?));
    }
    let of = text(of)?;
    let mut out = String::with_capacity(of.len());
    let mut rest = of;
    // An empty text stands everywhere, but not behind another one in the same place.
    let mut is_after_nothing = false;
    loop {
        let found = replacements.iter().find_map(|(old, new)| {
            let left = rest.strip_prefix(old)?;
            (!old.is_empty() || !is_after_nothing).then_some((old, new, left))
        });
        if let Some((old, new, left)) = found {
            out.push_str(new);
            is_after_nothing = old.is_empty();
            rest = left;
        } else {
            let mut chars = rest.chars();
            let Some(c) = chars.next() else { break };
            out.push(c);
            is_after_nothing = false;
            rest = chars.as_str();
        }
        if out.len() > TEXT_BYTES_MAX {
            return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    Ok(Value::from(out))
}

/// As Go writes it: `<`, `>`, `&` and the two separators of lines are escaped.
fn marshal(given: &[Value]) -> Result<Value, String> {
    let [value] = arguments(given)?;
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // These stand in texts only.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    Ok(Value::from(out))
}
