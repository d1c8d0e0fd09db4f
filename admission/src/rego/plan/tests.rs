//! Plans against the interpreter, on what plans do in their own way: order, scopes, names, and what they leave. Against
//! OPA both are held in `admission/tests/rego`.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use regorus::Value;
use serde_json::json;

use super::{Key, Reads, TooLong};
use crate::rego::{Edition, Program, ProgramError, Text};

const LIBRARY: &str = "package lib.names\n\
    import rego.v1\n\
    short(name) := lower(name) if count(name) < 4\n\
    short(name) := substring(lower(name), 0, 3) if count(name) >= 4\n\
    known contains name if some name in [\"web\", \"db\"]\n\
    sizes[name] := size if some name, size in {\"web\": 1, \"db\": 2}\n";

const INPUT: &str = r#"{
    "pods": [{"name": "Web", "ports": [80, 443], "labels": {"app": "shop"}}, {"name": "db-0", "ports": []}],
    "pair": [1, [2, 3]], "flag": false, "nothing": null, "deep": {"a": {"b": {"c": 4}}}
}"#;

fn program(rules: &str) -> Program {
    let text = |name: &str, rego: String| Text {
        name: name.to_string(),
        rego,
        edition: Edition::V1,
    };
    let entry = text(
        "t",
        format!("package t\nimport rego.v1\nimport data.lib.names\n{rules}\n"),
    );
    let library = text("names", LIBRARY.to_string());
    Program::new(&entry, &[library], "r", &["lib", "inventory"]).unwrap()
}

/// Both answer the same, and the plan does answer.
fn check(rules: &str) {
    let program = program(rules);
    assert!(program.is_planned(), "{rules}");
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    let limit = Duration::from_mins(1);
    let planned = program.ask_plan(&input, &data, std::time::Instant::now() + limit);
    let planned = planned
        .unwrap()
        .unwrap_or_else(|| panic!("no answer: {rules}"));
    let json = serde_json::from_str(INPUT).unwrap();
    let read = program.ask_of_what_is_read(&json, &data, limit).unwrap();
    assert_eq!(
        read.map(|answer| answer.value).as_ref(),
        Some(&planned.value),
        "{rules}"
    );
    let interpreted = program.interpret(&input, &data, limit).unwrap();
    assert_eq!(planned.value, interpreted.value, "{rules}");
    assert_ne!(planned.value, Value::Undefined, "{rules}");
}

fn inventory() -> Arc<Value> {
    let data = r#"{"inventory": {"namespace": {"shop": {"Pod": {"a": {"x": 1}, "b": {"x": 2}}}}}}"#;
    Arc::new(Value::from_json_str(data).unwrap())
}

#[test]
fn statements_stand_where_their_variables_are_known() {
    for rules in [
        "r contains x if { y > 1; x = y * 2; y = [1, 2, 3][_] }",
        "r contains [p, n] if { n = p.name; is_string(n); p = input.pods[_] }",
        "r contains i if { input.pods[i].ports[_] == 443 }",
        "r contains x if { [x, [y, 3]] = input.pair; y == 2 }",
        "r contains x if { input.pair = [x, [_, _]] }",
        "r contains x if { some x; input.deep.a[x].c == 4 }",
        "r contains [a, b] if { a = b + 1; b = count(input.pods) }",
        "r := xs if { xs := [y | y = z + 1; z = input.pods[_].ports[_]] }",
    ] {
        check(rules);
    }
}

#[test]
fn a_name_means_what_is_nearest() {
    for rules in [
        "x := 1\nr contains y if { y := [x | true] }",
        "r contains x if { some x in [1, 2]; every y in [x, x] { y == x } }",
        "r contains names.short(p.name) if some p in input.pods",
        "r contains n if { n := names.sizes[lower(input.pods[_].name)] }",
        "r contains n if { data.lib.names.known[n] }",
        "r contains n if { some n; names.sizes[n] == 2 }",
        "r contains x if { x := data.inventory.namespace[_].Pod[_].x }",
        "r contains k if { some k, v in data.inventory.namespace.shop.Pod; v.x > 1 }",
    ] {
        check(rules);
    }
}

