//! Whether an answer is the one expected.

use std::fmt::Write as _;

use logs::query::{QueryError, QueryOutput, QueryResult};
use model::labels::Labels;
use model::vector::{QueryValue, SampleValue};

use crate::script::{Evaluation, Failure, Times};

type Series = (Labels, Vec<Option<f64>>);

pub(crate) fn compare(
    evaluation: &Evaluation,
    got: Result<QueryOutput, QueryError>,
) -> Result<(), String> {
    let expected = &evaluation.expected;
    let value = match (&expected.failure, got) {
        (Some(failure), Err(error)) => return compare_failure(failure, &error),
        (Some(_), Ok(output)) => {
            return Err(format!("  expected: a failure\n  got: {:?}", output.value));
        }
        (None, Err(error)) => return Err(format!("  got the failure: {error}")),
        (None, Ok(output)) => output.value,
    };
    let QueryResult::Metric(value) = value else {
        return Err("  got streams".to_owned());
    };
    if let (Some(wanted), QueryValue::Scalar(_, got)) = (expected.scalar, &value) {
        return if close(wanted, *got) {
            Ok(())
        } else {
            Err(format!("  expected: {wanted}\n  got: {got}"))
        };
    }
    let mut got = columns(value, evaluation.times);
    let mut wanted = expected.series.clone();
    if !expected.ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same = got.len() == wanted.len()
        && got.iter().zip(&wanted).all(|(got, wanted)| {
            got.0 == wanted.0
                && got.1.len() == wanted.1.len()
                && got.1.iter().zip(&wanted.1).all(|pair| match pair {
                    (Some(got), Some(wanted)) => close(*wanted, *got),
                    (None, None) => true,
                    _ => false,
                })
        });
    if same {
        return Ok(());
    }
    Err(format!(
        "  expected:\n{}  got:\n{}",
        show(&wanted),
        show(&got)
    ))
}

fn compare_failure(failure: &Failure, error: &QueryError) -> Result<(), String> {
    let message = error.to_string();
    let (holds, wanted) = match failure {
        Failure::Any => (true, ""),
        Failure::Message(part) => (message.contains(part.as_str()), part.as_str()),
        Failure::Regex(regex) => (
            regex::Regex::new(regex)
                .expect("a valid expression")
                .is_match(&message),
            regex.as_str(),
        ),
    };
    if holds {
        Ok(())
    } else {
        Err(format!(
            "  expected the failure: {wanted}\n  got the failure: {message}"
        ))
    }
}

/// Within one in a million; NaN is NaN.
fn close(wanted: f64, got: f64) -> bool {
    (wanted.is_nan() && got.is_nan())
        || wanted == got
        || (wanted - got).abs() <= 1e-6 * wanted.abs().max(got.abs())
}

/// The answer as columns of the steps.
fn columns(value: QueryValue, times: Times) -> Vec<Series> {
    match value {
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|sample| {
                let SampleValue::Float(value) = sample.value else {
                    panic!("LogQL has no histograms");
                };
                (sample.labels, vec![Some(value)])
            })
            .collect(),
        QueryValue::Matrix(series) => {
            let Times::Range { start, end, step } = times else {
                panic!("a matrix for an instant");
            };
            let steps: Vec<i64> = (0..=(end - start) / step)
                .map(|at| (start + at * step).div_euclid(1_000_000))
                .collect();
            series
                .into_iter()
                .map(|series| {
                    let point = |at: &i64| {
                        series
                            .floats
                            .iter()
                            .find(|(time, _)| time.millis() == *at)
                            .map(|(_, value)| *value)
                    };
                    (series.labels.clone(), steps.iter().map(point).collect())
                })
                .collect()
        }
        QueryValue::Scalar(_, value) => vec![(Labels::empty(), vec![Some(value)])],
        QueryValue::String(..) => panic!("LogQL has no strings"),
    }
}

fn show(series: &[Series]) -> String {
    let mut out = String::new();
    for (labels, points) in series {
        let _ = write!(out, "    {labels}");
        for point in points {
            let _ = match point {
                Some(value) => write!(out, " {value}"),
                None => write!(out, " _"),
            };
        }
        out.push('\n');
    }
    out
}
