//! Why a manifest, a review or a recorded decision is judged as it is.
//!
//! The verdict is the one that [`check`](crate::check) gives a manifest, or the webhook a review; it is not made here. Here every policy in
//! force is asked what it has to do with it: those that speak tell the rule, its file and line, and what of the input that rests on
//! (`rego::trace`); the others why they do not speak: because they are about other objects, and by which criterion, because somebody is
//! exempt, or because no rule of theirs holds. What cannot be told for certain is left out and never guessed.

mod built_in;
mod constraints;
mod place;
mod subject;

use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::bundle::load::LoadError;
use crate::bundle::{Module, Sources};
use crate::check::{CheckVerdict, Checker, CheckerError, EVALUATION_LIMIT, objects};
use crate::config::{AdmissionConfig, Config};
use crate::pod_security::LevelVersion;
use crate::rego::trace::Tracer;
use constraints::Templates;
use subject::Subject;

/// Policies that can be asked why.
pub struct Explainer {
    checker: Checker,
    config: Config,
    modules: Vec<Module>,
    pod_security: OnceLock<Result<Tracer, String>>,
    network: OnceLock<Result<Tracer, String>>,
    templates: Templates,
    /// The level that was asked for, whatever labels say.
    level: Option<LevelVersion>,
}

/// What became of one object, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The file, as the caller named it.
    pub file: String,
    /// Which document of the file, from 1.
    pub document: usize,
    /// The object's kind; empty where it could not be read.
    pub kind: String,
    /// Its namespace; empty where none is named.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is to be done with it; empty for a manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// What is to be said of it.
    pub verdict: CheckVerdict,
    /// Why it could not be read, where it could not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// What each policy has to do with it, in the order they are asked.
    pub policies: Vec<PolicySaid>,
}

/// What one policy has to do with an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicySaid {
    /// `PodSecurity`, `NetworkPolicy`, or `KIND/NAME` of a constraint.
    pub policy: String,
    /// The level it holds the object to, or what follows from a violation.
    pub mode: String,
    /// What it was asked about where that is not the object itself: what the object would make.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Whether it speaks against the object.
    pub outcome: Outcome,
    /// Why it does not, or could not judge.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What it says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
}

/// Whether a policy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It speaks against the object.
    Violated,
    /// It was asked and has nothing to say.
    Held,
    /// It is not about this.
    NotAsked,
    /// It could not judge.
    Failed,
}

/// One message, and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// What it says.
    pub message: String,
    /// The check of Pod Security, or the rule about networks; empty for constraints.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub check: String,
    /// The rules that gave it; none where that cannot be told.
    pub causes: Vec<Because>,
}

/// The rule that gave a message, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Because {
    /// Which rule.
    #[serde(flatten)]
    pub place: Place,
    /// The rules that found what it speaks of, from the first one it asked on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<Place>,
    /// What it read.
    pub input: Vec<Found>,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The rule's path in Rego.
    pub rule: String,
    /// The file it stands in; a path below `policies/` for those that come with the program.
    pub file: String,
    /// The line where it begins.
    pub line: u32,
}

/// Something a rule read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Where.
    pub path: String,
    /// What stands there.
    #[serde(flatten)]
    pub value: FoundValue,
}

/// What stands somewhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundValue {
    /// This.
    Value(Value),
    /// Nothing.
    Absent(Yes),
    /// The rule names the place in words that are no path.
    Unknown(Yes),
}

/// `true`, as JSON has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "bool")]
pub struct Yes;

impl From<Yes> for bool {
    fn from(_: Yes) -> Self {
        true
    }
}

impl Explainer {
    /// With the policies and the enforced level of a configuration.
    pub fn new(config: &AdmissionConfig) -> Result<Self, CheckerError> {
        let config = config.clone().validate()?;
        let sources = config.sources()?;
        Ok(Explainer::of(config, sources)?)
    }

