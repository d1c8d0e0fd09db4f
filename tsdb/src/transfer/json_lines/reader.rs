//! JSON lines to pieces: a line each.

use std::fmt;
use std::io::BufRead;

use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::{Builder, Labels, STRING_BYTES_MAX};
use model::sample::{HistogramSample, Sample, SeriesSamples};
use model::time::Timestamp;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::number::Float;
use crate::transfer::lines::Lines;
use crate::transfer::{InputError, Piece, Position, Source};

/// Reads JSON lines.
#[derive(Debug)]
pub struct JsonLines<R> {
    lines: Lines<R>,
}

impl<R: BufRead> JsonLines<R> {
    /// A reader behind what an earlier run has read.
    pub fn new(input: R, start: Position) -> Result<Self, InputError> {
        let mut lines = Lines::new(input);
        lines.skip_to(start)?;
        Ok(Self { lines })
    }
}

impl<R: BufRead> Source for JsonLines<R> {
    fn next(&mut self) -> Result<Option<Piece>, InputError> {
        loop {
            let number = self.lines.position().items + 1;
            let Some(line) = self.lines.take_line()? else {
                return Ok(None);
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let series = parse_line(line).map_err(|what| InputError::line(number, what))?;
            return Ok(Some(Piece {
                series: vec![series],
                metadata: Vec::new(),
                position: self.lines.position(),
            }));
        }
    }
}

/// One line; the error says what is wrong with it, and in which column where that is known.
pub fn parse_line(line: &[u8]) -> Result<SeriesSamples, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        // The column is told once, and the line is the file's.
        let what = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(what, _)| what);
        format!("column {}: {what}", error.column())
    })?;
    line.into_series()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    metric: Metric,
    #[serde(default)]
    values: Vec<Float>,
    #[serde(default)]
    timestamps: Vec<i64>,
    #[serde(default)]
    histograms: Vec<HistogramLine>,
    #[serde(default)]
    histogram_timestamps: Vec<i64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HistogramLine {
    schema: i32,
    count: Float,
    sum: Float,
    #[serde(default = "zero")]
    zero_threshold: Float,
    #[serde(default = "zero")]
    zero_count: Float,
    #[serde(default)]
    positive_spans: Vec<(i32, u32)>,
    #[serde(default)]
    positive_buckets: Vec<Float>,
    #[serde(default)]
    negative_spans: Vec<(i32, u32)>,
    #[serde(default)]
    negative_buckets: Vec<Float>,
    #[serde(default)]
    custom_values: Vec<Float>,
    #[serde(default)]
    counter_reset_hint: Hint,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

const fn zero() -> Float {
    Float(0.0)
}

impl Line {
    fn into_series(self) -> Result<SeriesSamples, String> {
        let lengths = [
            (
                "values",
                self.values.len(),
                "timestamps",
                self.timestamps.len(),
            ),
            (
                "histograms",
                self.histograms.len(),
                "histogram_timestamps",
                self.histogram_timestamps.len(),
            ),
        ];
        for (values, count, timestamps, instants) in lengths {
            if count != instants {
                return Err(format!(
                    "has {count} {values} and {instants} {timestamps}; there must be as many of one as of the other"
                ));
            }
        }
        let samples = self.timestamps.iter().zip(&self.values);
        let histograms = self.histogram_timestamps.iter().zip(self.histograms);
        Ok(SeriesSamples {
            labels: self.metric.0,
            samples: samples
                .map(|(at, value)| Sample {
                    timestamp: Timestamp(*at),
                    value: value.0,
                })
                .collect(),
            histograms: histograms
                .map(|(at, histogram)| HistogramSample {
                    timestamp: Timestamp(*at),
                    histogram: Histogram::from(histogram),
                })
                .collect(),
            exemplars: Vec::new(),
        })
    }
}

impl From<HistogramLine> for Histogram {
    fn from(line: HistogramLine) -> Self {
        let floats = |list: Vec<Float>| list.into_iter().map(|float| float.0).collect();
        let spans = |list: Vec<(i32, u32)>| {
            let spans = list.into_iter();
            spans
                .map(|(offset, length)| Span { offset, length })
                .collect()
        };
        Self {
            counter_reset_hint: match line.counter_reset_hint {
                Hint::Unknown => CounterResetHint::Unknown,
                Hint::Reset => CounterResetHint::Reset,
                Hint::NotReset => CounterResetHint::NotReset,
                Hint::Gauge => CounterResetHint::Gauge,
            },
            schema: line.schema,
            zero_threshold: line.zero_threshold.0,
            zero_count: line.zero_count.0,
            count: line.count.0,
            sum: line.sum.0,
            positive_spans: spans(line.positive_spans),
            positive_buckets: floats(line.positive_buckets),
            negative_spans: spans(line.negative_spans),
            negative_buckets: floats(line.negative_buckets),
            custom_values: floats(line.custom_values),
        }
    }
}

/// A label set; a name that is there twice is an error, because one of them would be lost.
struct Metric(Labels);

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetricVisitor)
    }
}

struct MetricVisitor;

impl<'de> Visitor<'de> for MetricVisitor {
    type Value = Metric;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of label names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metric, A::Error> {
        let mut builder = Builder::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if builder.get(&name).is_some() {
                return Err(de::Error::custom(format!("label {name:?} is there twice")));
            }
            if name.len().max(value.len()) > STRING_BYTES_MAX {
                return Err(de::Error::custom(format!("label {name:.64} is too long")));
            }
            builder.set(&name, &value);
        }
        Ok(Metric(builder.build()))
    }
}
