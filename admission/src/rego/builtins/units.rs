//! `units.parse` and `units.parse_bytes`, for which regorus takes less and more for a number than OPA.

use regorus::Value;

use super::{Builtin, arguments, of_regorus, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "units.parse",
        arity: 1,
        run: |given| parse(given, "units.parse"),
    },
    Builtin {
        name: "units.parse_bytes",
        arity: 1,
        run: |given| parse(given, "units.parse_bytes"),
    },
];

fn parse(given: &[Value], name: &str) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let of = text(of)?;
    if of.contains('_') || (of.ends_with(['n', 'u']) && name == "units.parse") {
        return Err(format!("{of:?} is no quantity"));
    }
    // A point may be the last of a number's characters.
    let with_digit = match of.split_once('.') {
        Some((whole, rest)) if !rest.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{whole}.0{rest}")
        }
        _ => of.to_string(),
    };
    of_regorus(name, &[Value::from(with_digit)])
}
