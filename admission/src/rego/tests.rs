//! What is refused, and what an answer says beside its value. What modules answer is compared with OPA in
//! `admission/tests/rego`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use regorus::Value;

use super::*;

pub(super) fn text(rego: &str, edition: Edition) -> Text {
    Text {
        name: "t".to_string(),
        rego: rego.to_string(),
        edition,
    }
}

fn program(rego: &str) -> Result<Program, Refusal> {
    Program::new(&text(rego, Edition::V0), &[], "r", &["inventory", "lib"])
}

fn check_refused(rules: &str, line: u32, expected: &str) {
    let refusal = program(&format!("package t\n{rules}")).unwrap_err();
    assert!(
        refusal.problem.contains(expected) && refusal.line == line,
        "{rules}: {refusal}, not line {line}: {expected}"
    );
}

/// The interpreter fails where what it goes through is no collection; a plan finds nothing there.
#[test]
fn a_comprehension_goes_through_what_it_gives() {
    let program = program("package t\nr := [xs[i] | xs := input.xs[_]]").unwrap();
    let input = Value::from_json_str("{\"xs\": [[1, 2], \"no\", {\"a\": 3}]}").unwrap();
    let data = Arc::new(Value::new_object());
    let answer = program.ask(&input, &data, Duration::from_mins(1)).unwrap();
    assert_eq!(answer.value, Value::from_json_str("[1, 2, 3]").unwrap());
}

#[test]
fn what_would_decide_wrongly_is_refused_with_its_line() {
    check_refused("\nr { http.send({}).x }", 3, "http.send asks the network");
    check_refused("r { external_data({}) }", 2, "external data");
    check_refused("r { crypto.md5(\"a\") }", 2, "not supported here");
    check_refused("r { true }\ninput.x { true }", 3, "hide the document");
    check_refused(
        "r { count(walk(input)) > 1 }",
        2,
        "[path, value] := walk(x)",
    );
    check_refused("r { nothing(1) }", 2, "there is no function nothing");
    check_refused(
        "r { count(1, 2, 3) }",
        2,
        "count takes 1 arguments, and 3 are given",
    );
    check_refused("f(x) { x }\nr { f(1, 2, 3) }", 3, "takes 1 arguments");
    check_refused(
        "r { data.secrets.x }",
        2,
        "only data.inventory and data.lib",
    );
    check_refused("r { data[x].y }", 2, "only data.inventory");
    check_refused("import data.other\nr { true }", 2, "only data.inventory");
    check_refused(
        "r { not input.a[x] }",
        2,
        "x is only known inside a negation",
    );
    check_refused(
        "r { not input.a[_] == 1 }",
        2,
        "_ is only known inside a negation",
    );
    check_refused("r { f(1) }\nf(x) { r; x }", 0, "must not be recursive");
    check_refused("f(x) { f(x) }\nr { f(1) }", 0, "must not be recursive");
    check_refused("a { true }", 0, "no rule r");
    check_refused("r { := }", 2, "");
    check_refused("r { \"", 2, "");
}

#[test]
fn a_local_variable_may_be_called_as_its_rule() {
    for rules in [
        "f(x) = f { f := x }\nr = y { y := f(1) }",
        "xs[x] { x := 1 }\nr = n { xs := [1, 2]; n := count(xs) }",
    ] {
        assert!(program(&format!("package t\n{rules}")).is_ok(), "{rules}");
    }
}

fn ask(rules: &str, limit: Duration) -> Result<Answer, ProgramError> {
    let program = program(&format!("package t\n{rules}")).unwrap();
    program.ask(&Value::new_object(), &Arc::new(Value::new_object()), limit)
}

#[test]
fn what_a_builtin_could_not_do_is_told_beside_the_answer() {
    for (rules, value, swallowed) in [
        (
            "r = x { x := [y | y := to_number(\"a\")] }",
            Value::new_array(),
            true,
        ),
        (
            "r = x { x := [y | y := json.unmarshal(\"{\")] }",
            Value::new_array(),
            true,
        ),
        (
            "r = x { x := [y | y := to_number(\"1\")] }",
            Value::from(vec![Value::from(1)]),
            false,
        ),
    ] {
        let answer = ask(rules, Duration::from_mins(1)).unwrap();
        assert_eq!(
            (answer.value, answer.swallowed.is_some()),
            (value, swallowed),
            "{rules}"
        );
    }
}

#[test]
fn what_is_no_number_and_no_collection_is_undefined_and_not_an_error() {
    for rules in [
        "import future.keywords\nr { some x in input.a } r { false }",
        "import future.keywords\nr { x := null; some y in x }",
        "import future.keywords\nr { x := \"a\"; every y in x { y } }",
        "r { x := {\"a\"}; x + 1 }",
        "r { x := null; (1 + x) * 2 }",
        "r { x := 1; x / 0 }",
        "r { x := 1.5; x % 2 }",
    ] {
        assert_eq!(
            ask(rules, Duration::from_mins(1)).unwrap().value,
            Value::Undefined,
            "{rules}"
        );
    }
}

#[test]
fn what_opa_does_not_swallow_is_an_error() {
    let error = ask("r = 1 { true }\nr = 2 { true }", Duration::from_mins(1)).unwrap_err();
    assert!(matches!(error, ProgramError::Failed(_)), "{error}");
}

#[test]
fn a_panic_is_an_error() {
    assert_eq!(or_panicked(|| 1), Ok(1));
    let problem = or_panicked(|| -> usize { panic!("on purpose") }).unwrap_err();
    assert!(problem.contains("panicked"), "{problem}");
}

#[test]
fn an_evaluation_ends() {
    let rules =
        "r { x := numbers.range(1, 100000); y := x[_]; z := x[_]; w := x[_]; y + z + w < 0 }";
    let error = ask(rules, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, ProgramError::Time(_)), "{error}");
    // And what it would build is bounded.
    for rules in [
        "r { sprintf(\"%999999999d\", [1]); sprintf(\"%900000d%900000d%900000d%900000d%900000d\", [1, 2, 3, 4, 5]) }",
        "r { net.cidr_expand(\"::/0\") }",
    ] {
        let answer = ask(rules, Duration::from_mins(1)).unwrap();
        assert_eq!(answer.value, Value::Undefined, "{rules}");
        assert!(answer.swallowed.is_some(), "{rules}");
    }
    let error = ask(
        "r { not numbers.range(1, 1000000000000) }",
        Duration::from_mins(1),
    )
    .unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[test]
fn a_chain_of_rules_that_is_allowed_fits_on_a_small_stack() {
    let mut rules = String::from("package t\nr { f0(1) }\nf60(x) { x }\n");
    for i in 0..60 {
        let next = i + 1;
        let _ = writeln!(
            rules,
            "f{i}(x) {{ y := [z | z := {{w | w := f{next}(x)}}[_]]; y[0] }}"
        );
    }
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let program = program(&rules).unwrap();
            let nothing = Arc::new(Value::new_object());
            program.ask(&Value::new_object(), &nothing, Duration::from_mins(1))
        });
    assert_eq!(
        thread.unwrap().join().unwrap().unwrap().value,
        Value::from(true)
    );
}
