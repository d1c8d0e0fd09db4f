//! Rego that builds more and more, and Rego that builds what people build.

use std::sync::Arc;
use std::time::Duration;

use regorus::Value;

use super::super::{Edition, Program, ProgramError, Text};
use super::*;

fn ask(rego: &str) -> Result<Value, ProgramError> {
    let text = Text {
        name: "t".to_string(),
        rego: format!("package t\nimport rego.v1\n{rego}"),
        edition: Edition::V1,
    };
    let program = Program::new(&text, &[], "r", &[]).unwrap();
    let nothing = Arc::new(Value::new_object());
    let answer = program.ask(&Value::new_object(), &nothing, Duration::from_mins(5))?;
    Ok(answer.value)
}

/// A rule that does something to its own result thirty-two times.
fn again(first: &str, step: &str) -> String {
    let steps =
        (1..=32).map(|i| format!("x{i} := {}\n", step.replace('@', &format!("x{}", i - 1))));
    format!(
        "long := \"{}\"\nx0 := {first}\n{}r := count([x32])",
        "a".repeat(64),
        steps.collect::<String>()
    )
}

fn check_refused(rego: &str) {
    let error = ask(rego).expect_err(rego);
    assert!(error.to_string().contains("more than"), "{rego}: {error}");
}

#[test]
fn what_doubles_is_refused_before_it_is_there() {
    for (first, step) in [
        ("\"ab\"", "concat(\"\", [@, @])"),
        ("[1, 2]", "array.concat(@, @)"),
        ("\"aa\"", "replace(@, \"a\", long)"),
        ("\"aa\"", "strings.replace_n({\"a\": long}, @)"),
        ("\"a\\\"\"", "json.marshal([@, @])"),
    ] {
        check_refused(&again(first, step));
    }
    // Small in memory, and long when it is written out.
    for write in ["json.marshal(x32)", "sprintf(\"%v\", [x32])"] {
        check_refused(&again("[1]", "[@, @]").replace("count([x32])", write));
    }
    // Each within the bound, and all of them kept.
    check_refused(
        "text := concat(\"\", [sprintf(\"%d\", [i]) | some i in numbers.range(1, 20000)])\n\
         r := [upper(concat(\"\", [text, sprintf(\"%d\", [i])])) | some i in numbers.range(1, 100000)]",
    );
}

#[test]
fn what_people_build_is_built() {
    for (rego, expected) in [
        ("r := concat(\", \", [\"a\", \"b\"])", "\"a, b\""),
        (
            "r := json.marshal({\"a\": [1, \"\\n\"]})",
            r#""{\"a\":[1,\"\\n\"]}""#,
        ),
        ("r := array.concat([1], [2])", "[1,2]"),
        ("r := replace(\"a.b\", \".\", \"-\")", "\"a-b\""),
        ("r := count(numbers.range(1, 1000))", "1000"),
        ("r := sort({3, 1})", "[1,3]"),
    ] {
        let found = serde_json::to_string(&ask(rego).unwrap()).unwrap();
        assert_eq!(found, expected, "{rego}");
    }
}

/// As without the guard: the call is undefined, and so is what needs it.
#[test]
fn an_error_of_the_builtin_itself_is_swallowed() {
    assert_eq!(ask("r := concat(\"\", [1])"), Ok(Value::Undefined));
    assert_eq!(ask("r if not json.unmarshal(\"{\")"), Ok(Value::from(true)));
}

#[test]
fn a_loop_ends_by_the_clock() {
    let rego = "n := numbers.range(1, 1000)\nr := count([1 | some a in n; some b in n; some c in n; a + b == c])";
    let text = Text {
        name: "t".to_string(),
        rego: format!("package t\nimport rego.v1\n{rego}"),
        edition: Edition::V1,
    };
    let program = Program::new(&text, &[], "r", &[]).unwrap();
    let limit = Duration::from_millis(50);
    let answer = program.ask(&Value::new_object(), &Arc::new(Value::new_object()), limit);
    assert!(matches!(answer, Err(ProgramError::Time(_))), "{answer:?}");
}

/// Found by the fuzz target `template`: the parser takes twice as long for each level.
#[test]
fn what_is_nested_deeply_is_refused_before_it_is_parsed() {
    let nested = |depth: usize| Text {
        name: "t".to_string(),
        rego: format!(
            "package t\nr := {}1{}",
            "[".repeat(depth),
            "]".repeat(depth)
        ),
        edition: Edition::V1,
    };
    let refusal = Program::new(&nested(100), &[], "r", &[]).unwrap_err();
    assert_eq!(refusal.line, 2);
    assert!(refusal.problem.contains("nested more than"), "{refusal}");
    Program::new(&nested(8), &[], "r", &[]).unwrap();
    // Where a token behind them is none, that is found first.
    for (end, problem) in [
        ("", "own.rego:2: brackets"),
        ("\n\"", "own.rego:3: unmatched"),
    ] {
        let module = crate::bundle::Module {
            path: "own.rego".to_string(),
            text: nested(100).rego + end,
        };
        let error = crate::bundle::Bundle::compile(&[module]).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}");
    }
}

#[test]
fn every_guard_is_of_a_builtin() {
    for guard in GUARDS {
        assert!(BUILTINS.contains_key(guard.name), "{}", guard.name);
    }
}
