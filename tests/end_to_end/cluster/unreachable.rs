//! Policies that ask the data, while the server that has it hangs, is gone, and is back.

use rustix::process::Signal;
use serde_json::json;

use super::api_server::Said;
use super::install::{Installed, pod};
use super::watched::until_said;

/// Refuses a Pod that says so where the data says so too.
const TEMPLATE: &str = r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: NAME, annotations: {taffrail.io/fail-mode: MODE}}
spec:
  crd: {spec: {names: {kind: NAME}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package asks
        violation[{"msg": msg}] {
          input.review.object.metadata.labels.asks == "NAME"
          answers := taffrail.ASKS
          msg := sprintf("the data says %v", [count(answers)])
        }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: NAME
metadata: {name: is-NAME}
"#;

const POLICIES: [(&str, &str, &str); 3] = [
    ("closed", "closed", "promql(\"vector(1)\", {})"),
    ("open", "open", "promql(\"vector(1)\", {})"),
    ("lines", "closed", "logql(\"{job=\\\"nobody\\\"}\", {})"),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn who_does_not_answer_is_named_and_asked_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (name, mode, asks) in POLICIES {
        let text = TEMPLATE.replace("NAME", name).replace("MODE", mode);
        let path = folder.path().join(format!("{name}.yaml"));
        std::fs::write(path, text.replace("ASKS", asks)).expect("writes");
    }
    let settings = json!({"admission": {
        "gatekeeper": {"directory": folder.path()},
        "data": {"promql": "allow", "logql": "allow"},
    }});
    let (mut installed, _replica) = Installed::with_replica(&[], &settings).await;
    // As the manifest has it: whoever hangs must be given up before the API server gives us up.
    let patch = r#"[{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 5}]"#;
    let configuration = "validatingwebhookconfiguration/taffrail";
    let patch = ["patch", configuration, "--type=json", "-p", patch];
    installed.cluster.done(&patch, "");
    let server = installed.stores.http.clone();
    let asking = |installed: &Installed, asks: &str| -> Said {
        let mut pod = pod("asking", &json!({}));
        pod["metadata"]["labels"] = json!({"asks": asks});
        let create = ["create", "--dry-run=server", "-f", "-"];
        installed.cluster.kubectl(&create, &pod.to_string())
    };
    let answered = async |installed: &Installed| {
        for (name, _, count) in [("closed", "", 1), ("open", "", 1), ("lines", "", 0)] {
            let said = format!("denied the request: [is-{name}] the data says {count}");
            let ask = || asking(installed, name);
            until_said("the data answers", ask, false, &said).await;
        }
    };
    let unanswered = |installed: &Installed, why: &str| {
        for (name, builtin) in [("closed", "promql"), ("lines", "logql")] {
            let said = asking(installed, name);
            let judged = format!("[is-{name}] the request could not be judged: ");
            let named = format!("taffrail.{builtin}: {server} {why}");
            let closed = "it is refused because the fail mode is closed";
            assert!(!said.success, "{said:?}");
            for part in ["denied the request: ", &judged, &named, closed] {
                assert!(said.err.contains(part), "expected {part}: {said:?}");
            }
        }
        let said = asking(installed, "open");
        assert!(said.success, "{said:?}");
        let named = format!("taffrail.promql: {server} ");
        for part in [
            "Warning: [is-open] the request could not be judged: ",
            &named,
        ] {
            assert!(said.err.contains(part), "expected {part}: {said:?}");
        }
        // Who asks nothing is not concerned.
        let said = asking(installed, "nothing");
        assert!(said.success && said.err.is_empty(), "{said:?}");
    };

    answered(&installed).await;
    // It hangs: connections are made, and nothing comes.
    installed.stores.signal(Signal::STOP);
    unanswered(&installed, "");
    installed.stores.signal(Signal::CONT);
    answered(&installed).await;
    installed.lose_stores();
    installed.stores.wait();
    unanswered(&installed, "cannot be asked: ");
    installed.restart_stores();
    answered(&installed).await;
}
