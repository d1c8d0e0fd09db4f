//! Answers of two systems to one question, held against each other.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A matrix or a vector: the points of each series by its labels.
#[derive(Debug, Default)]
pub(super) struct Answer {
    series: BTreeMap<BTreeMap<String, String>, BTreeMap<i64, f64>>,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// Of a range.
    #[serde(default)]
    values: Vec<(f64, String)>,
    /// Of an instant.
    #[serde(default)]
    value: Option<(f64, String)>,
}

/// How far two equal values may be from each other, relative to them: additions in another order.
pub(super) const TOLERANCE: f64 = 1e-9;

/// How two answers differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Difference {
    /// Points that only one of them has.
    pub(super) missing: usize,
    /// Points that both have.
    pub(super) common: usize,
    /// The largest difference of a common point, relative to it.
    pub(super) relative_max: f64,
    /// Common points whose bits differ.
    pub(super) changed: usize,
}

impl Answer {
    /// Reads the body of `query_range`, or of `query`.
    pub(super) fn parse(body: &str) -> anyhow::Result<Self> {
        let envelope: Envelope = serde_json::from_str(body)?;
        let mut series = BTreeMap::new();
        for found in envelope.data.result {
            let mut points = BTreeMap::new();
            for (at, value) in found.values.into_iter().chain(found.value) {
                points.insert((at * 1000.0).round() as i64, value.parse()?);
            }
            series.insert(found.metric, points);
        }
        Ok(Self { series })
    }

    /// An answer that consists of what was sent.
    pub(super) fn of(set: &[crate::series::Series]) -> Self {
        let series = set.iter().map(|series| {
            let labels = series.labels.iter();
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let points = series.timestamps.iter().copied();
            let points = points.zip(series.values.iter().copied());
            (labels.collect(), points.collect())
        });
        Self {
            series: series.collect(),
        }
    }

    /// How `other` differs from this.
    pub(super) fn difference(&self, other: &Self) -> Difference {
        let mut difference = Difference::default();
        let nothing = BTreeMap::new();
        for (labels, points) in &self.series {
            let others = other.series.get(labels).unwrap_or(&nothing);
            for (at, value) in points {
                match others.get(at) {
                    Some(other) => difference.compare(*value, *other),
                    None => difference.missing += 1,
                }
            }
        }
        for (labels, others) in &other.series {
            let points = self.series.get(labels).unwrap_or(&nothing);
            let alone = others.keys().filter(|at| !points.contains_key(at));
            difference.missing += alone.count();
        }
        difference
    }
}

impl Difference {
    fn compare(&mut self, value: f64, other: f64) {
        self.common += 1;
        if value.to_bits() == other.to_bits() {
            return;
        }
        self.changed += 1;
        let scale = value.abs().max(other.abs()).max(f64::MIN_POSITIVE);
        self.relative_max = self.relative_max.max((value - other).abs() / scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted() {
        let answer = |values: &str| {
            let body = format!(
                r#"{{"data":{{"result":[{{"metric":{{"a":"b"}},"values":[{values}]}}]}}}}"#
            );
            Answer::parse(&body).expect("parses")
        };
        let one = answer(r#"[1.5,"2"],[2,"4"],[3,"0"]"#);
        let two = answer(r#"[1.5,"2"],[2,"5"],[4,"0"]"#);
        let difference = one.difference(&two);
        assert_eq!(difference.common, 2);
        assert_eq!(difference.missing, 2);
        assert_eq!(difference.changed, 1);
        assert!((difference.relative_max - 0.2).abs() < 1e-12);
        assert_eq!(one.difference(&one).changed, 0);
    }
}
