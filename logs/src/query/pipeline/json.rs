//! `| json`: an object's fields become labels, nested names joined by `_`.
//!
//! The scanner walks the line once and builds nothing: texts are borrowed from the line unless
//! they hold an escape. `null` and arrays give no label. A line that breaks off is marked with
//! `JSONParserErr` and keeps the fields found before.

use std::borrow::Cow;

use super::json_path::JsonPath;
use super::{Wanted, WorkingLabels, sanitize_key};
use crate::query::ast::Extraction;

/// What `__error__` says of a line that is not JSON.
pub(super) const JSON_PARSER_ERROR: &str = "JSONParserErr";
/// How deep values may nest.
const DEPTH_MAX: usize = 128;
/// How long a name joined from nested keys may get.
const NAME_BYTES_MAX: usize = 16 << 10;

/// The stage: all fields, or those that expressions name.
pub(super) struct Json {
    extractions: Vec<(String, JsonPath)>,
}

impl Json {
    pub(super) fn compile(extractions: &[Extraction]) -> Result<Self, String> {
        let extractions = extractions
            .iter()
            .map(|extraction| {
                JsonPath::parse(&extraction.expression)
                    .map(|path| (extraction.label.clone(), path))
                    .map_err(|reason| {
                        format!(
                            "cannot parse expression [{}]: {reason}",
                            extraction.expression
                        )
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { extractions })
    }

    pub(super) fn process(&self, line: &str, labels: &mut WorkingLabels, wanted: &Wanted) {
        let result = if self.extractions.is_empty() {
            let mut name = String::new();
            walk_object(&mut JsonScanner::new(line), &mut name, labels, wanted)
        } else {
            self.extract(line, labels)
        };
        if let Err(reason) = result {
            labels.set_error(JSON_PARSER_ERROR, reason);
        }
    }

    fn extract(&self, line: &str, labels: &mut WorkingLabels) -> Result<(), &'static str> {
        JsonScanner::new(line).skip_value(0)?;
        for (label, path) in &self.extractions {
            let value = path.find(line)?;
            labels.extract_named(label, value.as_deref().unwrap_or_default());
        }
        Ok(())
    }
}

/// Takes the fields of the object at the cursor; `name` is the path so far.
fn walk_object(
    scanner: &mut JsonScanner<'_>,
    name: &mut String,
    labels: &mut WorkingLabels,
    wanted: &Wanted,
) -> Result<(), &'static str> {
    scanner.object(|scanner, key| {
        let parent = name.len();
        if parent > 0 {
            name.push('_');
        }
        sanitize_key(&key, name);
        if name.len() > NAME_BYTES_MAX {
            return Err("the joined name of a nested field is too long");
        }
        match scanner.peek() {
            Some(b'{') if scanner.depth < DEPTH_MAX => walk_object(scanner, name, labels, wanted)?,
            Some(b'"') => labels.extract(name, &scanner.string()?, wanted),
            Some(b'[' | b'n') => scanner.skip_value(0)?,
            _ => labels.extract(name, scanner.scalar()?, wanted),
        }
        name.truncate(parent);
        Ok(())
    })
}

/// A cursor over JSON text.
pub(super) struct JsonScanner<'l> {
    text: &'l str,
    at: usize,
    depth: usize,
}

impl<'l> JsonScanner<'l> {
    pub(super) const fn new(text: &'l str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The first byte of the next token.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blanks = rest
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.at += blanks;
        rest.get(blanks).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Calls `field` with each key, the cursor before its value; `field` must take the value.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'l, str>) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        if !self.accept(b'{') {
            return Err("expecting a json object, but the line is not");
        }
        if self.accept(b'}') {
            return Ok(());
        }
        self.depth += 1;
        loop {
            if self.peek() != Some(b'"') {
                return Err("object key is not a string");
            }
            let key = self.string()?;
            if !self.accept(b':') {
                return Err("missing ':' behind an object key");
            }
            field(self, key)?;
            if self.accept(b'}') {
                self.depth -= 1;
                return Ok(());
            }
            if !self.accept(b',') {
                return Err("value looks like object, but can't find closing '}' symbol");
            }
        }
    }

