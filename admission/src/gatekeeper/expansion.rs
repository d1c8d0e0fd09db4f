//! ExpansionTemplates: what an object would make, so that it can be judged before it is made.
//!
//! A Deployment makes pods: the template says where in it they are written (`templateSource`) and
//! what they are (`generatedGVK`). What is made is judged as *generated*, and what it violates is
//! told of the object it is made from.

use serde::Deserialize;
use serde_json::{Value, json};

use super::constraint::Action;

/// The API group of expansion templates.
pub const GROUP: &str = "expansion.gatekeeper.sh";

/// What is made is expanded in turn, no deeper than this.
const DEPTH_MAX: usize = 30;

/// A template.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// Its name, which messages carry.
    pub name: String,
    spec: Spec,
    action: Option<Action>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    apply_to: Vec<ApplyTo>,
    template_source: String,
    #[serde(rename = "generatedGVK")]
    generated: Gvk,
    #[serde(default)]
    enforcement_action: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct ApplyTo {
    groups: Vec<String>,
    versions: Vec<String>,
    kinds: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Gvk {
    group: String,
    version: String,
    kind: String,
}

/// An object that another would make.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The object.
    pub object: Value,
    /// The template's name.
    pub by: String,
    /// What follows from its violations instead of what its constraints say.
    pub action: Option<Action>,
}

/// Why an expansion template is refused, or an object cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the expansion template {name:?}: {problem}")]
pub struct ExpansionError {
    name: String,
    problem: String,
}

impl Expansion {
    /// Reads a template.
    pub fn read(object: &Value) -> Result<Self, ExpansionError> {
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let failed = |problem: String| ExpansionError {
            name: name.to_string(),
            problem,
        };
        let spec = object.get("spec").cloned().unwrap_or_default();
        let spec: Spec = serde_json::from_value(spec).map_err(|e| failed(format!("spec: {e}")))?;
        let action = match spec.enforcement_action.as_str() {
            "" => None,
            "deny" => Some(Action::Deny),
            "warn" => Some(Action::Warn),
            "dryrun" => Some(Action::Dryrun),
            other => return Err(failed(format!("unknown enforcementAction {other:?}"))),
        };
        if name.is_empty() || spec.template_source.is_empty() || spec.apply_to.is_empty() {
            return Err(failed(
                "name, applyTo and templateSource are needed".to_string(),
            ));
        }
        let made = &spec.generated;
        if spec.applies(&made.group, &made.version, &made.kind) {
            return Err(failed("it makes what it applies to".to_string()));
        }
        Ok(Expansion {
            name: name.to_string(),
            spec,
            action,
        })
    }

    fn generate(&self, from: &Value) -> Result<Option<Generated>, ExpansionError> {
        let text = |pointer| {
            from.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (group, version) = version_of(text("/apiVersion"));
        if !self.spec.applies(group, version, text("/kind")) {
            return Ok(None);
        }
        let pointer = format!("/{}", self.spec.template_source.replace('.', "/"));
        let Some(Value::Object(source)) = from.pointer(&pointer) else {
            return Err(ExpansionError {
                name: self.name.clone(),
                problem: format!(
                    "{} holds no {}",
                    text("/metadata/name"),
                    self.spec.template_source
                ),
            });
        };
        let made = &self.spec.generated;
        let mut object = source.clone();
        let api_version = if made.group.is_empty() {
            made.version.clone()
        } else {
            format!("{}/{}", made.group, made.version)
        };
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), made.kind.clone().into());
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        if !metadata.is_object() {
            *metadata = json!({});
        }
        if let Value::Object(metadata) = metadata {
            let name = format!("{}-{}", text("/metadata/name"), made.kind).to_lowercase();
            metadata.insert("name".into(), name.into());
            if let Some(namespace) = from.pointer("/metadata/namespace") {
                metadata.insert("namespace".into(), namespace.clone());
            }
            let owner = json!({
                "apiVersion": text("/apiVersion"), "kind": text("/kind"), "name": text("/metadata/name"), "uid": "",
            });
            let owners = metadata
                .entry("ownerReferences")
                .or_insert_with(|| json!([]));
            if let Value::Array(owners) = owners {
                owners.push(owner);
            }
        }
        Ok(Some(Generated {
            object: Value::Object(object),
            by: self.name.clone(),
            action: self.action,
        }))
    }
}

impl Spec {
    fn applies(&self, group: &str, version: &str, kind: &str) -> bool {
        let listed = |list: &[String], word: &str| list.iter().any(|listed| listed == word);
        self.apply_to.iter().any(|to| {
            listed(&to.groups, group) && listed(&to.versions, version) && listed(&to.kinds, kind)
        })
    }
}

fn version_of(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// All that an object would make, and what that would make.
pub fn expand(templates: &[Expansion], object: &Value) -> Result<Vec<Generated>, ExpansionError> {
    let mut made = Vec::new();
    expand_into(templates, object, 0, &mut made)?;
    Ok(made)
}

fn expand_into(
    templates: &[Expansion],
    object: &Value,
    depth: usize,
    made: &mut Vec<Generated>,
) -> Result<(), ExpansionError> {
    for template in templates {
        let Some(generated) = template.generate(object)? else {
            continue;
        };
        if depth >= DEPTH_MAX {
            return Err(ExpansionError {
                name: template.name.clone(),
                problem: format!("objects are expanded more than {DEPTH_MAX} times"),
            });
        }
        expand_into(templates, &generated.object, depth + 1, made)?;
        made.push(generated);
    }
    Ok(())
}
