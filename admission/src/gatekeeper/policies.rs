//! Templates, constraints and expansions together, and what they say of a request.

mod objects;
mod stand;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regorus::Value as Rego;
use serde_json::Value;

use super::constraint::{self, Action, Constraint, ConstraintError, EnforcementPoint};
use super::documents::Document;
use super::expansion::{self, Expansion, ExpansionError};
use super::inventory::Inventory;
use super::matching::{Criterion, Origin, Surroundings};
use super::request::{Request, RequestError, input};
use super::template::{self, Template, TemplateError};
use crate::config::FailMode;
use crate::data::Allowed;

pub use objects::Refused;
pub(crate) use stand::{Stand, WhyNot};

/// All policies, in the order of their constraints' kinds and names.
#[derive(Debug, Default)]
pub struct Policies {
    templates: BTreeMap<String, Arc<Template>>,
    constraints: Vec<Constraint>,
    expansions: Vec<Expansion>,
    /// What templates may ask beside the object, those too that are added.
    allowed: Allowed,
}

/// Why policies are refused.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// A template.
    #[error("{place}: {source}")]
    Template {
        /// Where it is from.
        place: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// A constraint.
    #[error("{place}: {source}")]
    Constraint {
        /// Where it is from.
        place: String,
        /// What is wrong.
        source: ConstraintError,
    },
    /// An expansion template.
    #[error("{place}: {source}")]
    Expansion {
        /// Where it is from.
        place: String,
        /// What is wrong.
        source: ExpansionError,
    },
    /// A constraint of a kind that no template has.
    #[error(
        "{place}: there is no template for constraints of kind {kind:?}: add it beside the constraint"
    )]
    NoTemplate {
        /// Where the constraint is from.
        place: String,
        /// Its kind.
        kind: String,
    },
    /// Two templates of one kind, or two constraints of one kind and name.
    #[error("{place}: there are two {what}: remove one")]
    Twice {
        /// Where the second is from.
        place: String,
        /// What there are two of.
        what: String,
    },
}

/// One word of a constraint against a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The constraint's kind.
    pub kind: String,
    /// The constraint's name.
    pub constraint: String,
    /// What follows; never nothing.
    pub actions: BTreeSet<Action>,
    /// What it says.
    pub message: String,
    /// `details`, where the template gives any.
    pub details: Value,
    /// Whether it judged, or could not.
    pub judged: Judged,
}

/// Whether a finding is a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The template found a violation.
    Violation,
    /// The constraint could not be evaluated, and what cannot be judged is refused.
    FailedClosed,
    /// The constraint could not be evaluated, and its template says that this passes.
    FailedOpen,
}

/// What all constraints say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// In the order of kinds, names, and messages.
    pub findings: Vec<Finding>,
    /// Errors of builtins that templates swallowed: `KIND NAME: WHAT`.
    pub swallowed: Vec<String>,
    /// What templates printed.
    pub printed: Vec<String>,
    /// How many constraints were asked.
    pub asked: usize,
    /// How long each took: `KIND/NAME`, in the order they were asked.
    pub times: Vec<(String, Duration)>,
}

impl Policies {
    /// From documents, among which others may be, such as suites and plain objects.
    pub fn read(documents: &[Document]) -> Result<Self, PoliciesError> {
        Policies::read_allowing(documents, Allowed::default())
    }

    /// As [`Policies::read`], with templates that may ask the data.
    pub fn read_allowing(documents: &[Document], allowed: Allowed) -> Result<Self, PoliciesError> {
        let mut policies = Policies {
            allowed,
            ..Policies::default()
        };
        for Document { place, object } in documents.iter().filter(|document| is_template(document))
        {
            let template = Template::read_allowing(object, allowed).map_err(|source| {
                PoliciesError::Template {
                    place: place.clone(),
                    source,
                }
            })?;
            let template = Arc::new(template);
            let kind = template.kind.clone();
            if policies.templates.insert(kind.clone(), template).is_some() {
                return Err(PoliciesError::Twice {
                    place: place.clone(),
                    what: format!("templates for constraints of kind {kind:?}"),
                });
            }
        }
        for document in documents {
            let place = document.place.clone();
            match document.group_and_kind() {
                (constraint::GROUP, _) => policies.add_constraint(place, &document.object)?,
                (expansion::GROUP, "ExpansionTemplate") => {
                    let expansion = Expansion::read(&document.object)
                        .map_err(|source| PoliciesError::Expansion { place, source })?;
                    policies.expansions.push(expansion);
                }
                _ => {}
            }
        }
        policies.sort();
        Ok(policies)
    }

