//! The pod inside an object, and whether it can be read as one.
//!
//! The checks are Rego over JSON, and JSON may hold a string where the API has a boolean. Such
//! an object never comes from an API server, but what a rule would make of it is anybody's
//! guess, and a guess must not be consent: so the fields that decide about security are read
//! as what they are before Rego sees them ([`super::shape`]), and an object that has them
//! otherwise is refused as malformed.

use serde::Deserialize;
use serde_json::Value;

use super::shape::{Metadata, PodSpec};
use super::{Target, Workload};
use crate::bundle::input::PodInput;

/// A pod, or the template of one, that can be judged.
#[derive(Debug, Clone)]
pub struct Pod<'a> {
    /// For the policies.
    pub input: PodInput<'a>,
    /// The runtime class it asks for; empty for the default one.
    pub runtime_class: String,
}

/// Why an object holds no pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    /// There is no object.
    #[error("failed to decode object: there is none")]
    NoObject,
    /// The object says it is something else.
    #[error("failed to decode object: expected kind {expected}, got {got:?}")]
    Kind {
        /// What the request says it is.
        expected: &'static str,
        /// What the object says it is.
        got: String,
    },
    /// A pod has a spec, and this has none.
    #[error("failed to decode pod: {path} is missing")]
    NoSpec {
        /// Where it should be.
        path: String,
    },
    /// A field has another type than the API gives it.
    #[error("failed to decode pod: {path}: {problem}")]
    Type {
        /// Metadata or spec.
        path: String,
        /// What is wrong in it.
        problem: String,
    },
}

impl PodError {
    /// The object path it is about.
    pub fn path(&self) -> &str {
        match self {
            PodError::NoObject | PodError::Kind { .. } => "object",
            PodError::NoSpec { path } | PodError::Type { path, .. } => path,
        }
    }
}

/// Where a target keeps its pod: the object itself, or a template inside it.
pub(crate) fn template_path(target: Target) -> &'static str {
    match target {
        Target::Workload(Workload::PodTemplate) => "/template",
        Target::Workload(Workload::CronJob) => "/spec/jobTemplate/spec/template",
        Target::Workload(_) => "/spec/template",
        Target::Pod | Target::Namespace | Target::Other => "",
    }
}

impl<'a> Pod<'a> {
    /// The pod of an object; None for a workload that has no template, which a
    /// ReplicationController need not have.
    pub fn of(target: Target, object: &'a Value) -> Result<Option<Self>, PodError> {
        if object.is_null() {
            return Err(PodError::NoObject);
        }
        let kind = object.get("kind").and_then(Value::as_str);
        if let Some(got) = kind.filter(|kind| *kind != target.as_str()) {
            return Err(PodError::Kind {
                expected: target.as_str(),
                got: got.to_string(),
            });
        }
        let path = template_path(target);
        let Some(template) = object.pointer(path).filter(|template| !template.is_null()) else {
            return match target {
                Target::Workload(Workload::ReplicationController) => Ok(None),
                _ => Err(PodError::NoSpec {
                    path: format!("{path}/spec"),
                }),
            };
        };
        let spec = template.get("spec").unwrap_or(&Value::Null);
        if spec.is_null() {
            return Err(PodError::NoSpec {
                path: format!("{path}/spec"),
            });
        }
        let metadata = template.get("metadata").unwrap_or(&Value::Null);
        let _: Option<Metadata<'_>> = read(metadata, path, "metadata")?;
        let shape: PodSpec<'_> = read(spec, path, "spec")?;
        Ok(Some(Pod {
            input: PodInput::new(metadata, spec),
            runtime_class: shape.runtime_class_name.unwrap_or_default().to_string(),
        }))
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a Value, path: &str, member: &str) -> Result<T, PodError> {
    T::deserialize(value).map_err(|error| PodError::Type {
        path: format!("{path}/{member}"),
        problem: error.to_string(),
    })
}
