//! What is told of small modules, and that telling changes no answer.

use std::time::Duration;

use super::*;
use crate::rego::Program;

const LIMIT: Duration = Duration::from_mins(1);

fn text(rego: &str, edition: Edition) -> Text {
    Text {
        name: "module".to_string(),
        rego: rego.to_string(),
        edition,
    }
}

fn tracer(rego: &str, edition: Edition, rule: &str) -> Result<Tracer, Refusal> {
    let roots = ["inventory", "lib", "t"];
    Tracer::of_program(&text(rego, edition), &[], rule, &roots, Allowed::default())
}

/// Each line: the message, the line of its rule, and what it read.
fn check(edition: Edition, rego: &str, input: &str, expected: &[(&str, u32, &[&str])]) {
    let rego = format!("package t\n{rego}");
    let tracer = tracer(&rego, edition, "violation").unwrap();
    let input = Value::from_json_str(input).unwrap();
    let traces = tracer.ask(&input, None, LIMIT).unwrap();
    let mut told = Vec::new();
    for element in traces.value.as_set().unwrap() {
        let message = match element.as_string() {
            Ok(message) => message.to_string(),
            Err(_) => element["msg"].as_string().unwrap().to_string(),
        };
        for cause in traces.causes(false, |value| value == element) {
            let reads: Vec<_> = (cause.reads.iter())
                .map(|read| match &read.value {
                    Some(value) => format!("{} = {value}", read.path),
                    None => format!("{} is absent", read.path),
                })
                .collect();
            told.push((message.clone(), cause.spot.line, reads));
        }
    }
    let expected: Vec<_> = (expected.iter())
        .map(|(message, line, reads)| {
            let reads: Vec<_> = reads.iter().map(ToString::to_string).collect();
            (message.to_string(), *line, reads)
        })
        .collect();
    assert_eq!(told, expected, "{rego}");
}

#[test]
fn a_field_is_named_with_the_element_that_was_found() {
    check(
        Edition::V0,
        r#"violation[{"msg": msg}] {
  c := input.spec.containers[_]
  c.securityContext.privileged
  msg := sprintf("%v is privileged", [c.name])
}"#,
        r#"{"spec": {"containers": [{"name": "a"}, {"name": "b", "securityContext": {"privileged": true}}]}}"#,
        &[(
            "b is privileged",
            2,
            &[
                "input.spec.containers[1].securityContext.privileged = true",
                "input.spec.containers[1].name = \"b\"",
            ],
        )],
    );
}

#[test]
fn of_several_bodies_the_one_that_held_is_told() {
    check(
        Edition::V1,
        r#"violation contains "wrong" if input.a == 1

violation contains "wrong" if {
	# a comment
	some x in input.b
	x > 2 # another
}
violation contains "wrong" if input.c"#,
        r#"{"a": 2, "b": [1, 3, 4], "c": false}"#,
        // The engine looks for no second reason to say the same word.
        &[("wrong", 4, &["input.b[1] = 3"])],
    );
}

#[test]
fn what_is_absent_is_said_to_be() {
    check(
        Edition::V0,
        r"violation[msg] {
  c := containers[_]
  not limited(c)
  msg := c.name
}
containers[c] { c := input.spec.containers[_] }
containers[c] { c := input.spec.initContainers[_] }
limited(c) { c.resources.limits.cpu; c.resources.limits.memory }",
        r#"{"spec": {"initContainers": [{"name": "i", "resources": {"limits": {"cpu": 1}}}]}}"#,
        &[(
            "i",
            2,
            &[
                "input.spec.initContainers[0].resources.limits.cpu = 1",
                "input.spec.initContainers[0].resources.limits.memory is absent",
                "input.spec.initContainers[0].name = \"i\"",
            ],
        )],
    );
}

