//! Texts in the query of a URL, as Go writes and reads them.

use std::fmt::Write as _;

use regorus::Value;

use super::{Builtin, arguments, elements, kind, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "urlquery.encode",
        arity: 1,
        run: encode,
    },
    Builtin {
        name: "urlquery.decode",
        arity: 1,
        run: decode,
    },
    Builtin {
        name: "urlquery.encode_object",
        arity: 1,
        run: encode_object,
    },
];

fn encode(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    Ok(Value::from(encoded(text(of)?)))
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn decode(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let of = text(of)?;
    let broken = || format!("{of:?} holds a % without two hexadecimal digits");
    let mut bytes = Vec::with_capacity(of.len());
    let mut rest = of.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                value
                    .and_then(|value| u8::try_from(value).ok())
                    .ok_or_else(broken)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| format!("{of:?} does not decode to UTF-8"))
}

/// Members by name, those that are lists one after another.
fn encode_object(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let Value::Object(members) = of else {
        return Err(format!("expected an object, got {}", kind(of)));
    };
    let mut pairs = Vec::new();
    for (name, value) in members.iter() {
        let values = match value {
            Value::String(_) => vec![value],
            all => elements(all)?,
        };
        for value in values {
            pairs.push(format!(
                "{}={}",
                encoded(text(name)?),
                encoded(text(value)?)
            ));
        }
    }
    Ok(Value::from(pairs.join("&")))
}
