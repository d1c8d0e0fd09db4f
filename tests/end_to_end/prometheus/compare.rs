//! When two answers are the same: the same series, the same instants, and values that differ by no more than the
//! order of a floating sum can make.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde_json::Value;

/// What two right answers may differ by, relative to the larger.
const TOLERANCE: f64 = 1e-9;
/// What they may differ by near nothing: means of values that cancel each other out are 0, and 2.42, which
/// goes from mean to mean, leaves some bits of them.
const NEAR_NOTHING: f64 = 1e-14;
/// Differences that are told in full.
const TOLD_MAX: usize = 40;

/// An answer, as far as it must be the same: errors by their type, series by their labels.
#[derive(Debug)]
pub(super) enum Answer {
    Error(String, String),
    Points(String, BTreeMap<String, Vec<(f64, f64)>>),
}

impl Answer {
    pub(super) fn new(body: &Value) -> Self {
        if body["status"] == "error" {
            let text = |key: &str| body[key].as_str().expect("a text").to_owned();
            return Self::Error(text("errorType"), text("error"));
        }
        if let Some(text) = body["data"].as_str() {
            let series = BTreeMap::from([(text.to_owned(), Vec::new())]);
            return Self::Points("text".to_owned(), series);
        }
        let kind = body["data"]["resultType"].as_str().expect("a type");
        let result = &body["data"]["result"];
        let mut series = BTreeMap::new();
        match kind {
            "scalar" => {
                series.insert(String::new(), vec![point(result)]);
            }
            "string" => {
                series.insert(result[1].to_string(), Vec::new());
            }
            _ => {
                for one in result.as_array().expect("series") {
                    let points = match one.get("values") {
                        Some(values) => values.as_array().expect("values").iter().map(point),
                        None => std::slice::from_ref(&one["value"]).iter().map(point),
                    };
                    // serde_json keeps the keys of an object in order.
                    let twice = series.insert(one["metric"].to_string(), points.collect());
                    assert!(twice.is_none(), "a series stands twice: {one}");
                }
            }
        }
        Self::Points(kind.to_owned(), series)
    }

    fn brief(&self) -> String {
        match self {
            Self::Error(kind, text) => format!("error {kind} ({text})"),
            Self::Points(kind, series) => format!("{kind} of {} series", series.len()),
        }
    }

    /// What tells the two apart.
    fn difference(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Error(ours, _), Self::Error(theirs, _)) if ours == theirs => None,
            (Self::Points(ours, mine), Self::Points(theirs, other)) if ours == theirs => {
                let (here, there): (Vec<_>, Vec<_>) =
                    (mine.keys().collect(), other.keys().collect());
                if here != there {
                    return Some(format!("series {here:?}, not {there:?}"));
                }
                mine.iter()
                    .zip(other.values())
                    .find(|((_, ours), theirs)| !same(ours, theirs))
                    .map(|((labels, ours), theirs)| {
                        let first = ours.iter().zip(theirs).find(|(a, b)| !same(&[**a], &[**b]));
                        let lengths = (ours.len(), theirs.len());
                        format!("{labels}: {first:?} of {lengths:?} points")
                    })
            }
            _ => Some(format!("{}, not {}", self.brief(), other.brief())),
        }
    }
}

fn point(value: &Value) -> (f64, f64) {
    let text = value[1].as_str().expect("a value");
    let number = text.parse().expect("a number");
    (value[0].as_f64().expect("a time"), number)
}

fn same(ours: &[(f64, f64)], theirs: &[(f64, f64)]) -> bool {
    let close = |a: f64, b: f64| {
        let allowed = NEAR_NOTHING.max(TOLERANCE * a.abs().max(b.abs()));
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed
    };
    ours.len() == theirs.len()
        && (ours.iter().zip(theirs))
            .all(|((at, ours), (same_at, theirs))| at == same_at && close(*ours, *theirs))
}

/// How many answers were the same, and those that were not.
#[derive(Default)]
pub(super) struct Report {
    queries: usize,
    empty: usize,
    errors: usize,
    points: usize,
    differences: Vec<String>,
}

impl Report {
    pub(super) fn add(&mut self, path: &str, query: &str, ours: &Answer, theirs: &Answer) {
        self.queries += 1;
        match theirs {
            Answer::Error(..) => self.errors += 1,
            Answer::Points(_, series) if series.is_empty() => self.empty += 1,
            Answer::Points(_, series) => {
                self.points += series.values().map(Vec::len).sum::<usize>();
            }
        }
        if let Some(difference) = ours.difference(theirs) {
            self.differences
                .push(format!("{path} {query}\n    {difference}"));
        }
    }

    /// Whether all were the same, and not for want of anything to compare.
    pub(super) fn agrees(&self) -> bool {
        self.differences.is_empty() && self.queries >= 1_000 && self.empty * 5 < self.queries
    }

    pub(super) fn differences(&self) -> String {
        let told: Vec<&str> = (self.differences.iter())
            .take(TOLD_MAX)
            .map(String::as_str)
            .collect();
        told.join("\n")
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers, of them {} errors and {} empty, with {} values: {} differ",
            self.queries,
            self.errors,
            self.empty,
            self.points,
            self.differences.len()
        )
    }
}
