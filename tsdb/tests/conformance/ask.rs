//! The ways to ask a case.

use std::time::Duration;

use model::time::Timestamp;
use model::vector::{InstantSample, QueryValue, SampleValue};
use tsdb::query::ast::{At, Expr};
use tsdb::query::format::pretty::pretty;
use tsdb::query::{Engine, EngineOptions, QueryError, QueryOptions, QueryOutput, parse};

use super::compare::{self, Outcome};
use super::script::{Case, When};
use super::storage::Storage;

/// The samples upstream allows a query in most cases, and in those that need more.
const SAMPLES_MAX: [usize; 2] = [10_000, 50_000_000];

fn engine(samples_max: usize) -> Engine {
    Engine::new(EngineOptions {
        delayed_name_removal: true,
        samples_max,
        ..EngineOptions::default()
    })
}

/// Asks with the usual limit, and again with more where only the limit was in the way.
fn query(
    storage: &Storage,
    text: &str,
    when: When,
    case: &Case,
) -> Result<QueryOutput, QueryError> {
    let options = QueryOptions::default();
    let ask = |samples_max| {
        let engine = engine(samples_max);
        match when {
            When::Instant(at) => engine.instant(storage, text, Timestamp(at), &options),
            When::Range(start, end, step) => {
                let step = Duration::from_millis(step as u64);
                engine.range(
                    storage,
                    text,
                    Timestamp(start),
                    Timestamp(end),
                    step,
                    &options,
                )
            }
        }
    };
    match ask(SAMPLES_MAX[0]) {
        Err(error) if case.fails.is_none() && error.to_string().contains("too many samples") => {
            ask(SAMPLES_MAX[1])
        }
        answer => answer,
    }
}

/// What is formatted parses to the same tree.
fn formatted(case: &Case) -> Outcome {
    let Ok(tree) = parse(&case.query) else {
        return Ok(());
    };
    for text in [tree.to_string(), pretty(&tree)] {
        let again = parse(&text).map_err(|error| format!("formatted as {text}: {error}"))?;
        // Matchers change their order.
        if again.to_string() != tree.to_string() {
            return Err(format!("formatted as {text}, which is another query"));
        }
    }
    Ok(())
}

/// Asks a case in every way that applies.
pub fn ask(storage: &Storage, case: &Case) -> Outcome {
    formatted(case)?;
    let answer = query(storage, &case.query, case.when, case);
    let output = match (answer, &case.fails) {
        (Err(error), Some(message)) if message.matches(&error.to_string()) => return Ok(()),
        (Err(error), _) => return Err(format!("failed: {error}")),
        (Ok(output), Some(_)) => {
            return Err(format!("expected to fail, got {:?}", output.value));
        }
        (Ok(output), None) => output,
    };
    compare::annotations("warning", &case.warnings, case.no_warning, &output.warnings)?;
    compare::annotations("info", &case.infos, case.no_info, &output.infos)?;
    compare::value(case, &output.value)?;
    let When::Instant(at) = case.when else {
        return Ok(());
    };
    in_the_middle(storage, case, at).map_err(|reason| format!("as a range: {reason}"))?;
    pinned(storage, case, at)
}

/// The middle of a range query answers the same.
fn in_the_middle(storage: &Storage, case: &Case, at: i64) -> Outcome {
    let own_times = ["start()", "end()", "range()", "step()"];
    let lower = case.query.to_lowercase();
    if case.ordered
        || case.range_vector.is_some()
        || case.text.is_some()
        || own_times.iter().any(|call| lower.contains(call))
    {
        return Ok(());
    }
    let minute = 60_000;
    let when = When::Range(at - minute, at + minute, minute);
    let output = query(storage, &case.query, when, case).map_err(|error| error.to_string())?;
    let QueryValue::Matrix(matrix) = output.value else {
        return Err("no matrix".to_owned());
    };
    if !matrix.is_sorted_by(|a, b| a.labels <= b.labels) {
        return Err("series are not sorted by labels".to_owned());
    }
    let at = Timestamp(at);
    let mut samples = Vec::new();
    for series in matrix {
        let float = series.floats.iter().find(|(t, _)| *t == at);
        let histogram = series.histograms.iter().find(|(t, _)| *t == at);
        let value = match (float, histogram) {
            (Some((_, value)), _) => SampleValue::Float(*value),
            (None, Some((_, histogram))) => SampleValue::Histogram(Box::new(histogram.clone())),
            (None, None) => continue,
        };
        samples.push(InstantSample {
            labels: series.labels,
            timestamp: at,
            value,
        });
    }
    let value = match (case.scalar, samples.first().map(|sample| &sample.value)) {
        (Some(_), Some(SampleValue::Float(value))) => QueryValue::Scalar(at, *value),
        _ => QueryValue::Vector(samples),
    };
    compare::value(case, &value)
}

/// With every selector pinned to the instant, other instants answer the same.
fn pinned(storage: &Storage, case: &Case, at: i64) -> Outcome {
    let mut expr = parse(&case.query).map_err(|error| error.to_string())?;
    if !pin(&mut expr, at) {
        return Ok(());
    }
    let text = expr.to_string();
    let instants = if at == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![-10 * at, 0, at / 5, at, 10 * at]
    };
    for instant in instants {
        let context = |reason: String| format!("as {text} at {instant} ms: {reason}");
        let output = query(storage, &text, When::Instant(instant), case)
            .map_err(|error| context(error.to_string()))?;
        compare::value(case, &output.value).map_err(context)?;
    }
    Ok(())
}

/// Pins all selectors to an instant; false where something depends on the evaluation's anyway.
fn pin(expr: &mut Expr, at: i64) -> bool {
    let pinned = Some(At::Timestamp(at));
    match expr {
        Expr::Number(_) | Expr::Text(_) => true,
        Expr::Selector(node) => {
            node.shift.at = node.shift.at.or(pinned);
            true
        }
        Expr::Range(node) => {
            let shift = &mut node.selector.shift;
            shift.at = shift.at.or(pinned);
            true
        }
        Expr::Subquery(node) => {
            node.shift.at = node.shift.at.or(pinned);
            true
        }
        Expr::Call(node) => {
            let depends = node.function.depends_on_time();
            !depends && node.args.iter_mut().all(|arg| pin(arg, at))
        }
        Expr::Aggregate(node) => {
            pin(&mut node.expr, at) && node.param.as_mut().is_none_or(|param| pin(param, at))
        }
        Expr::Binary(node) => pin(&mut node.lhs, at) && pin(&mut node.rhs, at),
        Expr::Unary(node) => pin(&mut node.expr, at),
        Expr::Paren(node) => pin(&mut node.expr, at),
    }
}
