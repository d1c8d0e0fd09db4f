//! Rego against what OPA 1.17 answered: `rego/cases.jsonl` holds small modules, written or generated for this test, and
//! the value of their rule `r`; there is none where the rule is undefined. All of them are asked with the
//! same input and data.

use std::sync::Arc;
use std::time::Duration;

use admission::rego::{Edition, Program, Text};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rego: String,
    #[serde(default)]
    edition: String,
    /// The value, alone in a list; none where the rule is undefined.
    #[serde(default)]
    expect: Vec<Value>,
}

#[test]
fn modules_answer_as_in_opa() {
    let input = regorus::Value::from_json_str(include_str!("rego/input.json")).unwrap();
    let data = Arc::new(regorus::Value::from_json_str(include_str!("rego/data.json")).unwrap());
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in include_str!("rego/cases.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let text = Text {
            name: "case".to_string(),
            rego: format!("package t\n{}\n", case.rego),
            edition: if case.edition == "v1" {
                Edition::V1
            } else {
                Edition::V0
            },
        };
        let answer = Program::new(&text, &[], "r", &["inventory", "lib", "t"])
            .map_err(|refusal| refusal.to_string())
            .and_then(|program| {
                let answer = program.ask(&input, &data, Duration::from_mins(1));
                answer.map_err(|error| error.to_string())
            })
            .map(|answer| match answer.value {
                regorus::Value::Undefined => None,
                value => Some(serde_json::to_value(&value).unwrap()),
            });
        if !answer
            .as_ref()
            .is_ok_and(|answer| same(answer.as_ref(), case.expect.first()))
        {
            wrong.push(format!(
                "{}\n  {answer:?}, not {:?}",
                case.rego, case.expect
            ));
        }
        cases += 1;
    }
    assert!(cases > 900, "{cases} cases");
    assert!(
        wrong.is_empty(),
        "{} of {cases}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// 1 and 1.0 are one number in Rego.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.len() == b.len() && a.iter().all(|(key, a)| same(Some(a), b.get(key)))
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}
