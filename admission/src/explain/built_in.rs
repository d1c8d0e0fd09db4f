//! Pod Security and the rules about networks: what they say, and why not.
//!
//! A violation of theirs names the object paths it is about itself; these are what it rests on. The line is that of the body
//! that put the violation together.

use std::sync::{Arc, OnceLock};

use regorus::{Engine, Value as Rego};
use serde_json::Value;

use super::subject::Reviewed;
use super::{Because, Explainer, Found, FoundValue, Place, PolicySaid, Said, Yes};
use crate::bundle::network::{NETWORK_POLICY, NetworkChange};
use crate::bundle::{Module, POD_SECURITY, prepared};
use crate::check::{EVALUATION_LIMIT, is_network_policy, network_change};
use crate::data::Allowed;
use crate::evaluate::SUBRESOURCES_IGNORED;
use crate::network_policy::World;
use crate::network_policy::builtins::{register, with_world};
use crate::pod_security::{Level, LevelVersion, Policy};
use crate::rego::trace::Tracer;
use crate::review::pod::{Pod, template_path};
use crate::review::{Operation, Review, Target, group_of, update};
use crate::verdict::Violation;

const NAME: &str = "PodSecurity";
const NETWORK_NAME: &str = "NetworkPolicy";

/// What is said of objects that hold no pod.
const NO_POD: &str = "it judges pods and what makes pods, and this is neither";

impl Explainer {
    pub(super) fn pod_security_of_manifest(&self, object: &Value) -> Vec<PolicySaid> {
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let target = Target::of_kind(group_of(text("apiVersion")), text("kind"));
        let level = self.checker.policy;
        vec![match target {
            Target::Pod | Target::Workload(_) => {
                self.at_level(target, object, level, level.to_string())
            }
            Target::Namespace | Target::Other => {
                PolicySaid::not_asked(NAME, level.to_string(), NO_POD)
            }
        }]
    }

    /// And whether it refuses the request.
    pub(super) fn pod_security_of_review(&self, reviewed: &Reviewed) -> (Vec<PolicySaid>, bool) {
        let review = &reviewed.review;
        if let Some(why) = self.why_not_judged(review) {
            return (vec![PolicySaid::not_asked(NAME, String::new(), why)], false);
        }
        let labels = reviewed.labels.clone().unwrap_or_default();
        let (policy, _) = Policy::from_labels(&labels, self.config.defaults);
        let modes = [
            ("enforce", self.level.unwrap_or(policy.enforce)),
            ("audit", policy.audit),
            ("warn", policy.warn),
        ];
        let mut policies = Vec::new();
        let mut refused = false;
        for (mode, level) in modes {
            let chosen = if mode == "enforce" && self.level.is_some() {
                "as asked for".to_string()
            } else if Policy::is_said(&labels, mode) {
                format!("by the labels of namespace {:?}", review.namespace)
            } else if reviewed.labels.is_some() {
                format!(
                    "by default: no label of namespace {:?} says",
                    review.namespace
                )
            } else {
                "by default: the labels of its namespace are not known here".to_string()
            };
            let said = format!("{mode} {level} ({chosen})");
            policies.push(match (mode, review.target) {
                ("enforce", Target::Workload(_)) => PolicySaid::not_asked(
                    NAME,
                    said,
                    "what makes pods is not refused, for its pods will be judged themselves",
                ),
                // Who is refused needs no warning.
                ("warn", _) if refused => PolicySaid::not_asked(
                    NAME,
                    said,
                    "the request is refused, and needs no warning",
                ),
                _ => self.at_level(review.target, &review.object, level, said),
            });
            if mode == "enforce" {
                let outcome = policies.last().map(|said| said.outcome);
                refused = outcome == Some(super::Outcome::Violated)
                    || outcome == Some(super::Outcome::Failed);
            }
        }
        (policies, refused)
    }

