//! What candidates would change, and what cannot be known.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::config::AdmissionConfig;
use crate::pod_security::Level;

/// A recorded decision on a pod.
fn line(uid: &str, verdict: &str, rules: &Value, spec: &Value, more: &Value) -> String {
    let mut line = json!({
        "time": format!("2026-11-22T00:00:0{uid}Z"), "uid": uid, "verdict": verdict, "rules": rules,
        "review": {
            "uid": uid, "operation": "CREATE", "namespace": "shop", "name": "p",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": format!("user-{uid}")},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}, "spec": spec},
        },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    line.to_string()
}

fn replayed(candidate: &Candidate, lines: &[String], workers: usize) -> Report {
    let lines = lines.iter().cloned().map(Ok::<_, ()>);
    candidate.replay_all(lines, workers).unwrap()
}

fn hit(rule: &str, mode: &str) -> Value {
    json!([{"rule": rule, "mode": mode, "message": "m", "paths": ["p"]}])
}

/// A template in a folder of its own, and a constraint of it.
fn written(directory: &Path, rego: &str, more: &str) {
    let text = format!(
        "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {{name: mine}}\n\
         spec:\n  crd: {{spec: {{names: {{kind: Mine}}}}}}\n  targets:\n  - target: admission.k8s.gatekeeper.sh\n    \
         rego: |\n      package mine\n      {rego}\n---\n\
         apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Mine\nmetadata: {{name: m}}\nspec: {{{more}}}\n"
    );
    std::fs::write(directory.join("mine.yaml"), text).unwrap();
}

fn of_template(rego: &str, more: &str) -> Candidate {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), rego, more);
    let files = [directory.path().to_path_buf()];
    Candidate::new(&AdmissionConfig::default(), &files, Scope::Files).unwrap()
}

#[test]
fn a_level_changes_what_its_checks_say_and_nothing_else() {
    let mut config = AdmissionConfig::default();
    config.pod_security.enforce = Level::Restricted;
    config.pod_security.audit = Level::Privileged;
    config.pod_security.warn = Level::Privileged;
    let candidate = Candidate::new(&config, &[], Scope::FilesAndLevel).unwrap();
    let plain = json!({"containers": [{"name": "c"}]});
    let none = json!({});
    let lines = [
        line("1", "allow", &json!([]), &plain, &none),
        line("2", "deny", &hit("privileged", "enforce"), &plain, &none),
        line(
            "3",
            "deny",
            &hit("Other/o", "enforce"),
            &json!({"containers": []}),
            &none,
        ),
        line("4", "allow", &json!([]), &plain, &json!({"review": null})),
        line(
            "5",
            "allow",
            &json!([]),
            &plain,
            &json!({"cut": ["review"], "review": null}),
        ),
        "no JSON".to_string(),
        String::new(),
    ];
    for workers in [1, 3] {
        let report = replayed(&candidate, &lines, workers);
        assert_eq!((report.records, report.replayed), (6, 3));
        assert_eq!(report.changes[&Direction::Denied], 1);
        assert_eq!(report.changes[&Direction::DeniedOtherwise], 1);
        assert_eq!(report.users["user-1"][&Direction::Denied], 1);
        assert_eq!(report.lost["privileged"], 1);
        assert!(!report.lost.contains_key("Other/o"), "{report:?}");
        assert_eq!(report.not_replayed["the record holds no request"], 1);
        assert_eq!(
            report.not_replayed["the request was too large to be recorded"],
            1
        );
        assert_eq!(report.not_replayed.values().sum::<u64>(), 3);
        assert_eq!(report.examples[0].uid, "1");
        assert_eq!(report.first, "2026-11-22T00:00:01Z");
    }
}

#[test]
fn a_constraint_takes_the_place_of_its_own_alone() {
    let rego = "violation[{\"msg\": \"host\"}] { input.review.object.spec.hostNetwork }";
    let candidate = of_template(rego, "");
    let (host, plain) = (json!({"hostNetwork": true}), json!({}));
    let lines = [
        line("1", "allow", &json!([]), &host, &json!({})),
        line("2", "deny", &hit("Mine/old", "enforce"), &plain, &json!({})),
        line(
            "3",
            "deny",
            &hit("hostNamespaces", "enforce"),
            &plain,
            &json!({}),
        ),
        line("4", "deny", &hit("Mine/m", "enforce"), &host, &json!({})),
    ];
    let report = replayed(&candidate, &lines, 2);
    let changes: Vec<_> = report.changes.iter().map(|(c, n)| (*c, *n)).collect();
    assert_eq!(changes, [(Direction::Denied, 1), (Direction::Allowed, 1)]);
    assert_eq!(report.examples[0].message, "[m] host");
    let warned = of_template(rego, "enforcementAction: warn");
    let report = replayed(&warned, &lines[..1], 1);
    assert_eq!(report.changes[&Direction::Warned], 1);
}

#[test]
fn what_cannot_be_known_is_not_guessed() {
    let secret = json!({"containers": [{"env": [{"name": "TOKEN", "value": MARK}]}]});
    let none = json!({});
    let asked = json!({"data": [{"language": "promql", "query": "up", "answer": [{"labels": {}, "value": 1}]}]});
    let label = "match: {namespaceSelector: {matchLabels: {a: b}}}";
    for (rego, more, record, expected) in [
        (
            "violation[{\"msg\": \"m\"}] { input.review.object.spec.containers[_].env[_].value == \"\" }",
            "",
            none.clone(),
            Err("redacted"),
        ),
        (
            "violation[{\"msg\": \"m\"}] { input.review.object.spec.containers[_].env[_].name == \"TOKEN\" }",
            "",
            none.clone(),
            Ok(1),
        ),
        (
            "violation[{\"msg\": \"m\"}] { data.inventory.cluster }",
            "",
            none.clone(),
            Err("asks for other objects"),
        ),
        (
            "violation[{\"msg\": \"m\"}] { taffrail.promql(\"up\", {})[_].value > 0 }",
            "",
            none.clone(),
            Err("not asked then"),
        ),
        (
            "violation[{\"msg\": \"m\"}] { taffrail.promql(\"up\", {})[_].value > 0 }",
            "",
            asked.clone(),
            Ok(1),
        ),
        (
            "violation[{\"msg\": \"m\"}] { true }",
            label,
            none.clone(),
            Err(""),
        ),
        (
            "violation[{\"msg\": \"m\"}] { true }",
            label,
            json!({"namespaceLabels": {"a": "b"}}),
            Ok(1),
        ),
        (
            "violation[{\"msg\": \"m\"}] { true }",
            label,
            json!({"namespaceLabels": {"a": "c"}}),
            Ok(0),
        ),
    ] {
        let candidate = of_template(rego, more);
        let lines = [line("1", "allow", &json!([]), &secret, &record)];
        let report = replayed(&candidate, &lines, 1);
        match expected {
            Ok(changes) => {
                assert_eq!(report.replayed, 1, "{rego} {report:?}");
                assert_eq!(report.changes.values().sum::<u64>(), changes, "{rego}");
            }
            Err(part) => {
                let reasons: Vec<_> = report.not_replayed.keys().collect();
                assert!(
                    matches!(&reasons[..], [reason] if reason.contains(part)),
                    "{rego}: {report:?} lacks {part:?}"
                );
            }
        }
    }
    let nothing = Candidate::new(&AdmissionConfig::default(), &[], Scope::Files);
    assert!(matches!(nothing, Err(CandidateError::Nothing)));
}
