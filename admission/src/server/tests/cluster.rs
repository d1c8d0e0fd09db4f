//! A webhook that watches a cluster.

use super::*;
use crate::cluster::tests::fake::Fake;
use crate::cluster::tests::until;

const TEMPLATES: &str = "/apis/templates.gatekeeper.sh/v1/constrainttemplates";
const CONSTRAINTS: &str = "/apis/constraints.gatekeeper.sh/v1beta1/k8sdenied";
const CONFIG_MAPS: &str = "/api/v1/namespaces/taffrail/configmaps";
const CONFIGS: &str = "/apis/config.gatekeeper.sh/v1alpha1/configs";
const SYNC_SETS: &str = "/apis/syncset.gatekeeper.sh/v1alpha1/syncsets";
const NAMESPACES: &str = "/api/v1/namespaces";

async fn start_beside(fake: &Fake) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": fake.url()}}],
        "users": [{"name": "c", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "taffrail"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    start_in(directory, |config| {
        config.kubernetes.kubeconfig = Some(kubeconfig);
    })
    .await
}

fn template(kind: &str, rego: &str) -> Value {
    json!({"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
        "metadata": {"name": kind.to_lowercase()},
        "spec": {"crd": {"spec": {"names": {"kind": kind}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego}]}})
}

const DENIED: &str = "package denied\nviolation[{\"msg\": \"no\"}] { input.review.object.metadata.labels.a == \"b\" }";

fn constraint(name: &str) -> Value {
    json!({"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "K8sDenied",
        "metadata": {"name": name}, "spec": {}})
}

fn labelled(value: &str) -> Value {
    let mut review = review(&json!({"containers": [{"name": "c"}]}));
    review["request"]["object"]["apiVersion"] = "v1".into();
    review["request"]["object"]["metadata"]["labels"] = json!({"a": value});
    review
}

impl Running {
    async fn said(&self, review: &Value) -> String {
        let (status, answer) = self.post("/validate", review.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        let response = &answer["response"];
        let message = response["status"]["message"].as_str();
        message.unwrap_or("allowed").to_string()
    }

    /// Asks until the answer is the one that is to come.
    async fn until_said(&self, review: &Value, expected: &str) {
        let patience = std::time::Instant::now() + Duration::from_mins(1);
        loop {
            let said = self.said(review).await;
            if said.contains(expected) {
                return;
            }
            assert!(std::time::Instant::now() < patience, "{expected}: {said}");
        }
    }

    async fn until_ready(&self) {
        let patience = std::time::Instant::now() + Duration::from_mins(1);
        while self
            .client
            .get(self.url("/readyz"))
            .send()
            .await
            .unwrap()
            .status()
            != StatusCode::OK
        {
            assert!(std::time::Instant::now() < patience, "not ready");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_when_it_knows_the_policies_and_never_judges_before() {
    let fake = Fake::start().await;
    fake.refuse(CONSTRAINTS, Some(StatusCode::FORBIDDEN));
    fake.put(TEMPLATES, template("K8sDenied", DENIED));
    let running = start_beside(&fake).await;
    let ready = running
        .client
        .get(running.url("/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let readiness = running.admission.readiness();
    assert_eq!(
        readiness.not_ready(),
        Some("the cluster and its policies are not known yet")
    );
    let said = running.said(&labelled("b")).await;
    assert!(
        said.contains("does not know the cluster and its policies yet"),
        "{said}"
    );

    fake.put(CONSTRAINTS, constraint("one"));
    fake.put(NAMESPACES, json!({"metadata": {"name": "default"}}));
    fake.refuse(CONSTRAINTS, None);
    running.until_ready().await;
    assert_eq!(readiness.not_ready(), None);
    assert_eq!(running.said(&labelled("b")).await, "[one] no");
    assert_eq!(running.said(&labelled("c")).await, "allowed");
    running.stop().await;
    assert_eq!(readiness.not_ready(), Some("draining"));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_the_cluster_come_change_break_and_go() {
    let fake = Fake::start().await;
    fake.put(NAMESPACES, json!({"metadata": {"name": "default"}}));
    let running = start_beside(&fake).await;
    running.until_ready().await;
    let asked = labelled("b");
    assert_eq!(running.said(&asked).await, "allowed");
    fake.put(TEMPLATES, template("K8sDenied", DENIED));
    fake.put(CONSTRAINTS, constraint("one"));
    running.until_said(&asked, "[one] no").await;

    // One that is broken is told, holds as it did, and lets the others come.
    fake.put(
        TEMPLATES,
        template("K8sDenied", "package denied\nviolation[{"),
    );
    fake.put(
        TEMPLATES,
        template("K8sBroken", "package broken\nviolation[{"),
    );
    fake.put(CONSTRAINTS, constraint("two"));
    running.until_said(&asked, "[two] no").await;
    for name in ["k8sdenied", "k8sbroken"] {
        let series = format!(
            "taffrail_admission_refused_policies{{kind=\"ConstraintTemplate\",name=\"{name}\"}} 1"
        );
        until(&series, || running.metrics().contains(&series)).await;
    }
    assert_eq!(running.said(&asked).await, "[one] no\n[two] no");
    let mut warned = labelled("c");
    warned["request"]["object"] = template("K8sBroken", "package broken\nviolation[{");
    warned["request"]["kind"]["kind"] = "ConstraintTemplate".into();
    warned["request"]["resource"] = json!({"group": "templates.gatekeeper.sh", "version": "v1", "resource": "constrainttemplates"});
    let (_, answer) = running.post("/validate", warned.to_string()).await;
    let warning = answer["response"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("this policy does not hold in taffrail: the template"),
        "{warning}"
    );

    // A ConfigMap brings some, too.
    let mut three = constraint("three");
    three["spec"] = json!({"match": {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}});
    fake.put(
        CONFIG_MAPS,
        json!({"metadata": {"name": "ours", "namespace": "taffrail",
        "labels": {"taffrail.io/policies": "true"}}, "data": {"three.yaml": three.to_string()}}),
    );
    running.until_said(&asked, "[three] no").await;
    fake.delete(CONFIG_MAPS, "taffrail", "ours");
    fake.delete(CONSTRAINTS, "", "one");
    running.until_said(&asked, "[two] no").await;
    fake.delete(TEMPLATES, "", "k8sdenied");
    running.until_said(&asked, "allowed").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_knows_what_syncsets_name() {
    let fake = Fake::start().await;
    fake.put(NAMESPACES, json!({"metadata": {"name": "default"}}));
    fake.know("/api/v1", "v1", &[("Service", "services")]);
    let rego = "package denied\nviolation[{\"msg\": msg}] {\n  \
                count(data.inventory.namespace[\"default\"][\"v1\"][\"Service\"]) > 0\n  \
                some name\n  data.inventory.namespace[\"default\"][\"v1\"][\"Service\"][name]\n  msg := name\n}";
    fake.put(TEMPLATES, template("K8sDenied", rego));
    fake.put(CONSTRAINTS, constraint("one"));
    let running = start_beside(&fake).await;
    running.until_ready().await;
    let asked = labelled("b");
    // Nothing is named, so there is nothing.
    assert_eq!(running.said(&asked).await, "allowed");
    let service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": {}});
    fake.put("/api/v1/services", service);
    let gvks = json!([{"group": "", "version": "v1", "kind": "Service"},
                      {"group": "custom", "version": "v1", "kind": "Absent"}]);
    fake.put(
        SYNC_SETS,
        json!({"metadata": {"name": "s"}, "spec": {"gvks": gvks}}),
    );
    running.until_said(&asked, "[one] web").await;
    fake.delete("/api/v1/services", "default", "web");
    running.until_said(&asked, "allowed").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gatekeepers_config_excludes_is_passed_over() {
    let fake = Fake::start().await;
    fake.put(NAMESPACES, json!({"metadata": {"name": "default"}}));
    fake.know("/api/v1", "v1", &[("Service", "services")]);
    let rego = "package denied\nviolation[{\"msg\": name}] { data.inventory.namespace[_][\"v1\"].Service[name] }";
    fake.put(TEMPLATES, template("K8sDenied", rego));
    fake.put(CONSTRAINTS, constraint("one"));
    for (namespace, name) in [("default", "web"), ("hidden", "other")] {
        let service = json!({"metadata": {"name": name, "namespace": namespace}, "spec": {}});
        fake.put("/api/v1/services", service);
    }
    let config = |namespace: &str, excluded: &str, process: &str| {
        json!({"metadata": {"name": "config", "namespace": namespace}, "spec": {
            "sync": {"syncOnly": [{"group": "", "version": "v1", "kind": "Service"}]},
            "match": [{"excludedNamespaces": [excluded], "processes": [process]}],
        }})
    };
    let running = start_beside(&fake).await;
    running.until_ready().await;
    let asked = labelled("b");
    // One that anybody may have written excludes nothing.
    fake.put(CONFIGS, config("default", "*", "*"));
    running.until_said(&asked, "[one] other\n[one] web").await;
    fake.put(CONFIGS, config("gatekeeper-system", "hid*", "sync"));
    running.until_said(&asked, "[one] web").await;
    fake.put(CONFIGS, config("gatekeeper-system", "*fault", "audit"));
    running.until_said(&asked, "[one] other\n[one] web").await;
    fake.put(CONFIGS, config("gatekeeper-system", "*fault", "webhook"));
    running.until_said(&asked, "allowed").await;
    fake.delete(CONFIGS, "gatekeeper-system", "config");
    running.until_said(&asked, "[one] other\n[one] web").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_may_not_be_read_keeps_nobody_from_being_ready() {
    let fake = Fake::start().await;
    fake.put(NAMESPACES, json!({"metadata": {"name": "default"}}));
    fake.know("/api/v1", "v1", &[("Secret", "secrets")]);
    fake.refuse("/api/v1/secrets", Some(StatusCode::FORBIDDEN));
    let rego = "package denied\nviolation[{\"msg\": \"no\"}] { data.inventory.cluster }";
    fake.put(TEMPLATES, template("K8sDenied", rego));
    fake.put(CONSTRAINTS, constraint("one"));
    let gvks = json!([{"group": "", "version": "v1", "kind": "Secret"}]);
    fake.put(
        SYNC_SETS,
        json!({"metadata": {"name": "s"}, "spec": {"gvks": gvks}}),
    );
    let running = start_beside(&fake).await;
    running.until_ready().await;
    let said = running.said(&labelled("b")).await;
    assert!(
        said.contains("[one] the request could not be judged"),
        "{said}"
    );
    running.stop().await;
}
