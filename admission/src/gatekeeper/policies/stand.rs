//! How each constraint stands to a request: what it says, or why it says nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use regorus::Value as Rego;

use super::{Finding, Findings, Policies, generated_request};
use crate::config::FailMode;
use crate::gatekeeper::expansion::{self, ExpansionError};
use crate::gatekeeper::matching::Criterion;
use crate::gatekeeper::request::input;
use crate::gatekeeper::{Action, EnforcementPoint, Inventory, Request};

/// One constraint and one request.
pub(crate) struct Stand<'a> {
    pub(crate) kind: &'a str,
    pub(crate) constraint: &'a str,
    /// What follows from a violation.
    pub(crate) actions: BTreeSet<Action>,
    /// Why it was not asked.
    pub(crate) why_not: Option<WhyNot>,
    /// What it says; what cannot be decided is a finding too.
    pub(crate) findings: Vec<Finding>,
    /// What its template was asked with.
    pub(crate) input: Rego,
}

/// Why a constraint is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyNot {
    /// Its template is not about the operation.
    Operation,
    /// It is not enforced here.
    Point,
    /// It is about other objects.
    Match(Criterion),
}

/// An object that another would make.
pub(crate) struct Implied {
    pub(crate) request: Request,
    /// The template that says so.
    pub(crate) by: String,
    /// What follows from its violations, whatever constraints say.
    pub(crate) action: Option<Action>,
}

impl Policies {
    /// How all constraints stand to a request, in their order.
    pub(crate) fn stands(
        &self,
        request: &Request,
        inventory: &Inventory,
        point: EnforcementPoint,
        fail_mode: FailMode,
        deadline: Instant,
    ) -> Vec<Stand<'_>> {
        let review = request.review();
        let constraints = self.constraints.iter();
        let asking = constraints.filter_map(|constraint| self.asking(constraint, point, fail_mode));
        asking
            .map(|asking| {
                let (constraint, template) = (asking.constraint, asking.template);
                let mut found = Findings::default();
                let is_webhook = point == EnforcementPoint::Webhook;
                let why_not = if is_webhook && !template.judges(&request.operation) {
                    Some(WhyNot::Operation)
                } else if asking.actions.is_empty() {
                    Some(WhyNot::Point)
                } else {
                    match asking.mismatch(request, inventory) {
                        Ok(None) => {
                            asking.ask(&review, inventory, deadline, &mut found);
                            None
                        }
                        Ok(Some(criterion)) => Some(WhyNot::Match(criterion)),
                        Err(problem) => {
                            let finding = asking.failed(problem, FailMode::Closed);
                            found.findings.push(finding);
                            None
                        }
                    }
                };
                Stand {
                    kind: &constraint.kind,
                    constraint: &constraint.name,
                    actions: asking.actions.clone(),
                    why_not,
                    findings: found.findings,
                    input: input(&review, &constraint.parameters),
                }
            })
            .collect()
    }

    /// The kinds and names of all constraints, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        let constraints = self.constraints.iter();
        constraints.map(|constraint| (constraint.kind.as_str(), constraint.name.as_str()))
    }

    /// What the object of a request would make.
    pub(crate) fn implied(&self, request: &Request) -> Result<Vec<Implied>, ExpansionError> {
        let Some(object) = request.object().filter(|_| request.operation != "DELETE") else {
            return Ok(Vec::new());
        };
        let generated = expansion::expand(&self.expansions, object)?;
        let requests = generated.into_iter().filter_map(|generated| {
            Some(Implied {
                request: generated_request(&generated.object, request).ok()?,
                by: generated.by,
                action: generated.action,
            })
        });
        Ok(requests.collect())
    }
}
