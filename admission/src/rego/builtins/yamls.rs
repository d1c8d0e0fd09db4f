//! YAML as texts.

use regorus::Value;

use super::{Builtin, arguments, text};
use crate::yaml;

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "yaml.unmarshal",
        arity: 1,
        run: unmarshal,
    },
    Builtin {
        name: "yaml.is_valid",
        arity: 1,
        run: is_valid,
    },
];

fn unmarshal(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let value = yaml::document(text(of)?).map_err(|error| error.to_string())?;
    Ok(Value::from(value))
}

fn is_valid(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let is_valid = text(of).is_ok_and(|text| yaml::document(text).is_ok());
    Ok(Value::from(is_valid))
}
