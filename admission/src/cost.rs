//! What policies cost: the same reviews judged again and again, and the time of each rule.
//!
//! Reviews are judged as the webhook judges them, by the whole bundle, one at a time; what is measured is the time by
//! the clock, so whoever asks keeps the machine quiet. The first round is not counted: it warms what is made once. Nothing
//! is remembered from one review to the next, though the webhook does so of pods that are alike: what is asked for is what the
//! rules cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::bundle::Bundle;
use crate::check::CheckerError;
use crate::config::AdmissionConfig;
use crate::evaluate::{DefaultsEverywhere, Evaluator, Trace};
use crate::review::{ReadError, Review, group_of};

/// No review takes longer.
const REVIEW_LIMIT: Duration = Duration::from_secs(10);

/// What all of a review is called.
const WHOLE: &str = "(all)";

/// What a rule costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCost {
    /// `PodSecurity`, `NetworkPolicy`, `KIND/NAME` of a constraint, and `(all)`.
    pub rule: String,
    /// How often it was asked.
    pub asked: usize,
    /// Half of the answers took no longer.
    pub p50_microseconds: u64,
    /// All but a hundredth took no longer.
    pub p99_microseconds: u64,
    /// All answers together.
    pub total_microseconds: u64,
}

/// A bundle, ready to be asked.
pub struct Costs {
    bundle: Bundle,
    evaluator: Evaluator,
}

impl Costs {
    /// With the policies of a configuration.
    pub fn new(config: &AdmissionConfig) -> Result<Self, CheckerError> {
        let config = config.clone().validate()?;
        let bundle = Bundle::of(&config.sources()?)?.without_memory();
        let namespaces = Arc::new(DefaultsEverywhere);
        let exemptions = config.exemptions.clone();
        let evaluator = Evaluator::new(config.defaults, exemptions, config.fail_mode, namespaces);
        Ok(Costs { bundle, evaluator })
    }

    /// Judges reviews in so many rounds; the rules that took the most time come first.
    pub fn measure(&self, reviews: &[Review], rounds: usize) -> Vec<RuleCost> {
        let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for round in 0..=rounds {
            for review in reviews {
                let mut trace = Trace::default();
                let begun = Instant::now();
                let deadline = begun + REVIEW_LIMIT;
                let verdict =
                    self.evaluator
                        .evaluate_traced(review, &self.bundle, deadline, &mut trace);
                let took = begun.elapsed();
                drop(verdict);
                if round == 0 {
                    continue;
                }
                times.entry(WHOLE.to_string()).or_default().push(took);
                for (rule, took) in trace.times {
                    times.entry(rule).or_default().push(took);
                }
            }
        }
        let mut costs: Vec<_> = times.into_iter().map(cost).collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.total_microseconds));
        costs
    }
}

fn cost((rule, mut times): (String, Vec<Duration>)) -> RuleCost {
    times.sort();
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let last = times.len().saturating_sub(1);
    let at = |hundredths: usize| {
        let place = last.saturating_mul(hundredths).div_ceil(100);
        times.get(place).copied().map_or(0, micros)
    };
    RuleCost {
        rule,
        asked: times.len(),
        p50_microseconds: at(50),
        p99_microseconds: at(99),
        total_microseconds: micros(times.iter().sum()),
    }
}

/// The review that would bring an object, or the one that an AdmissionReview is.
pub fn review_of(object: &Value) -> Result<Review, ReadError> {
    let text = |pointer| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default()
    };
    let version = text("/apiVersion");
    if text("/kind") == "AdmissionReview" {
        return Review::read(object.to_string().as_bytes());
    }
    let request = json!({
        "uid": "bench", "operation": "CREATE",
        "kind": {"group": group_of(version), "version": version.rsplit('/').next(), "kind": text("/kind")},
        "namespace": text("/metadata/namespace"), "name": text("/metadata/name"),
        "userInfo": {"username": "bench"}, "object": object,
    });
    Review::of_request(match request {
        Value::Object(request) => request,
        _ => Map::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_is_asked_is_measured() {
        let mut config = AdmissionConfig::default();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gatekeeper/capabilities");
        config.gatekeeper.directory = Some(folder.into());
        let costs = Costs::new(&config).unwrap();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let reviews = [review_of(&pod).unwrap(), review_of(&map).unwrap()];
        let found = costs.measure(&reviews, 3);
        assert_eq!((found[0].rule.as_str(), found[0].asked), (WHOLE, 6));
        let of_pods = found
            .iter()
            .find(|cost| cost.rule == "PodSecurity")
            .unwrap();
        assert_eq!(of_pods.asked, 3);
        assert!(
            found.iter().any(|cost| cost.rule.contains('/')),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .all(|cost| cost.p50_microseconds <= cost.p99_microseconds)
        );
        assert!(review_of(&json!({"kind": ""})).is_err());
    }
}
