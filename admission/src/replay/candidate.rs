//! What is tried: files of policies, a level, or a whole configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::record::{Record, ThenLabels};
use crate::bundle::{Bundle, LoadError, Sources};
use crate::config::{AdmissionConfig, Config, ConfigError};
use crate::data::{DataLimits, Recorded};
use crate::evaluate::{Evaluator, Parts, Trace};
use crate::network_policy::builtins::UnknownCluster;
use crate::verdict::decision::{Outcome, RuleHit};
use crate::verdict::{Cause, Hit, Mode, Verdict};

/// What replaces what was in force.
pub struct Candidate {
    bundle: Bundle,
    config: Config,
    parts: Parts,
    /// The kinds of constraints that it brings; all where it is a whole configuration.
    kinds: Option<BTreeSet<String>>,
    own_modules: bool,
}

/// Why there is nothing to try.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies do not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing would be asked.
    #[error(
        "there is nothing to replay: give files of Rego or of templates with their constraints, a level, or a configuration"
    )]
    Nothing,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The files, and Pod Security as far as it is said.
    Files,
    /// Files, and the level that the configuration says.
    FilesAndLevel,
    /// All that a configuration says.
    Whole,
}

/// What a candidate says.
pub(super) struct Now {
    pub(super) verdict: Outcome,
    pub(super) hits: Vec<RuleHit>,
}

impl Now {
    pub(super) fn is_as(&self, other: &Now) -> bool {
        let rules = |now: &Now| -> BTreeSet<(String, Mode)> {
            now.hits
                .iter()
                .map(|hit| (hit.rule.clone(), hit.mode))
                .collect()
        };
        self.verdict == other.verdict && rules(self) == rules(other)
    }
}

/// Rules that are nobody's policy: a request that could not be read or judged.
const OF_THE_REQUEST: [&str; 4] = ["review", "labels", "namespace_lookup", "fail_mode"];

/// The rules about who may reach whom.
const OF_THE_NETWORK: [&str; 8] = [
    "world_open_ingress",
    "world_open_egress",
    "metadata_address",
    "empty_selectors",
    "default_deny",
    "separate",
    "never_open",
    "malformed",
];

impl Candidate {
    /// From files of policies (or folders of them), and a configuration that says the rest.
    pub fn new(
        config: &AdmissionConfig,
        files: &[PathBuf],
        scope: Scope,
    ) -> Result<Self, CandidateError> {
        let config = config.clone().validate()?;
        let of_files = Sources::of_files(files)?;
        let own_modules = of_files.has_modules() || config.policies.is_some();
        let parts = Parts {
            pod_security: of_files.has_modules() || scope != Scope::Files,
            network_policy: scope == Scope::Whole,
            constraints: of_files.has_documents() || scope == Scope::Whole,
        };
        if !parts.pod_security && !parts.constraints {
            return Err(CandidateError::Nothing);
        }
        let sources = of_files.or(config.sources()?);
        let bundle = Bundle::of(&sources)?;
        let kinds = (scope != Scope::Whole).then(|| bundle.constraints().kinds());
        Ok(Candidate {
            bundle,
            config,
            parts,
            kinds,
            own_modules,
        })
    }

    /// Whether a rule of it may look at values that were redacted: those that come with the program do not.
    pub(super) fn reads_values(&self) -> bool {
        self.own_modules || !self.bundle.constraints().is_empty()
    }

    /// Whether the candidate takes the place of the rule.
    fn replaces(&self, rule: &str) -> bool {
        if let Some((kind, _)) = rule.split_once('/') {
            let brings = |kinds: &BTreeSet<String>| kinds.contains(kind);
            return self.parts.constraints && self.kinds.as_ref().is_none_or(brings);
        }
        if OF_THE_REQUEST.contains(&rule) {
            return false;
        }
        if OF_THE_NETWORK.contains(&rule) {
            self.parts.network_policy
        } else {
            self.parts.pod_security
        }
    }

    /// What the candidate says of a record, together with what is kept of it.
    pub(super) fn ask(&self, record: &Record, deadline: Instant) -> Result<Now, String> {
        let labels = Arc::new(ThenLabels(record.labels.clone()));
        let config = &self.config;
        let evaluator = Evaluator::new(
            config.defaults,
            config.exemptions.clone(),
            config.fail_mode,
            labels,
        )
        .with_network(
            config.network_policy.clone(),
            Arc::new(UnknownCluster::default()),
        )
        .with_data(Arc::new(Recorded::new(&record.data)), DataLimits::default());
        let mut trace = Trace::default();
        let verdict = evaluator
            .evaluate_parts(
                &record.review,
                &self.bundle,
                deadline,
                &mut trace,
                self.parts,
            )
            .map_err(|error| error.to_string())?;
        if let Some(asked) = trace.asked.iter().find(|asked| asked.error.is_some()) {
            let then = record.data.iter().any(|known| known.query == asked.query);
            if !then {
                return Err("it asks data that was not asked then".to_string());
            }
        }
        let hits: &[Hit] = match &verdict {
            Verdict::Allowed(allowance) => &allowance.hits,
            Verdict::Denied(denial) if denial.cause() == Cause::FailedClosed => {
                return Err(reason(denial.message()));
            }
            Verdict::Denied(denial) => denial.hits(),
        };
        if let Some(hit) = hits.iter().find(|hit| hit.message.contains(NOT_JUDGED)) {
            return Err(reason(&hit.message));
        }
        let kept = record.rules.iter().filter(|hit| !self.replaces(&hit.rule));
        let mut all: Vec<RuleHit> = kept.cloned().collect();
        all.extend(hits.iter().map(|hit| RuleHit {
            rule: hit.rule.clone(),
            mode: hit.mode,
            message: hit.message.clone(),
            paths: hit.paths.clone(),
        }));
        let denied = all.iter().any(|hit| hit.mode == Mode::Enforce);
        Ok(Now {
            verdict: if denied {
                Outcome::Deny
            } else {
                Outcome::Allow
            },
            hits: all,
        })
    }
}

/// What a constraint says that could not judge.
const NOT_JUDGED: &str = "the request could not be judged: ";

/// The same reason for many records, without what is of one alone.
fn reason(message: &str) -> String {
    let problem = message
        .split_once(NOT_JUDGED)
        .map_or(message, |(_, problem)| problem);
    let problem = problem.split("; it ").next().unwrap_or(problem);
    let mut short: String = problem.chars().take(160).collect();
    if short.len() < problem.len() {
        short.push('…');
    }
    short
}
