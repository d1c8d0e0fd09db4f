//! A review through the real webhook, and its trace in both stores.

use serde_json::{Value, json};

use crate::harness::{Taffrail, until};

fn review(uid: &str, privileged: bool) -> Value {
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
    until("the decision is counted", async || {
        let denied = r#"sum(taffrail_admission_reviews_total{verdict="deny"})"#;
        server.value(denied).await.filter(|denied| *denied == 1.0)
    })
    .await;

    // The decision was durable before it was answered.
    server.kill();
    let server = Taffrail::start(&data, &arguments);
    assert_eq!(server.lines(decisions).await, lines);
}
