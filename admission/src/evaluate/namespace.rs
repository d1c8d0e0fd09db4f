//! What a namespace's labels may say, and what making them stricter means to what runs in it.
//!
//! Questions, order, words and bounds are those of the Pod Security admission controller: labels that cannot be read
//! are refused unless they were there before; a stricter level is held against the pods that run,
//! one of each controller first, 3,000 of them or a second long, and what they break is a warning. Pods that are
//! alike are evaluated once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Evaluator, Judge};
use crate::bundle::Bundle;
use crate::pod_security::{Level, LevelVersion, Policy};
use crate::review::pod::Pod;
use crate::review::{Operation, Review, Target};
use crate::verdict::{Allowance, Denial, Verdict, Violation, cut_warnings};

/// How many pods are looked at.
const PODS_MAX: usize = 3000;

/// How long they are looked at.
const PODS_TIMEOUT: Duration = Duration::from_secs(1);

/// What runs in a namespace. Answers from memory.
pub trait RunningPods: Send + Sync + 'static {
    /// The pods of a namespace, in the order of their names.
    fn running(&self, namespace: &str) -> Vec<RunningPod>;
}

/// A pod that runs.
#[derive(Debug, Clone)]
pub struct RunningPod {
    /// Its name.
    pub name: String,
    /// The uid of what made it, if something did.
    pub controller: Option<String>,
    /// The pod as JSON, as far as Pod Security may look at it; the same text for pods that are alike.
    pub pod: Arc<str>,
}

impl Evaluator {
    /// A namespace is refused where its labels cannot be read, unless they could not be read
    /// before either: what is already broken must stay editable.
    pub(super) fn namespace(&self, review: &Review, bundle: &Bundle, deadline: Instant) -> Verdict {
        let policy = |object: &Value| {
            labels_of(object).map(|labels| Policy::from_labels(&labels, self.defaults))
        };
        let Some(labels) = labels_of(&review.object) else {
            return Verdict::Denied(Denial::malformed(
                "object.metadata.labels",
                "failed to decode namespace: its labels are not strings",
            ));
        };
        let (new, problems) = Policy::from_labels(&labels, self.defaults);
        let old = match review.operation {
            Operation::Update => policy(&review.old_object),
            _ => None,
        };
        let unchanged = old.as_ref().is_some_and(|(_, old)| *old == problems);
        if !problems.is_empty() && !unchanged {
            let list: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let list = match list.as_slice() {
                [one] => one.clone(),
                many => format!("[{}]", many.join(", ")),
            };
            return Verdict::Denied(Denial::invalid(
                "metadata.labels",
                format!("Namespace \"{}\" is invalid: {list}", review.name),
            ));
        }
        let is_stricter = old.is_some_and(|(old, _)| is_stricter(new.enforce, old.enforce));
        let warnings = if self.exemptions.namespaces.contains(&review.name) {
            let has_meaning = review.operation == Operation::Create || is_stricter;
            let warning = self.exempt_warning(&review.name, new, &labels);
            warning.filter(|_| has_meaning).into_iter().collect()
        } else if is_stricter {
            self.running_pods_warnings(&review.name, new.enforce, bundle, deadline)
        } else {
            Vec::new()
        };
        Verdict::Allowed(Allowance {
            warnings: cut_warnings(warnings),
            ..Allowance::default()
        })
    }

    fn exempt_warning(
        &self,
        namespace: &str,
        policy: Policy,
        labels: &BTreeMap<String, String>,
    ) -> Option<String> {
        if policy.asks_nothing() || policy == self.defaults {
            return None;
        }
        let modes = [
            ("enforce", policy.enforce),
            ("audit", policy.audit),
            ("warn", policy.warn),
        ];
        let said: Vec<_> = modes
            .into_iter()
            .filter(|(mode, at)| at.level != Level::Privileged && Policy::is_said(labels, mode))
            .map(|(mode, at)| format!("{mode}={at}"))
            .collect();
        Some(format!(
            "namespace \"{namespace}\" is exempt from Pod Security, and the policy ({}) will be ignored",
            said.join(", ")
        ))
    }

