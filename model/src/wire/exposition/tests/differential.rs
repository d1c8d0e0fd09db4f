//! Against `prometheus-parse`, on what it reads right: plain names, label values without commas,
//! equals signs, braces or escapes, and families that are neither histograms nor summaries.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;

type Row = (String, BTreeMap<String, String>, u64, Option<i64>);

fn ours(body: &str) -> Vec<Row> {
    let mut parser = Parser::new(body, Format::Text);
    let mut rows = Vec::new();
    while let Some(item) = parser.next().expect("a valid body") {
        if let Item::Sample(sample) = item {
            rows.push((
                sample.name.text().into_owned(),
                sample
                    .labels
                    .iter()
                    .map(|label| {
                        (
                            label.name.text().into_owned(),
                            label.value.text().into_owned(),
                        )
                    })
                    .collect(),
                sample.value.to_bits(),
                sample.timestamp.map(Timestamp::millis),
            ));
        }
    }
    rows
}

fn theirs(body: &str) -> Vec<Row> {
    use prometheus_parse::{Scrape, Value};
    let lines = body.lines().map(|line| Ok(line.to_owned()));
    let unset = "1970-01-01T00:00:00Z".parse().expect("an instant");
    let scrape = Scrape::parse_at(lines, unset).expect("a valid body");
    scrape
        .samples
        .into_iter()
        .map(|sample| {
            let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) =
                sample.value
            else {
                panic!("only simple families are generated");
            };
            let millis = sample.timestamp.timestamp_millis();
            let labels = sample
                .labels
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            (
                sample.metric,
                labels,
                value.to_bits(),
                (millis != 0).then_some(millis),
            )
        })
        .collect()
}

prop_compose! {
    fn line()(
        name in "[a-z_][a-z0-9_]{0,12}",
        labels in proptest::collection::btree_map("[a-z_][a-z0-9_]{0,6}", "[a-zA-Z0-9 /.:-]{1,10}", 0..4),
        value in prop_oneof![
            any::<i32>().prop_map(|v| v.to_string()),
            any::<f64>().prop_filter("finite", |v| v.is_finite()).prop_map(|v| v.to_string()),
            Just("+Inf".to_owned()),
        ],
        timestamp in proptest::option::of(1_i64..4_000_000_000_000),
    ) -> String {
        let labels = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect::<Vec<_>>()
            .join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let timestamp = timestamp.map_or(String::new(), |at| format!(" {at}"));
        format!("{name}{labels} {value}{timestamp}\n")
    }
}

proptest! {
    #[test]
    fn simple_bodies_read_alike(lines in proptest::collection::vec(line(), 0..20)) {
        let body = lines.concat();
        prop_assert_eq!(ours(&body), theirs(&body));
    }
}

#[test]
fn what_the_other_parser_loses_is_kept() {
    for body in [
        "job:rate:5m 1",
        r#"a{x="1,2"} 1"#,
        r#"a{x="1=2"} 1"#,
        r#"a{x="}"} 1"#,
        r#"a{x="\\"} 1"#,
        r#"{"a.b"} 1"#,
    ] {
        assert_eq!(ours(body).len(), 1, "{body}");
        assert_ne!(ours(body), theirs(body), "no longer a difference: {body}");
    }
}
