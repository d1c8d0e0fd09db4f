//! What the bundle's rules say about who may reach whom.
//!
//! The answer comes from the same prepared engine as that of Pod Security. The state of the cluster is handed
//! in with the question and stays the same to its end.

use std::sync::Arc;
use std::time::Duration;

use regorus::Value;
use serde_json::json;

use super::{Answer, Bundle};
use crate::config::NetworkPolicyConfig;
use crate::network_policy::World;
use crate::network_policy::builtins::{StateUnknown, with_world};
use crate::verdict::{Incomplete, Violation};

/// The rule that answers.
pub(crate) const NETWORK_POLICY: &str = "data.network_policy.violations";

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The rules ran out of time, or a builtin refused its arguments.
    #[error("{NETWORK_POLICY} failed: {0}")]
    Failed(String),
    /// The rules had nothing to say, which is not consent.
    #[error("{NETWORK_POLICY} is undefined: the bundle must answer with an array")]
    Undefined,
    /// The answer has another shape than an array of violations.
    #[error("{NETWORK_POLICY} answered with something other than violations: {0}")]
    Shape(String),
    /// A violation lacks a reason, a rule or an object path.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

/// A change as an AdmissionReview has it.
#[derive(Debug, Clone, Copy)]
pub struct NetworkChange<'a> {
    /// CREATE, UPDATE or DELETE.
    pub operation: &'a str,
    /// The object's namespace; empty for what has none.
    pub namespace: &'a str,
    /// The object as it would be stored; null on DELETE.
    pub object: &'a serde_json::Value,
    /// The object as it is stored; null on CREATE.
    pub old_object: &'a serde_json::Value,
}

impl NetworkChange<'_> {
    /// What the rules are asked with.
    pub(crate) fn question(&self, rules: &NetworkPolicyConfig) -> Value {
        Value::from(json!({
            "change": {
                "operation": self.operation,
                "namespace": self.namespace,
                "object": self.object,
                "oldObject": self.old_object,
            },
            "rules": rules.input(),
        }))
    }
}

impl Bundle {
    /// What speaks against a change by the rules that `rules` chooses, in the state `world`; where it is not known, a
    /// rule that asks for it fails. Takes no longer than `limit`.
    pub fn network_violations(
        &self,
        world: Result<Arc<World>, StateUnknown>,
        change: NetworkChange<'_>,
        rules: &NetworkPolicyConfig,
        limit: Duration,
    ) -> Result<Vec<Violation>, NetworkError> {
        let input = change.question(rules);
        let plan = self.rules.network_policy.as_deref();
        let ask = || self.ask(NETWORK_POLICY, plan, &|_| input.clone(), limit);
        let (value, _) = with_world(world, ask).map_err(NetworkError::Failed)?;
        if value == Value::Undefined {
            return Err(NetworkError::Undefined);
        }
        let answers: Vec<Answer> = serde_json::to_value(&value)
            .and_then(serde_json::from_value)
            .map_err(|error| NetworkError::Shape(error.to_string()))?;
        let violation = |answer: Answer| {
            Violation::new(answer.rule, answer.reason, answer.detail, answer.fields)
        };
        answers
            .into_iter()
            .map(|answer| violation(answer).map_err(NetworkError::from))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::config::{NeverOpen, Refused};
    use crate::network_policy::Ends;

    fn judged(rules: &NetworkPolicyConfig, object: &Json) -> Result<Vec<Violation>, NetworkError> {
        let bundle = Bundle::embedded().unwrap();
        let change = NetworkChange {
            operation: "CREATE",
            namespace: "shop",
            object,
            old_object: &Json::Null,
        };
        let limit = Duration::from_secs(30);
        bundle.network_violations(Ok(Arc::new(World::new())), change, rules, limit)
    }

    fn policy(spec: &Json) -> Json {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
               "metadata": {"name": "p"}, "spec": spec})
    }

    #[test]
    fn a_violation_names_policy_path_and_reason() {
        let rules = NetworkPolicyConfig {
            refuse: [Refused::WorldOpenIngress].into(),
            ..NetworkPolicyConfig::default()
        };
        let found = judged(&rules, &policy(&json!({"ingress": [{}]}))).unwrap();
        let told: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "ingress open to the world (NetworkPolicy shop/p allows the internet at spec.ingress[0])"
            ]
        );
        assert_eq!(found[0].fields(), ["spec.ingress[0]"]);
        assert!(
            judged(&rules, &json!({"kind": "Secret"}))
                .unwrap()
                .is_empty()
        );
    }

    /// What is stored may say what nobody here can judge, and must be removable all the same.
    #[test]
    fn a_deletion_is_judged_by_the_name() {
        let bundle = Bundle::embedded().unwrap();
        let rules = NetworkPolicyConfig {
            separate: [["shop".to_string(), "payments".to_string()]].into(),
            ..NetworkPolicyConfig::default()
        };
        let deleted = |object: &Json| {
            let change = NetworkChange {
                operation: "DELETE",
                namespace: "shop",
                object: &Json::Null,
                old_object: object,
            };
            let limit = Duration::from_secs(30);
            bundle.network_violations(Ok(Arc::new(World::new())), change, &rules, limit)
        };
        let newer = policy(&json!({"ingress": [{"since": "a later version"}]}));
        assert_eq!(deleted(&newer).unwrap(), []);
        let nameless = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}});
        let found = deleted(&nameless).unwrap();
        assert_eq!(
            (found[0].rule(), found[0].fields()),
            ("malformed", &["metadata.name".to_string()][..])
        );
    }

    #[test]
    fn a_state_that_is_not_known_fails_who_asks_for_it_and_nobody_else() {
        let bundle = Bundle::embedded().unwrap();
        let rules = NetworkPolicyConfig {
            separate: [["a".to_string(), "b".to_string()]].into(),
            ..NetworkPolicyConfig::default()
        };
        let judged = |object: &Json| {
            let change = NetworkChange {
                operation: "CREATE",
                namespace: "shop",
                object,
                old_object: &Json::Null,
            };
            let unknown = Err(StateUnknown("pods are not listed yet".to_string()));
            bundle.network_violations(unknown, change, &rules, Duration::from_secs(30))
        };
        let error = judged(&policy(&json!({}))).unwrap_err().to_string();
        assert!(error.contains("pods are not listed yet"), "{error}");
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        assert!(judged(&other).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_judged_is_no_consent() {
        let never = |from: Ends| NetworkPolicyConfig {
            never_open: vec![NeverOpen {
                name: "n".to_string(),
                from,
                to: Ends::namespace("shop"),
            }],
            ..NetworkPolicyConfig::default()
        };
        let cidrs = Ends {
            cidrs: vec!["10.0.0.0".to_string()],
            ..Ends::default()
        };
        for ends in [cidrs, Ends::default()] {
            let error = judged(&never(ends), &policy(&json!({}))).unwrap_err();
            assert!(matches!(error, NetworkError::Failed(_)), "{error}");
        }
        let internet = Ends {
            internet: true,
            ..Ends::default()
        };
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": 1}}});
        let found = judged(&never(internet), &pod).unwrap();
        assert_eq!(found[0].rule(), "malformed");
        assert_eq!(found[0].fields(), ["metadata.labels"]);
    }
}