    /// Calls `element` with each index, the cursor before its value.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        if !self.accept(b'[') {
            return Err("expecting a json array, but the value is not");
        }
        if self.accept(b']') {
            return Ok(());
        }
        for index in 0.. {
            element(self, index)?;
            if self.accept(b']') {
                return Ok(());
            }
            if !self.accept(b',') {
                break;
            }
        }
        Err("value looks like array, but can't find closing ']' symbol")
    }

    /// Takes a string, borrowed where it has no escape.
    pub(super) fn string(&mut self) -> Result<Cow<'l, str>, &'static str> {
        const UNCLOSED: &str = "value looks like string, but can't find closing '\"' symbol";
        let start = self.at + 1;
        let body = self.text.get(start..).ok_or(UNCLOSED)?;
        let end = memchr::memchr2(b'"', b'\\', body.as_bytes()).ok_or(UNCLOSED)?;
        if body.as_bytes().get(end) == Some(&b'"') {
            self.at = start + end + 1;
            return body.get(..end).map(Cow::Borrowed).ok_or(UNCLOSED);
        }
        let mut out = String::new();
        let mut rest = body;
        loop {
            let at = memchr::memchr2(b'"', b'\\', rest.as_bytes()).ok_or(UNCLOSED)?;
            out.push_str(rest.get(..at).unwrap_or_default());
            if rest.as_bytes().get(at) == Some(&b'"') {
                self.at = self.text.len() - rest.len() + at + 1;
                return Ok(Cow::Owned(out));
            }
            let escape = rest.get(at + 1..).ok_or(UNCLOSED)?;
            let length = unescape(escape, &mut out).ok_or("string holds an unknown escape")?;
            rest = escape.get(length..).ok_or(UNCLOSED)?;
        }
    }

    /// Takes a number or a word as it is written.
    pub(super) fn scalar(&mut self) -> Result<&'l str, &'static str> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest
            .find(|c: char| matches!(c, ',' | '}' | ']' | ':') || c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let number = text
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            && text.parse::<f64>().is_ok();
        if number || matches!(text, "true" | "false" | "null") {
            self.at += end;
            return Ok(text);
        }
        Err("unknown value type")
    }

    /// Passes over a value and gives its text.
    pub(super) fn skip_value(&mut self, depth: usize) -> Result<(), &'static str> {
        if depth > DEPTH_MAX {
            return Err("values nest too deep");
        }
        match self.peek() {
            Some(b'{') => self.object(|scanner, _| scanner.skip_value(depth + 1)),
            Some(b'[') => self.array(|scanner, _| scanner.skip_value(depth + 1)),
            Some(b'"') => self.string().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// Takes a value as a label shows it: strings unquoted, `null` empty, the rest as written.
    pub(super) fn value(&mut self) -> Result<Cow<'l, str>, &'static str> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let start = self.at;
        self.skip_value(0)?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Cow::Borrowed(if text == "null" { "" } else { text }))
    }
}

/// Resolves one escape behind its backslash; gives the length it had.
fn unescape(text: &str, out: &mut String) -> Option<usize> {
    let simple = match text.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
            let high = unit(1)?;
            if (0xd800..0xdc00).contains(&high)
                && text.get(5..7) == Some("\\u")
                && let Some(low @ 0xdc00..0xe000) = unit(7)
            {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                out.push(char::from_u32(code)?);
                return Some(11);
            }
            out.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Some(5);
        }
        _ => return None,
    };
    out.push(simple);
    Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::labels::Labels;

    fn check(line: &str, expected: &str) {
        let mut labels = WorkingLabels::default();
        labels.begin_stream(&Labels::empty());
        labels.begin_entry(&Labels::empty());
        Json::compile(&[])
            .expect("stage")
            .process(line, &mut labels, &None);
        let all = labels.with_error(&labels.to_labels(|_, _| true));
        assert_eq!(all.to_string(), expected, "{line}");
    }

    #[test]
    fn fields_become_labels() {
        check(
            r#"{"a":"x","b":{"c":1.5,"d":{"e":true}},"n":null,"l":[1,{"x":"]"}],"f.g":2,"9x":3}"#,
            r#"{_9x="3", a="x", b_c="1.5", b_d_e="true", f_g="2"}"#,
        );
        check(
            r#" { "a" : "q\"\u00e9\ud83d\ude00\n" , "a":"second" } "#,
            "{a=\"q\\\"é😀\\n\"}",
        );
        check("{}", "{}");
    }

    #[test]
    fn broken_lines_are_marked() {
        check(
            "no",
            r#"{__error__="JSONParserErr", __error_details__="expecting a json object, but the line is not"}"#,
        );
        check(
            r#"{"a":1"#,
            r#"{__error__="JSONParserErr", __error_details__="value looks like object, but can't find closing '}' symbol", a="1"}"#,
        );
        for line in [
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":tru}"#,
            r#"{"a":"x}"#,
            "{1:2}",
        ] {
            let mut labels = WorkingLabels::default();
            labels.begin_entry(&Labels::empty());
            Json::compile(&[])
                .expect("stage")
                .process(line, &mut labels, &None);
            assert_eq!(labels.error(), Some(JSON_PARSER_ERROR), "{line}");
        }
        let deep = "{\"a\":".repeat(5000);
        let mut labels = WorkingLabels::default();
        labels.begin_entry(&Labels::empty());
        Json::compile(&[])
            .expect("stage")
            .process(&deep, &mut labels, &None);
        assert_eq!(labels.error(), Some(JSON_PARSER_ERROR));
    }
}
