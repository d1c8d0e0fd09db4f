//! `| logfmt`: `key=value` pairs become labels.
//!
//! Pairs are separated by blanks; a value may be quoted and then holds escapes. A pair that is
//! malformed is skipped, or fails the line where `--strict` was asked for. A key without a value gives
//! no label unless `--keep-empty` was asked for.

use std::borrow::Cow;

use super::{Wanted, WorkingLabels, sanitize_key};
use crate::query::ast::Logfmt;

/// What `__error__` says of a line that is not logfmt.
const LOGFMT_PARSER_ERROR: &str = "LogfmtParserErr";

/// The stage.
pub(super) struct CompiledLogfmt {
    strict: bool,
    keep_empty: bool,
    /// Label and key of what is asked for; all where there is none.
    extractions: Vec<(String, String)>,
}

impl CompiledLogfmt {
    pub(super) fn compile(logfmt: &Logfmt) -> Result<Self, String> {
        let mut extractions = Vec::with_capacity(logfmt.extractions.len());
        for extraction in &logfmt.extractions {
            let key = extraction.expression.trim();
            let key = key
                .strip_prefix("[\"")
                .and_then(|key| key.strip_suffix("\"]"))
                .unwrap_or(key);
            if key.is_empty() || key.contains(|c: char| c <= ' ' || c == '=' || c == '"') {
                return Err(format!(
                    "cannot parse expression [{}]: it must be one key",
                    extraction.expression
                ));
            }
            extractions.push((extraction.label.clone(), key.to_owned()));
        }
        Ok(Self {
            strict: logfmt.strict,
            keep_empty: logfmt.keep_empty,
            extractions,
        })
    }

    pub(super) fn process(&self, line: &str, labels: &mut WorkingLabels, wanted: &Wanted) {
        let mut name = String::new();
        let mut pairs = Pairs { line, at: 0 };
        while let Some(pair) = pairs.next_pair() {
            match pair {
                Ok((key, value)) if self.extractions.is_empty() => {
                    if !value.is_empty() || self.keep_empty {
                        name.clear();
                        sanitize_key(key, &mut name);
                        labels.extract(&name, &value, wanted);
                    }
                }
                Ok((key, value)) => {
                    for (label, wanted_key) in &self.extractions {
                        if wanted_key == key && !labels.has_extracted(label) {
                            labels.extract_named(label, &value);
                        }
                    }
                }
                Err(error) => {
                    if self.strict {
                        let details = format!(
                            "logfmt syntax error at pos {} : {}",
                            error.position, error.reason
                        );
                        labels.set_error(LOGFMT_PARSER_ERROR, &details);
                        return;
                    }
                }
            }
        }
        for (label, _) in &self.extractions {
            if labels.get(label).is_none() {
                labels.extract_named(label, "");
            }
        }
    }
}

struct PairError {
    position: usize,
    reason: &'static str,
}

