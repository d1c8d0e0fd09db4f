//! Rego against what OPA 1.17 answered, and 1.22 for some: `rego/cases.jsonl` holds small modules, written or generated for this test, and
//! the value of their rule `r`; there is none where the rule is undefined. All of them are asked with the
//! same input and data, by the plan where there is one, also of no more than it looks at, and by the interpreter.

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
    let json = serde_json::from_str(include_str!("rego/input.json")).unwrap();
    let input = regorus::Value::from_json_str(include_str!("rego/input.json")).unwrap();
    let data = Arc::new(regorus::Value::from_json_str(include_str!("rego/data.json")).unwrap());
    let mut wrong = Vec::new();
    let (mut cases, mut planned, mut narrow) = (0, 0, 0);
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
        let program = Program::new(&text, &[], "r", &["inventory", "lib", "t"]);
        let program = program.unwrap_or_else(|refusal| panic!("{}: {refusal}", case.rego));
        planned += usize::from(program.is_planned());
        let limit = Duration::from_mins(1);
        let read = program.ask_of_what_is_read(&json, &data, limit).transpose();
        narrow += usize::from(read.is_some());
        let answers = [
            program.ask(&input, &data, limit),
            program.interpret(&input, &data, limit),
        ];
        for answer in answers.into_iter().chain(read) {
            let answer = answer.map(|answer| match answer.value {
                regorus::Value::Undefined => None,
                value => Some(serde_json::to_value(&value).unwrap()),
            });
            let is_right =
                (answer.as_ref()).is_ok_and(|answer| same(answer.as_ref(), case.expect.first()));
            if !is_right {
                let (rego, expect) = (&case.rego, &case.expect);
                wrong.push(format!("{rego}\n  {answer:?}, not {expect:?}"));
            }
        }
        cases += 1;
    }
    assert!(cases > 900, "{cases} cases");
    assert!(
        planned * 100 > cases * 95,
        "{planned} of {cases} are planned"
    );
    assert!(
        narrow * 100 > cases * 85,
        "{narrow} of {cases} have an answer of what they look at"
    );
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
