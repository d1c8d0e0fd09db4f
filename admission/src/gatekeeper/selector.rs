//! Label selectors, as Kubernetes has them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What is asked of labels; all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// What is wrong with it, where something is.
    pub fn problem(&self) -> Option<String> {
        self.match_expressions.iter().find_map(|requirement| {
            let wants = matches!(requirement.operator, Operator::In | Operator::NotIn);
            match (wants, requirement.values.is_empty()) {
                (true, true) => Some(format!(
                    "the requirement on {:?} needs values",
                    requirement.key
                )),
                (false, false) => Some(format!(
                    "the requirement on {:?} takes no values",
                    requirement.key
                )),
                _ => None,
            }
        })
    }

    /// Whether it selects an object with these labels.
    pub fn selects(&self, labels: &BTreeMap<&str, &str>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(requirement.key.as_str());
                let listed =
                    value.is_some_and(|value| requirement.values.iter().any(|v| v == value));
                match requirement.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// An object's labels; none where they are no strings, for then Kubernetes knows none either.
pub fn labels_of(object: &Value) -> BTreeMap<&str, &str> {
    object
        .pointer("/metadata/labels")
        .and_then(Value::as_object)
        .and_then(|labels| {
            labels
                .iter()
                .map(|(key, value)| Some((key.as_str(), value.as_str()?)))
                .collect()
        })
        .unwrap_or_default()
}
