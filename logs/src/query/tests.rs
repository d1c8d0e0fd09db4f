//! Properties that hold for any text: nothing panics, pruning never loses a line, what is valid
//! JSON is read as a JSON library reads it.

use std::collections::BTreeMap;

use model::labels::Labels;
use proptest::prelude::*;
use serde_json::Value;

use super::ast::{Expr, Stage};
use super::parse;
use super::pipeline::{Pipeline, WorkingLabels};
use super::pruning::Hints;

/// The stages of a query behind `{a="b"}`.
fn stages(text: &str) -> Vec<Stage> {
    let query = format!("{{a=\"b\"}} {text}");
    match parse(&query) {
        Ok(Expr::Log(log)) => log.stages,
        other => panic!("{query}: {other:?}"),
    }
}

/// The labels a line ends up with, or nothing where it is dropped.
fn run(stages: &[Stage], line: &str) -> Option<(String, Labels, Option<&'static str>)> {
    let pipeline = Pipeline::compile(stages, None).expect("stages compile");
    let mut labels = WorkingLabels::default();
    labels.begin_stream(&Labels::empty());
    labels.begin_entry(&Labels::empty());
    if !pipeline.passes(line) {
        return None;
    }
    let line = pipeline.process(0, line, &mut labels)?.into_owned();
    Some((line, labels.to_labels(|_, _| true), labels.error()))
}

const FILTERS: [&str; 12] = [
    r#"|= "ab""#,
    r#"|= "a" or "bc""#,
    r#"|~ "a.*b""#,
    r#"|~ ".*ab.*""#,
    r#"|~ "(?i)ab""#,
    r#"|~ "(ab|c)+d?""#,
    r#"|~ "a{2,}b?""#,
    r#"|~ "^a|b$""#,
    r#"|~ "a|b" or "c""#,
    r#"|> "a<_>b""#,
    r#"!= "a" |= "b""#,
    r#"!~ "ab" |> "<_>c<_>""#,
];

const PARSERS: [&str; 9] = [
    "| json",
    r#"| json x="a.b[0]""#,
    "| logfmt",
    "| logfmt --strict --keep-empty a",
    "| unpack",
    "| decolorize",
    r#"| pattern "<a> <_>=<b>""#,
    r"| regexp `(?P<x>\w+)=(?P<y>.*)`",
    r#"|= ip("10.0.0.0/8")"#,
];

/// Objects as programs log them.
fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[a-z]{1,3}", value, 0..5)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// Nested names joined by `_`; of two fields that end up with one name the first stays.
fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let Value::Object(fields) = value else {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return,
        };
        out.entry(prefix.to_owned()).or_insert(text);
        return;
    };
    for (name, field) in fields {
        let name = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}_{name}")
        };
        flatten(&name, field, out);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}", cut in 0..120_usize) {
        let _ = parse(&text);
        let query = r#"sum by (a) (rate({a="b"} |= "c" | json | x > 5KB [5m] offset 1m)) > bool 2"#;
        let mut broken: String = query.chars().take(cut).collect();
        broken.push_str(&text);
        let _ = parse(&broken);
    }

    #[test]
    fn a_line_that_passes_is_never_pruned(line in "[abcdABD ]{0,12}") {
        for filter in FILTERS {
            let stages = stages(filter);
            if run(&stages, &line).is_some() {
                prop_assert!(Hints::of(&stages).may_match(&line), "{filter} {line:?}");
            }
        }
    }

    #[test]
    fn an_expression_matches_as_the_library_has_it(line in "[abc\n]{0,8}") {
        for pattern in [".*ab", "ab.*", ".*a|b.*", "a.*b", ".*", ".*?a", "a.*?", r"b\.*"] {
            let stages = stages(&format!("|~ `{pattern}`"));
            let plain = regex::Regex::new(pattern).expect("valid");
            prop_assert_eq!(run(&stages, &line).is_some(), plain.is_match(&line), "{}", pattern);
        }
    }

    #[test]
    fn no_line_makes_a_stage_panic(line in ".{0,80}", seed in r#"[{}\[\]",:=a1.\\ \x1bu-]{0,40}"#) {
        for parser in PARSERS {
            let stages = stages(parser);
            run(&stages, &line);
            run(&stages, &seed);
        }
    }

    #[test]
    fn json_is_read_as_a_library_reads_it(object in object()) {
        let mut expected = BTreeMap::new();
        flatten("", &object, &mut expected);
        let stages = stages("| json");
        for text in [object.to_string(), serde_json::to_string_pretty(&object).expect("json")] {
            let (_, labels, error) = run(&stages, &text).expect("kept");
            prop_assert_eq!(error, None, "{}", text);
            let got: BTreeMap<String, String> = labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            prop_assert_eq!(&got, &expected, "{}", text);
        }
    }
}
