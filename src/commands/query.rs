//! `taffrail query`: PromQL.

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::Value;

use super::ask::{Answer, ask, instant, readable_time, seconds, series_name};
use super::table;
use crate::cli::{Output, QueryArgs};

/// Points that a range has when no step is asked for.
const POINTS: f64 = 60.0;

/// Asks and returns what to print.
pub(crate) async fn query(args: &QueryArgs) -> anyhow::Result<String> {
    let (path, mut form) = request(args)?;
    form.push(("query", args.expression.clone()));
    let answer = ask(&args.client, path, &form).await?;
    match args.client.output {
        Output::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&answer.data)?)),
        Output::Table => Ok(render(&answer)),
    }
}

fn request(args: &QueryArgs) -> anyhow::Result<(&'static str, Vec<(&'static str, String)>)> {
    let start = match (&args.range.start, &args.since) {
        (Some(start), _) => Some(instant(start)?),
        (None, Some(since)) => Some(instant("now")? - seconds(since)?),
        (None, None) => None,
    };
    let Some(start) = start else {
        if args.range.end.is_some() || args.range.step.is_some() {
            bail!(
                "--end and --step belong to a range: say where it begins with --start or --since"
            );
        }
        let at = instant(args.time.as_deref().unwrap_or("now"))?;
        return Ok(("/api/v1/query", vec![("time", at.to_string())]));
    };
    let end = instant(args.range.end.as_deref().unwrap_or("now"))?;
    let step = match &args.range.step {
        Some(step) => seconds(step)?,
        None => ((end - start) / POINTS).ceil().max(1.0),
    };
    let form = vec![
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("step", step.to_string()),
    ];
    Ok(("/api/v1/query_range", form))
}

/// A result as a table: vectors a line a series, matrices a line a point.
pub(crate) fn render(answer: &Answer) -> String {
    let mut out = String::new();
    for warning in &answer.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    match answer.result_type() {
        "vector" => {
            let rows: Vec<Vec<String>> = answer.result().iter().map(vector_row).collect();
            out.push_str(&table::render(&["series", "value"], &rows));
        }
        "matrix" => {
            let rows: Vec<Vec<String>> = answer.result().iter().flat_map(matrix_rows).collect();
            out.push_str(&table::render(&["series", "time", "value"], &rows));
        }
        _ => {
            let (_, value) = point(answer.data.get("result"));
            let _ = writeln!(out, "{value}");
        }
    }
    out
}

fn vector_row(series: &Value) -> Vec<String> {
    let (_, value) = point(series.get("value").or_else(|| series.get("histogram")));
    vec![series_name(series.get("metric")), value]
}

fn matrix_rows(series: &Value) -> Vec<Vec<String>> {
    let name = series_name(series.get("metric"));
    ["values", "histograms"]
        .iter()
        .filter_map(|key| series.get(key)?.as_array())
        .flatten()
        .map(|value| {
            let (at, value) = point(Some(value));
            vec![name.clone(), readable_time(at), value]
        })
        .collect()
}

/// `[seconds, "value"]`; a histogram is shown by its count and sum.
fn point(pair: Option<&Value>) -> (f64, String) {
    let at = pair
        .and_then(|pair| pair.get(0)?.as_f64())
        .unwrap_or_default();
    let text = match pair.and_then(|pair| pair.get(1)) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(histogram)) => {
            let field = |name| histogram.get(name).and_then(Value::as_str).unwrap_or("?");
            format!("histogram count={} sum={}", field("count"), field("sum"))
        }
        _ => String::new(),
    };
    (at, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_result_is_a_table() {
        let check = |data: Value, expected: &str| {
            let answer = Answer {
                data,
                warnings: Vec::new(),
            };
            assert_eq!(render(&answer), expected);
        };
        check(
            json!({"resultType": "vector", "result": [
                {"metric": {"__name__": "up", "job": "a"}, "value": [1.0, "1"]},
                {"metric": {}, "histogram": [1.0, {"count": "2", "sum": "3.5"}]}]}),
            "SERIES       VALUE\nup{job=\"a\"}  1\n{}           histogram count=2 sum=3.5\n",
        );
        check(
            json!({"resultType": "matrix", "result": [
                {"metric": {"__name__": "up"}, "values": [[1.5, "1"], [2, "0"]]}]}),
            "SERIES  TIME                      VALUE\n\
             up      1970-01-01T00:00:01.500Z  1\n\
             up      1970-01-01T00:00:02.000Z  0\n",
        );
        check(json!({"resultType": "scalar", "result": [1.0, "2"]}), "2\n");
    }
}
