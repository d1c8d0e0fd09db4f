//! A refusal, which cannot be built without a reason, a rule and an object path.

use std::collections::BTreeMap;

use super::{Hit, Mode, Violations, cut};
use crate::pod_security::LevelVersion;

/// What many constraints say together at the most.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// A refusal: a status, a message, and at least one rule with an object path.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    cause: Cause,
    message: String,
    hits: Vec<Hit>,
    enforced: Option<LevelVersion>,
    audit_annotations: BTreeMap<String, String>,
}

/// What kind of refusal it is, which decides its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A policy forbids it.
    Forbidden,
    /// The object cannot be read as what it is said to be.
    Malformed,
    /// The object can be read and holds a value it must not hold.
    Invalid,
    /// It could not be judged, and what cannot be judged is refused.
    FailedClosed,
}

impl Cause {
    /// The HTTP status code inside the answer. Without one the API server says 400.
    pub fn code(self) -> u16 {
        match self {
            Cause::Forbidden => 403,
            Cause::Malformed => 400,
            Cause::Invalid => 422,
            Cause::FailedClosed => 500,
        }
    }

    /// Kubernetes' word for the code.
    pub fn reason(self) -> &'static str {
        match self {
            Cause::Forbidden => "Forbidden",
            Cause::Malformed => "BadRequest",
            Cause::Invalid => "Invalid",
            Cause::FailedClosed => "InternalError",
        }
    }
}

impl Denial {
    /// A pod violates the enforced level.
    pub fn violates(policy: LevelVersion, violations: &Violations) -> Self {
        Denial {
            cause: Cause::Forbidden,
            message: format!("violates PodSecurity \"{policy}\": {violations}"),
            hits: violations.hits(Mode::Enforce),
            enforced: Some(policy),
            audit_annotations: BTreeMap::new(),
        }
    }

    /// A change breaks rules about who may reach whom.
    pub fn opens(violations: &Violations) -> Self {
        Denial {
            cause: Cause::Forbidden,
            message: format!("violates network policy rules: {violations}"),
            hits: violations.hits(Mode::Enforce),
            enforced: None,
            audit_annotations: BTreeMap::new(),
        }
    }

    /// Constraints refuse it, each with its own message; `judged` where at least one of them found a
    /// violation, and did not merely fail.
    pub fn constrained(hits: Vec<Hit>, judged: bool) -> Self {
        let messages: Vec<_> = hits.iter().map(|hit| hit.message.as_str()).collect();
        let mut message = messages.join("\n");
        cut(&mut message, MESSAGE_BYTES_MAX);
        Denial {
            cause: if judged {
                Cause::Forbidden
            } else {
                Cause::FailedClosed
            },
            message,
            hits,
            enforced: None,
            audit_annotations: BTreeMap::new(),
        }
    }

    /// The object at `path` is not what the request says it is.
    pub fn malformed(path: &str, problem: impl Into<String>) -> Self {
        Denial::without_policy(Cause::Malformed, "review", path, problem.into())
    }

    /// The object holds an invalid value at `path`.
    pub fn invalid(path: &str, message: impl Into<String>) -> Self {
        Denial::without_policy(Cause::Invalid, "labels", path, message.into())
    }

    /// What a verdict on a pod depends on is not known, and no fail mode may guess it.
    pub fn undecidable(problem: &str) -> Self {
        let rule = "namespace_lookup";
        Denial::without_policy(
            Cause::FailedClosed,
            rule,
            "metadata.namespace",
            problem.into(),
        )
    }

    /// Nobody could judge the request, and the fail mode is closed.
    pub fn failed_closed(problem: &str) -> Self {
        let message = format!(
            "the request could not be judged: {problem}; it is refused because the fail mode is closed"
        );
        Denial::without_policy(Cause::FailedClosed, "fail_mode", "request", message)
    }

    fn without_policy(cause: Cause, rule: &str, path: &str, message: String) -> Self {
        let hit = Hit {
            mode: Mode::Enforce,
            rule: rule.to_string(),
            message: message.clone(),
            paths: vec![path.to_string()],
        };
        let mut audit_annotations = BTreeMap::new();
        if cause != Cause::Invalid {
            audit_annotations.insert("error".to_string(), message.clone());
        }
        Denial {
            cause,
            message,
            hits: vec![hit],
            enforced: None,
            audit_annotations,
        }
    }

    /// Adds what the API server writes into its audit log.
    #[must_use]
    pub fn with_audit(mut self, annotations: BTreeMap<String, String>, hits: Vec<Hit>) -> Self {
        self.audit_annotations.extend(annotations);
        self.hits.extend(hits);
        self
    }

    /// What kind of refusal it is.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// What is told to the user.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The rules that refused it, and those that spoke against it in another mode.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// The level it was held to, where one was enforced.
    pub fn enforced(&self) -> Option<LevelVersion> {
        self.enforced
    }

    /// What the API server writes into its audit log.
    pub fn audit_annotations(&self) -> &BTreeMap<String, String> {
        &self.audit_annotations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_has_a_reason_a_rule_and_a_path() {
        for denial in [
            Denial::malformed("request.object", "failed to decode pod"),
            Denial::invalid("metadata.labels", "no such level"),
            Denial::failed_closed("the deadline passed"),
            Denial::undecidable("failed to lookup namespace"),
        ] {
            assert!(!denial.message().is_empty());
            assert!(!denial.hits().is_empty());
            for hit in denial.hits() {
                assert!(!hit.rule.is_empty() && !hit.message.is_empty() && !hit.paths.is_empty());
            }
        }
    }
}
