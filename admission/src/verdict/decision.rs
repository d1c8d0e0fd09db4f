//! A verdict as a record: one line in the log store.
//!
//! Holds who asked for what and what was answered, and no part of the object: bodies carry
//! secrets, and a line in the log store outlives them. Keeping redacted bodies for a replay is
//! a later concern, and would be another record beside this one.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Exemption, Verdict};
use crate::audit::AuditFinding;
use crate::review::Review;

/// Where decisions go. The binary wires it to the log store; siblings do not know each other.
///
/// Called once for each review, on the way of its answer: an implementation must neither block
/// nor fail, and says itself what it drops.
pub trait DecisionSink: Send + Sync + 'static {
    /// Takes one decision.
    fn record(&self, decision: &Decision);

    /// Takes what an audit found at `time` and the one before it had not. Where nobody keeps it, the series tell.
    fn record_findings(&self, _time: Timestamp, _findings: &[&AuditFinding]) {}
}

/// One review and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was decided.
    pub time: Timestamp,
    /// The request's own id, which the API server's audit log has too.
    pub uid: String,
    /// Who asked.
    pub user: String,
    /// CREATE, UPDATE, DELETE or CONNECT.
    pub operation: &'static str,
    /// The kind of the object.
    pub kind: String,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name; empty where the API server has yet to choose one.
    pub name: String,
    /// What of the object is asked for; empty for the object itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Whether nothing is stored whatever is answered.
    pub dry_run: bool,
    /// allow, deny or error.
    pub verdict: Outcome,
    /// The status code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The message of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The enforced `LEVEL:VERSION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why it was not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<&'static str>,
    /// The rules that spoke against it, in whatever mode.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHit>,
    /// What was told to the user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// From the last byte of the request to the verdict.
    pub microseconds: u64,
}

/// A rule that spoke against the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleHit {
    /// The rule's name.
    pub rule: String,
    /// enforce, audit or warn.
    pub mode: &'static str,
    /// What it said.
    pub message: String,
    /// The object paths it is about.
    pub paths: Vec<String>,
}

/// A verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Let through.
    Allow,
    /// Refused by a policy, or as unreadable.
    Deny,
    /// Not judged for an error, and answered by the fail mode.
    Error,
}

impl Outcome {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
            Outcome::Error => "error",
        }
    }
}

impl Exemption {
    fn word(self) -> &'static str {
        self.annotation().unwrap_or("notJudged")
    }
}

impl Decision {
    /// `outcome` is told beside the verdict, for only who asked knows whether the fail mode
    /// answered.
    pub(crate) fn new(
        review: &Review,
        verdict: &Verdict,
        outcome: Outcome,
        time: Timestamp,
        elapsed: Duration,
    ) -> Self {
        let decision = Decision {
            time,
            uid: review.uid.clone(),
            user: review.user.clone(),
            operation: review.operation.as_str(),
            kind: review.kind.clone(),
            namespace: review.namespace.clone(),
            name: review.name.clone(),
            subresource: review.subresource.clone(),
            dry_run: review.dry_run,
            verdict: outcome,
            code: None,
            message: None,
            policy: None,
            exempt: None,
            rules: Vec::new(),
            warnings: Vec::new(),
            microseconds: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        };
        decision.with_verdict(verdict)
    }

    fn with_verdict(mut self, verdict: &Verdict) -> Self {
        let hits = match verdict {
            Verdict::Allowed(allowance) => {
                self.exempt = allowance.exempt.map(Exemption::word);
                self.policy = allowance.enforced.map(|policy| policy.to_string());
                self.warnings.clone_from(&allowance.warnings);
                &allowance.hits
            }
            Verdict::Denied(denial) => {
                self.code = Some(denial.cause().code());
                self.message = Some(denial.message().to_string());
                self.policy = denial.enforced().map(|policy| policy.to_string());
                denial.hits()
            }
        };
        self.rules = hits
            .iter()
            .map(|hit| RuleHit {
                rule: hit.rule.clone(),
                mode: hit.mode.as_str(),
                message: hit.message.clone(),
                paths: hit.paths.clone(),
            })
            .collect();
        self
    }
}
