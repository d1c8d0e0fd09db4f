//! Builtins over numbers whose answers have no bound in regorus.

use regorus::Value;

use super::{Builtin, ITEMS_MAX, arguments};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "numbers.range",
        arity: 2,
        run: range,
    },
    Builtin {
        name: "numbers.range_step",
        arity: 3,
        run: range_step,
    },
];

fn range(given: &[Value]) -> Result<Value, String> {
    let [from, to] = arguments(given)?;
    between(integer(from)?, integer(to)?, 1)
}

fn range_step(given: &[Value]) -> Result<Value, String> {
    let [from, to, step] = arguments(given)?;
    match integer(step)? {
        step if step > 0 => between(integer(from)?, integer(to)?, step),
        _ => Err("the step must be a positive number".to_string()),
    }
}

fn integer(value: &Value) -> Result<i64, String> {
    value
        .as_i64()
        .map_err(|_| "expected an integer".to_string())
}

/// From one number to the other, both ends included, in either direction.
fn between(from: i64, to: i64, step: i64) -> Result<Value, String> {
    if from.abs_diff(to) / step.unsigned_abs() >= ITEMS_MAX as u64 {
        return Err(format!("the range is longer than {ITEMS_MAX}"));
    }
    let mut items = Vec::new();
    let mut at = from;
    while if from <= to { at <= to } else { at >= to } {
        items.push(Value::from(at));
        let next = if from <= to {
            at.checked_add(step)
        } else {
            at.checked_sub(step)
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(Value::from(items))
}
