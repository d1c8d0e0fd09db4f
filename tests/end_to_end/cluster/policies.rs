//! Gatekeeper's policies and rules about network policies, asked by a real API server; and what happens when a
//! policy fails.

use std::path::Path;

use serde_json::{Value, json};

use super::api_server::Said;
use super::install::{Installed, pod};

/// Refuses a name it dislikes, and fails where one rule has two values.
const TEMPLATE: &str = "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: KIND, annotations: {taffrail.io/fail-mode: MODE}}
spec:
  crd: {spec: {names: {kind: KIND}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package names
        violation[{\"msg\": msg}] {
          contains(input.review.object.metadata.name, \"bad\")
          msg := sprintf(\"%v must not be called %v\", [input.review.kind.kind, input.review.object.metadata.name])
        }
        violation[{\"msg\": \"two\"}] { input.review.object.metadata.labels.breaks == \"MODE\"; two }
        two = 1 { input.review }
        two = 2 { input.review }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: KIND
metadata: {name: MODE-names}
";

/// What the manifest does not ask us about, and some policies want to be asked.
const RULES: &str = r#"[{"op": "add", "path": "/webhooks/0/rules/-", "value": {
    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods", "pods/exec"],
    "operations": ["DELETE", "CONNECT"], "scope": "Namespaced"}}]"#;

fn write_templates(folder: &Path) {
    std::fs::create_dir(folder).expect("writes");
    for (kind, mode) in [("closednames", "closed"), ("opennames", "open")] {
        let text = TEMPLATE.replace("KIND", kind).replace("MODE", mode);
        std::fs::write(folder.join(format!("{kind}.yaml")), text).expect("writes");
    }
}

fn check(said: &Said, success: bool, expected: &str) {
    assert_eq!(said.success, success, "{said:?}");
    assert!(said.err.contains(expected), "expected {expected}: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn policies_refuse_and_say_when_they_fail() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let templates = folder.path().join("gatekeeper");
    write_templates(&templates);
    let settings = json!({"admission": {
        "gatekeeper": {"directory": templates},
        "network_policy": {"refuse": ["empty_selectors", "world_open_ingress"]},
    }});
    let (installed, _replica) = Installed::with_replica(&[], &settings).await;
    let configuration = "validatingwebhookconfiguration/taffrail";
    installed
        .cluster
        .done(&["patch", configuration, "--type=json", "-p", RULES], "");
    let create = |object: &Value| {
        installed
            .cluster
            .kubectl(&["create", "-f", "-"], &object.to_string())
    };
    let named = |name: &str, labels: Value| {
        let mut pod = pod(name, &json!({}));
        pod["metadata"]["labels"] = labels;
        pod
    };

    check(&create(&named("good", json!({}))), true, "");
    let both = "[closed-names] Pod must not be called bad\n[open-names] Pod must not be called bad";
    check(&create(&named("bad", json!({}))), false, both);

    // A policy that fails is not passed over in silence, whichever way it fails.
    check(
        &create(&named("one", json!({"breaks": "closed"}))),
        false,
        "[closed-names] the request could not be judged: ",
    );
    check(
        &create(&named("two", json!({"breaks": "open"}))),
        true,
        "Warning: [open-names] the request could not be judged: ",
    );

    // What the webhook is asked about beside its manifest is answered, whatever the object is.
    check(
        &installed.cluster.kubectl(&["exec", "good", "--", "ls"], ""),
        false,
        "pod good does not have a host assigned",
    );
    check(
        &installed.cluster.kubectl(&["delete", "pod", "two"], ""),
        true,
        "",
    );

    let policy = |ingress: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "web"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": ingress},
        })
    };
    let anywhere = json!([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]);
    check(
        &create(&policy(anywhere)),
        false,
        "violates network policy rules: ",
    );
    let anybody = json!([{"from": [{"podSelector": {}}]}]);
    check(
        &create(&policy(anybody)),
        false,
        "violates network policy rules: ",
    );
    let friends = json!([{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}]);
    check(&create(&policy(friends)), true, "");
}
