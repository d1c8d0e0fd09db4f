//! Floats in JSON: numbers, and texts for what numbers cannot say.

use std::fmt::{self, Write as _};

use model::sample::{NORMAL_NAN_BITS, STALE_NAN_BITS, stale_nan};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A float as JSON lines write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Float(pub(super) f64);

/// Appends a float.
pub(super) fn write_float(out: &mut String, value: f64) {
    let wrote = if value.is_finite() {
        let magnitude = value.abs();
        if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
            write!(out, "{value:e}")
        } else {
            write!(out, "{value}")
        }
    } else {
        match value.to_bits() {
            STALE_NAN_BITS => out.write_str("\"stale\""),
            NORMAL_NAN_BITS => out.write_str("\"NaN\""),
            _ if value == f64::INFINITY => out.write_str("\"+Inf\""),
            _ if value == f64::NEG_INFINITY => out.write_str("\"-Inf\""),
            bits => write!(out, "\"{bits:#018x}\""),
        }
    };
    // Writing to a text does not fail.
    debug_assert!(wrote.is_ok());
}

/// A float from a text that stands in a number's place.
fn parse_text(text: &str) -> Option<f64> {
    Some(match text {
        "NaN" => f64::from_bits(NORMAL_NAN_BITS),
        "stale" => stale_nan(),
        "+Inf" | "Inf" | "Infinity" | "+Infinity" => f64::INFINITY,
        "-Inf" | "-Infinity" => f64::NEG_INFINITY,
        _ => {
            let digits = text
                .strip_prefix("0x")
                .filter(|digits| digits.len() == 16)?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            f64::from_bits(u64::from_str_radix(digits, 16).ok().filter(|_| is_hex)?)
        }
    })
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloatVisitor)
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = Float;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, null, \"NaN\", \"stale\", \"+Inf\", \"-Inf\" or 64 bits such as \"0x7ff8000000000000\"")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Float, E> {
        Ok(Float(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Float, E> {
        Ok(Float(value as f64))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Float, E> {
        Ok(Float(value as f64))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Float, E> {
        Ok(Float(f64::from_bits(NORMAL_NAN_BITS)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Float, E> {
        parse_text(text)
            .map(Float)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bits: u64) {
        let mut text = String::new();
        write_float(&mut text, f64::from_bits(bits));
        let back: Float = serde_json::from_str(&text).expect("own text");
        assert_eq!(back.0.to_bits(), bits, "{text}");
    }

    #[test]
    fn what_is_hard_to_say_is_said() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (1e21, "1e21"),
            (0.1 + 0.2, "0.30000000000000004"),
            (123_456_789.0, "123456789"),
            (f64::INFINITY, "\"+Inf\""),
            (f64::NEG_INFINITY, "\"-Inf\""),
            (stale_nan(), "\"stale\""),
            (f64::from_bits(NORMAL_NAN_BITS), "\"NaN\""),
            (
                f64::from_bits(0xfff8_0000_0000_0000),
                "\"0xfff8000000000000\"",
            ),
        ] {
            let mut out = String::new();
            write_float(&mut out, value);
            assert_eq!(out, text);
            check(value.to_bits());
        }
    }

    #[test]
    fn other_programs_notations_are_read() {
        let nan = f64::from_bits(NORMAL_NAN_BITS);
        for (text, value) in [
            ("null", nan),
            ("\"Infinity\"", f64::INFINITY),
            ("\"Inf\"", f64::INFINITY),
            ("\"-Infinity\"", f64::NEG_INFINITY),
            ("1E3", 1000.0),
            ("18446744073709551615", 18_446_744_073_709_551_615.0),
            ("-9223372036854775808", -9_223_372_036_854_775_808.0),
            (
                "123456789012345678901234567890",
                123_456_789_012_345_678_901_234_567_890.0,
            ),
        ] {
            let back: Float = serde_json::from_str(text).expect(text);
            assert_eq!(back.0.to_bits(), value.to_bits(), "{text}");
        }
        for text in [
            "\"1\"",
            "\"0x7ff8\"",
            "\"0x+ff8000000000000\"",
            "true",
            "[]",
            "\"\"",
            "1e400",
        ] {
            assert!(serde_json::from_str::<Float>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_float_is_read_as_it_was(bits: u64) {
            check(bits);
        }
    }
}
