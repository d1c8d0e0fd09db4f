//! Whether collections hold values.

use regorus::Value;

use super::{Builtin, IN, PAIR_IN, arguments};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: IN,
        arity: 2,
        run: is_in,
    },
    Builtin {
        name: PAIR_IN,
        arity: 3,
        run: pair_is_in,
    },
];

fn is_in(given: &[Value]) -> Result<Value, String> {
    let [value, collection] = arguments(given)?;
    Ok(holds(collection, None, value).into())
}

fn pair_is_in(given: &[Value]) -> Result<Value, String> {
    let [key, value, collection] = arguments(given)?;
    Ok(holds(collection, Some(key), value).into())
}

/// Whether it holds the value, at this key where one is given. Elements of sets have none.
pub(crate) fn holds(collection: &Value, key: Option<&Value>, value: &Value) -> bool {
    match (collection, key) {
        (Value::Array(_) | Value::Object(_), Some(key)) => collection[key] == *value,
        (Value::Array(items), None) => items.contains(value),
        (Value::Object(members), None) => members.values().any(|member| member == value),
        (Value::Set(items), None) => items.contains(value),
        _ => false,
    }
}
