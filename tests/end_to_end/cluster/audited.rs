//! What was there before us is found, told, and never touched.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::install::{Installed, Replica, pod};
use super::objects::{definition, template};
use crate::harness::until;

/// The objects that break something: their kind, their name, what they break, and how.
const FINDINGS: [(&str, &str, &str); 3] = [
    ("Deployment", "a-bad-name", "ForbiddenWord/names"),
    ("NetworkPolicy", "open", "world_open_ingress"),
    ("Pod", "privileged", "privileged"),
];

/// The kind of the reports, as far as it matters here: what it does not name is dropped when it is stored.
const REPORTS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.wgpolicyk8s.io}
spec:
  group: wgpolicyk8s.io
  scope: SCOPE
  names: {kind: KIND, plural: PLURAL, singular: SINGULAR}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            results:
              type: array
              items:
                type: object
                required: [policy]
                properties:
                  source: {type: string}
                  policy: {type: string}
                  message: {type: string}
                  result: {type: string, enum: [pass, fail, warn, error, skip]}
                  resources:
                    type: array
                    items:
                      type: object
                      properties:
                        apiVersion: {type: string}
                        kind: {type: string}
                        name: {type: string}
                        namespace: {type: string}
            summary:
              type: object
              properties:
                pass: {type: integer}
                fail: {type: integer}
                warn: {type: integer}
                error: {type: integer}
                skip: {type: integer}
";

fn open_policy(from: &Value) -> String {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open", "namespace": "shop"},
        "spec": {"podSelector": {}, "ingress": [{"from": [from]}]},
    })
    .to_string()
}

/// What breaks a rule that is not there yet, and two things that no webhook was asked about.
fn before_us(installed: &Installed) {
    let cluster = &installed.cluster;
    cluster.done(&["create", "namespace", "shop"], "");
    let mut privileged = pod("privileged", &json!({"privileged": true}));
    privileged["metadata"]["namespace"] = json!("shop");
    cluster.apply(&privileged.to_string());
    cluster.apply(&open_policy(&json!({"ipBlock": {"cidr": "0.0.0.0/0"}})));
    let image = "--image=example.com/c";
    let deployment = ["-n", "shop", "create", "deployment", "a-bad-name", image];
    cluster.done(&deployment, "");
    for (group, version, kind, plural) in [
        (
            "templates",
            "v1",
            "ConstraintTemplate",
            "constrainttemplates",
        ),
        ("constraints", "v1beta1", "ForbiddenWord", "forbiddenword"),
    ] {
        let group = format!("{group}.gatekeeper.sh");
        cluster.apply(&definition(&group, version, kind, plural));
    }
    established(installed);
}

fn established(installed: &Installed) {
    let wait = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=1m",
    ];
    installed.cluster.done(&wait, "");
}

/// What the series say: the names of what is broken, of kinds.
async fn counted(replica: &Replica) -> BTreeSet<(String, String)> {
    let query = [(
        "query",
        r#"taffrail_admission_audit_violations{namespace="shop"} == 1"#,
    )];
    let data = replica.process.data("/api/v1/query", &query).await;
    let of = |series: &Value, label: &str| {
        let text = series["metric"][label].as_str();
        text.expect("a label").to_owned()
    };
    let series = data["result"].as_array().expect("a vector");
    series
        .iter()
        .map(|one| (of(one, "kind"), of(one, "policy")))
        .collect()
}

async fn until_counted(what: &str, replica: &Replica, findings: &[(&str, &str, &str)]) {
    let expected = findings.iter().map(|(kind, _, policy)| {
        let (kind, policy) = (*kind, *policy);
        (kind.to_owned(), policy.to_owned())
    });
    let expected: BTreeSet<_> = expected.collect();
    until(what, async || {
        let counted = counted(replica).await;
        (counted == expected).then_some(())
    })
    .await;
}

fn versions(installed: &Installed) -> String {
    let path =
        "jsonpath={range .items[*]}{.kind}/{.metadata.name}@{.metadata.resourceVersion} {end}";
    let kinds = "pods,deployments,networkpolicies,forbiddenword,constrainttemplates";
    let get = ["-n", "shop", "get", kinds, "-o", path];
    installed.cluster.done(&get, "")
}

/// What was asked of the API server beside reading and the one object that is ours.
fn written(installed: &Installed) -> Vec<String> {
    let user = "system:serviceaccount:taffrail:taffrail-admission";
    let asked = installed.cluster.asked_by(user);
    assert!(asked.iter().any(|asked| asked.verb == "list"), "{asked:?}");
    let ours = "/validatingwebhookconfigurations/taffrail";
    asked
        .iter()
        .filter(|asked| !["get", "list", "watch"].contains(&asked.verb.as_str()))
        .filter(|asked| !(asked.verb == "patch" && asked.path.contains(ours)))
        .map(|asked| format!("{} {}", asked.verb, asked.path))
        .collect()
}

/// The report of the namespace; None where there is none.
fn report(installed: &Installed) -> Option<Value> {
    let get = ["-n", "shop", "get", "policyreports", "-o", "json"];
    let list: Value = serde_json::from_str(&installed.cluster.done(&get, "")).expect("JSON");
    let items = list["items"].as_array().expect("a list");
    assert!(items.len() <= 1, "{items:?}");
    items.first().cloned()
}

