//! OPA itself: what `cases.jsonl` says of it is what it answers, and it answers mutants as we do.
//!
//! The program in `opa/` is OPA's library, in the version that Gatekeeper has, behind standard input and output. `TAFFRAIL_OPA`
//! says where it was built; `.ci/opa` builds it and prints that.

use std::cell::RefCell;
use std::error::Error;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use admission::rego::Edition;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Case, DATA, Documents, INPUT, json, module, mutants, program, same};

/// How many mutants there are; OPA takes one in ten or so for a module.
const MUTANTS: u32 = 20_000;

/// What a module answers.
#[derive(Debug, Deserialize)]
#[allow(
    dead_code,
    reason = "why it has no answer is for whoever reads the failure"
)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Value(Value),
    Undefined,
    /// It is no module, or not one that is let in.
    Refused(String),
    Failed(String),
    Panicked(String),
}

/// What OPA answers to each.
fn ask_opa(modules: &[(String, Edition)]) -> Result<Vec<Answer>, Box<dyn Error>> {
    let opa = std::env::var_os("TAFFRAIL_OPA").ok_or("TAFFRAIL_OPA is not set: see .ci/opa")?;
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    fs::write(path("input.json"), INPUT)?;
    fs::write(path("data.json"), DATA)?;
    let lines = modules.iter().map(|(rego, edition)| {
        let line = json!({"rego": rego, "v0": *edition == Edition::V0});
        format!("{line}\n")
    });
    fs::write(path("modules.jsonl"), lines.collect::<String>())?;
    let output = Command::new(opa)
        .args([path("input.json"), path("data.json")])
        .stdin(File::open(path("modules.jsonl"))?)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(output.status.to_string().into());
    }
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let answers: Vec<Answer> = answers.collect::<Result<_, _>>()?;
    if answers.len() != modules.len() {
        return Err(format!("{} answers", answers.len()).into());
    }
    Ok(answers)
}

#[test]
#[ignore = "needs OPA: TAFFRAIL_OPA says where it is"]
fn opa_answers_what_the_cases_say() {
    let cases = Case::all().unwrap();
    let modules = cases.iter().map(|case| {
        let text = module(&case.rego, case.edition());
        (text.rego, text.edition)
    });
    let answers = ask_opa(&modules.collect::<Vec<_>>()).unwrap();
    let mut wrong = Vec::new();
    for (case, answer) in cases.iter().zip(answers) {
        let is_right = match &answer {
            Answer::Value(value) => same(Some(value), case.expect.first()),
            Answer::Undefined => case.expect.is_empty(),
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{}\n  {answer:?}, not {:?}",
                case.rego, case.expect
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs OPA: TAFFRAIL_OPA says where it is"]
fn mutants_answer_as_in_opa() {
    let Documents { input, data } = Documents::new().unwrap();
    let asked = RefCell::new((Vec::new(), Vec::new()));
    mutants::each(MUTANTS, |text| {
        let ours = match program(text) {
            Err(refusal) => Answer::Refused(refusal),
            Ok(program) => match program.ask(&input, &data, Duration::from_secs(2)) {
                Ok(answer) => json(&answer.value)
                    .unwrap()
                    .map_or(Answer::Undefined, Answer::Value),
                Err(error) => Answer::Failed(error.to_string()),
            },
        };
        let (modules, answers) = &mut *asked.borrow_mut();
        modules.push((text.rego.clone(), text.edition));
        answers.push(ours);
        Ok(())
    })
    .unwrap();
    let (modules, ours) = asked.into_inner();
    let (mut compared, mut refused, mut wrong) = (0, 0, Vec::new());
    for ((module, ours), opa) in modules.iter().zip(ours).zip(ask_opa(&modules).unwrap()) {
        let is_same = match (&ours, &opa) {
            (_, Answer::Refused(_) | Answer::Panicked(_)) => continue,
            // Refused at load, and loudly.
            (Answer::Refused(_), _) => {
                refused += 1;
                continue;
            }
            // `x := [y | ys[x]]`, where OPA takes the second x for another one: an error at each evaluation.
            (Answer::Failed(why), _) if why.contains("is unsafe") => {
                refused += 1;
                continue;
            }
            (Answer::Value(ours), Answer::Value(opa)) => same(Some(ours), Some(opa)),
            (Answer::Undefined, Answer::Undefined) | (Answer::Failed(_), Answer::Failed(_)) => true,
            _ => false,
        };
        compared += 1;
        if !is_same {
            let (rego, _) = module;
            wrong.push(format!("{rego}  ours: {ours:?}\n  OPA's: {opa:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > MUTANTS / 20, "{compared} were compared");
    // Most of them lack the rule that is asked.
    assert!(
        refused * 10 < compared,
        "{refused} were refused that OPA takes, and {compared} compared"
    );
}
