//! What is read, what matches, and what follows.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::documents::Document;
use super::matching::{Match, Origin, Surroundings};
use super::schema::Schema;
use super::*;
use crate::config::FailMode;

fn check_match(matching: Value, object: &Value, namespace: Option<&Value>, expected: Option<bool>) {
    let said = matching.to_string();
    let read: Match = serde_json::from_value(matching).unwrap();
    let around = Surroundings {
        namespace,
        origin: Origin::Original,
    };
    assert_eq!(
        read.matches(object, around).ok(),
        expected,
        "{said} of {object}"
    );
}

#[test]
fn constraints_choose_their_objects() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}});
    let shop = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"stage": "test"}}});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"generateName": "web-", "namespace": "shop"}});
    let yes = Some(true);
    let no = Some(false);
    for (matching, object, namespace, expected) in [
        (json!({}), &pod, None, yes),
        (
            json!({"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}),
            &pod,
            None,
            yes,
        ),
        (
            json!({"kinds": [{"apiGroups": ["apps"], "kinds": ["Pod"]}]}),
            &pod,
            None,
            no,
        ),
        (
            json!({"kinds": [{"apiGroups": ["*"], "kinds": ["Po*"]}]}),
            &pod,
            None,
            no,
        ),
        (
            json!({"kinds": [{"kinds": ["Job"]}, {"apiGroups": ["*"], "kinds": ["*"]}]}),
            &pod,
            None,
            yes,
        ),
        (
            json!({"kinds": [{"apiGroups": ["batch"]}]}),
            &job,
            None,
            yes,
        ),
        (json!({"scope": "Cluster"}), &pod, None, no),
        (json!({"scope": "Cluster"}), &shop, None, yes),
        (json!({"scope": "Namespaced"}), &node, None, no),
        (json!({"scope": "*"}), &node, None, yes),
        (json!({"namespaces": ["shop"]}), &pod, None, yes),
        (json!({"namespaces": ["sh*"]}), &shop, None, yes),
        (json!({"namespaces": ["*op"]}), &pod, Some(&shop), yes),
        (json!({"namespaces": ["*ho*"]}), &pod, None, yes),
        (json!({"namespaces": ["ho"]}), &pod, None, no),
        (json!({"namespaces": ["blog"]}), &node, None, yes),
        (json!({"excludedNamespaces": ["sh*"]}), &pod, None, no),
        (json!({"excludedNamespaces": ["*"]}), &node, None, yes),
        (
            json!({"labelSelector": {"matchLabels": {"app": "web"}}}),
            &pod,
            None,
            yes,
        ),
        (
            json!({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}),
            &pod,
            None,
            no,
        ),
        (
            json!({"labelSelector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["web"]}]}}),
            &pod,
            None,
            yes,
        ),
        (
            json!({"labelSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}),
            &pod,
            None,
            yes,
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"stage": "test"}}}),
            &pod,
            Some(&shop),
            yes,
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"stage": "test"}}}),
            &pod,
            None,
            None,
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"stage": "test"}}}),
            &shop,
            None,
            yes,
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"stage": "test"}}}),
            &node,
            None,
            yes,
        ),
        (json!({"name": "web-*"}), &pod, None, yes),
        (json!({"name": "*-1"}), &pod, None, yes),
        (json!({"name": "web-*"}), &job, None, yes),
        (json!({"name": "web-1"}), &job, None, no),
        (json!({"source": "Original"}), &pod, None, yes),
        (json!({"source": "Generated"}), &pod, None, no),
    ] {
        check_match(matching, object, namespace, expected);
    }
}

fn check_schema(schema: &Value, parameters: Value, expected: Result<Value, &str>) {
    let validation = json!({"openAPIV3Schema": schema});
    let schema = Schema::read(Some(&validation), false).unwrap();
    let said = parameters.to_string();
    let mut given = parameters;
    schema.default(&mut given);
    let result = schema.check(&given, "p").and_then(|()| {
        schema
            .unknown(&given, "p")
            .map_or(Ok(()), |path| Err(format!("{path} is unknown")))
    });
    match (result, expected) {
        (Ok(()), Ok(expected)) => assert_eq!(given, expected),
        (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}, not {part}"),
        (result, expected) => panic!("{said}: {result:?}, not {expected:?}"),
    }
}