    fn sort(&mut self) {
        self.constraints
            .sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    }

    fn add_constraint(&mut self, place: String, object: &Value) -> Result<(), PoliciesError> {
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(template) = self.templates.get(kind) else {
            return Err(PoliciesError::NoTemplate {
                place,
                kind: kind.to_string(),
            });
        };
        let constraint = match Constraint::read(object, &template.schema) {
            Ok(constraint) => constraint,
            Err(source) => return Err(PoliciesError::Constraint { place, source }),
        };
        let same =
            |known: &&Constraint| known.kind == constraint.kind && known.name == constraint.name;
        if self.constraints.iter().any(|known| same(&known)) {
            return Err(PoliciesError::Twice {
                place,
                what: format!("constraints {kind} {:?}", constraint.name),
            });
        }
        self.constraints.push(constraint);
        Ok(())
    }

    /// How many templates there are.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// The kinds of the constraints.
    pub fn kinds(&self) -> BTreeSet<String> {
        let kind = |constraint: &Constraint| constraint.kind.clone();
        self.constraints.iter().map(kind).collect()
    }

    /// How many constraints there are.
    pub fn constraints(&self) -> usize {
        self.constraints.len()
    }

    /// Whether nobody can say anything.
    pub fn is_empty(&self) -> bool {
        self.constraints.is_empty()
    }

    /// Whether a constraint may judge objects of a kind.
    pub(crate) fn are_about(&self, group: &str, kind: &str) -> bool {
        let mut constraints = self.constraints.iter();
        constraints.any(|constraint| constraint.matching.is_about(group, kind))
    }

    /// A constraint's question; none where it has no template.
    fn asking<'a>(
        &'a self,
        constraint: &'a Constraint,
        point: EnforcementPoint,
        fail_mode: FailMode,
    ) -> Option<Asking<'a>> {
        let template = self.templates.get(&constraint.kind)?;
        Some(Asking {
            constraint,
            template,
            actions: constraint.actions(point),
            fail_mode: template.fail_mode.unwrap_or(fail_mode),
        })
    }

    /// What the constraints say of a request, until `deadline`. `fail_mode` is what becomes of a
    /// request that a template could not judge, unless the template says so itself.
    pub fn review(
        &self,
        request: &Request,
        inventory: &Inventory,
        point: EnforcementPoint,
        fail_mode: FailMode,
        deadline: Instant,
    ) -> Findings {
        let mut findings = Findings::default();
        let review = request.review();
        for constraint in &self.constraints {
            let Some(asking) = self.asking(constraint, point, fail_mode) else {
                continue;
            };
            if point == EnforcementPoint::Webhook && !asking.template.judges(&request.operation) {
                continue;
            }
            if asking.actions.is_empty() {
                continue;
            }
            match asking.matches(request, inventory) {
                Ok(false) => {}
                Ok(true) => {
                    let begun = Instant::now();
                    asking.ask(&review, inventory, deadline, &mut findings);
                    let called = format!("{}/{}", constraint.kind, constraint.name);
                    findings.times.push((called, begun.elapsed()));
                }
                Err(problem) => findings
                    .findings
                    .push(asking.failed(problem, FailMode::Closed)),
            }
        }
        findings
    }

    /// As [`Policies::review`], and of what the object would make.
    pub fn review_expanded(
        &self,
        request: &Request,
        inventory: &Inventory,
        point: EnforcementPoint,
        fail_mode: FailMode,
        deadline: Instant,
    ) -> Result<Findings, ExpansionError> {
        let mut all = self.review(request, inventory, point, fail_mode, deadline);
        if self.expansions.is_empty() || request.operation == "DELETE" {
            return Ok(all);
        }
        let Some(object) = request.object() else {
            return Ok(all);
        };
        for generated in expansion::expand(&self.expansions, object)? {
            let Ok(request) = generated_request(&generated.object, request) else {
                continue;
            };
            let mut of_it = self.review(&request, inventory, point, fail_mode, deadline);
            for finding in &mut of_it.findings {
                finding.message = format!("[Implied by {}] {}", generated.by, finding.message);
                if let Some(action) = generated.action {
                    finding.actions = BTreeSet::from([action]);
                }
            }
            all.findings.extend(of_it.findings);
            all.swallowed.extend(of_it.swallowed);
            all.printed.extend(of_it.printed);
            all.asked += of_it.asked;
            all.times.extend(of_it.times);
        }
        Ok(all)
    }
}