#[test]
fn rules_give_what_their_definitions_do() {
    for rules in [
        "default r := 7\nr := 1 if input.flag",
        "r := 1 if { input.flag } else := 2 if { input.nothing == null } else := 3",
        "r if not input.flag",
        "r if not input.absent.x",
        "r := x if { x := input.flag in [false]; x }",
        "r := {\"a\": x, \"b\": [y]} if { x := input.pair[0]; y := input.pair[1] }",
        "r[k] := v if { some p in input.pods; k := p.name; v := count(p.ports) }",
        "f([x, y], {\"a\": z}) := x + y + z\nr := f([1, 2], {\"a\": 3})",
        "f(1) := \"one\"\nf(2) := \"two\"\nr := [f(2), f(1)]",
        "f(_) if true\nr if f(3)",
        "r := {k: v | some k, v in input.deep.a}",
        "r := {x | some x in input.pods[0].ports} | {1}",
        "r := {1, 2, 3} - {2}",
        "r := every_port if { every_port := [p.name | some p in input.pods; every n in p.ports { n > 79 }] }",
        "r if every k, v in {\"a\": 1} { k == \"a\"; v == 1 }",
        "r := -1 if input.pair[0] == 1",
        "r contains 1 if { 2 in input.pair[1] }\nr contains 2 if { 0, 1 in input.pair }",
        "r contains x if { {\"name\": x, \"ports\": []} = input.pods[_] }",
    ] {
        check(rules);
    }
}

/// An argument that is named twice must be one value, as in OPA; the interpreter takes the second for the name.
#[test]
fn an_argument_that_is_named_twice_is_one_value() {
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    let twice = program("f(x, x) := 1\nf(x, y) := 2 if x != y\nr := [f(1, 1), f(1, 2)]");
    let answer = twice.ask(&input, &data, Duration::from_mins(1)).unwrap();
    assert_eq!(answer.value.to_string(), "[1,2]");
}

/// What fails is the interpreter's: two values for one rule are an error, and a builtin's error is told.
#[test]
fn what_fails_is_left_to_the_interpreter() {
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    let limit = Duration::from_mins(1);
    let two = program("r := x if some x in [1, 2]");
    assert!(two.is_planned());
    let ProgramError::Failed(problem) = two.ask(&input, &data, limit).unwrap_err() else {
        panic!("not an error of the rule");
    };
    assert!(problem.contains("multiple outputs"), "{problem}");
    let swallowed = program("r contains 1 if regex.match(\"(\", \"x\")\nr contains 2");
    let answer = swallowed.ask(&input, &data, limit).unwrap();
    assert_eq!(answer.value.to_string(), "[2]");
    assert!(answer.swallowed.unwrap().contains("regex.match"));
}

#[test]
fn what_is_not_planned_is_interpreted() {
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    for (rules, expected) in [
        (
            "p := input.flag\nr := x if x := p with input.flag as 3",
            "3",
        ),
        (
            "r contains p if walk(input.deep, [p, 4])",
            "{[\"a\", \"b\", \"c\"]}",
        ),
    ] {
        let program = program(rules);
        assert!(!program.is_planned(), "{rules}");
        let answer = program.ask(&input, &data, Duration::from_mins(1)).unwrap();
        let expected = Value::from_json_str(&expected.replace('{', "[").replace('}', "]")).unwrap();
        let items = |value: &Value| serde_json::to_string(value).unwrap();
        assert_eq!(items(&answer.value), items(&expected), "{rules}");
    }
}

/// A plan is bounded in time and in what it builds, and says so.
#[test]
fn a_plan_ends() {
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    let numbers = "n := numbers.range(1, 3000)\n";
    let slow = program(&format!(
        "{numbers}r if {{ some a in n; some b in n; some c in n; a + b + c == 0 }}"
    ));
    assert!(slow.is_planned());
    let error = slow
        .ask(&input, &data, Duration::from_millis(50))
        .unwrap_err();
    assert!(matches!(error, ProgramError::Time(_)), "{error}");
    let large = program(&format!("{numbers}r := [1 | some a in n; some b in n]"));
    let error = large
        .ask(&input, &data, Duration::from_mins(1))
        .unwrap_err();
    assert!(error.to_string().contains("64 MiB"), "{error}");
}

/// The stack is bounded: what stands deeper in one another than a plan goes is the interpreter's.
#[test]
fn a_deep_body_has_no_answer_of_the_plan() {
    let (input, data) = (Value::from_json_str(INPUT).unwrap(), inventory());
    let many: Vec<String> = (0..600).map(|n| format!("some x{n} in [1]")).collect();
    let program = program(&format!("r if {{ {} }}", many.join("\n")));
    assert!(program.is_planned());
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    assert_eq!(program.ask_plan(&input, &data, deadline).unwrap(), None);
}

/// What is looked at of an input, as the input that holds nothing else.
fn check_reads(rules: &str, expected: &str) {
    const POD: &str = r#"{"a": {"b": {"c": 1, "d": [2]}, "e": [{"f": 3, "g": {"h": 4}}, {"f": 5}], "i": "j"}, "k": {"l": 6}}"#;
    let program = program(rules);
    let reads = program.plan().unwrap().reads();
    let kept = reads.value_of(&serde_json::from_str(POD).unwrap(), |_| true);
    assert_eq!(kept, Value::from_json_str(expected).unwrap(), "{rules}");
}

