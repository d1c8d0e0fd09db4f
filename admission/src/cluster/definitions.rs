//! The kinds of constraints, made by us where Gatekeeper is not there to make them.
//!
//! Of each template that is in force the CustomResourceDefinition ([`definition`]) is applied, one after the other, when
//! policies change, and all of them again every so often, for somebody may have deleted one. The
//! template owns it, so whoever deletes the template has the API server's garbage collector delete the kind
//! and its constraints; nothing is ever deleted from here.
//!
//! Several replicas may do so at once, for they apply the same as the same manager. A definition that another manager wrote
//! is Gatekeeper's, or somebody's who knows better: it is told, and left as it is. What the API server refuses
//! is told in its words and costs this template only; what fails otherwise is tried again, after pauses that grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::connect::told;
use super::policies::PolicyObjects;
use super::watch::Pauses;
use super::{Cluster, resource};
use crate::bundle::{Bundle, Bundles};
use crate::gatekeeper::definition;

/// Whom the API server knows as the one who wrote a field.
const MANAGER: &str = "taffrail";

/// How often is looked whether there is something to do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often all definitions are applied, though no template says anything new.
const APPLY_INTERVAL: Duration = Duration::from_mins(2);

/// Which definitions are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those that say something else than the last time, or failed.
    Changed,
    /// All of them.
    All,
}

/// What became of a definition.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It is as it should be.
    Applied,
    /// It will not be until somebody changes something.
    Settled(String),
    /// It may be, the next time.
    Failed(String),
}

/// The definitions of the templates in force.
pub(crate) struct Definitions {
    api: Api<DynamicObject>,
    policies: Arc<PolicyObjects>,
    bundles: Arc<Bundles>,
    ready: Arc<AtomicBool>,
    pauses: Pauses,
    /// What was applied last, or was refused, by name.
    settled: BTreeMap<String, Value>,
    /// What was told of one that is not as it should be.
    complaints: BTreeMap<String, String>,
}

impl Definitions {
    /// Of the templates of a cluster, once they are known.
    pub(crate) fn new(cluster: &Cluster, bundles: Arc<Bundles>, ready: Arc<AtomicBool>) -> Self {
        let caches = cluster.caches();
        let kind = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        Definitions {
            api: Api::all_with(caches.client().clone(), &kind),
            policies: Arc::clone(&cluster.policies),
            bundles,
            ready,
            pauses: caches.pauses(),
            settled: BTreeMap::new(),
            complaints: BTreeMap::new(),
        }
    }

    /// Applies until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = self.pauses.first;
        let mut retry: Option<Instant> = None;
        let mut last: Option<(Arc<Bundle>, Instant)> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            if !self.ready.load(Ordering::Acquire) {
                continue;
            }
            let bundle = self.bundles.current();
            let now = Instant::now();
            let is_other = |(applied, _): &(Arc<Bundle>, Instant)| !Arc::ptr_eq(applied, &bundle);
            let is_old = |(_, at): &(_, Instant)| now.duration_since(*at) >= APPLY_INTERVAL;
            let (scope, at) = match &last {
                Some(last) if !is_old(last) => {
                    if !is_other(last) && retry.is_none_or(|at| at > now) {
                        continue;
                    }
                    (Scope::Changed, last.1)
                }
                _ => (Scope::All, now),
            };
            let failed = tokio::select! {
                () = stop.cancelled() => return,
                failed = self.apply_all(&bundle, scope) => failed,
            };
            last = Some((bundle, at));
            if failed == 0 {
                (pause, retry) = (self.pauses.first, None);
            } else {
                retry = Some(Instant::now() + pause);
                pause = (pause * 2).min(self.pauses.longest);
            }
        }
    }

    /// Applies the definitions of all templates in force; how many failed and are worth another attempt.
    async fn apply_all(&mut self, bundle: &Bundle, scope: Scope) -> usize {
        let templates = self.policies.templates();
        let is_wanted = |template: &&Value| {
            // One that is on its way out takes its kind along.
            let is_leaving = template.pointer("/metadata/deletionTimestamp").is_some();
            !is_leaving && bundle.constraints().holds(template)
        };
        let wanted: BTreeMap<String, Value> = (templates.iter())
            .filter(is_wanted)
            .filter_map(definition::of)
            .collect();
        self.settled.retain(|name, _| wanted.contains_key(name));
        self.complaints.retain(|name, _| wanted.contains_key(name));
        let mut failed = 0;
        for (name, definition) in wanted {
            if scope == Scope::Changed && self.settled.get(&name) == Some(&definition) {
                continue;
            }
            match self.apply(&name, &definition).await {
                Outcome::Applied => {
                    self.complaints.remove(&name);
                    if self.settled.get(&name) != Some(&definition) {
                        info!(name, "the kind of a template's constraints is applied");
                    }
                    self.settled.insert(name, definition);
                }
                Outcome::Settled(problem) => {
                    self.complain(&name, problem);
                    self.settled.insert(name, definition);
                }
                Outcome::Failed(problem) => {
                    self.complain(&name, problem);
                    self.settled.remove(&name);
                    failed += 1;
                }
            }
        }
        failed
    }

    async fn apply(&self, name: &str, definition: &Value) -> Outcome {
        match self.api.get_metadata_opt(name).await {
            Ok(None) => {}
            Ok(Some(known)) => {
                if let Some(manager) = other_manager(&known.metadata) {
                    return Outcome::Settled(format!(
                        "it was written by {manager:?} and is left as it is"
                    ));
                }
                if known.metadata.deletion_timestamp.is_some() {
                    return Outcome::Failed("it is still being deleted".to_string());
                }
            }
            Err(error) => return Outcome::Failed(told(&error)),
        }
        // Not by force: what somebody else wrote in between stays, and is seen the next time.
        let params = PatchParams::apply(MANAGER);
        match self
            .api
            .patch(name, &params, &Patch::Apply(definition))
            .await
        {
            Ok(_) => Outcome::Applied,
            Err(error) => match &error {
                kube::Error::Api(status) if matches!(status.code, 400 | 422) => {
                    Outcome::Settled(told(&error))
                }
                _ => Outcome::Failed(told(&error)),
            },
        }
    }

    fn complain(&mut self, name: &str, problem: String) {
        if self.complaints.get(name) == Some(&problem) {
            return;
        }
        warn!(
            name,
            problem, "the kind of a template's constraints is not applied; the others are"
        );
        self.complaints.insert(name.to_string(), problem);
    }
}

/// Who else wrote what a definition says. Whoever only notes something in its metadata or its status did not.
fn other_manager(metadata: &ObjectMeta) -> Option<String> {
    let mut writers = metadata.managed_fields.iter().flatten().filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        entry.subresource.is_none() && fields.is_some_and(|fields| fields.0.get("f:spec").is_some())
    });
    let is_ours = |manager: &Option<String>| manager.as_deref() == Some(MANAGER);
    let mut is_known = false;
    let other = writers.find(|entry| {
        is_known = true;
        !is_ours(&entry.manager)
    });
    match other {
        Some(other) => Some(other.manager.clone().unwrap_or_default()),
        None if is_known => None,
        None => Some("somebody unknown".to_string()),
    }
}

#[cfg(test)]
mod tests;
