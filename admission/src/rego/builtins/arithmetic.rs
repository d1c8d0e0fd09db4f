//! Calculating as OPA does, and ranges, which have no bound in regorus.
//!
//! OPA counts with more digits than a float has and writes the shortest decimal of the result, so that
//! 0.1 + 0.2 is 0.3 and 4.35 * 100 is 435. Here floats are used, and a result that is a short decimal
//! but for its last digits is taken for that decimal.

use regorus::Value;
use regorus::value::Set;

use super::{AND, Builtin, DIV, ITEMS_MAX, MINUS, MUL, OR, PLUS, REM, arguments, kind};

/// How many digits of a float are certain.
const DIGITS: usize = 15;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: PLUS,
        arity: 2,
        run: |given| calculate(given, Operation::Plus),
    },
    Builtin {
        name: MINUS,
        arity: 2,
        run: |given| calculate(given, Operation::Minus),
    },
    Builtin {
        name: MUL,
        arity: 2,
        run: |given| calculate(given, Operation::Mul),
    },
    Builtin {
        name: DIV,
        arity: 2,
        run: |given| calculate(given, Operation::Div),
    },
    Builtin {
        name: REM,
        arity: 2,
        run: |given| calculate(given, Operation::Rem),
    },
    Builtin {
        name: OR,
        arity: 2,
        run: |given| sets(given, Set::union),
    },
    Builtin {
        name: AND,
        arity: 2,
        run: |given| sets(given, Set::intersection),
    },
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Plus,
    Minus,
    Mul,
    Div,
    Rem,
}

fn calculate(given: &[Value], operation: Operation) -> Result<Value, String> {
    let (a, b) = match arguments(given)? {
        [Value::Number(a), Value::Number(b)] => (a, b),
        [Value::Set(_), Value::Set(_)] if operation == Operation::Minus => {
            return sets(given, Set::difference);
        }
        [a, b] => return Err(format!("cannot calculate with {} and {}", kind(a), kind(b))),
    };
    let zero = b.as_f64() == Some(0.0);
    let result = match operation {
        Operation::Plus => a.add(b),
        Operation::Minus => a.sub(b),
        Operation::Mul => a.mul(b),
        Operation::Div if zero => return Err("divide by zero".to_string()),
        Operation::Rem if zero => return Err("modulo by zero".to_string()),
        Operation::Rem if !a.is_integer() || !b.is_integer() => {
            return Err("modulo on floating-point number".to_string());
        }
        Operation::Div => a.clone().divide(b),
        Operation::Rem => a.clone().modulo(b),
    };
    let result = result.map_err(|error| error.to_string())?;
    match result.as_f64() {
        Some(float) if !result.is_integer() => Ok(Value::from(decimal(float))),
        _ => Ok(Value::Number(result)),
    }
}

/// The set that is made of two.
fn sets(given: &[Value], of: fn(&Set, &Set) -> Set) -> Result<Value, String> {
    match arguments(given)? {
        [Value::Set(left), Value::Set(right)] => Ok(Value::from(of(left, right))),
        [a, b] => Err(format!(
            "expected two sets, got {} and {}",
            kind(a),
            kind(b)
        )),
    }
}

/// The short decimal that a result is but for its last digits, if there is one.
fn decimal(result: f64) -> f64 {
    let rounded = format!("{result:.*e}", DIGITS - 1);
    let Some((mantissa, _)) = rounded.split_once('e') else {
        return result;
    };
    let zeros = mantissa.len() - mantissa.trim_end_matches('0').len();
    match rounded.parse() {
        Ok(decimal) if zeros >= 2 => decimal,
        _ => result,
    }
}

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
