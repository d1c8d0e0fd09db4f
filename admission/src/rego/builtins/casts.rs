//! Builtins that OPA keeps for old policies, and conversions that differ.

use std::collections::BTreeSet;

use regorus::Value;

use super::{Builtin, arguments, elements, kind, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "any",
        arity: 1,
        run: any,
    },
    Builtin {
        name: "all",
        arity: 1,
        run: all,
    },
    Builtin {
        name: super::COLLECTION,
        arity: 1,
        run: collection,
    },
    Builtin {
        name: "set_diff",
        arity: 2,
        run: set_diff,
    },
    Builtin {
        name: "cast_array",
        arity: 1,
        run: cast_array,
    },
    Builtin {
        name: "cast_set",
        arity: 1,
        run: cast_set,
    },
    Builtin {
        name: "cast_string",
        arity: 1,
        run: |a| cast(a, "string"),
    },
    Builtin {
        name: "cast_boolean",
        arity: 1,
        run: |a| cast(a, "boolean"),
    },
    Builtin {
        name: "cast_null",
        arity: 1,
        run: |a| cast(a, "null"),
    },
    Builtin {
        name: "cast_object",
        arity: 1,
        run: |a| cast(a, "object"),
    },
    Builtin {
        name: "to_number",
        arity: 1,
        run: to_number,
    },
    Builtin {
        name: "opa.runtime",
        arity: 0,
        run: |_| Ok(Value::new_object()),
    },
    Builtin {
        name: "crypto.sha256",
        arity: 1,
        run: sha256,
    },
];

/// Undefined where it is none; that is no error to be told.
fn collection(given: &[Value]) -> Result<Value, String> {
    let [value] = arguments(given)?;
    Ok(match value {
        Value::Array(_) | Value::Set(_) | Value::Object(_) => value.clone(),
        _ => Value::Undefined,
    })
}

fn any(given: &[Value]) -> Result<Value, String> {
    let [collection] = arguments(given)?;
    Ok(Value::from(
        elements(collection)?.contains(&&Value::Bool(true)),
    ))
}

fn all(given: &[Value]) -> Result<Value, String> {
    let [collection] = arguments(given)?;
    let every = elements(collection)?
        .iter()
        .all(|item| **item == Value::Bool(true));
    Ok(Value::from(every))
}

fn set_diff(given: &[Value]) -> Result<Value, String> {
    match arguments(given)? {
        [Value::Set(of), Value::Set(without)] => {
            let left: BTreeSet<_> = of
                .iter()
                .filter(|item| !without.contains(item))
                .cloned()
                .collect();
            Ok(Value::from(left))
        }
        _ => Err("expected two sets".to_string()),
    }
}

fn cast_array(given: &[Value]) -> Result<Value, String> {
    let [collection] = arguments(given)?;
    Ok(Value::from(
        elements(collection)?
            .into_iter()
            .cloned()
            .collect::<Vec<_>>(),
    ))
}

fn cast_set(given: &[Value]) -> Result<Value, String> {
    let [collection] = arguments(given)?;
    Ok(Value::from(
        elements(collection)?
            .into_iter()
            .cloned()
            .collect::<BTreeSet<_>>(),
    ))
}

fn cast(given: &[Value], wanted: &str) -> Result<Value, String> {
    let [value] = arguments(given)?;
    if kind(value) == wanted {
        return Ok(value.clone());
    }
    Err(format!("expected {wanted}, got {}", kind(value)))
}

/// What Go's `ParseFloat` reads; no blanks around it, and nothing that is no number.
fn to_number(given: &[Value]) -> Result<Value, String> {
    let [value] = arguments(given)?;
    match value {
        Value::Null | Value::Bool(false) => Ok(Value::from(0)),
        Value::Bool(true) => Ok(Value::from(1)),
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) => parse(text).ok_or_else(|| format!("{text:?} is no number")),
        other => Err(format!("cannot make a number of {}", kind(other))),
    }
}

fn parse(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = unsigned.trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        let sign = if text.starts_with('-') { "-" } else { "" };
        return Value::from_json_str(&format!("{sign}{digits}")).ok();
    }
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(Value::from)
}

fn sha256(given: &[Value]) -> Result<Value, String> {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let [value] = arguments(given)?;
    let mut hex = String::new();
    for byte in sha2::Sha256::digest(text(value)?) {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(Value::from(hex))
}