fn generated_request(object: &Value, from: &Request) -> Result<Request, RequestError> {
    Ok(
        Request::of_object(object, Origin::Generated)?
            .with_namespace(from.namespace_object.clone()),
    )
}

fn member<'a>(violation: &'a Rego, name: &str) -> Option<&'a Rego> {
    match violation {
        Rego::Object(members) => members.get(&Rego::from(name)),
        _ => None,
    }
}

fn is_template(document: &Document) -> bool {
    document.group_and_kind() == (template::GROUP, "ConstraintTemplate")
}

/// One constraint's question.
struct Asking<'a> {
    constraint: &'a Constraint,
    template: &'a Template,
    actions: BTreeSet<Action>,
    fail_mode: FailMode,
}

impl Asking<'_> {
    /// Whether the object or the one it takes the place of is one that the constraint judges.
    fn matches(&self, request: &Request, inventory: &Inventory) -> Result<bool, String> {
        Ok(self.mismatch(request, inventory)?.is_none())
    }

    /// What keeps it from judging both, if something does: of the object, where there is one.
    fn mismatch(
        &self,
        request: &Request,
        inventory: &Inventory,
    ) -> Result<Option<Criterion>, String> {
        let around = Surroundings {
            namespace: request
                .namespace_object
                .as_deref()
                .or_else(|| inventory.namespace(&request.namespace)),
            origin: request.origin,
        };
        let mut first = None;
        for object in request.objects() {
            let matching = &self.constraint.matching;
            match matching
                .mismatch(object, around)
                .map_err(|error| error.to_string())?
            {
                None => return Ok(None),
                found => first = first.or(found),
            }
        }
        Ok(first)
    }

    fn ask(&self, review: &Rego, inventory: &Inventory, deadline: Instant, into: &mut Findings) {
        into.asked += 1;
        if self.template.program.asks_data() && !inventory.is_known() {
            let problem = "its template asks for other objects (data.inventory), and nobody here watches them";
            into.findings
                .push(self.failed(problem.to_string(), self.fail_mode));
            return;
        }
        let limit = deadline.saturating_duration_since(Instant::now());
        let input = input(review, &self.constraint.parameters);
        let answer = match self.template.program.ask(&input, inventory.data(), limit) {
            Ok(answer) => answer,
            Err(error) => {
                into.findings
                    .push(self.failed(error.to_string(), self.fail_mode));
                return;
            }
        };
        let called = format!("{} {}", self.constraint.kind, self.constraint.name);
        into.swallowed
            .extend(answer.swallowed.map(|what| format!("{called}: {what}")));
        into.printed.extend(answer.printed);
        let mut violations: Vec<&Rego> = match &answer.value {
            Rego::Set(violations) => violations.iter().collect(),
            // A rule that is an object has its violations as keys.
            Rego::Object(violations) => violations.iter_sorted().map(|(key, _)| key).collect(),
            _ => Vec::new(),
        };
        // Gatekeeper's order: by details, which are an empty object where there are none, then by
        // message.
        let nothing = Rego::new_object();
        violations.sort_by_key(|violation| {
            let details = member(violation, "details").unwrap_or(&nothing);
            (details, member(violation, "msg"))
        });
        for violation in violations {
            let member = |name: &str| member(violation, name);
            let finding = match member("msg") {
                // Gatekeeper does not see it either.
                None => continue,
                Some(Rego::String(message)) => Finding {
                    message: message.to_string(),
                    details: member("details")
                        .and_then(|details| serde_json::to_value(details).ok())
                        .unwrap_or_default(),
                    ..self.finding(Judged::Violation)
                },
                Some(_) => self.failed(
                    "the template's msg is no string".to_string(),
                    self.fail_mode,
                ),
            };
            into.findings.push(finding);
        }
    }

    fn failed(&self, problem: String, fail_mode: FailMode) -> Finding {
        Finding {
            message: problem,
            ..self.finding(match fail_mode {
                FailMode::Closed => Judged::FailedClosed,
                FailMode::Open => Judged::FailedOpen,
            })
        }
    }

    fn finding(&self, judged: Judged) -> Finding {
        Finding {
            kind: self.constraint.kind.clone(),
            constraint: self.constraint.name.clone(),
            actions: self.actions.clone(),
            message: String::new(),
            details: Value::Null,
            judged,
        }
    }
}
