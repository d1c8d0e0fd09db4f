//! Durations, byte sizes and numbers as they stand in label values and in queries.
//!
//! Values come from programs, most of them written in Go, so they are read as Go reads them, and
//! a failure says what Go says: the text becomes `__error_details__`, which people match on.
//! Sources: the documentation of `time.ParseDuration`, `strconv.ParseFloat` and of the
//! `go-humanize` byte sizes.

/// Nanoseconds of the units a Go duration may have.
const DURATION_UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a Go duration such as `1h30m`, `1.5s` or `-5ms` into nanoseconds.
pub(crate) fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = span(rest, |c| c.is_ascii_digit() || c == '.');
        let (number, after) = rest.split_at(digits);
        if !number.contains(|c: char| c.is_ascii_digit()) || number.matches('.').count() > 1 {
            return Err(invalid());
        }
        let unit_length = span(after, |c| !c.is_ascii_digit() && c != '.');
        if unit_length == 0 {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let (unit, after) = after.split_at(unit_length);
        let scale = DURATION_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale)
            .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: i64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| invalid())?
        };
        let fraction: f64 = if fraction.is_empty() {
            0.0
        } else {
            format!("0.{fraction}").parse().map_err(|_| invalid())?
        };
        total = whole
            .checked_mul(scale as i64)
            .and_then(|part| part.checked_add((fraction * scale) as i64))
            .and_then(|part| total.checked_add(part))
            .ok_or_else(invalid)?;
        rest = after;
    }
    Ok(if negative { -total } else { total })
}

/// Reads a duration of a query, which may also count in days, weeks and years, into nanoseconds.
pub(crate) fn parse_query_duration(text: &str) -> Option<i64> {
    parse_go_duration(text).ok().or_else(|| {
        model::time::parse_duration(text)
            .ok()
            .and_then(|millis| millis.checked_mul(1_000_000))
    })
}

/// Powers of the byte units: the letter, and which power of 1000 or 1024 it stands for.
const BYTE_UNITS: [(&str, i32); 7] = [
    ("", 0),
    ("k", 1),
    ("m", 2),
    ("g", 3),
    ("t", 4),
    ("p", 5),
    ("e", 6),
];

/// Reads a byte size such as `1.5KiB`, `20 MB` or `2,048`, in any case of letters.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = span(text, |c| c.is_ascii_digit() || c == '.' || c == ',');
    let (number, unit) = text.split_at(digits);
    let number = parse_float(&number.replace(',', ""))?;
    let unit = unit.trim().to_lowercase();
    let unhandled = || format!("unhandled size name: {unit}");
    let plain = unit.strip_suffix('b').unwrap_or(&unit);
    let (letter, base) = match plain.strip_suffix('i') {
        Some(letter) if !letter.is_empty() => (letter, 1024_f64),
        _ => (plain, 1000_f64),
    };
    let power = BYTE_UNITS
        .iter()
        .find(|(name, _)| *name == letter)
        .map(|(_, power)| *power)
        .ok_or_else(unhandled)?;
    let bytes = number * base.powi(power);
    if bytes >= u64::MAX as f64 {
        return Err(format!("too large: {text}"));
    }
    Ok(bytes as u64)
}

/// Reads a float as Go does: decimal, hexadecimal with an exponent, `Inf` and `NaN`.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    let invalid = || format!("strconv.ParseFloat: parsing {text:?}: invalid syntax");
    let (sign, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, text.get(1..).unwrap_or_default()),
        Some(b'+') => (1.0, text.get(1..).unwrap_or_default()),
        _ => (1.0, text),
    };
    if let Some(hex) = magnitude
        .strip_prefix("0x")
        .or_else(|| magnitude.strip_prefix("0X"))
    {
        return parse_hex_float(hex)
            .map(|value| sign * value)
            .ok_or_else(invalid);
    }
    let value: f64 = text.parse().map_err(|_| invalid())?;
    if value.is_infinite() && magnitude.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(format!(
            "strconv.ParseFloat: parsing {text:?}: value out of range"
        ));
    }
    Ok(value)
}

/// The digits behind `0x`; the exponent is a power of two and must be there.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let mut scale = 1.0 / 16.0;
    for digit in fraction.chars() {
        value += f64::from(digit.to_digit(16)?) * scale;
        scale /= 16.0;
    }
    Some(value * 2_f64.powi(exponent))
}

/// How many bytes of `text` the characters that pass make up.
fn span(text: &str, pass: impl Fn(char) -> bool) -> usize {
    text.find(|c| !pass(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, nanos) in [
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("-5s", -5_000_000_000),
            ("3600000000µs", 3_600_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_go_duration(text), Ok(nanos), "{text}");
        }
        for (text, message) in [
            ("90", "time: missing unit in duration \"90\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("nope", "time: invalid duration \"nope\""),
            ("", "time: invalid duration \"\""),
        ] {
            assert_eq!(parse_go_duration(text), Err(message.to_owned()), "{text}");
        }
        assert_eq!(parse_query_duration("1d"), Some(86_400_000_000_000));
    }

    #[test]
    fn byte_sizes_read_in_any_case() {
        for (text, bytes) in [
            ("1KB", 1000),
            ("1kib", 1024),
            ("2Kb", 2000),
            ("2,048", 2048),
            ("1.5B", 1),
            ("1 PiB", 1 << 50),
            ("3M", 3_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(
            parse_bytes("oops"),
            Err("strconv.ParseFloat: parsing \"\": invalid syntax".to_owned())
        );
        assert_eq!(
            parse_bytes("1XB"),
            Err("unhandled size name: xb".to_owned())
        );
    }

    #[test]
    fn floats_read_as_go_reads_them() {
        for (text, value) in [
            ("1e3", 1000.0),
            ("0x1P3", 8.0),
            (".5", 0.5),
            ("-0x.8p1", -1.0),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert_eq!(parse_float("Inf"), Ok(f64::INFINITY));
        for text in ["0x10", "0o17", "1e999", "", "1_0"] {
            assert!(parse_float(text).is_err(), "{text}");
        }
    }
}
