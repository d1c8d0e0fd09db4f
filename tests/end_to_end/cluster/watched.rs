//! What depends on the rest of the cluster: labels of namespaces, network policies, ways between namespaces.

use serde_json::{Value, json};

use super::api_server::Said;
use super::install::{Installed, pod};
use crate::harness::until;

/// The webhook learns of a change a moment after it was made; what it says then is asked for until it is
/// right.
pub(crate) async fn until_said(what: &str, ask: impl Fn() -> Said, success: bool, expected: &str) {
    until(what, async || {
        let said = ask();
        let is_right = said.success == success && said.err.contains(expected);
        if !is_right {
            println!("{what}: {said:?}");
        }
        is_right.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn labels_and_policies_of_the_cluster_decide() {
    let settings = json!({"admission": {"network_policy": {
        "default_deny": ["ingress"],
        "separate": [["payments", "sandbox"]],
        // The pods of other tests.
        "exempt_namespaces": ["default"],
    }}});
    let (installed, _replica) = Installed::with_replica(&[], &settings).await;
    let cluster = &installed.cluster;
    let create = |namespace: &str, object: &Value| {
        let arguments = ["-n", namespace, "create", "-f", "-"];
        cluster.kubectl(&arguments, &object.to_string())
    };
    // Only asked, so that it can be asked again.
    let would = |namespace: &str, object: &Value| {
        let arguments = ["-n", namespace, "create", "--dry-run=server", "-f", "-"];
        cluster.kubectl(&arguments, &object.to_string())
    };
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });

    // A namespace that is used at once, before any watch can have told of it.
    for name in ["payments", "sandbox", "strict"] {
        cluster.done(&["create", "namespace", name], "");
    }
    let plain = pod("plain", &json!({}));
    let missing = "violates network policy rules: no default deny";
    let said = create("payments", &plain);
    assert!(!said.success && said.err.contains(missing), "{said:?}");
    for namespace in ["payments", "sandbox", "strict"] {
        let said = create(namespace, &deny);
        assert!(said.success, "{said:?}");
        let ask = || create(namespace, &pod("first", &json!({})));
        until_said("a default deny is seen", ask, true, "").await;
    }
    let delete = || {
        cluster.kubectl(
            &[
                "-n",
                "payments",
                "delete",
                "networkpolicy",
                "deny",
                "--dry-run=server",
            ],
            "",
        )
    };
    until_said("the last default deny must stay", delete, false, missing).await;

    // A policy that would let one in to the other, whichever pods there are.
    let open = |namespace: &str, from: &str| {
        let from =
            json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": from}}}]);
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "open", "namespace": namespace},
            "spec": {"podSelector": {}, "ingress": [{"from": from}]},
        })
    };
    let ask = || would("payments", &open("payments", "sandbox"));
    until_said(
        "ways between the two stay shut",
        ask,
        false,
        "opens sandbox to payments",
    )
    .await;
    let ask = || create("payments", &open("payments", "strict"));
    until_said("other ways may be opened", ask, true, "").await;

    // Levels by label.
    let level = |level: &str| format!("pod-security.kubernetes.io/enforce={level}");
    cluster.done(&["label", "namespace", "strict", &level("restricted")], "");
    let ask = || would("strict", &pod("second", &json!({})));
    until_said(
        "a stricter label is seen",
        ask,
        false,
        "violates PodSecurity \"restricted:latest\"",
    )
    .await;
    cluster.done(
        &[
            "label",
            "namespace",
            "strict",
            &level("privileged"),
            "--overwrite",
        ],
        "",
    );
    let ask = || create("strict", &pod("third", &json!({"privileged": true})));
    until_said("a laxer label is seen", ask, true, "").await;
}
