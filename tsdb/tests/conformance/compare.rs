//! What came against what was expected.

use model::histogram::Histogram;
use model::labels::Labels;
use model::vector::{QueryValue, SampleValue};

use super::points::Point;
use super::script::{Case, Message, When};

/// Nothing, or what is wrong.
pub type Outcome = Result<(), String>;

/// Floats agree up to a millionth.
fn floats_agree(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn lists_agree(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| floats_agree(*a, *b))
}

fn histograms_agree(expected: &Histogram, hinted: bool, got: &Histogram) -> bool {
    let expected = expected.clone().compacted();
    let got = got.clone().compacted();
    (!hinted || expected.counter_reset_hint == got.counter_reset_hint)
        && expected.schema == got.schema
        && floats_agree(expected.count, got.count)
        && floats_agree(expected.sum, got.sum)
        && floats_agree(expected.zero_threshold, got.zero_threshold)
        && floats_agree(expected.zero_count, got.zero_count)
        && expected.positive_spans == got.positive_spans
        && expected.negative_spans == got.negative_spans
        && lists_agree(&expected.positive_buckets, &got.positive_buckets)
        && lists_agree(&expected.negative_buckets, &got.negative_buckets)
        && lists_agree(&expected.custom_values, &got.custom_values)
}

/// A value at an instant.
#[derive(Clone, Debug)]
enum Got {
    Float(f64),
    Histogram(Box<Histogram>),
}

fn agrees(expected: &Point, got: &Got) -> bool {
    match (expected, got) {
        (Point::Float(a), Got::Float(b)) => floats_agree(*a, *b),
        (Point::Histogram(a, hinted), Got::Histogram(b)) => histograms_agree(a, *hinted, b),
        _ => false,
    }
}

/// Each expected message came, and none that was not expected.
pub fn annotations(kind: &str, expected: &[Message], none: bool, got: &[String]) -> Outcome {
    if none && !got.is_empty() {
        return Err(format!("expected no {kind}, got {got:?}"));
    }
    if expected.is_empty() {
        return Ok(());
    }
    let missing = expected
        .iter()
        .any(|message| !got.iter().any(|text| message.matches(text)));
    let extra = got
        .iter()
        .any(|text| !expected.iter().any(|message| message.matches(text)));
    if missing || extra {
        let wanted = expected.iter().map(|message| match message {
            Message::Any => "any".to_owned(),
            Message::Exact(text) => text.clone(),
            Message::Regex(regex) => regex.to_string(),
        });
        let wanted: Vec<_> = wanted.collect();
        return Err(format!("expected {kind} {wanted:?}, got {got:?}"));
    }
    Ok(())
}

/// The value is the one expected.
pub fn value(case: &Case, got: &QueryValue) -> Outcome {
    match got {
        QueryValue::Scalar(_, value) => match case.scalar {
            Some(expected) if floats_agree(expected, *value) => Ok(()),
            expected => Err(format!("expected {expected:?}, got the scalar {value}")),
        },
        QueryValue::String(_, text) => match &case.text {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("expected {expected:?}, got the string {text:?}")),
        },
        QueryValue::Vector(samples) => {
            let got = samples.iter().map(|sample| {
                let value = match &sample.value {
                    SampleValue::Float(value) => Got::Float(*value),
                    SampleValue::Histogram(histogram) => Got::Histogram(histogram.clone()),
                };
                (
                    sample.labels.clone(),
                    vec![(sample.timestamp.millis(), value)],
                )
            });
            series(case, &got.collect::<Vec<_>>(), None)
        }
        QueryValue::Matrix(matrix) => {
            let got = matrix.iter().map(|series| {
                let floats = series.floats.iter();
                let floats = floats.map(|(at, value)| (at.millis(), Got::Float(*value)));
                let histograms = series.histograms.iter().map(|(at, histogram)| {
                    (at.millis(), Got::Histogram(Box::new(histogram.clone())))
                });
                let mut points: Vec<_> = floats.chain(histograms).collect();
                points.sort_by_key(|(at, _)| *at);
                (series.labels.clone(), points)
            });
            let times = match (case.range_vector, case.when) {
                (Some((start, _, step)), _) | (None, When::Range(start, _, step)) => (start, step),
                (None, When::Instant(_)) => return Err("got a matrix".to_owned()),
            };
            series(case, &got.collect::<Vec<_>>(), Some(times))
        }
    }
}

/// Series and their values.
type AllGot = [(Labels, Vec<(i64, Got)>)];

fn series(case: &Case, got: &AllGot, times: Option<(i64, i64)>) -> Outcome {
    if case.scalar.is_some() || case.text.is_some() {
        return Err(format!("expected no series, got {got:?}"));
    }
    for (place, (labels, points)) in case.series.iter().enumerate() {
        let found = got.iter().position(|(other, _)| other == labels);
        let Some(found) = found else {
            if points.iter().all(|point| matches!(point, Point::Absent)) {
                continue;
            }
            return Err(format!("expected {labels}, got {got:?}"));
        };
        if case.ordered && found != place {
            return Err(format!("expected {labels} at place {place}, got {found}"));
        }
        let expected: Vec<(Option<i64>, &Point)> = points
            .iter()
            .enumerate()
            .filter(|(_, point)| !matches!(point, Point::Absent))
            .map(|(index, point)| {
                (
                    times.map(|(start, step)| start + index as i64 * step),
                    point,
                )
            })
            .collect();
        let got = &got[found].1;
        let same = expected.len() == got.len()
            && expected
                .iter()
                .zip(got)
                .all(|((at, a), (t, b))| at.is_none_or(|at| at == *t) && agrees(a, b));
        if !same {
            return Err(format!("expected {labels} {points:?}, got {got:?}"));
        }
    }
    match got
        .iter()
        .find(|(labels, _)| case.series.iter().all(|(known, _)| known != labels))
    {
        Some((labels, points)) => Err(format!("unexpected {labels} {points:?}")),
        None => Ok(()),
    }
}