#[test]
fn comprehensions_and_defaults_are_followed() {
    check(
        Edition::V0,
        r#"violation[{"msg": msg, "details": {"missing": missing}}] {
  provided := {label | input.review.object.metadata.labels[label]}
  required := {label | label := input.parameters.labels[_]}
  missing := required - provided
  count(missing) > 0
  msg := sprintf("you must provide labels: %v", [missing])
}"#,
        r#"{"review": {"object": {"metadata": {"labels": {"a/b": "c"}}}}, "parameters": {"labels": ["gatekeeper"]}}"#,
        &[(
            "you must provide labels: {\"gatekeeper\"}",
            2,
            &[
                "input.review.object.metadata.labels[\"a/b\"] = \"c\"",
                "input.parameters.labels[0] = \"gatekeeper\"",
            ],
        )],
    );
    check(
        Edition::V1,
        r#"violation contains "one" if object.get(input, ["spec", "replicas"], 0) < 2
violation contains "every" if { every c in input.containers { c.image != "" } }"#,
        r#"{"containers": [{"image": "x"}]}"#,
        &[
            ("every", 3, &["input.containers[0].image = \"x\""]),
            ("one", 2, &["input.spec.replicas is absent"]),
        ],
    );
}

#[test]
fn functions_and_rules_are_followed_by_what_they_did() {
    check(
        Edition::V0,
        r#"import input.review.object as obj
violation[msg] {
  is_pod
  image := obj.spec.containers[i].image
  bad(image, input.parameters.tags[_])
  msg := sprintf("%d", [i])
}
is_pod { obj.kind == "Pod" }
bad(image, tag) { endswith(image, tag) }
bad(image, _) { not contains(image, ":") }"#,
        r#"{"review": {"object": {"kind": "Pod", "spec": {"containers": [{"image": "a:1"}, {"image": "b:latest"}]}}},
            "parameters": {"tags": [":latest"]}}"#,
        &[(
            "1",
            3,
            &[
                "input.review.object.kind = \"Pod\"",
                "input.review.object.spec.containers[1].image = \"b:latest\"",
                "input.parameters.tags[0] = \":latest\"",
            ],
        )],
    );
}

#[test]
fn an_else_has_a_line_of_its_own() {
    let rego = "package t\nr = 1 {\n  input.a\n}\nelse = 2 {\n  input.b\n}";
    let tracer = tracer(rego, Edition::V0, "r").unwrap();
    let input = Value::from_json_str(r#"{"b": true}"#).unwrap();
    let traces = tracer.ask(&input, None, LIMIT).unwrap();
    let causes = traces.causes(false, |value| *value == traces.value);
    let reads = vec![Read {
        path: "input.b".to_string(),
        value: Some(Value::from(true)),
    }];
    let spot = Spot {
        rule: "data.t.r".to_string(),
        module: "module".to_string(),
        line: 5,
    };
    let cause = Cause {
        spot,
        through: Vec::new(),
        reads,
    };
    assert_eq!(causes, [cause]);
}

/// The modules that OPA answered for are the widest choice of Rego there is here.
#[test]
fn telling_changes_no_answer() {
    let input = Value::from_json_str(include_str!("../../../tests/rego/input.json")).unwrap();
    let data = Value::from_json_str(include_str!("../../../tests/rego/data.json")).unwrap();
    let data = Arc::new(data);
    let (mut asked, mut wrong) = (0, Vec::new());
    for line in include_str!("../../../tests/rego/cases.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let edition = match case.get("edition").and_then(|edition| edition.as_str()) {
            Some("v1") => Edition::V1,
            _ => Edition::V0,
        };
        let rego = format!("package t\n{}\n", case["rego"].as_str().unwrap());
        let roots = ["inventory", "lib", "t"];
        let Ok(program) = Program::new(&text(&rego, edition), &[], "r", &roots) else {
            continue;
        };
        let answer = program.ask(&input, &data, LIMIT).map(|answer| answer.value);
        let told = tracer(&rego, edition, "r")
            .map_err(|refusal| ProgramError::Failed(refusal.to_string()))
            .and_then(|tracer| {
                let traces = tracer.ask(&input, Some(&data), LIMIT)?;
                for note in &traces.notes {
                    traces.cause(&traces.tracer.bodies[note.body], note);
                }
                Ok(traces.value)
            });
        if answer.is_ok() && told != answer {
            wrong.push(format!("{rego}\n  {told:?}, not {answer:?}"));
        }
        asked += 1;
    }
    assert!(asked > 800, "{asked}");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
