//! Numbers of an exposition: values as Go reads floats, timestamps in both units.

use crate::sample::NORMAL_NAN_BITS;
use crate::time::Timestamp;

/// Integers up to this many digits are exact as floats, and need no float parser.
const EXACT_DIGITS: usize = 15;

/// Reads a value: decimal or scientific notation, `NaN`, `Inf` with any sign and case.
///
/// A signed NaN, an underscore, a hexadecimal float and a number beyond the range of a float are
/// refused, as Prometheus refuses them.
pub(super) fn parse_value(text: &str) -> Option<f64> {
    if text.len() <= EXACT_DIGITS && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let integer = text
            .bytes()
            .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        return Some(integer as f64);
    }
    let value: f64 = text.parse().ok()?;
    if value.is_nan() {
        let signed = text.starts_with(['+', '-']);
        return (!signed).then(|| f64::from_bits(NORMAL_NAN_BITS));
    }
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(value)
}

/// Reads whole milliseconds: the timestamp of text 0.0.4.
pub(super) fn parse_millis(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp)
}

/// Reads seconds with a fraction: the timestamp of OpenMetrics. Anything finer than a millisecond
/// is cut off.
///
/// A plain decimal is read digit by digit: through a float, `1520879607.789` may lose its last
/// millisecond.
pub(super) fn parse_seconds(text: &str) -> Option<Timestamp> {
    if let Some(exact) = parse_decimal_seconds(text) {
        return Some(Timestamp(exact));
    }
    let seconds = parse_value(text)?;
    let millis = seconds * 1000.0;
    let fits = millis.is_finite() && millis.abs() < i64::MAX as f64;
    fits.then_some(Timestamp(millis as i64))
}

/// Nothing where the text is no plain decimal, or one out of range.
fn parse_decimal_seconds(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let thousandths = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    whole
        .parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .and_then(|millis| millis.checked_add(thousandths))
        .map(|millis| if negative { -millis } else { millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_go_reads_them() {
        for (text, want) in [
            ("0", 0.0),
            ("12.5", 12.5),
            ("-1.5e-3", -0.0015),
            (".5", 0.5),
            ("1.", 1.0),
            ("+3", 3.0),
            ("999999999999999", 999_999_999_999_999.0),
            ("18446744073709551615", 18_446_744_073_709_551_615.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
        ] {
            assert_eq!(parse_value(text), Some(want), "{text}");
        }
        assert_eq!(
            parse_value("nan").map(f64::to_bits),
            Some(NORMAL_NAN_BITS),
            "every NaN is the ordinary one"
        );
        for text in [
            "", ".", "1e", "-NaN", "+nan", "0x10", "1_000", "1e400", "1\r",
        ] {
            assert_eq!(parse_value(text), None, "{text}");
        }
    }

    #[test]
    fn timestamps_keep_their_millisecond() {
        for (text, want) in [
            ("0", Some(0)),
            ("1520879607.789", Some(1_520_879_607_789)),
            ("1520879607.7899", Some(1_520_879_607_789)),
            ("-1.5", Some(-1500)),
            ("1e3", Some(1_000_000)),
            ("NaN", None),
            ("+Inf", None),
            ("9223372036854775807", None),
            ("", None),
            (".5", Some(500)),
        ] {
            assert_eq!(parse_seconds(text).map(Timestamp::millis), want, "{text}");
        }
        assert_eq!(parse_millis("-5"), Some(Timestamp(-5)));
        assert_eq!(parse_millis("1.5"), None);
    }
}
