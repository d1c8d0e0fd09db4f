//! Rego against what OPA 1.17 answered, and 1.22 for some: `cases.jsonl` holds small modules, written or generated for this test, and
//! the value of their rule `r`; there is none where the rule is undefined. All of them are asked with the
//! same input and data, by the plan where there is one, also of no more than it looks at, and by the interpreter.

mod mutants;
mod opa;

use std::sync::Arc;
use std::time::Duration;

use admission::rego::{Edition, Program, ProgramError, Text};
use serde::Deserialize;
use serde_json::Value;

/// What all modules are asked with.
const INPUT: &str = include_str!("input.json");
const DATA: &str = include_str!("data.json");

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

impl Case {
    fn all() -> serde_json::Result<Vec<Case>> {
        let lines = include_str!("cases.jsonl").lines();
        lines.map(serde_json::from_str).collect()
    }

    fn edition(&self) -> Edition {
        match self.edition.as_str() {
            "v1" => Edition::V1,
            _ => Edition::V0,
        }
    }
}

/// A module of the rules `rego`.
fn module(rego: &str, edition: Edition) -> Text {
    Text {
        name: "case".to_string(),
        rego: format!("package t\n{rego}\n"),
        edition,
    }
}

fn program(text: &Text) -> Result<Program, String> {
    let program = Program::new(text, &[], "r", &["inventory", "lib", "t"]);
    program.map_err(|refusal| refusal.to_string())
}

/// What modules are asked with, as Rego's values.
struct Documents {
    input: regorus::Value,
    data: Arc<regorus::Value>,
}

impl Documents {
    fn new() -> Result<Self, String> {
        let read = |json| regorus::Value::from_json_str(json).map_err(|error| error.to_string());
        Ok(Documents {
            input: read(INPUT)?,
            data: Arc::new(read(DATA)?),
        })
    }
}

/// A value as JSON; none where the rule is undefined.
fn json(value: &regorus::Value) -> serde_json::Result<Option<Value>> {
    match value {
        regorus::Value::Undefined => Ok(None),
        value => serde_json::to_value(value).map(Some),
    }
}

#[test]
fn modules_answer_as_in_opa() {
    let asked = serde_json::from_str(INPUT).unwrap();
    let Documents { input, data } = Documents::new().unwrap();
    let mut wrong = Vec::new();
    let (mut cases, mut planned, mut narrow) = (0, 0, 0);
    for case in Case::all().unwrap() {
        let program = program(&module(&case.rego, case.edition()));
        let program = program.unwrap_or_else(|refusal| panic!("{}: {refusal}", case.rego));
        planned += usize::from(program.is_planned());
        let limit = Duration::from_mins(1);
        let read = program
            .ask_of_what_is_read(&asked, &data, limit)
            .transpose();
        narrow += usize::from(read.is_some());
        let answers = [
            program.ask(&input, &data, limit),
            program.interpret(&input, &data, limit),
        ];
        for answer in answers.into_iter().chain(read) {
            let answer: Result<_, ProgramError> = answer.map(|answer| json(&answer.value).unwrap());
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
