//! Functions between notations: JSON, URLs and base64.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value, url_encode};

use super::{Outcome, text_argument};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Registers a function of one text.
fn add(
    functions: &mut FuncMap,
    name: &'static str,
    function: impl Fn(&str) -> Outcome + Send + Sync + 'static,
) {
    functions.insert(
        name.to_owned(),
        Arc::new(move |arguments| function(&text_argument(name, arguments, 0)?)),
    );
}

pub(super) fn register(functions: &mut FuncMap) {
    add(functions, "urlencode", |s| {
        Ok(Value::String(url_encode(s).into()))
    });
    add(functions, "urldecode", |s| {
        url_decode(s)
            .map(|s| Value::String(s.into()))
            .ok_or_else(|| TemplateError::Exec(format!("invalid URL escape in {s:?}")))
    });
    add(functions, "b64enc", |s| {
        Ok(Value::String(base64_encode(s.as_bytes()).into()))
    });
    add(functions, "b64dec", |s| {
        base64_decode(s)
            .map(|bytes| Value::String(String::from_utf8_lossy(&bytes).into()))
            .ok_or_else(|| TemplateError::Exec(format!("illegal base64 data in {s:?}")))
    });
    add(functions, "fromJson", |s| {
        Ok(serde_json::from_str(s).map_or(Value::Nil, |value| from_json(&value)))
    });
}

fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::String(text.as_str().into()),
        serde_json::Value::Array(values) => Value::List(values.iter().map(from_json).collect()),
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<Arc<str>, Value> = fields
                .iter()
                .map(|(name, value)| (Arc::from(name.as_str()), from_json(value)))
                .collect();
            Value::Map(Arc::new(fields))
        }
    }
}

fn url_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain(std::iter::repeat(&0))
            .take(3)
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place)) & 0x3f;
            out.push(if place > chunk.len() {
                '='
            } else {
                BASE64.get(digit as usize).map_or('=', |b| char::from(*b))
            });
        }
    }
    out
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let mut bits = 0_u32;
    let mut held = 0;
    for byte in text.bytes() {
        let digit = BASE64.iter().position(|candidate| *candidate == byte)?;
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    (text.len() % 4 != 1).then_some(out)
}
