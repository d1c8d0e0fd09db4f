//! Gatekeeper's kinds where there is no Gatekeeper: our component's, and those that the webhook makes of templates.

use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::install::{Installed, Replica, pod};
use super::objects::{constraint, definition, template};
use super::watched::until_said;
use crate::harness::until;

const KIND: &str = "crd/forbiddenword.constraints.gatekeeper.sh";

/// The schema of a template's parameters, in [`template`].
const SCHEMA: &str = "{type: object, properties: {word: {type: string}}}";

fn component(file: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    format!("{root}/deploy/components/gatekeeper-kinds/{file}")
}

/// Returns when a replica has said so.
async fn logged(replica: &Replica, what: &str, words: &[&str]) {
    until(what, async || {
        let log = std::fs::read_to_string(replica.folder.join("log")).expect("a log");
        let mut lines = log.lines();
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        lines.any(is_it).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn a_template_brings_its_kind_and_takes_it_along() {
    let settings = json!({"admission": {"gatekeeper": {"definitions": true}}});
    let cluster = ApiServer::collecting_garbage();
    let mut installed = Installed::on(cluster, &settings).await;
    let (kinds, role) = (component("kinds.yaml"), component("role.yaml"));
    let cluster = &installed.cluster;
    cluster.done(&["apply", "-f", &kinds, "-f", &role], "");
    let established = ["wait", "--for=condition=Established", "--timeout=1m"];
    cluster.done(&[&established[..], &["-f", &kinds]].concat(), "");
    let replicas = [installed.replica(), installed.replica()];
    installed.asked(&replicas[0]).await;
    installed.ready(&replicas[1]).await;
    let cluster = &installed.cluster;
    let apply = |object: String| move || cluster.kubectl(&["apply", "-f", "-"], &object);
    let would_apply = |object: String| {
        move || cluster.kubectl(&["apply", "--dry-run=server", "-f", "-"], &object)
    };

    cluster.apply(&template("ForbiddenWord"));
    cluster.done(&["wait", "--for=create", "--timeout=1m", KIND], "");
    cluster.done(&[&established[..], &[KIND]].concat(), "");
    let of_bad = constraint("ForbiddenWord", "bad");
    let applied = "a constraint of the new kind is taken";
    until_said(applied, apply(of_bad.clone()), true, "").await;
    let pod = pod("bad", &json!({})).to_string();
    let create = || cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &pod);
    let refused = "denied the request: [no-bad] Pod is called bad";
    until_said("and holds", create, false, refused).await;

    // The API server itself knows what parameters are.
    let of_a_number = of_bad.replace("word: bad", "word: 7");
    let said = would_apply(of_a_number)();
    let wrong = "spec.parameters.word in body must be of type string";
    assert!(!said.success && said.err.contains(wrong), "{said:?}");
    let of_no_kinds = of_bad.replace("excludedNamespaces: [taffrail]", "kinds: all");
    let said = would_apply(of_no_kinds)();
    let wrong = "spec.match.kinds in body must be of type array";
    assert!(!said.success && said.err.contains(wrong), "{said:?}");

    // A template of the older version says less, and is kept as it was meant.
    let loose = "{properties: {any: {}, list: {type: array}, either: {x-kubernetes-int-or-string: true},
        map: {additionalProperties: {}}, typed: {type: object, additionalProperties: {type: string}}}}";
    let legacy = template("Legacy").replace(SCHEMA, loose);
    cluster.apply(&legacy.replace("gatekeeper.sh/v1", "gatekeeper.sh/v1beta1"));
    let legacy = "crd/legacy.constraints.gatekeeper.sh";
    cluster.done(&["wait", "--for=create", "--timeout=1m", legacy], "");
    cluster.done(&[&established[..], &[legacy]].concat(), "");
    let path = "jsonpath={.spec.crd.spec.validation.legacySchema}";
    let legacy = [
        "get",
        "constrainttemplates.v1.templates.gatekeeper.sh/legacy",
        "-o",
        path,
    ];
    assert_eq!(cluster.done(&legacy, ""), "true");

    // What the API server refuses is told in its words, and what others made is left alone. Neither keeps another
    // template from being followed.
    let refused = SCHEMA.replace("{type: string}", "{type: array}");
    cluster.apply(&template("Refused").replace(SCHEMA, &refused));
    let theirs = definition("constraints.gatekeeper.sh", "v1beta1", "Theirs", "theirs");
    cluster.done(
        &["create", "--field-manager=gatekeeper", "-f", "-"],
        &theirs,
    );
    cluster.apply(&template("Theirs"));
    for replica in &replicas {
        let words = ["refused.constraints.gatekeeper.sh", "items"];
        logged(replica, "a refused schema is told", &words).await;
        let words = [
            "theirs.constraints.gatekeeper.sh",
            "written by",
            "left as it is",
        ];
        logged(replica, "another's definition is told", &words).await;
    }
    let theirs = ["get", "crd/theirs.constraints.gatekeeper.sh", "-o", "json"];
    let theirs: Value = serde_json::from_str(&cluster.done(&theirs, "")).expect("JSON");
    assert_eq!(theirs["metadata"].get("ownerReferences"), None);

    let more = SCHEMA.replace("{word:", "{limit: {type: integer}, word:");
    cluster.apply(&template("ForbiddenWord").replace(SCHEMA, &more));
    // Another one, for that which holds is about itself, too.
    let limited =
        constraint("ForbiddenWord", "worse").replace("word: worse", "word: worse, limit: 3");
    until_said("the kind follows", would_apply(limited.clone()), true, "").await;
    let said = would_apply(limited.replace("limit: 3", "limit: many"))();
    let wrong = "spec.parameters.limit in body must be of type integer";
    assert!(!said.success && said.err.contains(wrong), "{said:?}");
    // Both replicas wrote it, and there was nothing left to change for the second.
    let generation = ["get", KIND, "-o", "jsonpath={.metadata.generation}"];
    assert_eq!(cluster.done(&generation, ""), "2");

    cluster.done(&["delete", "constrainttemplate", "forbiddenword"], "");
    cluster.done(&["wait", "--for=delete", "--timeout=2m", KIND], "");
    until_said("what is gone does not hold", create, true, "").await;

    // Its right is to any kind, and the component's policy makes of that a right to these.
    let webhook = "--as=system:serviceaccount:taffrail:taffrail-admission";
    let other = definition("example.com", "v1", "Other", "others");
    let create_as_webhook =
        || cluster.kubectl(&["create", "--dry-run=server", webhook, "-f", "-"], &other);
    let refused = "the webhook makes kinds of constraints and no others";
    until_said("other kinds are refused", create_as_webhook, false, refused).await;
}
