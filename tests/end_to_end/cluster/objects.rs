//! Policies that people make with kubectl: Gatekeeper's kinds, and ConfigMaps.

use serde_json::json;

use super::install::{Installed, pod};
use super::watched::until_said;
use crate::harness::until;

/// As Gatekeeper's own chart and its controller make them: objects of any shape.
pub(crate) fn definition(group: &str, version: &str, kind: &str, plural: &str) -> String {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
    .to_string()
}

/// A template whose constraints forbid words in names.
pub(crate) fn template(kind: &str) -> String {
    let lower = kind.to_lowercase();
    format!(
        "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {{name: {lower}}}
spec:
  crd: {{spec: {{names: {{kind: {kind}}}, validation: {{openAPIV3Schema: {{type: object, properties: {{word: {{type: string}}}}}}}}}}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package {lower}
        violation[{{\"msg\": msg}}] {{
          contains(input.review.object.metadata.name, input.parameters.word)
          msg := sprintf(\"%v is called %v\", [input.review.kind.kind, input.parameters.word])
        }}
"
    )
}

pub(crate) fn constraint(kind: &str, word: &str) -> String {
    format!(
        "
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: {kind}
metadata: {{name: no-{word}}}
spec: {{match: {{excludedNamespaces: [taffrail]}}, parameters: {{word: {word}}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn what_is_applied_is_in_force() {
    let mut installed = Installed::new(&[], &json!({})).await;
    for definition in [
        definition(
            "templates.gatekeeper.sh",
            "v1",
            "ConstraintTemplate",
            "constrainttemplates",
        ),
        definition(
            "constraints.gatekeeper.sh",
            "v1beta1",
            "ForbiddenWord",
            "forbiddenword",
        ),
    ] {
        installed.cluster.apply(&definition);
    }
    let established = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=1m",
    ];
    installed.cluster.done(&established, "");
    let replica = installed.replica();
    installed.asked(&replica).await;
    let cluster = &installed.cluster;
    let config_map = |name: &'static str| {
        move || cluster.kubectl(&["create", "configmap", name, "--dry-run=server"], "")
    };

    // An object of any kind, held to what was applied a moment ago.
    cluster.apply(&template("ForbiddenWord"));
    cluster.apply(&constraint("ForbiddenWord", "bad"));
    let refused = "admission webhook \"everything.admission.taffrail\" denied the request: \
                   [no-bad] ConfigMap is called bad";
    until_said(
        "a constraint is in force",
        config_map("bad"),
        false,
        refused,
    )
    .await;
    until_said("others are let in", config_map("good"), true, "").await;

    // The same from a ConfigMap of our own namespace, beside it.
    let policies = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "policies", "namespace": "taffrail", "labels": {"taffrail.io/policies": "true"}},
        "data": {
            "template.yaml": template("ForbiddenToo"),
            "constraint.yaml": constraint("ForbiddenToo", "worse"),
        },
    });
    cluster.apply(&policies.to_string());
    let refused = "[no-worse] ConfigMap is called worse";
    until_said(
        "a ConfigMap's policies are in force",
        config_map("worse"),
        false,
        refused,
    )
    .await;
    let worse = pod("worse", &json!({})).to_string();
    let pod = || cluster.kubectl(&["create", "-f", "-", "--dry-run=server"], &worse);
    until_said(
        "and hold Pods, too",
        pod,
        false,
        "[no-worse] Pod is called worse",
    )
    .await;

    // One that is broken is told, and costs nothing: what it said before stays in force.
    let broken = template("ForbiddenToo").replace("contains(", "nothing_known(");
    let mut policies = policies;
    policies["data"]["template.yaml"] = json!(broken);
    cluster.apply(&policies.to_string());
    until("a broken policy is told", async || {
        let log = std::fs::read_to_string(replica.folder.join("log")).expect("a log");
        log.contains("a policy is refused").then_some(())
    })
    .await;
    until_said("what it said holds", config_map("worse"), false, refused).await;
    cluster.done(&["-n", "taffrail", "delete", "configmap", "policies"], "");
    until_said("what is gone does not", config_map("worse"), true, "").await;
    until_said("the other one does", config_map("bad"), false, "[no-bad]").await;

    cluster.done(&["delete", "forbiddenword", "no-bad"], "");
    until_said(
        "what is deleted is out of force",
        config_map("bad"),
        true,
        "",
    )
    .await;
}
