//! What an audit found.
//!
//! Counts for series are bounded by [`SERIES_MAX`]; what is beyond is counted under no namespace. Findings themselves are
//! kept up to [`FINDINGS_MAX`], for lines and reports; which of them are new is told by comparing numbers with those of
//! the last time.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::review::Review;
use crate::verdict::{Hit, Mode};

/// How many series the counts become at the most.
const SERIES_MAX: usize = 2000;

/// How many findings are kept.
const FINDINGS_MAX: usize = 20_000;

/// How long a message may be.
const MESSAGE_BYTES_MAX: usize = 1024;

/// One rule's word against an object that is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFinding {
    /// The object's version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The rule: a check's name, or a constraint's kind and name.
    pub policy: String,
    /// What would follow: `enforce`, `audit` or `warn`.
    pub action: &'static str,
    /// What it says.
    pub message: String,
}

impl AuditFinding {
    /// Of an object, with nothing said of it yet.
    pub(super) fn object(review: &Review) -> Self {
        let version = review.object.get("apiVersion").and_then(|v| v.as_str());
        AuditFinding {
            api_version: version.unwrap_or_default().to_string(),
            kind: review.kind.clone(),
            namespace: review.namespace.clone(),
            name: review.name.clone(),
            policy: String::new(),
            action: Mode::Enforce.as_str(),
            message: String::new(),
        }
    }

    fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// What is counted: policy, kind, namespace, action.
pub(crate) type Counted = (String, String, String, &'static str);

/// What an audit found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    counts: BTreeMap<Counted, u64>,
    findings: Vec<AuditFinding>,
    numbers: HashSet<u64>,
    failures: BTreeMap<String, String>,
    total: u64,
}

impl Found {
    pub(super) fn add(&mut self, object: &AuditFinding, hits: Vec<Hit>) {
        for hit in hits {
            self.total += 1;
            let action = hit.mode.as_str();
            let mut counted = (
                hit.rule.clone(),
                object.kind.clone(),
                object.namespace.clone(),
                action,
            );
            if self.counts.len() >= SERIES_MAX && !self.counts.contains_key(&counted) {
                counted.2 = "(others)".to_string();
            }
            if self.counts.len() < 2 * SERIES_MAX || self.counts.contains_key(&counted) {
                *self.counts.entry(counted).or_default() += 1;
            }
            let mut message = hit.message;
            if message.len() > MESSAGE_BYTES_MAX {
                let mut end = MESSAGE_BYTES_MAX;
                while !message.is_char_boundary(end) {
                    end -= 1;
                }
                message.truncate(end);
            }
            let finding = AuditFinding {
                policy: hit.rule,
                action,
                message,
                ..object.clone()
            };
            if self.findings.len() < FINDINGS_MAX {
                self.numbers.insert(finding.number());
                self.findings.push(finding);
            }
        }
    }

    /// Something could not be looked at.
    pub(super) fn fail(&mut self, kind: &str, problem: String) {
        self.failures.insert(kind.to_string(), problem);
    }

    /// What could not be looked at, and why.
    pub(crate) fn failures(&self) -> &BTreeMap<String, String> {
        &self.failures
    }

    /// How many violations there are, by what they are counted by.
    pub(crate) fn counts(&self) -> &BTreeMap<Counted, u64> {
        &self.counts
    }

    /// How many violations there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The findings.
    pub(super) fn findings(&self) -> &[AuditFinding] {
        &self.findings
    }

    /// The findings that another audit had not.
    pub(super) fn new_since<'a>(
        &'a self,
        before: &'a Found,
    ) -> impl Iterator<Item = &'a AuditFinding> {
        let is_new = |finding: &&AuditFinding| !before.numbers.contains(&finding.number());
        self.findings.iter().filter(is_new)
    }
}
