use super::*;

fn promql(text: &str) -> Result<String, String> {
    let expr = crate::query::parse(text);
    expr.map(|expr| expr.to_string())
        .map_err(|error| error.to_string())
}

const GOOD: &str = r#"
groups:
- name: example
  interval: 30s
  query_offset: 5s
  limit: 10
  labels: {team: sre, severity: low}
  rules:
  - record: job:http_inprogress_requests:sum
    expr: sum by (job) (http_inprogress_requests)
    labels: {quantile: "0.9"}
  - &high
    alert: HighRequestLatency
    expr: >
      job:request_latency_seconds:mean5m{job="myjob"} > 0.5
    for: 10m
    keep_firing_for: 5m
    labels:
      severity: page
    annotations:
      summary: High request latency on {{ $labels.instance }}
  - <<: *high
    alert: HigherRequestLatency
- name: empty
"#;

#[test]
fn a_file_is_read_whole() {
    let groups = parse(GOOD, &promql).expect("valid");
    let [group, empty] = groups.as_slice() else {
        panic!("{groups:?}");
    };
    assert!(empty.rules.is_empty() && empty.interval_ms.is_none());
    assert_eq!(
        (group.interval_ms, group.query_offset_ms, group.limit),
        (Some(30_000), Some(5_000), 10)
    );
    let [record, alert, merged] = group.rules.as_slice() else {
        panic!("{:?}", group.rules);
    };
    assert_eq!(record.expr, "sum by (job) (http_inprogress_requests)");
    let labels = |rule: &RuleSpec| -> Vec<(String, String)> {
        let labels = rule.labels.iter();
        labels
            .map(|(name, value)| (name.clone(), value.text().to_owned()))
            .collect()
    };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        labels(record),
        [
            own("quantile", "0.9"),
            own("severity", "low"),
            own("team", "sre")
        ]
    );
    assert_eq!(labels(alert), [own("severity", "page"), own("team", "sre")]);
    let RuleKind::Alerting(spec) = &alert.kind else {
        panic!("an alert");
    };
    assert_eq!((spec.hold_ms, spec.keep_firing_ms), (600_000, 300_000));
    assert_eq!(merged.name, "HigherRequestLatency");
    assert_eq!(merged.kind, alert.kind);
}

#[test]
fn nothing_is_a_file_without_rules() {
    for text in ["", "groups: []\n", "groups:\n", "# nothing\n"] {
        assert_eq!(parse(text, &promql), Ok(Vec::new()), "{text:?}");
    }
}

#[test]
fn mistakes_are_named_by_line_group_and_rule() {
    let rule = |rest: &str| format!("groups:\n- name: g\n  rules:\n  - {rest}\n");
    for (text, expected) in [
        ("groups: [\n".to_owned(), vec![""]),
        (
            "group: []\n".to_owned(),
            vec!["1:1: field group not found in a rule file"],
        ),
        (
            "groups:\n- name: ''\n".to_owned(),
            vec!["2:3: Groupname must not be empty"],
        ),
        (
            "groups:\n- name: a\n- name: a\n".to_owned(),
            vec!["3:3: groupname: \"a\" is repeated in the same file"],
        ),
        (
            "groups:\n- name: a\n  interval: 5x\n  limt: 1\n".to_owned(),
            vec![
                "4:3: field limt not found in a group of rules",
                "3:13: group \"a\", not a valid duration string: \"5x\"",
            ],
        ),
        (
            rule("record: r\n    alert: a\n    expr: 1"),
            vec!["4:5: group \"g\", rule 1, \"a\", only one of 'record' and 'alert' must be set"],
        ),
        (
            rule("expr: 1"),
            vec!["4:5: group \"g\", rule 1, \"\", one of 'record' or 'alert' must be set"],
        ),
        (
            rule("record: r"),
            vec!["4:5: group \"g\", rule 1, \"r\", field 'expr' must be set in rule"],
        ),
        (
            rule("record: r\n    expr: sum(\n    for: 1m"),
            vec![
                "5:11: group \"g\", rule 1, \"r\", could not parse expression: 1:5: parse error:",
                "6:10: group \"g\", rule 1, \"r\", invalid field 'for' in recording rule",
            ],
        ),
        (
            rule("record: r{a=\"b\"}\n    expr: 1"),
            vec![
                "4:13: group \"g\", rule 1, \"r{a=\\\"b\\\"}\", braces present in the recording rule name",
            ],
        ),
        (
            rule(
                "alert: a\n    expr: 1\n    labels: {__name__: x}\n    annotations:\n      s: '{{ $x }}'\n      t: '{{ foo }}'",
            ),
            vec![
                "6:24: group \"g\", rule 1, \"a\", invalid label name: __name__",
                "8:10: group \"g\", rule 1, \"a\", annotation \"s\": template: __alert_a:1: undefined variable \"$x\"",
                "9:10: group \"g\", rule 1, \"a\", annotation \"t\": template: __alert_a:1: function \"foo\" not defined",
            ],
        ),
        (
            rule("alert: a\n    expr: 1\n    fr: 5m"),
            vec!["6:5: group \"g\", field fr not found in a rule"],
        ),
        (
            rule("alert: [a]\n    expr: 1"),
            vec!["4:1: group \"g\", expected a string, found a sequence"],
        ),
    ] {
        let errors = parse(&text, &promql).expect_err(&text);
        for (error, expected) in errors.iter().zip(&expected) {
            assert!(error.to_string().starts_with(expected), "{text}: {error}");
        }
        assert!(errors.len() >= expected.len(), "{text}: {errors:?}");
    }
}
