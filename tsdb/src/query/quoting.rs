//! Quoted texts, with Go's escapes.
//!
//! Double and single quotes take escapes and end at the line; backquotes take none and may span
//! lines. Escapes can write bytes that are no UTF-8. Such a byte becomes a character of its own in
//! Unicode's private use area, so that the text can still be told, refused and quoted.

use std::fmt::Write as _;

/// Reads a quoted text at the beginning of `input`: its value and how many bytes it took.
pub fn unquote(input: &str, quote: char) -> Result<(String, usize), String> {
    if quote == '`' {
        let body = input.get(1..).unwrap_or_default();
        let end = body.find('`').ok_or("unterminated raw string")?;
        return Ok((body.get(..end).unwrap_or_default().to_owned(), end + 2));
    }
    let mut bytes = Vec::new();
    let mut chars = input.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => break,
            c if c == quote => {
                return Ok((text_of(&bytes), at + c.len_utf8()));
            }
            '\\' => {
                let Some((_, escaped)) = chars.next() else {
                    break;
                };
                let mut digits = |count: usize, radix: u32, first: Option<char>| {
                    let mut text: String = first.into_iter().collect();
                    text.extend(chars.by_ref().take(count).map(|(_, c)| c));
                    u32::from_str_radix(&text, radix).map_err(|_| bad_escape(escaped))
                };
                match escaped {
                    'a' => bytes.push(7),
                    'b' => bytes.push(8),
                    'f' => bytes.push(12),
                    'n' => bytes.push(b'\n'),
                    'r' => bytes.push(b'\r'),
                    't' => bytes.push(b'\t'),
                    'v' => bytes.push(11),
                    '\\' => bytes.push(b'\\'),
                    'x' => bytes.push(digits(2, 16, None)? as u8),
                    'u' => push_char(&mut bytes, digits(4, 16, None)?, escaped)?,
                    'U' => push_char(&mut bytes, digits(8, 16, None)?, escaped)?,
                    '0'..='7' => {
                        let value = digits(2, 8, Some(escaped))?;
                        bytes.push(u8::try_from(value).map_err(|_| bad_escape(escaped))?);
                    }
                    c if c == quote => bytes.push(c as u8),
                    other => return Err(bad_escape(other)),
                }
            }
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("unterminated quoted string".to_owned())
}

/// Where bytes that are no UTF-8 become characters: this one and the 127 behind it.
const FOREIGN_BYTES: u32 = 0xF700;

/// Bytes as text; those that are no UTF-8 as characters of the private use area.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        let foreign = chunk
            .invalid()
            .iter()
            .map(|byte| FOREIGN_BYTES + u32::from(*byte));
        text.extend(foreign.filter_map(char::from_u32));
    }
    text
}

/// The byte a character stands for that is no UTF-8.
fn foreign_byte(c: char) -> Option<u8> {
    let byte = (c as u32).checked_sub(FOREIGN_BYTES)?;
    u8::try_from(byte).ok().filter(|byte| *byte >= 0x80)
}

/// Whether a text was written as valid UTF-8.
pub fn is_valid_utf8(text: &str) -> bool {
    !text.chars().any(|c| foreign_byte(c).is_some())
}

fn bad_escape(escaped: char) -> String {
    format!("unknown escape sequence {escaped:?}")
}

fn push_char(bytes: &mut Vec<u8>, code: u32, escaped: char) -> Result<(), String> {
    let c = char::from_u32(code).ok_or_else(|| bad_escape(escaped))?;
    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

/// Writes a text so that [`unquote`] reads it back.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if foreign_byte(c).is_some() => {
                let _ = write!(out, "\\x{:02x}", foreign_byte(c).unwrap_or_default());
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_quoting() {
        for text in ["", "a\"b\\c", "zeile\nzwei\t\u{1}", "ünïcödé'`"] {
            let quoted = quote(text);
            assert_eq!(
                unquote(&quoted, '"'),
                Ok((text.to_owned(), quoted.len())),
                "{quoted}"
            );
        }
    }

    #[test]
    fn escapes_are_go_escapes() {
        for (quoted, value) in [
            (r#""\x41\102\u0043\U00000044""#, "ABCD"),
            (r"'it\'s'", "it's"),
            ("`raw\\n`", "raw\\n"),
        ] {
            let quote = quoted.chars().next().expect("not empty");
            assert_eq!(
                unquote(quoted, quote).map(|(value, _)| value).as_deref(),
                Ok(value)
            );
        }
        let (foreign, _) = unquote(r#""a\xc5z""#, '"').expect("closed");
        assert!(!is_valid_utf8(&foreign) && is_valid_utf8("ü"));
        assert_eq!(quote(&foreign), r#""a\xc5z""#);
        for damaged in [r#""open"#, r#""\q""#, "\"line\n\"", r#""\x4"#] {
            assert!(unquote(damaged, '"').is_err(), "{damaged}");
        }
    }
}
