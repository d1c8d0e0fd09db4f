use super::*;

const RULES: &str = r#"
groups:
- name: example
  rules:
  - alert: InstanceDown
    expr: up == 0
    for: 5m
    labels: {severity: page}
    annotations:
      summary: "Instance {{ $labels.instance }} down in {{ $externalLabels.region }}"
      link: "{{ externalURL }}{{ tableLink \"up\" }}"
  - record: up:count
    expr: count by (job) (up)
  - record: h:sum
    expr: sum by (job) (h) * 2
- name: later
  rules:
  - record: up:count:doubled
    expr: up:count * 2
"#;

/// What running a test over the rules above says.
fn check(tests: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("temporary folder");
    std::fs::write(dir.path().join("rules.yml"), RULES).expect("writes");
    let path = dir.path().join("test.yml");
    let shown = dir.path().to_string_lossy().into_owned();
    let errors = run(&path, &format!("rule_files: [rules.yml]\n{tests}"));
    let errors = errors.into_iter();
    errors.map(|error| error.replace(&shown, "DIR")).collect()
}

const GOOD: &str = r#"
evaluation_interval: 1m
group_eval_order: [example, later]
tests:
- interval: 1m
  name: two
  external_labels: {region: eu}
  external_url: http://here
  input_series:
  - series: 'up{job="a", instance="x"}'
    values: '0x14'
  - series: 'up{job="a", instance="y"}'
    values: '1 1 0+0x4 stale 1x3'
  - series: 'h{job="a"}'
    values: '{{schema:0 sum:5 count:4 buckets:[1 2 1]}}x14'
  alert_rule_test:
  - eval_time: 4m
    alertname: InstanceDown
  - eval_time: 10m30s
    alertname: InstanceDown
    exp_alerts:
    - exp_labels: {severity: page, instance: x, job: a}
      exp_annotations:
        summary: Instance x down in eu
        link: http://here/graph?g0.expr=up&g0.tab=1
  promql_expr_test:
  - expr: up:count:doubled
    eval_time: 3m
    exp_samples:
    - labels: 'up:count:doubled{job="a"}'
      value: 4
  - expr: up:count
    eval_time: 7m
    exp_samples:
    - {labels: 'up:count{job="a"}', value: 1}
  - expr: ALERTS
    eval_time: 1m
    exp_samples:
    - {labels: 'ALERTS{alertname="InstanceDown", alertstate="pending", instance="x", job="a", severity="page"}', value: 1}
  - expr: nothing
    eval_time: 1m
  - expr: h
    eval_time: 5m
    exp_samples:
    - {labels: 'h{job="a"}', histogram: '{{schema:0 sum:5 count:4 buckets:[1 2 1]}}'}
  - expr: h:sum
    eval_time: 5m
    exp_samples:
    - {labels: 'h:sum{job="a"}', histogram: '{{schema:0 sum:10 count:8 buckets:[2 4 2]}}'}
  - expr: 0 / 0
    eval_time: 5m
    exp_samples: [{labels: '{}', value: NaN}]
"#;

#[test]
fn what_is_as_expected_says_nothing() {
    assert_eq!(check(GOOD), Vec::<String>::new());
    let later = GOOD.replace(
        "  name: two",
        "  name: two\n  start_timestamp: 2020-01-01T00:00:00Z",
    );
    assert_eq!(check(&later), Vec::<String>::new());
}

#[test]
fn what_is_not_as_expected_is_shown_beside_what_was() {
    let wrong = GOOD
        .replace("severity: page, instance: x", "severity: page, instance: z")
        .replace("value: 4", "value: 5")
        .replace("expr: nothing", "expr: sum(");
    let got = check(&wrong);
    let expected = [
        "    name: two,\n    alertname: InstanceDown, time: 10m30s, \n        exp:[\n            0:\n              Labels:{alertname=\"InstanceDown\", instance=\"z\", job=\"a\", severity=\"page\"}\n              Annotations:{link=\"http://here/graph?g0.expr=up&g0.tab=1\", summary=\"Instance x down in eu\"}\n            ], \n        got:[\n            0:\n              Labels:{alertname=\"InstanceDown\", instance=\"x\", job=\"a\", severity=\"page\"}\n              Annotations:{link=\"http://here/graph?g0.expr=up&g0.tab=1\", summary=\"Instance x down in eu\"}\n            ]",
        "    expr: \"up:count:doubled\", time: 3m,\n        exp: up:count:doubled{job=\"a\"} 5E+00\n        got: up:count:doubled{job=\"a\"} 4E+00",
        "    expr: \"sum(\", time: 1m, err: 1:5: parse error: ",
    ];
    for (got, expected) in got.iter().zip(expected) {
        assert!(got.starts_with(expected), "{got}\n{expected}");
    }
    assert_eq!(got.len(), expected.len(), "{got:?}");
}

#[test]
fn mistakes_in_the_file_are_named_by_line() {
    for (text, expected) in [
        (
            "tests:\n- interal: 1m\n",
            "DIR/test.yml:3: field interal not found",
        ),
        (
            "tests:\n- interval: 1x\n",
            "DIR/test.yml:3: not a valid duration string",
        ),
        (
            "tests:\n- input_series:\n  - series: up\n    values: 1 a\n",
            "DIR/test.yml:5: \"a\" is no value",
        ),
        (
            "tests:\n- input_series:\n  - series: up{\n",
            "DIR/test.yml:4: \"up{\": ",
        ),
        (
            "tests:\n- alert_rule_test:\n  - eval_time: 1m\n",
            "DIR/test.yml:4: an item under alert_rule_test misses",
        ),
        (
            "group_eval_order: [a, a]\n",
            "DIR/test.yml:2: group name repeated",
        ),
    ] {
        let errors = check(text);
        assert!(
            errors
                .first()
                .is_some_and(|error| error.starts_with(expected)),
            "{text}: {errors:?}"
        );
    }
    let missing = run(Path::new("/nowhere/test.yml"), "rule_files: [none.yml]\n");
    assert_eq!(missing, ["/nowhere/none.yml: no file matches"]);
}

#[test]
fn floats_may_differ_in_the_last_bit_where_that_is_asked_for() {
    let test = |fuzzy: &str| {
        format!(
            "fuzzy_compare: {fuzzy}\ntests:\n- promql_expr_test:\n  - {{expr: 0.1 + 0.2, eval_time: 0s, exp_samples: [{{labels: '{{}}', value: 0.3}}]}}\n"
        )
    };
    assert_eq!(check(&test("true")), Vec::<String>::new());
    assert_eq!(check(&test("false")).len(), 1);
}
