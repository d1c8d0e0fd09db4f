//! The walk over a body, line by line.

use std::borrow::Cow;

use memchr::memchr;

use super::cursor::{Cursor, bare};
use super::error::{ParseError, Reason, excerpt};
use super::number::{parse_millis, parse_seconds, parse_value};
use super::{Escapes, ExemplarRef, Format, Item, Label, Sample, unescape};
use crate::sample::MetricType;
use crate::time::Timestamp;

/// Reads a body. After an error it must not be asked again.
#[derive(Debug)]
pub struct Parser<'a> {
    format: Format,
    rest: &'a str,
    line: usize,
    eof: bool,
    labels: Vec<Label<'a>>,
    exemplar_labels: Vec<Label<'a>>,
}

/// A sample before its labels are lent.
struct Parsed<'a> {
    series: &'a str,
    name: super::Quoted<'a>,
    value: f64,
    timestamp: Option<Timestamp>,
    exemplar: Option<(f64, Option<Timestamp>)>,
}

/// A line's content.
enum Line<'a> {
    Nothing,
    Item(Item<'a, 'a>),
    Sample(Parsed<'a>),
}

impl<'a> Parser<'a> {
    /// A parser at the start of a body.
    pub fn new(body: &'a str, format: Format) -> Self {
        Self {
            format,
            rest: body,
            line: 0,
            eof: false,
            labels: Vec::new(),
            exemplar_labels: Vec::new(),
        }
    }

    /// The next thing the body says, or nothing at its end.
    #[allow(clippy::should_implement_trait)] // an iterator cannot lend what it yields
    pub fn next(&mut self) -> Result<Option<Item<'_, 'a>>, ParseError> {
        loop {
            let Some(line) = self.take_line() else {
                return self.end().map_err(|reason| self.error(reason));
            };
            match self.parse_line(line) {
                Ok(Line::Nothing) => {}
                Ok(Line::Item(item)) => return Ok(Some(item)),
                Ok(Line::Sample(parsed)) => return Ok(Some(self.lend(&parsed))),
                Err(reason) => return Err(self.error(reason)),
            }
        }
    }

    fn error(&self, reason: Reason) -> ParseError {
        ParseError {
            line: self.line,
            reason,
        }
    }

    fn end(&self) -> Result<Option<Item<'_, 'a>>, Reason> {
        if self.format == Format::OpenMetrics && !self.eof {
            return Err(Reason::EofMissing);
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest) = match memchr(b'\n', self.rest.as_bytes()) {
            Some(end) => (self.rest.get(..end), self.rest.get(end + 1..)),
            None => (Some(self.rest), None),
        };
        self.rest = rest.unwrap_or_default();
        line
    }