/// A cursor over the pairs of a line.
struct Pairs<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Pairs<'l> {
    /// The next key and value; behind an error the cursor stands at the next blank.
    fn next_pair(&mut self) -> Option<Result<(&'l str, Cow<'l, str>), PairError>> {
        let bytes = self.line.as_bytes();
        let blanks = bytes.get(self.at..)?.iter().position(|b| *b > b' ')?;
        self.at += blanks;
        let start = self.at;
        let rest = bytes.get(start..)?;
        let length = rest
            .iter()
            .position(|b| *b <= b' ' || *b == b'=' || *b == b'"')
            .unwrap_or(rest.len());
        let end = start + length;
        self.at = end;
        let key = self.line.get(start..end).unwrap_or_default();
        match bytes.get(end) {
            Some(b'"') => Some(self.fail("unexpected '\"'")),
            Some(b'=') if key.is_empty() => Some(self.fail("unexpected '='")),
            Some(b'=') => {
                self.at = end + 1;
                Some(self.value().map(|value| (key, value)))
            }
            _ => Some(Ok((key, Cow::Borrowed("")))),
        }
    }

    fn value(&mut self) -> Result<Cow<'l, str>, PairError> {
        let rest = self.line.get(self.at..).unwrap_or_default();
        if rest.starts_with('"') {
            return self.quoted(rest.get(1..).unwrap_or_default());
        }
        let length = rest
            .bytes()
            .position(|b| b <= b' ' || b == b'=' || b == b'"')
            .unwrap_or(rest.len());
        let value = rest.get(..length).unwrap_or_default();
        self.at += length;
        match rest.as_bytes().get(length) {
            Some(b'=') => self.fail("unexpected '='"),
            Some(b'"') => self.fail("unexpected '\"'"),
            _ => Ok(Cow::Borrowed(value)),
        }
    }

    fn quoted(&mut self, body: &'l str) -> Result<Cow<'l, str>, PairError> {
        let mut from = 0;
        let mut escaped = false;
        while let Some(found) =
            memchr::memchr2(b'"', b'\\', body.as_bytes().get(from..).unwrap_or_default())
        {
            let at = from + found;
            if body.as_bytes().get(at) == Some(&b'\\') {
                escaped = true;
                from = (at + 2).min(body.len());
                continue;
            }
            let raw = body.get(..at).unwrap_or_default();
            self.at += at + 2;
            if !escaped {
                return Ok(Cow::Borrowed(raw));
            }
            return match unquote(raw) {
                Some(value) => Ok(Cow::Owned(value)),
                None => self.fail("invalid quoted value"),
            };
        }
        let position = self.line.len();
        self.at = position;
        Err(PairError {
            position,
            reason: "unterminated quoted value",
        })
    }

    /// An error here; the cursor moves to the next blank.
    fn fail<T>(&mut self, reason: &'static str) -> Result<T, PairError> {
        let position = self.at + 1;
        let rest = self.line.as_bytes().get(self.at..).unwrap_or_default();
        let skipped = rest.iter().position(|b| *b <= b' ').unwrap_or(rest.len());
        self.at += skipped;
        Err(PairError { position, reason })
    }
}

/// Resolves the escapes of a quoted value.
fn unquote(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\x08',
            'f' => '\x0c',
            'u' => {
                let mut code = 0;
                for _ in 0..4 {
                    code = code * 16 + chars.next()?.to_digit(16)?;
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other @ ('"' | '\\' | '/' | '\'') => other,
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::labels::Labels;

    fn check(flags: &Logfmt, line: &str, expected: &str) {
        let mut labels = WorkingLabels::default();
        labels.begin_entry(&Labels::empty());
        CompiledLogfmt::compile(flags)
            .expect("stage")
            .process(line, &mut labels, &None);
        let all = labels.with_error(&labels.to_labels(|_, _| true));
        assert_eq!(all.to_string(), expected, "{line}");
    }

    #[test]
    fn pairs_become_labels() {
        let plain = Logfmt::default();
        check(
            &plain,
            r#"a-b=1 9x=2 dup=first dup=second msg="hi \"there\"" empty= bare"#,
            r#"{_9x="2", a_b="1", dup="first", msg="hi \"there\""}"#,
        );
        check(
            &plain,
            r#"a=b=c x"y=1 good=1 ="v" last=z"#,
            r#"{good="1", last="z"}"#,
        );
        check(&plain, r#"good=1 bad="unterminated"#, r#"{good="1"}"#);
        let keep = Logfmt {
            keep_empty: true,
            ..Logfmt::default()
        };
        check(&keep, "a= b", r#"{a="", b=""}"#);
        let strict = Logfmt {
            strict: true,
            ..Logfmt::default()
        };
        check(
            &strict,
            r#"good=1 bad="x"#,
            r#"{__error__="LogfmtParserErr", __error_details__="logfmt syntax error at pos 13 : unterminated quoted value", good="1"}"#,
        );
    }
}
