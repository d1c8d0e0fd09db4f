//! From a review to a verdict.
//!
//! The order of questions is the Pod Security admission controller's: what is not ours to judge
//! passes, then what is exempt, then an update that changes nothing that runs; the rest is held
//! against the namespace's policy, a pod in all three modes, a workload in audit and warn only.
//!
//! What goes wrong on the way is an [`Unjudged`], which the fail mode turns into a verdict.
//! There is no path on which an error becomes consent by itself.

mod audit;
mod constraints;
mod namespace;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

pub use trace::{NETWORK_POLICY, POD_SECURITY, Parts, Trace};

use crate::bundle::network::{NetworkChange, NetworkError};
use crate::bundle::{Bundle, EvaluateError, JudgedPod};
use crate::config::{Exemptions, FailMode, NetworkPolicyConfig};
use crate::data::{DataLimits, DataSource, Session, with_session};
use crate::gatekeeper::{Inventory, InventorySource};
use crate::metrics::DataMetrics;
use crate::network_policy::builtins::ClusterState;
use crate::pod_security::{LevelVersion, Policy};
use crate::review::pod::Pod;
use crate::review::{Operation, Review, Target, update};
use crate::verdict::{Allowance, Denial, Exemption, Hit, Mode, Verdict, Violations, cut_warnings};

/// Where the labels of a namespace come from.
///
/// Called off the async threads, for every pod and workload: it must answer from memory, or, where a namespace
/// is too new for that, soon.
pub trait NamespaceLabels: Send + Sync + 'static {
    /// The labels of a namespace. An error refuses a pod, whatever the fail mode of the
    /// webhook: a namespace nobody can look up may be the most restricted one.
    fn labels(
        &self,
        namespace: &str,
    ) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError>;

    /// The Namespace object, where it is known; constraints that select namespaces need it, and
    /// speak against what they cannot decide.
    fn object(&self, _namespace: &str) -> Option<Arc<serde_json::Value>> {
        None
    }

    /// Whether [`NamespaceLabels::labels`] answers from memory now.
    fn knows(&self, _namespace: &str) -> bool {
        true
    }
}

pub(crate) use audit::AuditRun;
pub use namespace::{RunningPod, RunningPods};

/// A namespace's labels cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to lookup namespace \"{namespace}\": {problem}")]
pub struct NamespaceLookupError {
    /// The namespace.
    pub namespace: String,
    /// Why not.
    pub problem: String,
}

/// No labels anywhere, so that the configured defaults hold in every namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultsEverywhere;

impl NamespaceLabels for DefaultsEverywhere {
    fn labels(&self, _: &str) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        Ok(Arc::default())
    }
}

/// Why a review got no verdict of a policy.
#[derive(Debug, thiserror::Error)]
pub enum Unjudged {
    /// The policy failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The rules about who may reach whom failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The webhook has just started.
    #[error("the webhook does not know the cluster and its policies yet")]
    NotReady,
    /// The API server's patience, or our own, ran out.
    #[error("the deadline passed")]
    Deadline,
    /// It would take more memory than there may be.
    #[error("the review holds more than {0} values: raise admission.limits.values_max")]
    TooManyValues(usize),
    /// The evaluation panicked.
    #[error("the evaluation stopped short")]
    Panicked,
}

/// The questions that do not change between reviews.
pub struct Evaluator {
    defaults: Policy,
    exemptions: Exemptions,
    fail_mode: FailMode,
    namespaces: Arc<dyn NamespaceLabels>,
    network: Option<(NetworkPolicyConfig, Arc<dyn ClusterState>)>,
    inventory: Arc<dyn InventorySource>,
    running: Option<Arc<dyn RunningPods>>,
    data: Option<(Arc<dyn DataSource>, DataLimits)>,
    data_metrics: Option<DataMetrics>,
}

/// The parts of a pod that were judged at a level, kept so that a level asked for in several
/// modes is evaluated once.
struct Judge<'a> {
    pod: JudgedPod<'a>,
    deadline: Instant,
    known: Vec<(LevelVersion, Option<Violations>)>,
}