    fn parse_line(&mut self, line: &'a str) -> Result<Line<'a>, Reason> {
        if self.eof {
            return Err(Reason::AfterEof);
        }
        let mut cursor = Cursor::new(line);
        if self.format == Format::Text {
            cursor.eat_blanks();
        }
        match cursor.peek() {
            None if self.format == Format::Text => Ok(Line::Nothing),
            None => Err(Reason::EmptyLine),
            Some(b'#') => self.comment(cursor),
            Some(_) => self.sample(cursor.rest()).map(Line::Sample),
        }
    }

    fn comment(&mut self, mut cursor: Cursor<'a>) -> Result<Line<'a>, Reason> {
        cursor.eat(b'#');
        let start = cursor;
        let spaced = cursor.eat_separator(self.format);
        let keyword = cursor.word();
        let known = match (keyword, self.format) {
            ("EOF", Format::OpenMetrics) if spaced && cursor.rest().is_empty() => {
                self.eof = true;
                return Ok(Line::Nothing);
            }
            ("HELP" | "TYPE", _) | ("UNIT", Format::OpenMetrics) => {
                spaced && cursor.eat_separator(self.format)
            }
            _ => false,
        };
        if !known {
            return match self.format {
                Format::Text => Ok(Line::Nothing),
                Format::OpenMetrics => Err(Reason::Comment(excerpt(start.rest()))),
            };
        }
        let family = cursor.family()?.text();
        let separated = cursor.eat_separator(self.format);
        if !separated && !cursor.rest().is_empty() {
            return Err(Reason::MetricName(excerpt(start.rest())));
        }
        let rest = cursor.rest();
        let item = match keyword {
            "HELP" => Item::Help {
                family,
                text: self.help(rest),
            },
            "TYPE" => Item::Type {
                family,
                metric_type: self.metric_type(rest)?,
            },
            _ => unit(family, rest)?,
        };
        Ok(Line::Item(item))
    }

    fn help(&self, raw: &'a str) -> Cow<'a, str> {
        if memchr(b'\\', raw.as_bytes()).is_none() {
            return Cow::Borrowed(raw);
        }
        Cow::Owned(unescape(
            raw,
            match self.format {
                Format::Text => Escapes::TextHelp,
                Format::OpenMetrics => Escapes::Quoted,
            },
        ))
    }

    /// Each format has its own words: `untyped` is text's, `unknown` and the rarer ones are
    /// OpenMetrics'.
    fn metric_type(&self, text: &str) -> Result<MetricType, Reason> {
        let word = match self.format {
            Format::Text => text.trim_end_matches([' ', '\t']),
            Format::OpenMetrics => text,
        };
        let allowed = match self.format {
            Format::Text => matches!(
                word,
                "counter" | "gauge" | "histogram" | "summary" | "untyped"
            ),
            Format::OpenMetrics => word != "untyped",
        };
        MetricType::from_exposition(word)
            .filter(|_| allowed)
            .ok_or_else(|| Reason::Type(excerpt(word)))
    }

    fn sample(&mut self, line: &'a str) -> Result<Parsed<'a>, Reason> {
        let mut cursor = Cursor::new(line);
        self.labels.clear();
        let outer = cursor.metric_name();
        let mut series = cursor.done();
        let mut ahead = cursor;
        if self.format == Format::Text {
            ahead.eat_blanks();
        }
        let mut inner = None;
        if ahead.eat(b'{') {
            inner = ahead.labels(self.format, &mut self.labels)?;
            cursor = ahead;
            series = cursor.done();
        }
        let name = match (outer, inner) {
            ("", Some(name)) => name,
            ("", None) if series.is_empty() => {
                return Err(Reason::MetricName(excerpt(line)));
            }
            ("", None) => return Err(Reason::MetricNameMissing),
            (outer, None) => bare(outer),
            (_, Some(name)) => return Err(Reason::MetricNameTwice(excerpt(name.raw))),
        };
        let (value, timestamp) = self.point(&mut cursor)?;
        let exemplar = self.exemplar(&mut cursor)?;
        if !cursor.rest().is_empty() {
            return Err(Reason::Trailing(excerpt(cursor.rest())));
        }
        Ok(Parsed {
            series,
            name,
            value,
            timestamp,
            exemplar,
        })
    }

    /// A value and perhaps its timestamp.
    fn point(&self, cursor: &mut Cursor<'a>) -> Result<(f64, Option<Timestamp>), Reason> {
        if !cursor.eat_separator(self.format) {
            return Err(match cursor.rest() {
                "" => Reason::ValueMissing,
                rest => Reason::ValueSeparator(excerpt(rest)),
            });
        }
        let word = cursor.word();
        if word.is_empty() {
            return Err(Reason::ValueMissing);
        }
        let value = parse_value(word).ok_or_else(|| Reason::Value(excerpt(word)))?;
        let mut ahead = *cursor;
        let separated = ahead.eat_separator(self.format);
        if self.format == Format::Text {
            *cursor = ahead;
        }
        if !separated || matches!(ahead.peek(), None | Some(b'#')) {
            return Ok((value, None));
        }
        let word = ahead.word();
        let timestamp = match self.format {
            Format::Text => parse_millis(word),
            Format::OpenMetrics => parse_seconds(word),
        };
        let timestamp = timestamp.ok_or_else(|| Reason::Timestamp(excerpt(word)))?;
        if self.format == Format::Text {
            ahead.eat_blanks();
        }
        *cursor = ahead;
        Ok((value, Some(timestamp)))
    }

    fn exemplar(
        &mut self,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<(f64, Option<Timestamp>)>, Reason> {
        if self.format == Format::Text || cursor.rest().is_empty() {
            return Ok(None);
        }
        let start = cursor.rest();
        let opened = cursor.eat(b' ') && cursor.eat(b'#') && cursor.eat(b' ') && cursor.eat(b'{');
        if !opened {
            return Err(Reason::Exemplar(excerpt(start)));
        }
        self.exemplar_labels.clear();
        match cursor.labels(self.format, &mut self.exemplar_labels)? {
            None => self.point(cursor).map(Some),
            Some(name) => Err(Reason::LabelEquals(excerpt(name.raw))),
        }
    }

    fn lend(&self, parsed: &Parsed<'a>) -> Item<'_, 'a> {
        Item::Sample(Sample {
            series: parsed.series,
            name: parsed.name,
            labels: &self.labels,
            value: parsed.value,
            timestamp: parsed.timestamp,
            exemplar: parsed.exemplar.map(|(value, timestamp)| ExemplarRef {
                labels: &self.exemplar_labels,
                value,
                timestamp,
            }),
        })
    }
}

fn unit<'a>(family: Cow<'a, str>, unit: &'a str) -> Result<Item<'a, 'a>, Reason> {
    let fits = unit.is_empty()
        || family
            .strip_suffix(unit)
            .is_some_and(|before| before.ends_with('_'));
    if fits {
        Ok(Item::Unit { family, unit })
    } else {
        Err(Reason::Unit {
            family: family.into_owned(),
            unit: unit.to_owned(),
        })
    }
}
