//! `object.subset`, which says in OPA that two values of different kinds cannot be compared.

use regorus::Value;

use super::{Builtin, arguments, kind};

pub(super) const BUILTINS: &[Builtin] = &[Builtin {
    name: "object.subset",
    arity: 2,
    run: subset,
}];

fn subset(given: &[Value]) -> Result<Value, String> {
    let [all, some] = arguments(given)?;
    match (all, some) {
        (Value::Array(all), Value::Set(some)) => {
            Ok(Value::from(some.iter().all(|one| all.contains(one))))
        }
        (Value::Object(_), Value::Object(_))
        | (Value::Set(_), Value::Set(_))
        | (Value::Array(_), Value::Array(_)) => Ok(Value::from(holds(all, some))),
        _ => Err(format!("cannot compare {} and {}", kind(all), kind(some))),
    }
}

/// Of objects the members one by one, of arrays a run of elements, of sets the elements.
fn holds(all: &Value, some: &Value) -> bool {
    match (all, some) {
        (Value::Object(all), Value::Object(some)) => some
            .iter()
            .all(|(key, value)| all.get(key).is_some_and(|found| holds(found, value))),
        (Value::Set(all), Value::Set(some)) => some.iter().all(|one| all.contains(one)),
        (Value::Array(all), Value::Array(some)) => {
            let [all, some] = [all, some].map(|array| array.iter().collect::<Vec<_>>());
            some.is_empty() || all.windows(some.len()).any(|run| run == some)
        }
        _ => all == some,
    }
}
