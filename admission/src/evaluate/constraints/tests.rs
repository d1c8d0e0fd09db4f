//! A template and a constraint in a folder, asked by reviews as the API server sends them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::AdmissionConfig;
use crate::evaluate::{DefaultsEverywhere, NamespaceLabels, NamespaceLookupError};
use crate::gatekeeper::{Inventory, InventorySource};
use crate::review::respond;

const TEMPLATE: &str = "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: named, annotations: {taffrail.io/fail-mode: MODE}}
spec:
  crd: {spec: {names: {kind: Named}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package named
        violation[{\"msg\": msg}] {
          word := {\"bad\", \"worse\"}[_]
          contains(input.review.object.metadata.name, word)
          msg := sprintf(\"%v is called %v by %v\", [input.review.kind.kind, word, input.review.userInfo.username])
        }
        violation[{\"msg\": \"a\"}] { input.review.object.metadata.name == \"broken\"; two }
        two = 1 { input.review }
        two = 2 { input.review }
        violation[{\"msg\": \"never\"}] { to_number(input.review.object.metadata.name) > 1 }
";

fn bundle(spec: &str, mode: &str) -> Bundle {
    let folder = tempfile::tempdir().unwrap();
    let constraint = format!(
        "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Named\nmetadata: {{name: names}}\nspec: {spec}\n"
    );
    fs::write(folder.path().join("t.yaml"), TEMPLATE.replace("MODE", mode)).unwrap();
    fs::write(folder.path().join("c.yaml"), constraint).unwrap();
    let mut config = AdmissionConfig::default();
    config.gatekeeper.directory = Some(PathBuf::from(folder.path()));
    Bundle::of(&config.validate().unwrap().sources().unwrap()).unwrap()
}

fn answer(spec: &str, mode: &str, review: &Review, namespaces: Arc<dyn NamespaceLabels>) -> Value {
    let config = AdmissionConfig::default().validate().unwrap();
    let evaluator = Evaluator::new(
        config.defaults,
        config.exemptions,
        config.fail_mode,
        namespaces,
    );
    let deadline = Instant::now() + Duration::from_mins(1);
    let verdict = evaluator
        .evaluate(review, &bundle(spec, mode), deadline)
        .unwrap();
    respond("u", &verdict)["response"].clone()
}

fn review(operation: &str, name: &str) -> Review {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}});
    let (object, old) = match operation {
        "DELETE" => (Value::Null, object),
        _ => (object, Value::Null),
    };
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": name, "namespace": "shop", "operation": operation,
        "userInfo": {"username": "jane"}, "object": object, "oldObject": old,
    }});
    Review::read(body.to_string().as_bytes()).unwrap()
}

fn check(spec: &str, mode: &str, review: &Review, expected: &Value) {
    let got = answer(spec, mode, review, Arc::new(DefaultsEverywhere));
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(
            got.pointer(&format!("/{}", name.replace('.', "/"))),
            Some(value),
            "{spec}: {got}"
        );
    }
}

#[test]
fn any_kind_is_held_against_constraints() {
    check(
        "{}",
        "closed",
        &review("CREATE", "good"),
        &json!({"allowed": true}),
    );
    let bad = "[names] ConfigMap is called bad by jane";
    check(
        "{}",
        "closed",
        &review("CREATE", "bad"),
        &json!({"allowed": false, "status.code": 403, "status.message": bad}),
    );
    let both = format!("{bad}\n[names] ConfigMap is called worse by jane");
    check(
        "{}",
        "closed",
        &review("UPDATE", "bad-worse"),
        &json!({"allowed": false, "status.message": both}),
    );
    // What is deleted is the old object.
    check(
        "{}",
        "closed",
        &review("DELETE", "bad"),
        &json!({"allowed": false, "status.message": bad}),
    );
    check(
        "{enforcementAction: warn}",
        "closed",
        &review("CREATE", "bad"),
        &json!({"allowed": true, "warnings": [bad]}),
    );
    check(
        "{enforcementAction: dryrun}",
        "closed",
        &review("CREATE", "bad"),
        &json!({"allowed": true, "auditAnnotations.dryrun-violations": bad}),
    );
}

#[test]
fn what_cannot_be_evaluated_follows_the_templates_fail_mode_and_says_so() {
    let broken = review("CREATE", "broken");
    let got = answer("{}", "closed", &broken, Arc::new(DefaultsEverywhere));
    assert_eq!(
        (&got["allowed"], &got["status"]["code"]),
        (&json!(false), &json!(500)),
        "{got}"
    );
    let said = got["status"]["message"].as_str().unwrap();
    assert!(
        said.contains("[names] the request could not be judged") && said.contains("closed"),
        "{said}"
    );
    let got = answer("{}", "open", &broken, Arc::new(DefaultsEverywhere));
    assert_eq!(got["allowed"], json!(true), "{got}");
    assert!(
        got["warnings"][0]
            .as_str()
            .unwrap()
            .contains("it passes because the fail mode is open"),
        "{got}"
    );
}

#[test]
fn an_error_that_a_template_passes_over_is_in_the_audit_log() {
    let got = answer(
        "{}",
        "closed",
        &review("CREATE", "good"),
        Arc::new(DefaultsEverywhere),
    );
    let said = got["auditAnnotations"]["swallowed-errors"]
        .as_str()
        .unwrap();
    assert!(
        said.contains("Named names: to_number: \"good\" is no number"),
        "{said}"
    );
}

struct Shop;

impl NamespaceLabels for Shop {
    fn labels(
        &self,
        _: &str,
    ) -> Result<Arc<std::collections::BTreeMap<String, String>>, NamespaceLookupError> {
        Ok(Arc::default())
    }

    fn object(&self, namespace: &str) -> Option<Arc<Value>> {
        (namespace == "shop")
            .then(|| Arc::new(json!({"metadata": {"name": "shop", "labels": {"stage": "test"}}})))
    }
}

#[test]
fn a_selector_of_namespaces_speaks_against_what_it_cannot_decide() {
    for (stage, known, allowed) in [
        ("test", true, false),
        ("live", true, true),
        ("live", false, false),
    ] {
        let spec = format!("{{match: {{namespaceSelector: {{matchLabels: {{stage: {stage}}}}}}}}}");
        let namespaces: Arc<dyn NamespaceLabels> = if known {
            Arc::new(Shop)
        } else {
            Arc::new(DefaultsEverywhere)
        };
        let got = answer(&spec, "open", &review("CREATE", "bad"), namespaces);
        assert_eq!(got["allowed"], json!(allowed), "{stage} {known}: {got}");
    }
}

#[test]
fn a_template_that_asks_for_objects_nobody_knows_speaks_against_the_object() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gatekeeper/unique_hosts");
    let read = |file: &str| {
        crate::gatekeeper::documents::read(std::path::Path::new(&format!("{folder}/{file}")))
            .unwrap()
    };
    let policies = [read("template.yaml"), read("constraint.yaml")].concat();
    let policies = crate::gatekeeper::Policies::read(&policies).unwrap();
    let ingress = read("ingress.yaml").remove(0).object;
    let request = Request::of_object(&ingress, Origin::Original).unwrap();
    for (inventory, judged) in [
        (crate::gatekeeper::Inventory::default(), None),
        (
            crate::gatekeeper::Inventory::unknown(),
            Some(Judged::FailedClosed),
        ),
    ] {
        let deadline = Instant::now() + Duration::from_mins(1);
        let closed = crate::config::FailMode::Closed;
        let found = policies.review(
            &request,
            &inventory,
            EnforcementPoint::Webhook,
            closed,
            deadline,
        );
        assert_eq!(found.findings.first().map(|f| f.judged), judged);
    }
}

/// Says that one process passes over the namespace of all reviews here.
struct Excluding(Process);

impl InventorySource for Excluding {
    fn current(&self) -> Arc<Inventory> {
        Arc::default()
    }

    fn excludes(&self, process: Process, namespace: &str) -> bool {
        process == self.0 && namespace == "shop"
    }
}

#[test]
fn who_passes_over_a_namespace_asks_no_constraint_of_it() {
    for (process, webhook, audit) in [
        (Process::Webhook, false, true),
        (Process::Audit, true, false),
        (Process::Sync, true, true),
    ] {
        let config = AdmissionConfig::default().validate().unwrap();
        let namespaces = Arc::new(DefaultsEverywhere);
        let evaluator = Evaluator::new(
            config.defaults,
            config.exemptions,
            config.fail_mode,
            namespaces,
        )
        .with_inventory(Arc::new(Excluding(process)));
        let (bundle, review) = (bundle("{}", "closed"), review("CREATE", "broken"));
        let deadline = Instant::now() + Duration::from_mins(1);
        let verdict = evaluator.evaluate(&review, &bundle, deadline).unwrap();
        let is_denied = matches!(verdict, Verdict::Denied(_));
        let run = evaluator.begin_audit(Arc::new(bundle));
        let is_found = !evaluator.audit(&review, &run, deadline).is_empty();
        assert_eq!((is_denied, is_found), (webhook, audit), "{process:?}");
    }
}