#[test]
fn parameters_fit_their_schema() {
    let list = json!({"type": "object", "properties": {
        "names": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "count": {"type": "integer", "minimum": 1, "default": 3},
        "mode": {"type": "string", "enum": ["a", "b"], "nullable": true},
        "size": {"x-kubernetes-int-or-string": true},
        "extra": {"type": "object", "additionalProperties": {"type": "string"}},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
        "inner": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}, "y": {"default": 1}}},
    }});
    let check = |given: Value, expected: Result<Value, &str>| check_schema(&list, given, expected);
    check(json!({}), Ok(json!({"count": 3})));
    check(
        json!({"names": ["a"], "count": 5}),
        Ok(json!({"names": ["a"], "count": 5})),
    );
    check(
        json!({"names": "a"}),
        Err("p.names is \"a\": expected type array"),
    );
    check(
        json!({"names": ["A"]}),
        Err("p.names[0] is \"A\": expected to match"),
    );
    check(json!({"count": 0}), Err("no less than 1"));
    check(json!({"count": 1.5}), Err("expected type integer"));
    check(json!({"mode": "c"}), Err("expected one of \"a\", \"b\""));
    check(json!({"mode": null}), Ok(json!({"mode": null, "count": 3})));
    check(json!({"size": "1"}), Ok(json!({"size": "1", "count": 3})));
    check(json!({"size": true}), Err("an integer or a string"));
    check(json!({"extra": {"a": 1}}), Err("p.extra.a is 1"));
    check(
        json!({"any": {"x": [1]}}),
        Ok(json!({"any": {"x": [1]}, "count": 3})),
    );
    check(json!({"inner": {}}), Err("p.inner.x is required"));
    check(
        json!({"inner": {"x": 1}}),
        Ok(json!({"inner": {"x": 1, "y": 1}, "count": 3})),
    );
    check(json!({"other": 1}), Err("p.other is unknown"));
}

