//! What a policy is asked about, as Rego values.
//!
//! A member that is null is left out, for Kubernetes makes no difference between the two and a
//! rule should not have to. Everything else goes in as it came, also what no check reads today.

use std::collections::BTreeMap;

use regorus::Value;

use crate::pod_security::LevelVersion;

/// A pod, converted once and asked about at as many levels as needed.
#[derive(Debug, Clone)]
pub struct PodInput {
    pod: Value,
}

impl PodInput {
    /// From the metadata and the spec of a pod, or of the template of one.
    pub fn new(metadata: &serde_json::Value, spec: &serde_json::Value) -> Self {
        let members = [("metadata", metadata), ("spec", spec)];
        PodInput {
            pod: object(
                members
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| (name, convert(value))),
            ),
        }
    }

    /// The smallest pod there is, to try a bundle on.
    pub(super) fn trial() -> Self {
        PodInput::new(
            &serde_json::Value::Null,
            &serde_json::json!({"containers": [{"name": "trial"}]}),
        )
    }

    pub(crate) fn at(&self, policy: LevelVersion) -> Value {
        object([
            ("level", Value::from(policy.level.as_str())),
            ("version", Value::from(policy.version.judged_as())),
            ("pod", self.pod.clone()),
        ])
    }
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::from(
        members
            .into_iter()
            .map(|(name, value)| (Value::from(name), value))
            .collect::<BTreeMap<_, _>>(),
    )
}

fn convert(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(bool) => Value::from(*bool),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or(Value::Null),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(convert).collect::<Vec<_>>())
        }
        serde_json::Value::Object(members) => object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.as_str(), convert(value))),
        ),
    }
}
