//! What people see who use kubectl.

use serde_json::{Value, json};

use super::api_server::Said;
use super::install::{Installed, pod};
use crate::harness::until;

const REFUSED: &str = "admission webhook \"pods.admission.taffrail\" denied the request: \
                       violates PodSecurity \"baseline:latest\": ";

/// It failed, and said so.
fn refused(said: &Said, message: &str) {
    assert!(!said.success, "{said:?}");
    assert!(said.err.contains(message), "{said:?}");
}

/// It was done, with these warnings.
fn done(said: &Said, warnings: &[&str]) {
    assert!(said.success, "{said:?}");
    let warned: Vec<_> = said.err.lines().collect();
    assert_eq!(warned, warnings, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn people_are_refused_warned_and_written_down() {
    let (mut installed, replica) = Installed::with_replica(&[], &json!({})).await;
    let kubectl = |arguments: &[&str]| installed.cluster.kubectl(arguments, "");
    let image = "--image=example.com/c";
    let privileged = "privileged (container \"bad\" must not set securityContext.privileged=true)";
    let forbidden = format!("Error from server (Forbidden): {REFUSED}{privileged}");

    refused(&kubectl(&["run", "bad", image, "--privileged"]), &forbidden);
    let dry = ["run", "bad", image, "--privileged", "--dry-run=server"];
    refused(&kubectl(&dry), &forbidden);
    done(&kubectl(&["run", "good", image]), &[]);

    // A workload is taken, and whoever makes it is told what will become of its Pods.
    let deployment = |name: &str, security_context: Value| {
        let pod = pod(name, &security_context);
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": pod["spec"]},
            },
        })
        .to_string()
    };
    let apply = |manifest: &str| installed.cluster.kubectl(&["apply", "-f", "-"], manifest);
    done(&apply(&deployment("web", json!({}))), &[]);
    let warning = "Warning: would violate PodSecurity \"baseline:latest\": privileged \
                   (container \"c\" must not set securityContext.privileged=true)";
    done(
        &apply(&deployment("bad", json!({"privileged": true}))),
        &[warning],
    );

    // Ways around that once were open: an ephemeral container, and a change of what runs.
    let debug = |profile: &str| {
        let profile = format!("--profile={profile}");
        kubectl(&[
            "debug",
            "good",
            "--image=example.com/d",
            &profile,
            "--container=bad",
        ])
    };
    refused(&debug("sysadmin"), &format!("{REFUSED}{privileged}"));
    assert!(debug("baseline").success);
    // What is there may be looked into, and may go.
    let exec = kubectl(&["exec", "good", "--", "ls"]);
    refused(&exec, "pod good does not have a host assigned");
    done(&kubectl(&["label", "pod", "good", "colour=blue"]), &[]);
    done(&kubectl(&["delete", "pod", "good"]), &[]);
    done(&kubectl(&["delete", "deployment", "bad"]), &[]);

    // The audit log has what the latest restricted level would have said of what was let in.
    let answer = installed
        .cluster
        .create("/api/v1/namespaces/default/pods", &pod("plain", &json!({})))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let annotations = installed.cluster.annotations(&answer).await;
    let key = |key: &str| annotations[&format!("pods.admission.taffrail/{key}")].clone();
    assert_eq!(key("enforce-policy"), "baseline:latest");
    let violations = key("audit-violations");
    let violations = violations.as_str().expect("a text");
    let would =
        "would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
    assert!(violations.starts_with(would), "{violations}");

    // Every refusal is a decision that can be found.
    let denied = until("the decisions are stored", async || {
        let mut decisions = installed.decisions().await;
        decisions.retain(|decision| decision["verdict"] == "deny" && decision["name"] != "probe");
        (decisions.len() == 3).then_some(decisions)
    })
    .await;
    let dry: Vec<_> = denied
        .iter()
        .map(|decision| decision["dryRun"].clone())
        .collect();
    assert_eq!(dry, [json!(false), json!(true), json!(false)], "{denied:?}");

    // Lost, it stops others' Pods, and nothing that brings it back.
    let (address, folder) = (replica.address, replica.folder.clone());
    replica.process.kill();
    installed.service.remove(address);
    let run = |namespace: &str, name: &str| {
        installed
            .cluster
            .kubectl(&["-n", namespace, "run", name, image], "")
    };
    refused(
        &run("default", "after"),
        "failed calling webhook \"pods.admission.taffrail\"",
    );
    done(&run("taffrail", "taffrail-admission"), &[]);
    done(&run("kube-system", "network"), &[]);
    done(
        &apply(&deployment("later", json!({"privileged": true}))),
        &[],
    );
    let replica = installed.replica_in(folder);
    installed.ready(&replica).await;
    done(
        &installed.cluster.kubectl(&["run", "after", image], ""),
        &[],
    );
}
