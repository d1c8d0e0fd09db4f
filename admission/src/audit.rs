//! What already runs, held against the policies in force.
//!
//! A policy that is made stricter says nothing of what passed before it, and a webhook that was away let pass what came:
//! so everything that policies are about is listed, in pages, and judged as if it were made now; at the
//! start, when the policies change, and every so often. Each page is judged beside the async threads, one at a time, and
//! nothing is kept but what was found.
//!
//! What is found becomes series ([`found`]), lines where it was not found the last time, and PolicyReports where these are
//! switched on ([`report`]). From here nothing else is ever written to the API server.

pub(crate) mod found;
mod kinds;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bundle::{Bundle, Bundles};
use crate::cluster::connect::told;
use crate::cluster::{All, Watched};
use crate::evaluate::{AuditRun, Evaluator};
use crate::metrics::AuditMetrics;
use crate::review::{Operation, Review, Target};
use crate::verdict::DecisionSink;
pub use found::AuditFinding;
use found::Found;

/// How many objects are listed and judged at a time: few, for all of each is in memory.
const PAGE_SIZE: u32 = 25;

/// How often is looked whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long after an audit another one may follow because policies changed; and so many times what it took, so that
/// changes that never end are not audits that never end.
const CHANGE_PAUSE: Duration = Duration::from_secs(5);
const CHANGE_PAUSE_TIMES: u32 = 10;

/// How long judging one object may take.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The audit of what already runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// How long after one audit the next begins; 0 for none at all. It also begins when policies change.
    pub interval_seconds: u64,
    /// Whether PolicyReports (wgpolicyk8s.io/v1alpha2) are written.
    pub policy_reports: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        AuditConfig {
            interval_seconds: 600,
            policy_reports: false,
        }
    }
}

/// The audit.
pub(crate) struct Audit {
    pub(crate) config: AuditConfig,
    pub(crate) client: kube::Client,
    pub(crate) evaluator: Arc<Evaluator>,
    pub(crate) judges_network: bool,
    pub(crate) bundles: Arc<Bundles>,
    pub(crate) sink: Arc<dyn DecisionSink>,
    pub(crate) metrics: AuditMetrics,
    pub(crate) ready: Arc<AtomicBool>,
}

impl Audit {
    /// Audits until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        if self.config.interval_seconds == 0 {
            return;
        }
        let interval = Duration::from_secs(self.config.interval_seconds);
        let mut last: Option<(Arc<Bundle>, Instant, Duration)> = None;
        let mut before = Found::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            if !self.ready.load(Ordering::Acquire) {
                continue;
            }
            let bundle = self.bundles.current();
            let is_due = last.as_ref().is_none_or(|(judged_by, at, took)| {
                let pause = if Arc::ptr_eq(judged_by, &bundle) {
                    interval
                } else {
                    interval.min(CHANGE_PAUSE.max(*took * CHANGE_PAUSE_TIMES))
                };
                at.elapsed() >= pause
            });
            if !is_due {
                continue;
            }
            let begun = Instant::now();
            let found = tokio::select! {
                () = stop.cancelled() => return,
                found = self.audit(&bundle) => found,
            };
            let took = begun.elapsed();
            self.metrics.observe(&found, took);
            self.tell(&found, &before);
            if self.config.policy_reports {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = report::write(&self.client, &found) => {}
                }
            }
            before = found;
            last = Some((bundle, Instant::now(), took));
        }
    }

    /// One audit of everything.
    pub(crate) async fn audit(&self, bundle: &Arc<Bundle>) -> Found {
        let mut found = Found::default();
        let kinds = match kinds::of(&self.client, bundle.constraints(), self.judges_network).await {
            Ok(kinds) => kinds,
            Err(error) => {
                found.fail("discovery", told(&error));
                kinds::well_known(self.judges_network)
            }
        };
        let run = Arc::new(self.evaluator.begin_audit(bundle.clone()));
        for kind in &kinds {
            if let Err(error) = self.audit_kind(kind, &run, &mut found).await {
                found.fail(&kind.kind, told(&error));
            }
        }
        self.audit_namespaces(&run, &mut found).await;
        found
    }

    async fn audit_namespaces(&self, run: &Arc<AuditRun>, found: &mut Found) {
        let (evaluator, run) = (self.evaluator.clone(), run.clone());
        let judged = tokio::task::spawn_blocking(move || {
            evaluator.audit_namespaces(&run, || std::time::Instant::now() + OBJECT_TIMEOUT)
        });
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        match judged.await {
            Ok(Ok(judged)) => {
                for (namespace, hits) in judged {
                    let object = json!({"metadata": {"name": namespace}});
                    found.add(&AuditFinding::object(&review(object, &kind)), hits);
                }
            }
            Ok(Err(why)) => found.fail(&kind.kind, why.to_string()),
            Err(_) => found.fail(&kind.kind, "judging it stopped short".to_string()),
        }
    }

    async fn audit_kind(
        &self,
        kind: &ApiResource,
        run: &Arc<AuditRun>,
        found: &mut Found,
    ) -> Result<(), kube::Error> {
        let api: Api<Watched<All>> = Api::all_with(self.client.clone(), kind);
        let mut params = ListParams::default().limit(PAGE_SIZE);
        loop {
            let page = api.list(&params).await?;
            let more = page.metadata.continue_.filter(|more| !more.is_empty());
            let (evaluator, run, of) = (self.evaluator.clone(), run.clone(), kind.clone());
            let judged = tokio::task::spawn_blocking(move || {
                let reviews = page.items.into_iter().map(|item| review(item.object, &of));
                reviews
                    .map(|review| {
                        let deadline = std::time::Instant::now() + OBJECT_TIMEOUT;
                        let hits = evaluator.audit(&review, &run, deadline);
                        (review, hits)
                    })
                    .filter(|(_, hits)| !hits.is_empty())
                    .map(|(review, hits)| (AuditFinding::object(&review), hits))
                    .collect::<Vec<_>>()
            });
            match judged.await {
                Ok(judged) => {
                    for (object, hits) in judged {
                        found.add(&object, hits);
                    }
                }
                Err(_) => found.fail(&kind.kind, "judging it stopped short".to_string()),
            }
            match more {
                Some(more) => params = params.continue_token(&more),
                None => return Ok(()),
            }
        }
    }

    fn tell(&self, found: &Found, before: &Found) {
        for (kind, problem) in found.failures() {
            warn!(kind, problem, "the audit could not look at everything");
        }
        info!(
            violations = found.total(),
            failures = found.failures().len(),
            "audited what runs"
        );
        let new: Vec<_> = found.new_since(before).collect();
        if !new.is_empty() {
            self.sink.record_findings(Timestamp::now(), &new);
        }
    }
}

/// The request that would make the object.
fn review(mut object: Value, kind: &ApiResource) -> Review {
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".into(), kind.api_version.clone().into());
        members.insert("kind".into(), kind.kind.clone().into());
    }
    let text = |pointer| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_string()
    };
    Review {
        uid: String::new(),
        operation: Operation::Create,
        target: Target::of_resource(&kind.group, &kind.plural),
        kind: kind.kind.clone(),
        subresource: String::new(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        user: String::new(),
        dry_run: true,
        object,
        old_object: Value::Null,
        request: Map::new(),
    }
}

#[cfg(test)]
mod tests;
