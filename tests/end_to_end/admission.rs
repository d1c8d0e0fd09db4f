//! A review through the real webhook, and its trace in both stores.

use serde_json::{Value, json};

use crate::harness::{Taffrail, until};
use crate::start::taffrail;

pub(crate) fn review(uid: &str, privileged: bool) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "probe",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "anna"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "probe", "namespace": "shop"},
                "spec": {"containers": [{
                    "name": "c",
                    "image": "example.com/c",
                    "env": [{"name": "DB_PASSWORD", "value": "hunter2"}],
                    "securityContext": {"privileged": privileged},
                }]},
            },
            "oldObject": null,
            "dryRun": false,
            "options": null,
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privileged_pod_is_refused_logged_and_counted() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let config = dir.path().join("taffrail.yaml");
    std::fs::write(
        &config,
        "agent:\n  scrape:\n    interval: 1s\n    timeout: 1s\n",
    )
    .expect("writes");
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    let data = dir.path().join("data");
    let server = Taffrail::start(&data, &arguments);
    let allowed = server.review(&review("uid-allowed", false)).await;
    assert_eq!(allowed["allowed"], true);
    let response = server.review(&review("uid-denied", true)).await;
    assert_eq!(response["uid"], "uid-denied");
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    let message = "violates PodSecurity \"baseline:latest\": privileged \
                   (container \"c\" must not set securityContext.privileged=true)";
    let said = response["status"]["message"].as_str().expect("a message");
    assert!(said.contains(message), "{said}");

    let decisions = r#"{job="taffrail/admission"} | json | verdict="deny""#;
    let lines = until("the decision is logged", async || {
        let lines = server.lines(decisions).await;
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), 1);
    let decision: Value = serde_json::from_str(&lines[0]).expect("a JSON line");
    assert_eq!(decision["uid"], "uid-denied");
    assert_eq!(decision["user"], "anna");
    // With the request, redacted, for a later replay.
    let container = &decision["review"]["object"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["privileged"], true);
    assert_eq!(container["env"][0]["value"], "<redacted>");
    let path = "object.spec.containers[0].env[0].value";
    assert_eq!(decision["redacted"], json!([path]));
    assert!(!lines[0].contains("hunter2"));
    until("the decision is counted", async || {
        let denied = r#"sum(taffrail_admission_reviews_total{verdict="deny"})"#;
        server.value(denied).await.filter(|denied| *denied == 1.0)
    })
    .await;

    let url = server.http.clone();
    let by_url = [
        "policy",
        "replay",
        "--level",
        "restricted",
        "--server",
        &url,
    ];
    replays(&by_url);
    // The decision was durable before it was answered.
    server.kill();
    let folder = data.to_str().expect("UTF-8");
    replays(&[
        "policy",
        "replay",
        "--level",
        "restricted",
        "--data",
        folder,
    ]);
    let server = Taffrail::start(&data, &arguments);
    assert_eq!(server.lines(decisions).await, lines);
}

/// Under the restricted level the one that passed would be refused, and the other by more checks.
fn replays(arguments: &[&str]) {
    let output = taffrail(&[arguments, &["-o", "json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["replayed"], 2, "{report}");
    assert_eq!(
        report["changes"],
        json!({"denied": 1, "denied_otherwise": 1})
    );
    assert_eq!(report["namespaces"]["shop"]["denied"], 1);
    assert_eq!(report["examples"][0]["uid"], "uid-allowed");
    let table = taffrail(arguments);
    let table = String::from_utf8_lossy(&table.stdout);
    assert!(
        table.contains("1 that were let through would be refused"),
        "{table}"
    );
}

/// A rule that asks both stores, and a replay of its decision that asks the record.
#[tokio::test(flavor = "multi_thread")]
async fn rules_ask_the_data_and_their_answers_are_recorded() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).expect("writes");
    let rego = "\n      package asks\n      violation[{\"msg\": msg}] {\n        \
                sample := taffrail.promql(\"vector(41) + 1\", {})[_]\n        \
                lines := taffrail.logql(\"{job=\\\"none\\\"}\", {\"since\": \"1h\"})\n        \
                msg := sprintf(\"%v of %v\", [sample.value, count(lines)])\n      }\n";
    let template = format!(
        "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\nmetadata: {{name: asks}}\nspec:\n  \
         crd: {{spec: {{names: {{kind: Asks}}}}}}\n  targets:\n  - target: admission.k8s.gatekeeper.sh\n    \
         rego: |{rego}---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Asks\nmetadata: {{name: a}}\n"
    );
    std::fs::write(policies.join("asks.yaml"), template).expect("writes");
    let config = dir.path().join("taffrail.yaml");
    let text = format!(
        "admission:\n  data: {{promql: allow, logql: allow}}\n  gatekeeper: {{directory: {}}}\n",
        policies.display()
    );
    std::fs::write(&config, text).expect("writes");
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    let server = Taffrail::start(&dir.path().join("data"), &arguments);
    let response = server.review(&review("uid-here", false)).await;
    assert_eq!(response["status"]["message"], "[a] 42 of 0");
    assert_eq!(response["status"]["code"], 403);
    let decisions = r#"{job="taffrail/admission"} | json uid | uid="uid-here""#;
    let lines = server.lines(decisions).await;
    let decision: Value = serde_json::from_str(&lines[0]).expect("a JSON line");
    assert_eq!(decision["data"][0]["query"], "vector(41) + 1");
    assert_eq!(decision["data"][0]["answer"][0]["value"], 42.0);
    assert_eq!(decision["data"][1]["language"], "logql");
    // The record answers the same rule, with nobody there to ask.
    let records = dir.path().join("records");
    std::fs::write(&records, &lines[0]).expect("writes");
    let (policies, records) = (policies.to_str(), records.to_str());
    let paths = [
        policies.expect("UTF-8"),
        "--records",
        records.expect("UTF-8"),
    ];
    let output = taffrail(&[&["policy", "replay"], &paths[..]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("1 of 1 decisions replayed"), "{said}");
}
