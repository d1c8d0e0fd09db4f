//! A verdict as a record: one line in the log store.
//!
//! Holds who asked for what and what was answered, by which rules of which bundle and in what time,
//! and the request itself as far as it may be kept ([`redact`](super::redact)), so that another
//! policy can be tried on it. A line is bounded: what does not fit is left out from the least
//! needed on (the old object, the request, what data answered, the ends of texts), and named in
//! `cut`.
//!
//! Lines are read again by later programs ([`Decision::read`]): members are added, and never
//! change what they mean.

mod bound;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use bound::{REDACTED_BYTES, cut_paths};

use super::redact::{self, Objects};
use super::{Exemption, Mode, Verdict};
use crate::audit::AuditFinding;
use crate::config::Recording;
use crate::data::Asked;
use crate::evaluate::Trace;
use crate::review::Review;

/// Where decisions go. The binary wires it to the log store; siblings do not know each other.
///
/// Called once for each review, on the way of its answer and on a thread that others wait for: an implementation may
/// write what it is given, but waits for nobody and does not fail, and says itself what it drops.
pub trait DecisionSink: Send + Sync + 'static {
    /// Takes one decision.
    fn record(&self, decision: &Decision);

    /// Takes what an audit found at `time` and the one before it had not. Where nobody keeps it, the series tell.
    fn record_findings(&self, _time: Timestamp, _findings: &[&AuditFinding]) {}
}

/// What a record takes without the request, more often than not.
const HEAD_BYTES: usize = 4 << 10;

/// One review and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was decided.
    pub time: Timestamp,
    /// The request's own id, which the API server's audit log has too.
    pub uid: String,
    /// Who asked.
    pub user: String,
    /// The groups that the user is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// CREATE, UPDATE, DELETE or CONNECT.
    pub operation: String,
    /// The kind of the object.
    pub kind: String,
    /// `GROUP/VERSION/RESOURCE`, or `VERSION/RESOURCE` of the core API.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name; empty where the API server has yet to choose one.
    pub name: String,
    /// What of the object is asked for; empty for the object itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
    pub exempt: Option<String>,
    /// The rules that spoke against it, in whatever mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleHit>,
    /// What was told to the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// From the last byte of the request to the verdict.
    pub microseconds: u64,
    /// How many microseconds each rule took that was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<RuleTime>,
    /// What rules asked of metrics and logs, and what was answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Asked>,
    /// The digest of the bundle that was in force; empty where there was none to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bundle: String,
    /// The labels of the namespace, where they were known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_labels: BTreeMap<String, String>,
    /// Paths of the review whose values are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Members of the record that had no room, or not all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// The request as far as it is kept, as text that [`Decision::line`] puts last.
    #[serde(skip)]
    pub review: Option<String>,
}

/// How long a rule took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTime {
    /// `PodSecurity`, `NetworkPolicy`, or `KIND/NAME` of a constraint.
    pub rule: String,
    /// How long.
    pub microseconds: u64,
}

/// A rule that spoke against the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule's name.
    pub rule: String,
    /// What follows of it.
    pub mode: Mode,
    /// What it said.
    pub message: String,
    /// The object paths it is about.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// A verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
            groups: groups(review),
            operation: review.operation.as_str().to_string(),
            kind: review.kind.clone(),
            resource: resource(review),
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
            microseconds: microseconds(elapsed),
            times: Vec::new(),
            data: Vec::new(),
            bundle: String::new(),
            namespace_labels: BTreeMap::new(),
            redacted: Vec::new(),
            cut: Vec::new(),
            review: None,
        };
        decision.with_verdict(verdict)
    }

    fn with_verdict(mut self, verdict: &Verdict) -> Self {
        let hits = match verdict {
            Verdict::Allowed(allowance) => {
                self.exempt = allowance.exempt.map(|why| why.word().to_string());
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
                mode: hit.mode,
                message: hit.message.clone(),
                paths: hit.paths.clone(),
            })
            .collect();
        self
    }

    /// Adds what was asked on the way.
    pub(crate) fn with_trace(mut self, trace: Trace, bundle: &str) -> Self {
        let time = |(rule, took): (String, Duration)| RuleTime {
            rule,
            microseconds: microseconds(took),
        };
        self.times = trace.times.into_iter().map(time).collect();
        self.namespace_labels = trace.namespace_labels;
        self.data = trace.asked;
        self.bundle = bundle.to_string();
        self
    }

    /// Makes it fit for a line, and adds as much of the request as there is room for.
    pub(crate) fn with_review(mut self, review: &Review, recording: &Recording) -> Self {
        self.bound();
        let head = self.shed(recording.line_bytes_max);
        if !recording.review {
            return self;
        }
        // What the list of redacted paths takes comes out of the same room.
        let room = recording
            .line_bytes_max
            .saturating_sub(head + REDACTED_BYTES);
        for (objects, cut) in [
            (Objects::Both, None),
            (Objects::New, Some("review.oldObject")),
        ] {
            if let Ok(kept) = redact::request(review, recording, objects, room) {
                self.redacted = kept.redacted;
                cut_paths(&mut self.redacted);
                self.cut.extend(cut.map(str::to_string));
                self.review = Some(kept.json);
                return self;
            }
        }
        self.cut.push("review".to_string());
        self
    }

    /// The record as a line: JSON, with the request last.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        let review = self.review.as_deref();
        let mut line = Vec::with_capacity(HEAD_BYTES + review.map_or(0, str::len));
        serde_json::to_writer(&mut line, self)?;
        if let Some(review) = review {
            line.truncate(line.len().saturating_sub(1));
            line.extend_from_slice(b",\"review\":");
            line.extend_from_slice(review.as_bytes());
            line.push(b'}');
        }
        String::from_utf8(line).map_err(serde::ser::Error::custom)
    }
}

/// Who asked is in the request; its groups only there.
fn groups(review: &Review) -> Vec<String> {
    let groups = review
        .request
        .get("userInfo")
        .and_then(|user| user.get("groups"));
    let groups = groups.and_then(Value::as_array).into_iter().flatten();
    groups
        .filter_map(|group| group.as_str().map(str::to_string))
        .collect()
}

fn resource(review: &Review) -> String {
    let Some(resource) = review.request.get("resource") else {
        return String::new();
    };
    let parts = ["group", "version", "resource"];
    let parts = parts.map(|part| {
        resource
            .get(part)
            .and_then(Value::as_str)
            .unwrap_or_default()
    });
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
