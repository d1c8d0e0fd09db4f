//! `sprintf`, whose format is Go's: what templates say to users is what they said before.

use regorus::Value;

use super::verbs::{Argument, sprintf as format};
use super::{Builtin, TEXT_BYTES_MAX, arguments, kind, text};

pub(super) const BUILTINS: &[Builtin] = &[Builtin {
    name: "sprintf",
    arity: 2,
    run: sprintf,
}];

fn sprintf(given: &[Value]) -> Result<Value, String> {
    let [pattern, values] = arguments(given)?;
    let pattern = text(pattern)?;
    let Value::Array(values) = values else {
        return Err(format!("expected an array of values, got {}", kind(values)));
    };
    let values: Vec<_> = values.iter().map(argument).collect();
    format(pattern, &values, TEXT_BYTES_MAX).map(Value::from)
}

/// A value as OPA hands it to Go: numbers and strings as such, everything else as its text.
fn argument(value: &Value) -> Argument {
    match value {
        Value::String(text) => Argument::Text(text.to_string()),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                Argument::Integer(integer)
            } else if number.is_integer() && number.as_f64().is_none_or(|float| float.abs() < 1e21)
            {
                Argument::Big(number.format_decimal())
            } else {
                Argument::Float(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        other => {
            let mut text = String::new();
            write(other, &mut text);
            Argument::Text(text)
        }
    }
}

/// A value as OPA writes it.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Number(number) => match argument(value) {
            Argument::Float(_) => out.push_str(&number.format_decimal()),
            other => out.push_str(&other.plain()),
        },
        Value::String(text) => quote(text, out),
        Value::Array(items) => sequence('[', ']', items.iter(), out),
        Value::Set(items) if items.is_empty() => out.push_str("set()"),
        Value::Set(items) => sequence('{', '}', items.iter(), out),
        Value::Object(members) => {
            out.push('{');
            for (i, (key, value)) in members.iter_sorted().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
        Value::Undefined => {}
    }
}

fn sequence<'a>(open: char, close: char, items: impl Iterator<Item = &'a Value>, out: &mut String) {
    out.push(open);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
    out.push(close);
}

/// As Go's `strconv.Quote`.
pub(super) fn quote(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\x7f' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
