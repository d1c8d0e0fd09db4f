//! A Constraint: which template, which objects, which parameters, and what follows.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::matching::Match;
use super::request::to_rego;
use super::schema::Schema;

/// The API group of constraints.
pub const GROUP: &str = "constraints.gatekeeper.sh";

/// What follows from a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The request is refused.
    Deny,
    /// The user is warned.
    Warn,
    /// It is recorded.
    Dryrun,
}

impl Action {
    /// The action as constraints name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Deny => "deny",
            Action::Warn => "warn",
            Action::Dryrun => "dryrun",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "deny" => Some(Action::Deny),
            "warn" => Some(Action::Warn),
            "dryrun" => Some(Action::Dryrun),
            _ => None,
        }
    }
}

/// Where a constraint is enforced; scoped actions name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnforcementPoint {
    /// The webhook.
    Webhook,
    /// The audit of what already runs.
    Audit,
    /// The command line.
    Gator,
}

impl EnforcementPoint {
    /// The point as constraints name it.
    pub fn as_str(self) -> &'static str {
        match self {
            EnforcementPoint::Webhook => "validation.gatekeeper.sh",
            EnforcementPoint::Audit => "audit.gatekeeper.sh",
            EnforcementPoint::Gator => "gator.gatekeeper.sh",
        }
    }
}

/// A constraint, read and checked.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The kind, which names its template.
    pub kind: String,
    /// Its own name.
    pub name: String,
    /// Which objects it judges.
    pub matching: Match,
    actions: Actions,
    /// Its parameters, with the schema's defaults.
    pub parameters: regorus::Value,
}

#[derive(Debug, Clone)]
enum Actions {
    One(Action),
    Scoped(Vec<Scoped>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scoped {
    action: String,
    #[serde(default)]
    enforcement_points: Vec<Point>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    enforcement_action: Option<String>,
    #[serde(default)]
    scoped_enforcement_actions: Option<Vec<Scoped>>,
    #[serde(default, rename = "match")]
    matching: Option<Match>,
    #[serde(default)]
    parameters: Option<Value>,
}

/// Why a constraint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// It is no constraint, or says something nobody understands.
    #[error("the constraint {name:?} of kind {kind} is invalid: {problem}")]
    Invalid {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Its parameters are not what the template's schema allows.
    #[error("the constraint {name:?} of kind {kind} does not fit the template's schema: {problem}")]
    Schema {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The first field that does not fit, and why.
        problem: String,
    },
}

impl Constraint {
    /// Reads a constraint of the template whose parameters are described by `schema`.
    pub fn read(object: &Value, schema: &Schema) -> Result<Self, ConstraintError> {
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (kind, name) = (
            text("/kind").to_string(),
            text("/metadata/name").to_string(),
        );
        let invalid = |problem: String| ConstraintError::Invalid {
            kind: kind.clone(),
            name: name.clone(),
            problem,
        };
        if name.is_empty() {
            return Err(invalid("metadata.name is missing".to_string()));
        }
        let spec = match object.get("spec") {
            None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
            Some(spec) => spec.clone(),
        };
        let spec: Spec = serde_json::from_value(without_nulls(spec))
            .map_err(|e| invalid(format!("spec: {e}")))?;
        let actions = actions(&spec).map_err(invalid)?;
        let matching = spec.matching.unwrap_or_default();
        if let Some(problem) = matching.problem() {
            return Err(invalid(problem));
        }
        let mut parameters = spec.parameters;
        if let Some(parameters) = &mut parameters {
            schema.default(parameters);
            schema
                .check(parameters, "spec.parameters")
                .map_err(|problem| ConstraintError::Schema {
                    kind: kind.clone(),
                    name: name.clone(),
                    problem,
                })?;
            if let Some(unknown) = schema.unknown(parameters, "spec.parameters") {
                return Err(invalid(format!(
                    "{unknown} is not in the template's schema"
                )));
            }
        }
        let parameters = match parameters {
            None | Some(Value::Null) => regorus::Value::new_object(),
            Some(parameters) => to_rego(&parameters),
        };
        Ok(Constraint {
            kind,
            name,
            matching,
            actions,
            parameters,
        })
    }

    /// What follows from a violation at a point; nothing where the constraint is not enforced there.
    pub fn actions(&self, point: EnforcementPoint) -> BTreeSet<Action> {
        match &self.actions {
            Actions::One(action) => BTreeSet::from([*action]),
            Actions::Scoped(scoped) => scoped
                .iter()
                .filter(|scoped| {
                    let points = &scoped.enforcement_points;
                    points
                        .iter()
                        .any(|p| p.name == "*" || p.name == point.as_str())
                })
                .filter_map(|scoped| Action::named(&scoped.action))
                .collect(),
        }
    }
}

fn actions(spec: &Spec) -> Result<Actions, String> {
    let known = "expected deny, warn, dryrun or scoped";
    match spec.enforcement_action.as_deref() {
        None => Ok(Actions::One(Action::Deny)),
        Some("scoped") => {
            let Some(scoped) = &spec.scoped_enforcement_actions else {
                return Err("spec.scopedEnforcementActions is missing".to_string());
            };
            match scoped
                .iter()
                .find(|scoped| Action::named(&scoped.action).is_none())
            {
                Some(scoped) => Err(format!(
                    "spec.scopedEnforcementActions: unknown action {:?}: expected deny, warn or dryrun",
                    scoped.action
                )),
                None => Ok(Actions::Scoped(scoped.clone())),
            }
        }
        Some(name) => Action::named(name)
            .map(Actions::One)
            .ok_or_else(|| format!("unknown spec.enforcementAction {name:?}: {known}")),
    }
}

/// A null above the parameters means nothing; within them it is a value.
fn without_nulls(mut spec: Value) -> Value {
    if let Value::Object(members) = &mut spec {
        members.retain(|_, value| !value.is_null());
        if let Some(Value::Object(matching)) = members.get_mut("match") {
            matching.retain(|_, value| !value.is_null());
        }
    }
    spec
}
