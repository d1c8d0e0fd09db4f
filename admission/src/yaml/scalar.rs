//! What a scalar is: a text, unless it stands there plainly and looks like something else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

use super::{Letters, core_kind};

/// The key that takes in another mapping.
const MERGE: &str = "<<";

/// A scalar as it stands in the text.
pub(super) struct Written<'a> {
    text: &'a str,
    tag: Option<&'a Tag>,
    is_plain: bool,
    letters: Letters,
}

/// What a plain text looks like.
enum Look {
    Null,
    Bool(bool),
    Int(Number),
    Float(f64),
    Text(String),
}

impl<'a> Written<'a> {
    pub(super) fn new(
        text: &'a str,
        style: ScalarStyle,
        tag: Option<&'a Tag>,
        letters: Letters,
    ) -> Self {
        Written {
            text,
            tag,
            is_plain: style == ScalarStyle::Plain,
            letters,
        }
    }

    /// Whether it is `<<` as a key.
    pub(super) fn is_merge(&self) -> bool {
        let is_tagged = |tag| core_kind(tag) == Some("merge");
        self.text == MERGE && self.tag.map_or(self.is_plain, is_tagged)
    }

    /// Its value, or why it has none.
    pub(super) fn value(&self) -> Result<Value, String> {
        Ok(match self.look()? {
            Look::Null => Value::Null,
            Look::Bool(is) => Value::Bool(is),
            Look::Int(number) => Value::Number(number),
            Look::Float(number) => Value::Number(
                (whole(number).or_else(|| Number::from_f64(number)))
                    .ok_or_else(|| format!("JSON has no {}: put it in quotes", self.text))?,
            ),
            Look::Text(text) => Value::String(text),
        })
    }

    /// Its text as a key.
    pub(super) fn key(&self) -> Result<String, String> {
        Ok(match self.look()? {
            Look::Null => return Err("a key is a text, not null".to_string()),
            Look::Bool(is) => is.to_string(),
            Look::Int(number) => number.to_string(),
            Look::Float(number) => float_key(number),
            Look::Text(text) => text,
        })
    }

    /// What it is, or why it is not what its tag says.
    fn look(&self) -> Result<Look, String> {
        let Some(tag) = self.tag else {
            return Ok(if self.is_plain {
                look(self.text, self.letters)
            } else {
                Look::Text(self.text.to_string())
            });
        };
        let looks = |is: fn(&Look) -> bool| {
            let look = Some(look(self.text, self.letters)).filter(is);
            look.ok_or_else(|| format!("{:?} is no {}", self.text, tag.suffix))
        };
        match core_kind(tag) {
            Some("null") => looks(|look| matches!(look, Look::Null)),
            Some("bool") => looks(|look| matches!(look, Look::Bool(_))),
            Some("int") => looks(|look| matches!(look, Look::Int(_))),
            Some("float") => looks(|look| matches!(look, Look::Int(_) | Look::Float(_))),
            Some("binary") => {
                let bytes = STANDARD.decode(self.text);
                let bytes = bytes.map_err(|error| format!("{:?}: {error}", self.text))?;
                Ok(Look::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            _ => Ok(Look::Text(self.text.to_string())),
        }
    }
}

/// A number without a fraction, of 64 bits.
fn whole(number: f64) -> Option<Number> {
    if number.fract() != 0.0 || number.abs() >= 1e19 {
        return None;
    }
    let written = number.to_string();
    let whole = written.parse::<i64>().map(Number::from);
    (whole.or_else(|_| written.parse::<u64>().map(Number::from))).ok()
}

fn look(text: &str, letters: Letters) -> Look {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Look::Null,
        "y" | "Y" | "n" | "N" if letters == Letters::Texts => Look::Text(text.to_string()),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Look::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Look::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Look::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Look::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Look::Float(f64::NEG_INFINITY),
        _ => number(text),
    }
}

fn number(text: &str) -> Look {
    let first = text.bytes().next().unwrap_or_default();
    if !first.is_ascii_digit() && !matches!(first, b'+' | b'-' | b'.') {
        return Look::Text(text.to_string());
    }
    // Where a point comes first, a _ stands between digits or makes it a text.
    let is_between = |at: usize| {
        let digit = |at: Option<usize>| {
            at.and_then(|at| text.as_bytes().get(at))
                .is_some_and(u8::is_ascii_digit)
        };
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    };
    if first == b'.' && !text.match_indices('_').all(|(at, _)| is_between(at)) {
        return Look::Text(text.to_string());
    }
    let plain = text.replace('_', "");
    if let Some(number) = integer(&plain) {
        return Look::Int(number);
    }
    match plain.parse::<f64>() {
        Ok(number) if is_float(&plain) && number.is_finite() => Look::Float(number),
        _ => Look::Text(text.to_string()),
    }
}

/// An integer of 64 bits: decimal, or octal, hexadecimal or binary as its first digits say.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if is_negative { -number } else { number };
    if let Ok(number) = i64::try_from(number) {
        return Some(Number::from(number));
    }
    // With a sign before it, it is one of 64 bits with a sign, or none.
    let number = u64::try_from(number).ok()?;
    (!text.starts_with('+')).then(|| Number::from(number))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    has_digits && is_digits(whole) && is_digits(fraction) && exponent_is_right
}

/// A number as a key, which is a text of 32 bits' precision where it is no integer: with an exponent below 10⁻⁴ and from 10⁶ on.
fn float_key(number: f64) -> String {
    let number = number as f32;
    let written = format!("{number:e}");
    let exponent = written.split_once('e').and_then(|(mantissa, exponent)| {
        let exponent: i32 = exponent.parse().ok()?;
        (!(-4..6).contains(&exponent)).then(|| format!("{mantissa}e{exponent:+03}"))
    });
    exponent.unwrap_or_else(|| number.to_string())
}