#[test]
fn no_more_of_an_input_is_read_than_rules_tell_apart() {
    check_reads("r if true", "{}");
    check_reads("r := input.a.b.c", r#"{"a": {"b": {"c": 1}}}"#);
    check_reads("r := input.a.b", r#"{"a": {"b": {"c": 1, "d": [2]}}}"#);
    check_reads("r if input.a.b", r#"{"a": {"b": {}}}"#);
    check_reads("r if not input.a.b.c == 2", r#"{"a": {"b": {"c": 1}}}"#);
    check_reads(
        "r if input.a.b == input.k",
        r#"{"a": {"b": {"c": 1, "d": [2]}}, "k": {"l": 6}}"#,
    );
    check_reads("r := count(input.a.e)", r#"{"a": {"e": [null, null]}}"#);
    check_reads(
        "r := object.keys(input.a)",
        r#"{"a": {"b": null, "e": null, "i": null}}"#,
    );
    check_reads(
        "r := [x.f | some x in input.a.e]",
        r#"{"a": {"e": [{"f": 3}, {"f": 5}]}}"#,
    );
    check_reads(
        "r := {x.f | some x in input.a.e}",
        r#"{"a": {"e": [{"f": 3}, {"f": 5}]}}"#,
    );
    check_reads(
        "r contains x if some x in input.a.e",
        r#"{"a": {"e": [{"f": 3, "g": {"h": 4}}, {"f": 5}]}}"#,
    );
    check_reads(
        "r := object.get(input, [\"a\", \"b\", \"c\"], 0)",
        r#"{"a": {"b": {"c": 1}}}"#,
    );
    check_reads(
        "r := object.get(input.a, \"b\", {}).c",
        r#"{"a": {"b": {"c": 1}}}"#,
    );
    // Through functions, and what they make.
    check_reads(
        "made(x) := {\"whole\": x, \"f\": x.f}\n\
         all := array.concat([made(x) | some x in input.a.e], [{\"whole\": input.k}])\n\
         r := [x.whole.g.h | some x in all]",
        r#"{"a": {"e": [{"f": 3, "g": {"h": 4}}, {"f": 5}]}, "k": {}}"#,
    );
    // Names in a list are known beforehand; others may be any.
    check_reads(
        "r := [input.a[x].c | some x in [\"b\"]]",
        r#"{"a": {"b": {"c": 1}}}"#,
    );
    check_reads(
        "r := [input.a[x].c | some x in [lower(\"B\")]]",
        r#"{"a": {"b": {"c": 1}, "e": [], "i": "j"}}"#,
    );
    check_reads(
        "f(x) := [input.a[x].c | some y in [\"b\"]]\nr := f(\"b\")",
        r#"{"a": {"b": {"c": 1}, "e": [], "i": "j"}}"#,
    );
    // Elements of a set are told apart by all they have.
    check_reads(
        "r := count({x | some x in input.a.e})",
        r#"{"a": {"e": [{"f": 3, "g": {"h": 4}}, {"f": 5}]}}"#,
    );
    // Two values of one rule must be the same.
    check_reads(
        "p := input.a.b if input.k.l > 6\np := input.k if input.k.l == 6\nr if p.l",
        r#"{"a": {"b": {"c": 1, "d": [2]}}, "k": {"l": 6}}"#,
    );
}

fn json_values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|bool| json!(bool)),
        (0..2).prop_map(|number| json!(number)),
        prop::sample::select(vec!["", "a", "b"]).prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let name = prop::sample::select(vec!["a", "b", "f"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::btree_map(name, inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

proptest! {
    /// Two inputs have one key where, and only where, a plan gets the same of both.
    #[test]
    fn a_key_says_what_is_looked_at(one in json_values(), other in json_values()) {
        for rules in [
            "r if true",
            "r := input",
            "r := input.a.b",
            "r := count(input.a)",
            "r := [x.f | some x in input.a]",
            "r if input.a.f == input.b[_]",
        ] {
            let reads = program(rules).plan().unwrap().reads();
            let counts = |value: &serde_json::Value| !value.is_null();
            let key = |json| {
                let mut key = Key::new(1 << 20);
                key.value(&reads, json, counts).map(|()| key.into_bytes())
            };
            let value = |json| reads.value_of(json, counts);
            prop_assert_eq!(key(&one) == key(&other), value(&one) == value(&other), "{}", rules);
        }
    }
}

#[test]
fn a_key_is_no_longer_than_it_may_be() {
    let (reads, json) = (Reads::whole(), json!({"a": ["b", 1]}));
    let written = |bytes_max| {
        let mut key = Key::new(bytes_max);
        key.value(&reads, &json, |_| true)
            .map(|()| key.into_bytes())
    };
    let whole = written(1000).unwrap();
    assert_eq!(written(whole.len()), Ok(whole.clone()));
    for bytes_max in 0..whole.len() {
        assert_eq!(written(bytes_max), Err(TooLong));
    }
}