    /// As [`crate::evaluate`] asks, in its order.
    fn why_not_judged(&self, review: &Review) -> Option<String> {
        if !matches!(review.operation, Operation::Create | Operation::Update) {
            return Some(format!("it does not judge {}", review.operation.as_str()));
        }
        match review.target {
            Target::Namespace => {
                return Some(
                    "of a namespace its labels are read, and nothing is judged".to_string(),
                );
            }
            Target::Other => return Some(NO_POD.to_string()),
            Target::Workload(_) if !review.subresource.is_empty() => {
                return Some(format!(
                    "it does not judge the subresource {:?}",
                    review.subresource
                ));
            }
            Target::Pod if SUBRESOURCES_IGNORED.contains(&review.subresource.as_str()) => {
                return Some(format!(
                    "it does not judge the subresource {:?}",
                    review.subresource
                ));
            }
            Target::Pod | Target::Workload(_) => {}
        }
        let exemptions = &self.config.exemptions;
        if exemptions.namespaces.contains(&review.namespace) {
            return Some(format!("the namespace {:?} is exempt", review.namespace));
        }
        if exemptions.usernames.contains(&review.user) {
            return Some(format!("the user {:?} is exempt", review.user));
        }
        let pod = Pod::of(review.target, &review.object).ok()??;
        if review.target == Target::Pod
            && review.operation == Operation::Update
            && Pod::of(review.target, &review.old_object).is_ok()
            && !update::changes_what_runs(&review.object, &review.old_object)
        {
            return Some("the update changes nothing that runs".to_string());
        }
        let class = &pod.runtime_class;
        let is_exempt = exemptions.runtime_classes.contains(class);
        is_exempt.then(|| format!("the runtime class {class:?} is exempt"))
    }

    fn at_level(
        &self,
        target: Target,
        object: &Value,
        level: LevelVersion,
        mode: String,
    ) -> PolicySaid {
        if level.level == Level::Privileged {
            return PolicySaid::not_asked(NAME, mode, "the level privileged asks nothing");
        }
        let pod = match Pod::of(target, object) {
            Ok(Some(pod)) => pod,
            Ok(None) => return PolicySaid::not_asked(NAME, mode, "it has no template of a pod"),
            Err(error) => return PolicySaid::failed(NAME, mode, error.to_string()),
        };
        let found = (self.checker.bundle).pod_violations(pod.input, level, EVALUATION_LIMIT);
        let violations = match found {
            Ok(violations) => violations,
            Err(error) => return PolicySaid::failed(NAME, mode, error.to_string()),
        };
        if violations.is_empty() {
            return PolicySaid::held(NAME, mode, "no check of the level speaks against it");
        }
        let tracer = tracer(&self.pod_security, &self.modules, POD_SECURITY);
        let input = pod.input.whole().at(level);
        let template = template_path(target);
        let inside = object.pointer(template).unwrap_or(object);
        let prefix = match template.trim_start_matches('/') {
            "" => String::new(),
            inside => format!("{}.", inside.replace('/', ".")),
        };
        let said = told(tracer, &input, &violations, &prefix, inside);
        PolicySaid::violated(NAME, mode, said)
    }

    pub(super) fn network_of_manifest(&self, object: &Value) -> Option<PolicySaid> {
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        self.network_of(
            object,
            &network_change(object, namespace.unwrap_or_default()),
        )
    }

    pub(super) fn network_of_review(&self, reviewed: &Reviewed) -> Option<PolicySaid> {
        let review = &reviewed.review;
        if !self.checker.network.is_on() {
            return None;
        }
        if review.operation == Operation::Connect || !review.subresource.is_empty() {
            let why = "it judges objects themselves, and not what is asked of them";
            return Some(PolicySaid::not_asked(NETWORK_NAME, String::new(), why));
        }
        let change = NetworkChange {
            operation: review.operation.as_str(),
            namespace: &review.namespace,
            object: &review.object,
            old_object: &review.old_object,
        };
        self.network_of(&review.object, &change)
    }

