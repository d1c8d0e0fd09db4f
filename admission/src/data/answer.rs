//! Answers, and the one shape that rules see and records keep.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Bounds, DataError};

/// The labels of a series or a stream.
pub type LabelMap = BTreeMap<String, String>;

/// What a source answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Series with a value each.
    Vector(Vec<(LabelMap, f64)>),
    /// Series with values at instants, in seconds since the epoch.
    Matrix(Vec<(LabelMap, Vec<(f64, f64)>)>),
    /// Lines with their instants, newest first.
    Lines(Vec<(LabelMap, f64, String)>),
    /// As it was recorded.
    Recorded(Value),
}

impl Answer {
    /// As rules see it, if it is not larger than it may be.
    pub(super) fn bounded(self, bounds: Bounds) -> Result<Value, DataError> {
        let series = match &self {
            Answer::Vector(series) => series.len(),
            Answer::Matrix(series) => series.len(),
            Answer::Lines(lines) => lines.len(),
            Answer::Recorded(_) => 0,
        };
        if series > bounds.series_max {
            return Err(DataError::TooLarge("series_max"));
        }
        let mut room = Room(bounds.bytes_max);
        let mut items = Vec::with_capacity(series);
        match self {
            Answer::Vector(series) => {
                for (labels, value) in series {
                    room.labels(&labels, 24)?;
                    let mut item = Map::from_iter([("labels".to_string(), json!(labels))]);
                    let (name, value) = number(value);
                    item.insert(name.to_string(), value);
                    items.push(Value::Object(item));
                }
            }
            Answer::Matrix(series) => {
                for (labels, points) in series {
                    room.labels(&labels, points.len().saturating_mul(24))?;
                    let values: Vec<_> = points
                        .into_iter()
                        .filter(|(_, value)| value.is_finite())
                        .map(|(at, value)| json!([at, value]))
                        .collect();
                    items.push(json!({"labels": labels, "values": values}));
                }
            }
            Answer::Lines(lines) => {
                for (labels, time, line) in lines {
                    room.labels(&labels, line.len().saturating_add(24))?;
                    items.push(json!({"labels": labels, "time": time, "line": line}));
                }
            }
            Answer::Recorded(value) => return Ok(value),
        }
        Ok(Value::Array(items))
    }
}

/// A number, or the text of what is none to compare with.
fn number(value: f64) -> (&'static str, Value) {
    if value.is_finite() {
        return ("value", json!(value));
    }
    let text = match value {
        _ if value.is_nan() => "NaN",
        _ if value > 0.0 => "+Inf",
        _ => "-Inf",
    };
    ("text", json!(text))
}

/// The bytes that are left.
struct Room(usize);

impl Room {
    fn labels(&mut self, labels: &LabelMap, beside: usize) -> Result<(), DataError> {
        let of_labels: usize = labels.iter().map(|(k, v)| k.len() + v.len() + 8).sum();
        let taken = of_labels.saturating_add(beside).saturating_add(24);
        self.0 = self
            .0
            .checked_sub(taken)
            .ok_or(DataError::TooLarge("bytes_max"))?;
        Ok(())
    }
}
