//! What protobuf's JSON has of its own: integers of 64 bits as texts, floats with names, enums by name
//! or number, and ids as hexadecimal digits.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de::Error};

/// A number, or the text of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText<T> {
    Number(T),
    Text(String),
}

impl<T: FromStr> NumberOrText<T> {
    fn number<E: Error>(self) -> Result<T, E> {
        match self {
            Self::Number(number) => Ok(number),
            // Rust reads the names that JSON has: NaN, Infinity, -Infinity.
            Self::Text(text) => {
                let number = text.parse();
                number.map_err(|_| E::custom(format!("{text:?} is no number of its field's type")))
            }
        }
    }
}

pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr,
{
    NumberOrText::deserialize(deserializer)?.number()
}

pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr,
{
    let number = Option::<NumberOrText<T>>::deserialize(deserializer)?;
    number.map(NumberOrText::number).transpose()
}

pub(super) fn numbers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr,
{
    let numbers = Vec::<NumberOrText<T>>::deserialize(deserializer)?;
    numbers.into_iter().map(NumberOrText::number).collect()
}

pub(super) fn temporality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    Ok(match NumberOrText::<i32>::deserialize(deserializer)? {
        NumberOrText::Number(number) => number,
        NumberOrText::Text(name) => match name.as_str() {
            "AGGREGATION_TEMPORALITY_DELTA" => 1,
            "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
            _ => 0,
        },
    })
}

pub(super) fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|[high, low]| {
        let pair = digit(high).zip(digit(low));
        pair.and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    let bytes = bytes.filter(|_| rest.is_empty());
    bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is no id in hexadecimal digits")))
}