async fn until_reported(installed: &Installed, findings: &[(&str, &str, &str)]) -> Value {
    let expected: BTreeSet<_> = (findings.iter())
        .map(|(kind, name, policy)| json!([kind, name, policy]).to_string())
        .collect();
    until("the report says so", async || {
        let report = report(installed)?;
        let results = report["results"].as_array()?;
        let named = results.iter().map(|result| {
            let resource = &result["resources"][0];
            json!([resource["kind"], resource["name"], result["policy"]]).to_string()
        });
        (named.collect::<BTreeSet<_>>() == expected).then_some(report)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn what_was_there_before_is_found_and_nothing_is_written() {
    let settings = json!({
        "agent": {"scrape": {"interval": "1s", "timeout": "1s"}},
        "admission": {
            "audit": {"interval_seconds": 3600},
            "network_policy": {"refuse": ["world_open_ingress"]},
            "pod_security": {"audit": "privileged"},
        },
    });
    let mut installed = Installed::new(&[], &settings).await;
    before_us(&installed);
    let folder = installed.cluster.folder().join("everything");
    let replica = installed.started_as("run", folder);
    installed.asked(&replica).await;
    until_counted("what was there is found", &replica, &FINDINGS[1..]).await;

    // Another hour would pass before the next audit, but policies change.
    installed.cluster.apply(&template("ForbiddenWord"));
    let constraint = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": "ForbiddenWord",
        "metadata": {"name": "names"},
        "spec": {
            "match": {"kinds": [{"apiGroups": ["apps"], "kinds": ["Deployment"]}]},
            "parameters": {"word": "bad"},
        },
    });
    installed.cluster.apply(&constraint.to_string());
    let before = versions(&installed);
    until_counted("what a new policy forbids is found", &replica, &FINDINGS).await;
    let lines = replica.process.lines(r#"{job="taffrail/audit"}"#).await;
    let parse = |line: &String| serde_json::from_str::<Value>(line).expect("a JSON line");
    let lines: Vec<Value> = lines.iter().map(parse).collect();
    for (kind, name, policy) in FINDINGS {
        let of_it = lines.iter().filter(|line| {
            line["kind"] == kind && line["name"] == name && line["policy"] == policy
        });
        let of_it: Vec<_> = of_it.collect();
        assert_eq!(of_it.len(), 1, "{kind} {name}, told once: {lines:?}");
        assert_eq!(of_it[0]["namespace"], "shop");
        assert_eq!(of_it[0]["action"], "enforce");
    }
    assert_eq!(versions(&installed), before);
    assert_eq!(written(&installed), Vec::<String>::new());

    // Where reports are wanted, there is one for each namespace that has something to say.
    for (kind, scope) in [
        ("PolicyReport", "Namespaced"),
        ("ClusterPolicyReport", "Cluster"),
    ] {
        let singular = kind.to_lowercase();
        let text = REPORTS.replace("PLURAL", &format!("{singular}s"));
        let text = text.replace("SINGULAR", &singular).replace("SCOPE", scope);
        installed.cluster.apply(&text.replace("KIND", kind));
    }
    established(&installed);
    let root = env!("CARGO_MANIFEST_DIR");
    let role = format!("{root}/deploy/components/policy-reports/role.yaml");
    installed.cluster.done(&["apply", "-f", &role], "");
    let audit = json!({"interval_seconds": 1, "policy_reports": true});
    installed.tell(&json!({"admission": {"audit": audit}}));
    installed.service.remove(replica.address);
    replica.process.kill();
    // With stores of its own, for in the others the killed one's series are not over yet.
    let folder = installed.cluster.folder().join("reporting");
    let replica = installed.started_as("run", folder);
    installed.ready(&replica).await;
    let whole = until_reported(&installed, &FINDINGS).await;
    assert_eq!(whole["metadata"]["name"], "taffrail");
    let summary = json!({"error": 0, "fail": 3, "pass": 0, "skip": 0, "warn": 0});
    assert_eq!(whole["summary"], summary);
    let results = whole["results"].as_array().expect("results");
    let of_pod = results
        .iter()
        .find(|result| result["policy"] == "privileged");
    let expected = json!({
        "source": "taffrail",
        "policy": "privileged",
        "result": "fail",
        "message": "privileged (container \"c\" must not set securityContext.privileged=true)",
        "resources": [{"apiVersion": "v1", "kind": "Pod", "name": "privileged", "namespace": "shop"}],
    });
    assert_eq!(of_pod, Some(&expected));

    // What is mended leaves, and its report when nothing is left.
    let cluster = &installed.cluster;
    cluster.apply(&open_policy(&json!({"podSelector": {}})));
    let rest = [FINDINGS[0], FINDINGS[2]];
    until_counted("a mended policy is counted no more", &replica, &rest).await;
    until_reported(&installed, &rest).await;
    cluster.done(&["-n", "shop", "delete", "pod", "privileged"], "");
    cluster.done(&["delete", "forbiddenword", "names"], "");
    until_counted("nothing is counted", &replica, &[]).await;
    until("the report is gone", async || {
        report(&installed).is_none().then_some(())
    })
    .await;
    let mut written = written(&installed);
    written.retain(|asked| !asked.contains("/wgpolicyk8s.io/"));
    assert_eq!(written, Vec::<String>::new());
}
