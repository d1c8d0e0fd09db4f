//! Policies that are objects of a cluster: each stands for itself.
//!
//! Of a folder everything holds or nothing does. Objects are written one by one by different people, so one that is
//! refused costs itself only: it is told, and what it said before stays in force, where it said anything that
//! held. A template that says what it said is not compiled again.

use std::sync::Arc;

use serde_json::Value;

use super::{Policies, PoliciesError, is_template};
use crate::gatekeeper::constraint::{self, Constraint};
use crate::gatekeeper::documents::Document;
use crate::gatekeeper::expansion::{self, Expansion};
use crate::gatekeeper::template::{self, Template};
use crate::review::group_of;

/// An object that is no policy as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Refused {
    /// A ConfigMap that is refused.
    pub(crate) fn config_map(name: &str, problem: String) -> Self {
        Refused {
            kind: "ConfigMap".to_string(),
            name: name.to_string(),
            problem,
        }
    }
}

impl Policies {
    /// Adds objects of a cluster. What is refused stays as it is in `before`.
    pub(crate) fn add(&mut self, documents: &[Document], before: &Policies) -> Vec<Refused> {
        let mut refused = Vec::new();
        for document in documents.iter().filter(|document| is_template(document)) {
            if let Err(problem) = self.add_template(document, before) {
                refused.push(refusal(document, problem));
            }
        }
        for document in documents {
            let added = match document.group_and_kind() {
                (constraint::GROUP, kind) => {
                    let added = self.add_constraint(document.place.clone(), &document.object);
                    if added.is_err()
                        && let Some(former) = before.constraint(kind, document.name())
                        && self.templates.contains_key(kind)
                        && self.constraint(kind, document.name()).is_none()
                    {
                        self.constraints.push(former.clone());
                    }
                    added
                }
                (expansion::GROUP, "ExpansionTemplate") => Expansion::read(&document.object)
                    .map(|expansion| self.expansions.push(expansion))
                    .map_err(|source| PoliciesError::Expansion {
                        place: document.place.clone(),
                        source,
                    }),
                _ => Ok(()),
            };
            if let Err(error) = added {
                refused.push(refusal(document, error.to_string()));
            }
        }
        self.sort();
        refused
    }

    fn add_template(&mut self, document: &Document, before: &Policies) -> Result<(), String> {
        let kind = document.object.pointer("/spec/crd/spec/names/kind");
        let kind = kind.and_then(Value::as_str).unwrap_or_default();
        if self.templates.contains_key(kind) {
            return Err(format!(
                "there is another template for constraints of kind {kind:?}: remove one"
            ));
        }
        let former = before.templates.get(kind);
        let same = former.filter(|former| former.is_of(&document.object));
        let (template, problem) = match same {
            Some(same) => (Some(Arc::clone(same)), None),
            None => match Template::read_allowing(&document.object, self.allowed) {
                Ok(template) => (Some(Arc::new(template)), None),
                Err(error) => (former.cloned(), Some(error.to_string())),
            },
        };
        if let Some(template) = template {
            self.templates.insert(kind.to_string(), template);
        }
        problem.map_or(Ok(()), Err)
    }

    /// Why an object would not hold as a policy, if it is one that would not.
    pub(crate) fn problem_of(&self, object: &Value) -> Option<String> {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        match (group_of(text("apiVersion")), text("kind")) {
            (template::GROUP, "ConstraintTemplate") => {
                let read = Template::read_allowing(object, self.allowed);
                read.err().map(|error| error.to_string())
            }
            (constraint::GROUP, kind) => {
                let template = self.templates.get(kind)?;
                let read = Constraint::read(object, &template.schema);
                read.err().map(|error| error.to_string())
            }
            (expansion::GROUP, "ExpansionTemplate") => {
                Expansion::read(object).err().map(|error| error.to_string())
            }
            _ => None,
        }
    }

    /// Whether a template is in force as it is, and not as it was.
    pub(crate) fn holds(&self, template: &Value) -> bool {
        let kind = template.pointer("/spec/crd/spec/names/kind");
        let known = self
            .templates
            .get(kind.and_then(Value::as_str).unwrap_or_default());
        known.is_some_and(|known| known.is_of(template))
    }

    fn constraint(&self, kind: &str, name: &str) -> Option<&Constraint> {
        let is_it = |known: &&Constraint| known.kind == kind && known.name == name;
        self.constraints.iter().find(is_it)
    }
}

fn refusal(document: &Document, problem: String) -> Refused {
    Refused {
        kind: document.group_and_kind().1.to_string(),
        name: document.name().to_string(),
        problem,
    }
}
