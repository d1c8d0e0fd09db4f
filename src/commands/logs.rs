//! `taffrail logs`: LogQL.

use serde_json::Value;

use super::ask::{ask, instant, seconds, series_name};
use super::query;
use crate::cli::{LogsArgs, Output};

/// Asks and returns what to print.
pub(crate) async fn logs(args: &LogsArgs) -> anyhow::Result<String> {
    let end = instant(args.range.end.as_deref().unwrap_or("now"))?;
    let start = match &args.range.start {
        Some(start) => instant(start)?,
        None => end - seconds(&args.since)?,
    };
    let direction = if args.forward { "forward" } else { "backward" };
    let mut form = vec![
        ("query", args.query.clone()),
        ("start", nanoseconds(start)),
        ("end", nanoseconds(end)),
        ("limit", args.limit.to_string()),
        ("direction", direction.to_owned()),
    ];
    if let Some(step) = &args.range.step {
        form.push(("step", seconds(step)?.to_string()));
    }
    let answer = ask(&args.client, "/loki/api/v1/query_range", &form).await?;
    match args.client.output {
        Output::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&answer.data)?)),
        Output::Table if answer.result_type() == "streams" => {
            Ok(render(answer.result(), args.forward))
        }
        Output::Table => Ok(query::render(&answer)),
    }
}

/// Loki's API takes nanoseconds; milliseconds are as fine as the command line is.
fn nanoseconds(seconds: f64) -> String {
    ((seconds * 1000.0).round() as i64)
        .saturating_mul(1_000_000)
        .to_string()
}

/// Lines of all streams in the order of time, each behind its time and its stream.
fn render(streams: &[Value], forward: bool) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for stream in streams {
        let name = series_name(stream.get("stream"));
        let entries = stream.get("values").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let text = |index: usize| entry.get(index).and_then(Value::as_str).unwrap_or_default();
            let at: i64 = text(0).parse().unwrap_or_default();
            let time = jiff::Timestamp::from_nanosecond(i128::from(at))
                .map_or_else(|_| at.to_string(), |at| format!("{at:.3}"));
            lines.push((at, format!("{time} {name} {}\n", text(1))));
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    if !forward {
        lines.reverse();
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn lines_of_all_streams_are_in_the_order_of_time() {
        let streams = [
            json!({"stream": {"a": "1"}, "values": [["3000000", "c"], ["1000000", "a"]]}),
            json!({"stream": {"a": "2"}, "values": [["2000000", "b"]]}),
        ];
        let expected = "1970-01-01T00:00:00.001Z {a=\"1\"} a\n\
                        1970-01-01T00:00:00.002Z {a=\"2\"} b\n\
                        1970-01-01T00:00:00.003Z {a=\"1\"} c\n";
        assert_eq!(render(&streams, true), expected);
        assert!(render(&streams, false).starts_with("1970-01-01T00:00:00.003Z"));
    }
}