    fn running_pods_warnings(
        &self,
        namespace: &str,
        enforce: LevelVersion,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Vec<String> {
        let Some(running) = &self.running else {
            return Vec::new();
        };
        let now = Instant::now();
        let until = now + PODS_TIMEOUT.min(deadline.saturating_duration_since(now) / 2);
        let pods = one_of_each_first(running.running(namespace));
        let mut known: HashMap<Arc<str>, Looked> = HashMap::new();
        let (mut total, mut checked, mut in_time) = (0, 0, true);
        let mut broken: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for pod in pods {
            let looked = known
                .entry(Arc::clone(&pod.pod))
                .or_insert_with(|| Looked::at(&pod.pod));
            if self
                .exemptions
                .runtime_classes
                .contains(&looked.runtime_class)
            {
                continue;
            }
            total += 1;
            if checked == PODS_MAX || !in_time {
                continue;
            }
            checked += 1;
            if let Some(reasons) = looked.reasons(enforce, bundle, until) {
                let (first, count) = broken.entry(reasons.clone()).or_default();
                if *count == 0 || pod.name < *first {
                    *first = pod.name;
                }
                *count += 1;
            }
            in_time = Instant::now() < until;
        }
        let mut warnings = Vec::new();
        if checked < total {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"
            ));
        }
        if !broken.is_empty() {
            warnings.push(format!(
                "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{enforce}\""
            ));
        }
        let mut told: Vec<_> = (broken.into_iter())
            .map(|(reasons, (first, count))| match count {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                _ => format!("{first} (and {} other pods): {reasons}", count - 1),
            })
            .collect();
        told.sort();
        warnings.extend(told);
        warnings
    }
}

/// Whether pods that run may break the new level and did not have to keep it.
fn is_stricter(new: LevelVersion, old: LevelVersion) -> bool {
    new != old
        && new.level != Level::Privileged
        && !(new.version == old.version && new.level <= old.level)
}

/// The labels of an object; None where they are no strings.
fn labels_of(object: &Value) -> Option<BTreeMap<String, String>> {
    let labels = object.pointer("/metadata/labels").cloned();
    let labels: Option<_> = serde_json::from_value(labels.unwrap_or_default()).ok()?;
    Some(labels.unwrap_or_default())
}

/// A pod of each controller, and those without one, before the others.
fn one_of_each_first(pods: Vec<RunningPod>) -> impl Iterator<Item = RunningPod> {
    let mut seen = HashSet::new();
    let (first, others): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| {
        let controller = pod.controller.as_ref();
        controller.is_none_or(|controller| seen.insert(controller.clone()))
    });
    first.into_iter().chain(others)
}

/// Pods that are alike.
struct Looked {
    object: Result<Value, String>,
    runtime_class: String,
    /// Once they were judged; empty where nothing speaks against them.
    reasons: Option<String>,
}

impl Looked {
    fn at(text: &str) -> Self {
        let object: Result<Value, _> =
            serde_json::from_str(text).map_err(|error| error.to_string());
        let pod = object.as_ref().ok().and_then(|object| pod_of(object).ok());
        Looked {
            runtime_class: pod.map(|pod| pod.runtime_class).unwrap_or_default(),
            object,
            reasons: None,
        }
    }

    /// What speaks against them, without details. What cannot be judged is told as well.
    fn reasons(&mut self, at: LevelVersion, bundle: &Bundle, until: Instant) -> Option<&String> {
        let object = &self.object;
        let reasons = self.reasons.get_or_insert_with(|| {
            match object.as_ref().map_err(String::clone).and_then(pod_of) {
                Ok(pod) => reasons(&pod, at, bundle, until),
                Err(problem) => problem,
            }
        });
        Some(&*reasons).filter(|reasons| !reasons.is_empty())
    }
}

fn pod_of(object: &Value) -> Result<Pod<'_>, String> {
    let pod = Pod::of(Target::Pod, object).map_err(|error| error.to_string())?;
    pod.ok_or_else(|| "failed to decode pod: there is none".to_string())
}

fn reasons(pod: &Pod<'_>, at: LevelVersion, bundle: &Bundle, until: Instant) -> String {
    let mut judge = Judge {
        pod: bundle.pod(pod.input),
        deadline: until,
        known: Vec::new(),
    };
    match judge.violations(at) {
        Ok(None) => String::new(),
        Ok(Some(violations)) => {
            let reasons = violations.as_slice().iter().map(Violation::reason);
            reasons.collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("could not be judged: {error}"),
    }
}

#[cfg(test)]
mod tests;
