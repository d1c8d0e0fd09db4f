//! Number literals: decimal, exponents, hexadecimal, octal, underscores between digits.
//!
//! Integers follow Go's rules for a base given by prefix, since upstream reads them so: `0x1F` is
//! 31 and `010` is 8; what is no integer is read as a float.

/// The longest beginning of `text` that may belong to a number or duration.
pub fn scan(text: &str) -> &str {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut previous = ' ';
    let mut digits_only = true;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            let sign_of_exponent = matches!(c, '+' | '-')
                && matches!(previous, 'e' | 'E')
                && digits_only
                && !hexadecimal;
            let belongs = c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || sign_of_exponent;
            if sign_of_exponent {
                digits_only = false;
            }
            if !matches!(c, '0'..='9' | '.' | '_' | 'e' | 'E') {
                digits_only = false;
            }
            previous = *c;
            !belongs
        })
        .map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

/// The value of a number literal.
pub fn parse(text: &str) -> Option<f64> {
    let well_placed = !text.contains("__") && !text.ends_with('_') && !text.starts_with('_');
    let plain = text.replace('_', "");
    if !well_placed {
        return None;
    }
    if let Some(digits) = plain
        .strip_prefix("0x")
        .or_else(|| plain.strip_prefix("0X"))
    {
        return i64::from_str_radix(digits, 16)
            .ok()
            .map(|value| value as f64);
    }
    let only_digits = plain.bytes().all(|b| b.is_ascii_digit());
    if only_digits
        && plain.len() > 1
        && plain.starts_with('0')
        && let Ok(value) = i64::from_str_radix(&plain, 8)
    {
        return Some(value as f64);
    }
    let numeric = plain
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    numeric.then(|| plain.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_as_upstream_reads_them() {
        for (text, value) in [
            ("12.34e6", Some(12_340_000.0)),
            ("12.34e-6", Some(0.000_012_34)),
            (".2", Some(0.2)),
            ("2.", Some(2.0)),
            ("0x1F", Some(31.0)),
            ("010", Some(8.0)),
            ("09", Some(9.0)),
            ("1_000", Some(1000.0)),
            ("1__0", None),
            ("5m", None),
            ("1e", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }

    #[test]
    fn a_sign_belongs_to_an_exponent_only() {
        for (text, scanned) in [
            ("1e-6+1", "1e-6"),
            ("1-1", "1"),
            ("0xe-1", "0xe"),
            ("5m-1m", "5m"),
            ("1h30m]", "1h30m"),
        ] {
            assert_eq!(scan(text), scanned);
        }
    }
}