const TEMPLATE: &str = "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: odd, annotations: {}}
spec:
  crd: {spec: {names: {kind: Odd}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package odd
        violation[{\"msg\": msg, \"details\": {\"a\": 1}}] { msg := input.review.object.say[_] }
        violation[{\"msg\": msg}] { input.review.object.conflict; msg := twice }
        twice = \"a\" { input.review.object.conflict }
        twice = \"b\" { input.review.object.conflict }
        violation[{\"text\": \"no message\"}] { true }
";

fn policies(template: &str, spec: &str) -> Result<Policies, PoliciesError> {
    let constraint = format!(
        "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Odd\nmetadata: {{name: odd}}\nspec: {spec}\n"
    );
    let documents = documents::parse("test", &format!("{template}---\n{constraint}")).unwrap();
    Policies::read(&documents)
}

fn review(policies: &Policies, object: &Value) -> policies::Findings {
    let request = Request::of_object(object, Origin::Original).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let point = EnforcementPoint::Webhook;
    policies.review(
        &request,
        &Inventory::default(),
        point,
        FailMode::Closed,
        deadline,
    )
}

#[test]
fn what_is_said_has_the_constraints_actions() {
    let said = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "say": ["b", "a", "b"]});
    for (spec, expected) in [
        ("{}", vec![Action::Deny]),
        ("{enforcementAction: warn}", vec![Action::Warn]),
        ("{enforcementAction: dryrun}", vec![Action::Dryrun]),
        (
            "{enforcementAction: scoped, scopedEnforcementActions: [{action: warn, enforcementPoints: [{name: '*'}]}, {action: deny, enforcementPoints: [{name: validation.gatekeeper.sh}]}]}",
            vec![Action::Deny, Action::Warn],
        ),
    ] {
        let findings = review(&policies(TEMPLATE, spec).unwrap(), &said).findings;
        let messages: Vec<_> = findings
            .iter()
            .map(|f| (f.message.as_str(), f.details.clone()))
            .collect();
        assert_eq!(messages, [("a", json!({"a": 1})), ("b", json!({"a": 1}))]);
        for finding in &findings {
            assert!(
                finding.actions.iter().eq(expected.iter()),
                "{spec}: {finding:?}"
            );
        }
    }
    let nowhere = "{enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: audit.gatekeeper.sh}]}]}";
    assert_eq!(
        review(&policies(TEMPLATE, nowhere).unwrap(), &said),
        policies::Findings::default()
    );
}

#[test]
fn what_cannot_be_evaluated_speaks_against_the_object_unless_its_template_is_open() {
    let object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "conflict": true});
    for (annotation, expected) in [
        ("{}", policies::Judged::FailedClosed),
        (
            "{taffrail.io/fail-mode: open}",
            policies::Judged::FailedOpen,
        ),
        (
            "{taffrail.io/fail-mode: closed}",
            policies::Judged::FailedClosed,
        ),
    ] {
        let template = TEMPLATE.replace("annotations: {}", &format!("annotations: {annotation}"));
        let findings = review(&policies(&template, "{}").unwrap(), &object).findings;
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].judged, expected, "{findings:?}");
    }
}

fn check_refused(template: &str, spec: &str, expected: &str) {
    let problem = policies(template, spec).unwrap_err().to_string();
    assert!(problem.contains(expected), "{problem}, not {expected}");
}

#[test]
fn what_cannot_be_read_is_refused_and_named() {
    check_refused(
        TEMPLATE,
        "{enforcementAction: refuse}",
        "unknown spec.enforcementAction \"refuse\"",
    );
    check_refused(
        TEMPLATE,
        "{enforcementAction: scoped}",
        "scopedEnforcementActions is missing",
    );
    check_refused(TEMPLATE, "{mach: {}}", "unknown field `mach`");
    check_refused(TEMPLATE, "{match: {kind: [Pod]}}", "unknown field `kind`");
    check_refused(
        TEMPLATE,
        "{match: {source: Both}}",
        "unknown variant `Both`",
    );
    check_refused(
        TEMPLATE,
        "{match: {labelSelector: {matchExpressions: [{key: a, operator: In}]}}}",
        "spec.match.labelSelector: the requirement on \"a\" needs values",
    );
    check_refused(
        TEMPLATE,
        "{parameters: {a: 1}}",
        "spec.parameters is not in the template's schema",
    );
    check_refused(
        &TEMPLATE.replace("name: odd", "name: even"),
        "{}",
        "its name must be \"odd\"",
    );
    check_refused(
        &TEMPLATE
            .replace("kind: Odd", "kind: Even")
            .replace("name: odd", "name: even"),
        "{}",
        "no template for constraints of kind \"Odd\"",
    );
    check_refused(
        &TEMPLATE.replace("violation", "deny"),
        "{}",
        "holds no rule violation",
    );
    check_refused(
        &TEMPLATE.replace("sh/v1", "sh/v2"),
        "{}",
        "unknown apiVersion",
    );
    check_refused(
        &TEMPLATE.replace("msg := twice", "http.send({})"),
        "{}",
        "test#1: the template \"odd\" is refused: odd:3: http.send",
    );
    let twice = Document {
        place: "a".into(),
        object: documents::parse("a", TEMPLATE).unwrap()[0].object.clone(),
    };
    let error = Policies::read(&[twice.clone(), twice]).unwrap_err();
    assert!(
        error.to_string().contains("there are two templates"),
        "{error}"
    );
}

/// Plans are what makes many templates bearable: what people write must not fall out of them unseen.
#[test]
fn templates_as_people_write_them_are_planned() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gatekeeper");
    let mut planned = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join("template.yaml")) else {
            continue;
        };
        let object: Value = serde_yaml_ng::from_str(&text).unwrap();
        let template = super::template::Template::read(&object).unwrap();
        assert!(template.program.is_planned(), "{}", template.kind);
        planned += 1;
    }
    assert!(planned >= 6, "{planned}");
}
