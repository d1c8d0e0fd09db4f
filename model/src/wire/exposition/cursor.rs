//! A place in one line, and the tokens that can start there.

use memchr::memchr2;

use super::error::{Reason, excerpt};
use super::{Format, Label, Quoted};

/// What may be in a name without quotes: bit 0 for a label, bit 1 for a metric (which also has
/// `:`), bit 2 for a digit (not at the start).
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        #[allow(clippy::indexing_slicing)] // the index runs over the table's own length
        {
            table[byte] = match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => 0b011,
                b':' => 0b010,
                b'0'..=b'9' => 0b100,
                _ => 0,
            };
        }
        byte += 1;
    }
    table
};
const IN_LABEL: u8 = 0b001;
const IN_METRIC: u8 = 0b010;
const DIGIT: u8 = 0b100;

fn class(byte: u8) -> u8 {
    NAME_BYTES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// A line and how far it has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// What has been read.
    pub(super) fn done(&self) -> &'a str {
        self.line.get(..self.at).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// Reads `byte`, which must be ASCII, or nothing.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads blanks; says whether there were any.
    pub(super) fn eat_blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Reads what separates two words: any blanks in text, one space in OpenMetrics.
    pub(super) fn eat_separator(&mut self, format: Format) -> bool {
        match format {
            Format::Text => self.eat_blanks(),
            Format::OpenMetrics => self.eat(b' '),
        }
    }

    /// Reads up to the next blank or the end.
    pub(super) fn word(&mut self) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|b| b != b' ' && b != b'\t') {
            self.at += 1;
        }
        self.line.get(start..self.at).unwrap_or_default()
    }

    /// Reads a metric name without quotes; empty where none is here.
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.bare_name(IN_METRIC)
    }

    fn bare_name(&mut self, kind: u8) -> &'a str {
        let start = self.at;
        if self.peek().is_some_and(|b| class(b) & kind != 0) {
            self.at += 1;
            while self.peek().is_some_and(|b| class(b) & (kind | DIGIT) != 0) {
                self.at += 1;
            }
        }
        self.line.get(start..self.at).unwrap_or_default()
    }

    /// Reads a quoted text, the cursor being on its opening quote.
    pub(super) fn quoted(&mut self) -> Result<Quoted<'a>, Reason> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            let rest = self.line.as_bytes().get(at..).unwrap_or_default();
            let found = memchr2(b'"', b'\\', rest).ok_or(Reason::Unterminated)?;
            at += found;
            if rest.get(found) == Some(&b'"') {
                break;
            }
            escaped = true;
            at += 2;
        }
        self.at = at + 1;
        let raw = self.line.get(start..at).ok_or(Reason::Unterminated)?;
        Ok(Quoted { raw, escaped })
    }

    /// Reads a name, bare or quoted, where a metric family is named.
    pub(super) fn family(&mut self) -> Result<Quoted<'a>, Reason> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let name = self.metric_name();
        if name.is_empty() {
            return Err(Reason::MetricName(excerpt(self.rest())));
        }
        Ok(bare(name))
    }

    /// Reads `{…}`, the cursor being behind the opening brace, and gathers the labels. Gives the
    /// metric name where the braces hold it.
    pub(super) fn labels(
        &mut self,
        format: Format,
        labels: &mut Vec<Label<'a>>,
    ) -> Result<Option<Quoted<'a>>, Reason> {
        let mut metric_name = None;
        loop {
            self.skip_inner_blanks(format);
            if self.eat(b'}') {
                return Ok(metric_name);
            }
            let quoted = self.peek() == Some(b'"');
            let name = if quoted {
                self.quoted()?
            } else {
                bare(self.bare_name(IN_LABEL))
            };
            self.skip_inner_blanks(format);
            if self.eat(b'=') {
                if name.raw.is_empty() {
                    return Err(Reason::LabelName(excerpt(self.rest())));
                }
                self.skip_inner_blanks(format);
                if self.peek() != Some(b'"') {
                    return Err(Reason::LabelValue(excerpt(name.raw)));
                }
                let value = self.quoted()?;
                labels.push(Label { name, value });
            } else if name.raw.is_empty() {
                return Err(Reason::LabelName(excerpt(self.rest())));
            } else if !quoted {
                return Err(Reason::LabelEquals(excerpt(name.raw)));
            } else if metric_name.replace(name).is_some() {
                return Err(Reason::MetricNameTwice(excerpt(name.raw)));
            }
            self.skip_inner_blanks(format);
            if !self.eat(b',') && self.peek() != Some(b'}') {
                return Err(Reason::LabelSeparator(excerpt(self.rest())));
            }
        }
    }

    fn skip_inner_blanks(&mut self, format: Format) {
        if format == Format::Text {
            self.eat_blanks();
        }
    }
}

pub(super) fn bare(raw: &str) -> Quoted<'_> {
    Quoted {
        raw,
        escaped: false,
    }
}