impl Judge<'_> {
    fn violations(&mut self, policy: LevelVersion) -> Result<Option<Violations>, Unjudged> {
        if let Some((_, known)) = self.known.iter().find(|(asked, _)| *asked == policy) {
            return Ok(known.clone());
        }
        let limit = self.deadline.saturating_duration_since(Instant::now());
        if limit.is_zero() {
            return Err(Unjudged::Deadline);
        }
        let found = self.pod.violations(policy, limit)?;
        let found = Violations::from_list(found);
        self.known.push((policy, found.clone()));
        Ok(found)
    }
}

/// Subresources of a pod that hold no pod. Any other is judged as one, so that a subresource
/// of a newer API cannot be a way around.
pub(crate) const SUBRESOURCES_IGNORED: &[&str] = &[
    "exec",
    "attach",
    "binding",
    "eviction",
    "log",
    "portforward",
    "proxy",
    "status",
];

impl Evaluator {
    /// With the policy for namespaces whose labels choose none, and where labels come from.
    pub fn new(
        defaults: Policy,
        exemptions: Exemptions,
        fail_mode: FailMode,
        namespaces: Arc<dyn NamespaceLabels>,
    ) -> Self {
        Evaluator {
            defaults,
            exemptions,
            fail_mode,
            namespaces,
            network: None,
            inventory: Arc::new(Arc::new(Inventory::unknown())),
            running: None,
            data: None,
            data_metrics: None,
        }
    }

    /// Counts what rules ask beside the object.
    #[must_use]
    pub(crate) fn counting_questions(mut self, metrics: DataMetrics) -> Self {
        self.data_metrics = Some(metrics);
        self
    }

    /// Gives rules somebody to ask beside the object.
    #[must_use]
    pub fn with_data(mut self, source: Arc<dyn DataSource>, limits: DataLimits) -> Self {
        self.data = Some((source, limits));
        self
    }

    /// Tells whoever makes a namespace's level stricter which of its pods break it.
    #[must_use]
    pub fn with_running_pods(mut self, running: Arc<dyn RunningPods>) -> Self {
        self.running = Some(running);
        self
    }

    /// Gives Gatekeeper's templates what they may know beside the object.
    #[must_use]
    pub fn with_inventory(mut self, inventory: Arc<dyn InventorySource>) -> Self {
        self.inventory = inventory;
        self
    }

    /// Holds changes to rules about who may reach whom as well, in the state of a cluster.
    #[must_use]
    pub fn with_network(
        mut self,
        rules: NetworkPolicyConfig,
        state: Arc<dyn ClusterState>,
    ) -> Self {
        self.network = rules.is_on().then_some((rules, state));
        self
    }

    /// Whether it is judged from memory, and by nothing but rules, which look at the clock: nobody is asked who may take his
    /// time, and neither all pods of a namespace nor all of a cluster are gone through.
    pub(crate) fn needs_nobody(&self, review: &Review) -> bool {
        self.data.is_none()
            && self.network.is_none()
            && review.target != Target::Namespace
            && self.namespaces.knows(&review.namespace)
    }

