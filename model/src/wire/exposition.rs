//! What a target exposes: the Prometheus text format 0.0.4 and OpenMetrics 1.0.
//!
//! [`Parser`] walks a body once and lends each sample as slices of it. Nothing is copied and
//! nothing is allocated per sample: names and values stay as they were written, and are unescaped
//! by whoever needs them ([`Label::value`]). A scraper rarely does: [`Sample::series`] is the
//! written series, the same bytes at every scrape, and so the key under which the scraper keeps
//! the label set it made the first time.
//!
//! The parser is strict where Prometheus is strict: one wrong line fails the whole body, with its
//! number, because half a scrape is worse than none. It is line by line, so a quoted value cannot
//! hold a raw line break (both formats have it escaped).
//!
//! It must never panic, whatever the body, and never guess: a text it does not understand is an
//! error, not a sample.
//!
//! Source: the exposition format pages of Prometheus, the OpenMetrics 1.0 specification, and the
//! behaviour of Prometheus where the two leave room.

mod cursor;
mod error;
mod number;
mod parser;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::labels::{Builder, Labels, METRIC_NAME};
use crate::sample::MetricType;
use crate::time::Timestamp;

pub use error::{ParseError, Reason};
pub use parser::Parser;

/// The grammar of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4: timestamps in milliseconds, free comments, blanks anywhere.
    Text,
    /// OpenMetrics 1.0: timestamps in seconds, units, exemplars, `# EOF` at the end.
    OpenMetrics,
}

impl Format {
    /// The grammar a `Content-Type` names. Whatever is not OpenMetrics is read as text, which is
    /// also what a target means that sends no type at all.
    pub fn from_content_type(content_type: &str) -> Self {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// One thing a body says.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'p, 'a> {
    /// `# HELP family text`.
    Help {
        /// The metric family.
        family: Cow<'a, str>,
        /// What it measures, unescaped.
        text: Cow<'a, str>,
    },
    /// `# TYPE family type`.
    Type {
        /// The metric family.
        family: Cow<'a, str>,
        /// Its type.
        metric_type: MetricType,
    },
    /// `# UNIT family unit`, in OpenMetrics only.
    Unit {
        /// The metric family.
        family: Cow<'a, str>,
        /// Its unit.
        unit: &'a str,
    },
    /// A sample.
    Sample(Sample<'p, 'a>),
}

/// One sample, lent until the next call.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'p, 'a> {
    /// The series as it is written, name and labels: equal text is an equal series.
    pub series: &'a str,
    /// The metric name as it is written, without quotes.
    pub name: Quoted<'a>,
    /// The labels in the order they are written, without the metric name.
    pub labels: &'p [Label<'a>],
    /// The value. Every NaN is the one Prometheus writes.
    pub value: f64,
    /// When, if the target says so.
    pub timestamp: Option<Timestamp>,
    /// The exemplar, in OpenMetrics only.
    pub exemplar: Option<ExemplarRef<'p, 'a>>,
}

impl Sample<'_, '_> {
    /// The label set of the series, or the name of a label that is there twice.
    pub fn to_labels(&self) -> Result<Labels, String> {
        let mut builder = builder_of(self.labels)?;
        if builder.get(METRIC_NAME).is_some() {
            return Err(METRIC_NAME.to_owned());
        }
        builder.set(METRIC_NAME, &self.name.text());
        Ok(builder.build())
    }
}

/// An exemplar, lent with its sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarRef<'p, 'a> {
    /// The labels in the order they are written.
    pub labels: &'p [Label<'a>],
    /// The observed value.
    pub value: f64,
    /// When it was observed, if the target says so.
    pub timestamp: Option<Timestamp>,
}

impl ExemplarRef<'_, '_> {
    /// The label set, or the name of a label that is there twice.
    pub fn to_labels(&self) -> Result<Labels, String> {
        builder_of(self.labels).map(|builder| builder.build())
    }
}

/// A label as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// The name, without quotes.
    pub name: Quoted<'a>,
    /// The value, without quotes.
    pub value: Quoted<'a>,
}

/// A text as it stands in the body: without its quotes, with its escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text with `\\`, `\"` and `\n` resolved; any other backslash stands for itself.
    pub fn text(&self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw, Escapes::Quoted))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// Which escapes a place knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    /// `\\`, `\n` and `\"`.
    Quoted,
    /// `\\` and `\n`: the help of text 0.0.4.
    TextHelp,
}

/// Resolves the escapes a place knows and leaves any other backslash alone.
fn unescape(raw: &str, escapes: Escapes) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('\\') | None => text.push('\\'),
            Some('"') if escapes == Escapes::Quoted => text.push('"'),
            Some(other) => {
                text.push('\\');
                text.push(other);
            }
        }
    }
    text
}

fn builder_of(labels: &[Label<'_>]) -> Result<Builder, String> {
    let mut builder = Builder::new();
    for (position, label) in labels.iter().enumerate() {
        let name = label.name.text();
        // A label without a value is no label, but it still may not be written twice.
        if labels
            .iter()
            .take(position)
            .any(|earlier| earlier.name.text() == name)
        {
            return Err(name.into_owned());
        }
        builder.set(&name, &label.value.text());
    }
    Ok(builder)
}
