//! Audits of an API server that holds what the test put there.

use std::sync::Mutex;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::cluster::tests::fake::Fake;
use crate::config::AdmissionConfig;
use crate::evaluate::DefaultsEverywhere;
use crate::network_policy::builtins::{ClusterState, StateUnknown, UnknownCluster};
use crate::network_policy::{Manifests, World};
use crate::verdict::Decision;

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl DecisionSink for Lines {
    fn record(&self, _: &Decision) {}

    fn record_findings(&self, _: Timestamp, findings: &[&AuditFinding]) {
        let lines = findings.iter().map(|finding| {
            format!(
                "{} {}/{}: {} {}",
                finding.kind, finding.namespace, finding.name, finding.action, finding.policy
            )
        });
        self.0.lock().unwrap().extend(lines);
    }
}

fn audit(fake: &Fake, lines: Arc<Lines>, metrics: AuditMetrics) -> Audit {
    let config: AdmissionConfig = serde_yaml_ng::from_str(
        "pod_security: {audit: baseline}\nnetwork_policy: {refuse: [world_open_ingress], separate: [[a, b]]}",
    )
    .unwrap();
    let config = config.validate().unwrap();
    let evaluator = Evaluator::new(
        config.defaults,
        config.exemptions,
        config.fail_mode,
        Arc::new(DefaultsEverywhere),
    );
    let state = Arc::new(UnknownCluster::default());
    Audit {
        config: AuditConfig::default(),
        client: kube::Client::try_from(fake.config()).unwrap(),
        evaluator: Arc::new(evaluator.with_network(config.network_policy, state)),
        judges_network: true,
        bundles: Arc::new(Bundles::new(Bundle::embedded().unwrap())),
        sink: lines,
        metrics,
        ready: Arc::default(),
    }
}

fn pod(namespace: &str, name: &str, privileged: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
           "spec": {"containers": [{"name": "c", "securityContext": {"privileged": privileged}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_judged_counted_and_told_once() {
    const PODS: &str = "/api/v1/pods";
    let fake = Fake::start().await;
    for i in 0..150 {
        fake.put(PODS, pod("shop", &format!("good-{i}"), false));
    }
    fake.put(PODS, pod("shop", "bad", true));
    fake.put(PODS, pod("kube-system", "exempt", true));
    fake.put(
        "/apis/networking.k8s.io/v1/networkpolicies",
        json!({"metadata": {"name": "open", "namespace": "shop"}, "spec": {"ingress": [{}]}}),
    );
    let lines = Arc::new(Lines::default());
    let mut registry = Registry::default();
    let metrics = AuditMetrics::register(&mut registry);
    let audit = audit(&fake, lines.clone(), metrics);
    let bundle = audit.bundles.current();

    let first = audit.audit(&bundle).await;
    audit.tell(&first, &Found::default());
    let told = std::mem::take(&mut *lines.0.lock().unwrap());
    assert_eq!(
        told,
        [
            "Pod shop/bad: enforce privileged",
            "Pod shop/bad: audit privileged",
            "NetworkPolicy shop/open: enforce world_open_ingress",
        ]
    );
    audit.metrics.observe(&first, Duration::from_secs(1));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let series = "taffrail_admission_audit_violations{policy=\"privileged\",kind=\"Pod\",\
                  namespace=\"shop\",action=\"enforce\"} 1";
    assert!(text.contains(series), "{text}");

    // Only what is new is told; what is gone is counted no more.
    fake.put(PODS, pod("shop", "worse", true));
    fake.delete("/apis/networking.k8s.io/v1/networkpolicies", "shop", "open");
    let second = audit.audit(&bundle).await;
    audit.tell(&second, &first);
    let told = std::mem::take(&mut *lines.0.lock().unwrap());
    assert_eq!(
        told,
        [
            "Pod shop/worse: enforce privileged",
            "Pod shop/worse: audit privileged"
        ]
    );
    audit.metrics.observe(&second, Duration::from_secs(1));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(!text.contains("NetworkPolicy"), "{text}");
    assert!(second.failures().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_listed_is_told_and_the_rest_is_judged() {
    let fake = Fake::start().await;
    fake.refuse("/api/v1/pods", Some(axum::http::StatusCode::FORBIDDEN));
    fake.put(
        "/apis/networking.k8s.io/v1/networkpolicies",
        json!({"metadata": {"name": "open", "namespace": "shop"}, "spec": {"ingress": [{}]}}),
    );
    let audit = audit(&fake, Arc::default(), AuditMetrics::default());
    let found = audit.audit(&audit.bundles.current()).await;
    assert_eq!(found.failures().keys().collect::<Vec<_>>(), ["Pod"]);
    assert_eq!(found.total(), 1);
}

#[test]
fn series_and_findings_are_bounded() {
    let mut found = Found::default();
    for i in 0..30_000 {
        let object = AuditFinding {
            api_version: "v1".to_string(),
            kind: "Pod".to_string(),
            namespace: format!("n{i}"),
            name: "p".to_string(),
            policy: String::new(),
            action: "",
            message: String::new(),
        };
        let hit = crate::verdict::Hit {
            mode: crate::verdict::Mode::Enforce,
            rule: "privileged".to_string(),
            message: "é".repeat(4000),
            paths: Vec::new(),
        };
        found.add(&object, vec![hit]);
    }
    assert_eq!(found.total(), 30_000);
    assert_eq!(found.counts().len(), 2001);
    assert_eq!(found.counts().values().sum::<u64>(), 30_000);
    assert_eq!(found.new_since(&Found::default()).count(), 20_000);
    assert_eq!(found.new_since(&found).count(), 0);
}

/// A state that stays as it is.
struct Known(Arc<World>);

impl ClusterState for Known {
    fn world(&self) -> Result<Arc<World>, StateUnknown> {
        Ok(self.0.clone())
    }
}

#[test]
fn a_namespace_with_pods_is_to_deny_by_default() {
    let mut manifests = Manifests::default();
    let text = "
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: open}, spec: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: open}, spec: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: closed}, spec: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: exempt}, spec: {}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: all, namespace: closed}, spec: {podSelector: {}}}
";
    manifests.read(text, "default").unwrap();
    let config: AdmissionConfig = serde_yaml_ng::from_str(
        "network_policy: {default_deny: [ingress], exempt_namespaces: [exempt], refuse: [empty_selectors]}",
    )
    .unwrap();
    let config = config.validate().unwrap();
    let evaluator = Evaluator::new(
        config.defaults,
        config.exemptions,
        config.fail_mode,
        Arc::new(DefaultsEverywhere),
    )
    .with_network(
        config.network_policy,
        Arc::new(Known(Arc::new(manifests.world()))),
    );
    let run = evaluator.begin_audit(Arc::new(Bundle::embedded().unwrap()));
    let deadline = || std::time::Instant::now() + Duration::from_mins(1);
    let found = evaluator.audit_namespaces(&run, deadline).unwrap();
    let told: Vec<_> = found
        .iter()
        .flat_map(|(namespace, hits)| hits.iter().map(move |hit| (&**namespace, &*hit.rule)))
        .collect();
    assert_eq!(told, [("open", "default_deny")]);
}
