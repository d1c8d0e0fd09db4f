//! PolicyReports of what was found: one for each namespace, and a ClusterPolicyReport.
//!
//! Written only where they are switched on, for they fill etcd: one object for a namespace, of [`RESULTS_MAX`] results at the
//! most, and only in place of one that says something else. A namespace without findings has no report.

use std::collections::BTreeMap;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};
use tracing::warn;

use super::found::{AuditFinding, Found};
use crate::cluster::connect::told;

/// How many results a report holds; its summary counts all.
const RESULTS_MAX: usize = 500;

/// What every report is called.
const NAME: &str = "taffrail";

/// Whose reports these are.
const LABEL: &str = "app.kubernetes.io/managed-by=taffrail";

fn kind(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("wgpolicyk8s.io", "v1alpha2", kind))
}

/// Writes the reports, and removes those that say nothing any more. What fails is told, and tried again with the next
/// audit.
pub(super) async fn write(client: &kube::Client, found: &Found) {
    if let Err(error) = try_write(client, found).await {
        warn!(
            problem = told(&error),
            "cannot write PolicyReports; are their kinds installed, and may the ServiceAccount write them?"
        );
    }
}

async fn try_write(client: &kube::Client, found: &Found) -> Result<(), kube::Error> {
    let mut by_namespace: BTreeMap<&str, Vec<&AuditFinding>> = BTreeMap::new();
    for finding in found.findings() {
        by_namespace
            .entry(&finding.namespace)
            .or_default()
            .push(finding);
    }
    for kind in [kind("PolicyReport"), kind("ClusterPolicyReport")] {
        let is_cluster = kind.kind == "ClusterPolicyReport";
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let known = all.list(&ListParams::default().labels(LABEL)).await?;
        let known: BTreeMap<String, DynamicObject> = (known.items.into_iter())
            .map(|report| {
                (
                    report.metadata.namespace.clone().unwrap_or_default(),
                    report,
                )
            })
            .collect();
        let api = |namespace: &str| -> Api<DynamicObject> {
            match namespace {
                "" => all.clone(),
                namespace => Api::namespaced_with(client.clone(), namespace, &kind),
            }
        };
        for (namespace, findings) in &by_namespace {
            if namespace.is_empty() != is_cluster {
                continue;
            }
            let report = report(&kind, namespace, findings);
            let same = known.get(*namespace).is_some_and(|known| {
                known.data.get("results") == report.get("results")
                    && known.data.get("summary") == report.get("summary")
            });
            if !same {
                let params = PatchParams::apply("taffrail").force();
                api(namespace)
                    .patch(NAME, &params, &Patch::Apply(report))
                    .await?;
            }
        }
        for namespace in known.keys() {
            if !by_namespace.contains_key(namespace.as_str()) {
                match api(namespace).delete(NAME, &DeleteParams::default()).await {
                    // Another replica audits, too.
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    deleted => drop(deleted?),
                }
            }
        }
    }
    Ok(())
}

fn report(kind: &ApiResource, namespace: &str, findings: &[&AuditFinding]) -> Value {
    let results: Vec<Value> = (findings.iter().take(RESULTS_MAX))
        .map(|finding| result(finding))
        .collect();
    let failed = findings.iter().filter(|f| f.action == "enforce").count();
    let labels = json!({"app.kubernetes.io/managed-by": "taffrail"});
    let metadata = if namespace.is_empty() {
        json!({"name": NAME, "labels": labels})
    } else {
        json!({"name": NAME, "namespace": namespace, "labels": labels})
    };
    json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
        "results": results,
        "summary": {"error": 0, "fail": failed, "pass": 0, "skip": 0, "warn": findings.len() - failed},
    })
}

fn result(finding: &AuditFinding) -> Value {
    let mut resource = Map::new();
    for (key, value) in [
        ("apiVersion", &finding.api_version),
        ("kind", &finding.kind),
        ("name", &finding.name),
        ("namespace", &finding.namespace),
    ] {
        if !value.is_empty() {
            resource.insert(key.to_string(), value.as_str().into());
        }
    }
    json!({
        "source": "taffrail",
        "policy": finding.policy,
        "result": if finding.action == "enforce" { "fail" } else { "warn" },
        "message": finding.message,
        "resources": [resource],
    })
}
