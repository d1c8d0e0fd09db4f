//! What is to be explained: a manifest, or a request as it came or as it was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::{Explainer, PolicySaid};
use crate::check::CheckVerdict;
use crate::data::{Asked, DataLimits, Recorded};
use crate::evaluate::Evaluator;
use crate::network_policy::builtins::UnknownCluster;
use crate::replay::record::{Record, ThenLabels};
use crate::review::Review;
use crate::verdict::{Cause, Verdict};

/// One document.
pub(super) enum Subject {
    Manifest(Value),
    Review(Box<Reviewed>),
}

/// A request, and what was known when it was made.
pub(super) struct Reviewed {
    pub(super) review: Review,
    /// The labels of its namespace, where they are known.
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// What data answered.
    pub(super) data: Vec<Asked>,
}

impl Subject {
    /// By what the document says it is.
    pub(super) fn read(document: Value) -> Result<Self, String> {
        let text = |name| document.get(name).and_then(Value::as_str);
        let is_review = text("kind") == Some("AdmissionReview");
        if is_review {
            let body = document.to_string();
            let review = Review::read(body.as_bytes()).map_err(|error| error.to_string())?;
            return Ok(Subject::Review(Box::new(Reviewed {
                review,
                labels: None,
                data: Vec::new(),
            })));
        }
        let is_decision = text("apiVersion").is_none()
            && text("uid").is_some()
            && document.get("verdict").is_some();
        if is_decision {
            let record = Record::read(&document.to_string())?;
            return Ok(Subject::Review(Box::new(Reviewed {
                review: record.review,
                labels: record.labels,
                data: record.data,
            })));
        }
        Ok(Subject::Manifest(document))
    }
}

impl Explainer {
    /// The webhook's verdict, and why there is none where it cannot be made.
    pub(super) fn verdict_of(
        &self,
        reviewed: &Reviewed,
        deadline: Instant,
    ) -> (CheckVerdict, String) {
        let mut defaults = self.config.defaults;
        let mut labels = reviewed.labels.clone();
        if let Some(level) = self.level {
            defaults.enforce = level;
            labels = labels.map(|_| BTreeMap::new());
        }
        let evaluator = Evaluator::new(
            defaults,
            self.config.exemptions.clone(),
            self.config.fail_mode,
            Arc::new(ThenLabels(labels)),
        )
        .with_network(
            self.checker.network.clone(),
            Arc::new(UnknownCluster::default()),
        )
        .with_data(
            Arc::new(Recorded::new(&reviewed.data)),
            DataLimits::default(),
        );
        match evaluator.evaluate(&reviewed.review, &self.checker.bundle, deadline) {
            Ok(Verdict::Allowed(allowance)) if allowance.exempt.is_some() => {
                (CheckVerdict::Skip, String::new())
            }
            Ok(Verdict::Allowed(_)) => (CheckVerdict::Pass, String::new()),
            Ok(Verdict::Denied(denial)) => match denial.cause() {
                Cause::FailedClosed => (CheckVerdict::Error, denial.message().to_string()),
                Cause::Malformed => (CheckVerdict::Fail, denial.message().to_string()),
                _ => (CheckVerdict::Fail, String::new()),
            },
            Err(error) => (CheckVerdict::Error, error.to_string()),
        }
    }

    /// What each policy has to do with a request: one that refuses it ends the questions, as in the webhook.
    pub(super) fn policies_of_review(
        &self,
        reviewed: &Reviewed,
        deadline: Instant,
    ) -> Vec<PolicySaid> {
        let (mut policies, refused) = self.pod_security_of_review(reviewed);
        let over = "PodSecurity refused the request before it was asked";
        if refused {
            if self.checker.network.is_on() {
                policies.push(PolicySaid::not_asked("NetworkPolicy", String::new(), over));
            }
            policies.extend(self.constraints_not_asked(over));
            return policies;
        }
        let network = self.network_of_review(reviewed);
        let refused = (network.iter()).any(|said| said.outcome == super::Outcome::Violated);
        policies.extend(network);
        if refused {
            let over = "NetworkPolicy refused the request before it was asked";
            policies.extend(self.constraints_not_asked(over));
            return policies;
        }
        policies.extend(self.constraints_of_review(reviewed, deadline));
        policies
    }
}