    /// What no network policy may say; rules about the whole cluster cannot be asked here.
    fn network_of(&self, object: &Value, change: &NetworkChange<'_>) -> Option<PolicySaid> {
        if self.config.network_policy.needs_state() && !self.checker.network.is_on() {
            let why = "its rules are about the whole cluster, which is not known here";
            return Some(PolicySaid::not_asked(NETWORK_NAME, String::new(), why));
        }
        if !self.checker.network.is_on() {
            return None;
        }
        let rules = &self.checker.network;
        let world = Arc::new(World::new());
        let found = (self.checker.bundle).network_violations(
            Ok(Arc::clone(&world)),
            *change,
            rules,
            EVALUATION_LIMIT,
        );
        let mode = "refuse".to_string();
        Some(match found {
            Err(error) => PolicySaid::failed(NETWORK_NAME, mode, error.to_string()),
            Ok(violations) if violations.is_empty() && !is_network_policy(object) => {
                let why = "what may not be said is said by network policies, and this is none";
                PolicySaid::not_asked(NETWORK_NAME, mode, why)
            }
            Ok(violations) if violations.is_empty() => {
                PolicySaid::held(NETWORK_NAME, mode, "no rule speaks against it")
            }
            Ok(violations) => {
                let tracer = tracer(&self.network, &self.modules, NETWORK_POLICY);
                let input = change.question(rules);
                let said = with_world(Ok(world), || told(tracer, &input, &violations, "", object));
                PolicySaid::violated(NETWORK_NAME, mode, said)
            }
        })
    }
}

fn tracer<'a>(
    kept: &'a OnceLock<Result<Tracer, String>>,
    modules: &[Module],
    rule: &str,
) -> Option<&'a Tracer> {
    let made = kept.get_or_init(|| {
        let mut engine = Engine::new();
        register(&mut engine);
        prepared(modules, Allowed::ALL)
            .and_then(|modules| Tracer::of_modules(engine, modules, rule))
            .map_err(|refusal| refusal.to_string())
    });
    made.as_ref().ok()
}

fn told(
    tracer: Option<&Tracer>,
    input: &Rego,
    violations: &[Violation],
    prefix: &str,
    object: &Value,
) -> Vec<Said> {
    let traces = tracer.and_then(|tracer| tracer.ask(input, None, EVALUATION_LIMIT).ok());
    let cause = |violation: &Violation| {
        let traces = traces.as_ref()?;
        let causes = traces.causes(true, |value| is_of(value, violation));
        let first = causes.into_iter().next()?;
        Some(Because {
            place: Place {
                rule: first.spot.rule,
                file: first.spot.module,
                line: first.spot.line,
            },
            through: Vec::new(),
            input: (violation.fields().iter())
                .map(|field| Found {
                    path: format!("{prefix}{field}"),
                    value: at(object, field),
                })
                .collect(),
        })
    };
    violations
        .iter()
        .map(|violation| Said {
            message: violation.to_string(),
            check: violation.rule().to_string(),
            causes: cause(violation).into_iter().collect(),
        })
        .collect()
}

/// Whether a value is the violation, as the rule that found it gives it.
fn is_of(value: &Rego, violation: &Violation) -> bool {
    let Ok(value) = serde_json::to_value(value) else {
        return false;
    };
    let text = |name| value.get(name).and_then(Value::as_str);
    let fields = value.get("fields").and_then(Value::as_array);
    text("reason") == Some(violation.reason())
        && text("detail").unwrap_or_default() == violation.detail()
        && text("rule").is_none_or(|rule| rule == violation.rule())
        && fields.is_some_and(|fields| fields.iter().eq(violation.fields()))
}

/// What stands at a path that a rule names: `spec.containers[0].image`.
fn at(object: &Value, path: &str) -> FoundValue {
    let mut at = Some(object);
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        if name.is_empty() {
            return FoundValue::Unknown(Yes);
        }
        at = at.and_then(|at| at.get(name));
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            let Some(Ok(index)) = index.strip_suffix(']').map(str::parse::<usize>) else {
                return FoundValue::Unknown(Yes);
            };
            at = at.and_then(|at| at.get(index));
        }
    }
    at.map_or(FoundValue::Absent(Yes), |value| {
        FoundValue::Value(value.clone())
    })
}
