//! Suites that must not pass, and folders with allow/ and deny/.

use std::fs;

use super::*;

const TEMPLATE: &str = "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: named}
spec:
  crd: {spec: {names: {kind: Named}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package named
        violation[{\"msg\": \"it is bad\"}] { startswith(input.review.object.metadata.name, \"bad\") }
";
const CONSTRAINT: &str =
    "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Named\nmetadata: {name: named}\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn check(files: &[(&str, &str)], run: &str, expected: &[&str]) {
    let folder = folder(files);
    let results = run_path(&folder.path().join("..."), &Filter::new(run).unwrap()).unwrap();
    let text = report::render(&results);
    for part in expected {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

fn suite_of(cases: &str) -> String {
    format!(
        "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\ntests:\n- {{name: t, template: t.yaml, constraint: c.yaml, cases: [{cases}]}}\n"
    )
}

#[test]
fn what_is_not_as_asserted_fails() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\n";
    for (cases, expected) in [
        (
            "{name: a, object: p.yaml, assertions: [{violations: yes}]}",
            "1 passed, 0 failed",
        ),
        (
            "{name: a, object: p.yaml, assertions: [{violations: no}]}",
            "1 violations, not none",
        ),
        (
            "{name: a, object: p.yaml, assertions: [{violations: 2}]}",
            "not exactly 2",
        ),
        (
            "{name: a, object: p.yaml, assertions: [{message: good}]}",
            "matching \"good\", not at least 1",
        ),
        (
            "{name: a, object: p.yaml, assertions: [{violations: -1}]}",
            "must be a number",
        ),
        ("{name: a, object: p.yaml}", "asserts nothing"),
        ("{name: a, assertions: [{}]}", "names no object"),
        ("{name: a, object: q.yaml, assertions: [{}]}", "cannot read"),
        (
            "{name: a, object: two.yaml, assertions: [{}]}",
            "holds 2 objects",
        ),
        ("{name: a, wrong: 1}", "unknown field"),
    ] {
        let suite = suite_of(cases);
        let two = format!("{pod}---\n{pod}");
        let files = [
            ("t.yaml", TEMPLATE),
            ("c.yaml", CONSTRAINT),
            ("p.yaml", pod),
            ("two.yaml", &two),
            ("suite.yaml", &suite),
        ];
        check(&files, "", &[expected]);
    }
}

#[test]
fn a_filter_chooses_tests_and_cases() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\n";
    let suite = suite_of(
        "{name: one, object: p.yaml, assertions: [{}]}, {name: two, object: p.yaml, assertions: [{}]}",
    );
    let files = [
        ("t.yaml", TEMPLATE),
        ("c.yaml", CONSTRAINT),
        ("p.yaml", pod),
        ("suite.yaml", &suite),
    ];
    check(&files, "one", &["PASS: one", "SKIP: two"]);
    check(&files, "t//two", &["SKIP: one", "PASS: two"]);
    check(&files, "x//two", &["--- SKIP: t"]);
    assert!(Filter::new("a//b//c").is_err() && Filter::new("[").is_err());
}

#[test]
fn objects_beside_policies_are_tests() {
    let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
    let files = [
        ("p/policy.yaml", format!("{TEMPLATE}---\n{CONSTRAINT}")),
        ("p/allow/good.yaml", pod("good")),
        ("p/allow/not.yaml", pod("bad")),
        ("p/deny/bad.yaml", pod("bad")),
        ("p/deny/not.yaml", pod("good")),
    ];
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    check(
        &files,
        "",
        &[
            "PASS: good.yaml",
            "FAIL: not.yaml",
            "it is denied: [named] it is bad",
            "PASS: bad.yaml",
            "nothing denies it",
            "2 passed, 2 failed",
        ],
    );
}
