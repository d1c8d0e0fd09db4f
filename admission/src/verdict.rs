//! What is decided, and how it is told: to the API server, to the log store, to the counters.
//!
//! A [`Verdict`] either allows or denies, and a denial cannot be built without a reason, the
//! rule that gave it and the object path it is about. Constructors refuse what is incomplete,
//! so that an empty answer of a policy can never turn into a refusal nobody can explain, nor
//! into consent.
//!
//! The texts are the Pod Security admission controller's own, byte for byte: people search for
//! them, and programs match on them.

pub mod decision;
pub mod denial;
pub mod redact;
pub mod violation;

use std::collections::BTreeMap;

pub use decision::{Decision, DecisionSink};
pub use denial::{Cause, Denial};
pub use violation::{Incomplete, Violation, Violations};

use serde::{Deserialize, Serialize};

use crate::pod_security::LevelVersion;

/// The answer to one review.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The request may go on.
    Allowed(Allowance),
    /// The request is refused.
    Denied(Denial),
}

/// Why and how a request is let through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allowance {
    /// Why it was not judged, where it was not.
    pub exempt: Option<Exemption>,
    /// The level it was held to, where one was enforced.
    pub enforced: Option<LevelVersion>,
    /// What is told to the user, at most [`WARNING_BYTES_MAX`] together.
    pub warnings: Vec<String>,
    /// What the API server writes into its audit log, by key without the webhook's name.
    pub audit_annotations: BTreeMap<String, String>,
    /// The rules that would have refused it in a stricter mode.
    pub hits: Vec<Hit>,
}

/// Why a request was not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// Its namespace is on the list.
    Namespace,
    /// Its user is on the list.
    User,
    /// Its runtime class is on the list.
    RuntimeClass,
    /// Nothing is judged of this kind of object, operation or subresource.
    NotJudged,
}

impl Exemption {
    /// The exemption as the `exempt` audit annotation spells it; [`Exemption::NotJudged`] has
    /// none, for it is not an exemption anybody configured.
    pub fn annotation(self) -> Option<&'static str> {
        match self {
            Exemption::Namespace => Some("namespace"),
            Exemption::User => Some("user"),
            Exemption::RuntimeClass => Some("runtimeClass"),
            Exemption::NotJudged => None,
        }
    }
}

/// A rule that spoke against a request, in one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The mode it was asked in.
    pub mode: Mode,
    /// The rule's name.
    pub rule: String,
    /// What it said.
    pub message: String,
    /// The object paths it is about; at least one.
    pub paths: Vec<String>,
}

/// What follows from a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A refusal.
    Enforce,
    /// A line in the API server's audit log.
    Audit,
    /// A warning to the user.
    Warn,
}

impl Mode {
    /// The mode as labels and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
            Mode::Warn => "warn",
        }
    }
}

/// What all warnings of one answer may take together; the API server cuts beyond this.
pub const WARNING_BYTES_MAX: usize = 4096;

impl Verdict {
    /// Nothing is judged of this kind of request.
    pub fn not_judged() -> Self {
        Verdict::Allowed(Allowance {
            exempt: Some(Exemption::NotJudged),
            ..Allowance::default()
        })
    }

    /// Somebody exempted it.
    pub fn exempt(exemption: Exemption) -> Self {
        let annotation = exemption.annotation();
        Verdict::Allowed(Allowance {
            exempt: Some(exemption),
            audit_annotations: annotation
                .map(|value| ("exempt".to_string(), value.to_string()))
                .into_iter()
                .collect(),
            ..Allowance::default()
        })
    }

    /// A workload whose pods cannot be judged yet. It passes, for its pods will be judged
    /// themselves, and the problem is told.
    pub fn unread(problem: String) -> Self {
        Verdict::Allowed(Allowance {
            audit_annotations: [("error".to_string(), problem.clone())].into(),
            warnings: vec![problem],
            ..Allowance::default()
        })
    }

    /// Nobody could judge it, and the fail mode is open: it passes, and says so.
    pub fn failed_open(problem: &str) -> Self {
        let message = format!(
            "the request could not be judged: {problem}; it passes because the fail mode is open"
        );
        Verdict::Allowed(Allowance {
            audit_annotations: [("error".to_string(), message.clone())].into(),
            warnings: vec![message],
            ..Allowance::default()
        })
    }

    /// Whether the request may go on.
    pub fn allows(&self) -> bool {
        matches!(self, Verdict::Allowed(_))
    }
}

/// Cuts a text that is longer than `bytes_max` between two characters.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
}

/// Cuts warnings so that together they stay within [`WARNING_BYTES_MAX`].
pub(crate) fn cut_warnings(warnings: Vec<String>) -> Vec<String> {
    let mut left = WARNING_BYTES_MAX;
    let mut kept = Vec::with_capacity(warnings.len());
    for mut warning in warnings {
        cut(&mut warning, left);
        left = left.saturating_sub(warning.len());
        kept.push(warning);
        if left < '…'.len_utf8() {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_cut_at_characters_and_stay_within_bounds() {
        assert_eq!(cut_warnings(vec!["a".into(), "b".into()]), ["a", "b"]);
        let long = "é".repeat(WARNING_BYTES_MAX);
        let cut = cut_warnings(vec!["a".into(), long.clone(), long]);
        assert!(cut.iter().map(String::len).sum::<usize>() <= WARNING_BYTES_MAX);
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…'));
    }
}