    /// Judges a review by `bundle`, no longer than until `deadline`.
    pub fn evaluate(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Result<Verdict, Unjudged> {
        self.evaluate_traced(review, bundle, deadline, &mut Trace::default())
    }

    /// As [`Evaluator::evaluate`], and notes in `trace` what was done.
    pub fn evaluate_traced(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Verdict, Unjudged> {
        self.evaluate_parts(review, bundle, deadline, trace, Parts::ALL)
    }

    /// As [`Evaluator::evaluate_traced`], and asks only some of the rules.
    pub fn evaluate_parts(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
        trace: &mut Trace,
        parts: Parts,
    ) -> Result<Verdict, Unjudged> {
        let (result, asked) = with_session(self.session(deadline), || {
            self.judge(review, bundle, deadline, trace, parts)
        });
        trace.asked = asked;
        result
    }

    /// What the questions of one review are answered with, where somebody is there to ask. Whoever answers gives up
    /// before the review does: there is time left then to say who did not answer, by the rule's own fail mode.
    fn session(&self, deadline: Instant) -> Option<Session> {
        let (source, _) = self.data.as_ref()?;
        self.session_at(source.clone(), deadline, jiff::Timestamp::now())
    }

    /// The same of another source, about an instant.
    fn session_at(
        &self,
        source: Arc<dyn DataSource>,
        deadline: Instant,
        now: jiff::Timestamp,
    ) -> Option<Session> {
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline = deadline.checked_sub(left / 4).unwrap_or(deadline);
        let (_, limits) = self.data.as_ref()?;
        let session = Session::new(source, *limits, deadline, now.as_millisecond());
        Some(session.counted(self.data_metrics.clone()))
    }

    fn judge(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
        trace: &mut Trace,
        parts: Parts,
    ) -> Result<Verdict, Unjudged> {
        let mut verdict = Verdict::not_judged();
        if parts.pod_security {
            verdict = trace.timed(POD_SECURITY, || self.pod_security(review, bundle, deadline))?;
            if verdict == Verdict::not_judged() {
                trace.times.pop();
            }
        }
        if matches!(verdict, Verdict::Denied(_)) {
            return Ok(verdict);
        }
        if parts.network_policy && self.network.is_some() {
            let found = trace.timed(NETWORK_POLICY, || self.network(review, bundle, deadline))?;
            if let Some(refusal) = found {
                return Ok(Verdict::Denied(refusal));
            }
        }
        Ok(match verdict {
            Verdict::Allowed(allowance) if parts.constraints => {
                self.constraints(review, allowance, bundle, deadline, trace)
            }
            Verdict::Allowed(allowance) => Verdict::Allowed(allowance),
            denied @ Verdict::Denied(_) => denied,
        })
    }

    /// The labels of a review's namespace, where they are known without asking anybody.
    pub fn namespace_labels(&self, review: &Review) -> BTreeMap<String, String> {
        let object = match review.namespace.as_str() {
            "" => None,
            name => self.namespaces.object(name),
        };
        let labels = object
            .as_ref()
            .and_then(|object| object.pointer("/metadata/labels"));
        let labels = labels.and_then(serde_json::Value::as_object);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        (labels.into_iter().flatten())
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// Who may reach whom changes with objects themselves, not with their subresources.
    fn network(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Result<Option<Denial>, Unjudged> {
        let Some((rules, state)) = &self.network else {
            return Ok(None);
        };
        if review.operation == Operation::Connect || !review.subresource.is_empty() {
            return Ok(None);
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        if limit.is_zero() {
            return Err(Unjudged::Deadline);
        }
        let change = NetworkChange {
            operation: review.operation.as_str(),
            namespace: &review.namespace,
            object: &review.object,
            old_object: &review.old_object,
        };
        let found = bundle.network_violations(state.world(), change, rules, limit)?;
        Ok(Violations::from_list(found).map(|violations| Denial::opens(&violations)))
    }

    fn pod_security(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Result<Verdict, Unjudged> {
        if !matches!(review.operation, Operation::Create | Operation::Update) {
            return Ok(Verdict::not_judged());
        }
        let ignored = match review.target {
            Target::Pod => SUBRESOURCES_IGNORED.contains(&review.subresource.as_str()),
            Target::Workload(_) | Target::Namespace => !review.subresource.is_empty(),
            Target::Other => true,
        };
        if ignored {
            return Ok(Verdict::not_judged());
        }
        if review.target == Target::Namespace {
            return Ok(self.namespace(review, bundle, deadline));
        }
        if self.exemptions.namespaces.contains(&review.namespace) {
            return Ok(Verdict::exempt(Exemption::Namespace));
        }
        if self.exemptions.usernames.contains(&review.user) {
            return Ok(Verdict::exempt(Exemption::User));
        }
        let labels = match self.namespaces.labels(&review.namespace) {
            Ok(labels) => labels,
            Err(error) if review.target == Target::Pod => {
                return Ok(Verdict::Denied(Denial::undecidable(&error.to_string())));
            }
            Err(error) => return Ok(Verdict::unread(error.to_string())),
        };
        let (policy, invalid) = Policy::from_labels(&labels, self.defaults);
        let mut annotations = BTreeMap::new();
        if !invalid.is_empty() {
            let problems: Vec<_> = invalid.iter().map(ToString::to_string).collect();
            annotations.insert(
                "error".to_string(),
                format!("Failed to parse policy: {}", problems.join(", ")),
            );
        }
        self.pod(review, policy, annotations, bundle, deadline)
    }

    fn pod(
        &self,
        review: &Review,
        policy: Policy,
        annotations: BTreeMap<String, String>,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Result<Verdict, Unjudged> {
        let pod = match Pod::of(review.target, &review.object) {
            Ok(Some(pod)) => pod,
            Ok(None) => return Ok(Verdict::not_judged()),
            Err(error) if review.target == Target::Pod => {
                let denial = Denial::malformed(error.path(), error.to_string());
                return Ok(Verdict::Denied(denial));
            }
            Err(error) => return Ok(Verdict::unread(error.to_string())),
        };
        if review.target == Target::Pod && review.operation == Operation::Update {
            if let Err(error) = Pod::of(review.target, &review.old_object) {
                let problem = format!("failed to decode old object: {error}");
                return Ok(Verdict::Denied(Denial::malformed("oldObject", problem)));
            }
            if !update::changes_what_runs(&review.object, &review.old_object) {
                return Ok(Verdict::not_judged());
            }
        }
        if self.exemptions.runtime_classes.contains(&pod.runtime_class) {
            return Ok(Verdict::exempt(Exemption::RuntimeClass));
        }
        let judge = Judge {
            pod: bundle.pod(pod.input),
            deadline,
            known: Vec::new(),
        };
        modes(judge, policy, review.target == Target::Pod, annotations)
    }

    /// The verdict on what could not be judged.
    pub fn fail(&self, why: &Unjudged) -> Verdict {
        match self.fail_mode {
            FailMode::Closed => Verdict::Denied(Denial::failed_closed(&why.to_string())),
            FailMode::Open => Verdict::failed_open(&why.to_string()),
        }
    }
}

fn modes(
    mut judge: Judge<'_>,
    policy: Policy,
    enforce: bool,
    mut annotations: BTreeMap<String, String>,
) -> Result<Verdict, Unjudged> {
    let mut refusal = None;
    if enforce {
        annotations.insert("enforce-policy".to_string(), policy.enforce.to_string());
        refusal = judge
            .violations(policy.enforce)?
            .map(|violations| Denial::violates(policy.enforce, &violations));
    }
    let mut hits: Vec<Hit> = Vec::new();
    if let Some(violations) = judge.violations(policy.audit)? {
        annotations.insert(
            "audit-violations".to_string(),
            would_violate(policy.audit, &violations),
        );
        hits.extend(violations.hits(Mode::Audit));
    }
    // Who is refused needs no warning.
    if let Some(refusal) = refusal {
        return Ok(Verdict::Denied(refusal.with_audit(annotations, hits)));
    }
    let mut warnings = Vec::new();
    if let Some(violations) = judge.violations(policy.warn)? {
        warnings.push(would_violate(policy.warn, &violations));
        hits.extend(violations.hits(Mode::Warn));
    }
    Ok(Verdict::Allowed(Allowance {
        exempt: None,
        enforced: enforce.then_some(policy.enforce),
        warnings: cut_warnings(warnings),
        audit_annotations: annotations,
        hits,
    }))
}

fn would_violate(policy: LevelVersion, violations: &Violations) -> String {
    format!("would violate PodSecurity \"{policy}\": {violations}")
}

#[cfg(test)]
mod tests;