    fn of(config: Config, sources: Sources) -> Result<Self, LoadError> {
        Ok(Explainer {
            templates: Templates::of(&sources),
            checker: Checker::of(&config, &sources)?,
            modules: sources.modules,
            config,
            pod_security: OnceLock::new(),
            network: OnceLock::new(),
            level: None,
        })
    }

    /// At a level, whatever labels of namespaces say.
    #[must_use]
    pub fn at(mut self, level: LevelVersion) -> Self {
        self.checker = self.checker.at(level);
        self.level = Some(level);
        self
    }

    /// Explains each object of a file: manifests, AdmissionReviews, and decisions as the log has them, a line each.
    pub fn explain(&self, file: &str, text: &str) -> Vec<Explanation> {
        let documents = lines(text).unwrap_or_else(|| objects(text));
        documents
            .into_iter()
            .map(|(document, object)| {
                let blank = Explanation {
                    file: file.to_string(),
                    document,
                    kind: String::new(),
                    namespace: String::new(),
                    name: String::new(),
                    operation: String::new(),
                    verdict: CheckVerdict::Error,
                    problem: String::new(),
                    policies: Vec::new(),
                };
                let subject = object.and_then(Subject::read);
                match subject {
                    Ok(subject) => self.subject(&subject, blank),
                    Err(problem) => Explanation { problem, ..blank },
                }
            })
            .collect()
    }

    fn subject(&self, subject: &Subject, blank: Explanation) -> Explanation {
        let deadline = Instant::now() + EVALUATION_LIMIT;
        let mut explanation = match subject {
            Subject::Manifest(object) => {
                let result = self
                    .checker
                    .one(&blank.file, blank.document, Ok(object.clone()));
                let failed = result.kind.is_empty();
                let problem = result.messages.into_iter().next().filter(|_| failed);
                Explanation {
                    kind: result.kind,
                    namespace: result.namespace,
                    name: result.name,
                    verdict: result.verdict,
                    problem: problem.unwrap_or_default(),
                    ..blank
                }
            }
            Subject::Review(reviewed) => {
                let (verdict, problem) = self.verdict_of(reviewed, deadline);
                Explanation {
                    kind: reviewed.review.kind.clone(),
                    namespace: reviewed.review.namespace.clone(),
                    name: reviewed.review.name.clone(),
                    operation: reviewed.review.operation.as_str().to_string(),
                    verdict,
                    problem,
                    ..blank
                }
            }
        };
        if explanation.kind.is_empty() {
            return explanation;
        }
        explanation.policies = match subject {
            Subject::Manifest(object) => {
                let mut policies = self.pod_security_of_manifest(object);
                policies.extend(self.network_of_manifest(object));
                policies.extend(self.constraints_of_manifest(object, deadline));
                policies
            }
            Subject::Review(reviewed) => self.policies_of_review(reviewed, deadline),
        };
        explanation
    }
}

/// The lines of a text where each of them is JSON of its own, as in an export of the log.
fn lines(text: &str) -> Option<Vec<(usize, Result<Value, String>)>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(i, line)| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.is_object().then_some((i + 1, Ok(value)))
    });
    read.collect()
}

impl PolicySaid {
    fn not_asked(policy: &str, mode: String, why: impl Into<String>) -> Self {
        PolicySaid {
            policy: policy.to_string(),
            mode,
            about: String::new(),
            outcome: Outcome::NotAsked,
            why: why.into(),
            said: Vec::new(),
        }
    }

    fn failed(policy: &str, mode: String, why: impl Into<String>) -> Self {
        PolicySaid {
            outcome: Outcome::Failed,
            ..PolicySaid::not_asked(policy, mode, why)
        }
    }

    fn held(policy: &str, mode: String, why: impl Into<String>) -> Self {
        PolicySaid {
            outcome: Outcome::Held,
            ..PolicySaid::not_asked(policy, mode, why)
        }
    }

    fn violated(policy: &str, mode: String, said: Vec<Said>) -> Self {
        PolicySaid {
            outcome: Outcome::Violated,
            said,
            ..PolicySaid::not_asked(policy, mode, "")
        }
    }
}

#[cfg(test)]
mod tests;
