//! A ConstraintTemplate: a program, the schema of its parameters, and the kind of its constraints.

use std::hash::{Hash, Hasher};

use serde_json::Value;

use super::schema::Schema;
use crate::config::FailMode;
use crate::data::Allowed;
use crate::rego::trace::Tracer;
use crate::rego::{Edition, Program, Refusal, Text};

/// The API group of templates.
pub const GROUP: &str = "templates.gatekeeper.sh";

/// The one target there is.
const TARGET: &str = "admission.k8s.gatekeeper.sh";

/// The rule that is asked.
const RULE: &str = "violation";

/// What its modules may use below `data`.
const ROOTS: [&str; 2] = ["inventory", "lib"];

/// Says on a template what becomes of a review that it could not judge: `open` or `closed`.
const FAIL_MODE: &str = "taffrail.io/fail-mode";

/// A template, compiled.
#[derive(Debug)]
pub struct Template {
    /// The kind of its constraints.
    pub kind: String,
    /// What its constraints' parameters may be.
    pub schema: Schema,
    /// The rule `violation` of its module.
    pub program: Program,
    /// What becomes of a review it could not judge, where it says so itself.
    pub fail_mode: Option<FailMode>,
    operations: Vec<String>,
    /// What it was read from, as a number.
    print: u64,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is no template.
    #[error("the template {name:?} is invalid: {problem}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Its Rego is refused.
    #[error("the template {name:?} is refused: {refusal}")]
    Rego {
        /// Its name.
        name: String,
        /// Where and why.
        refusal: Refusal,
    },
}

/// The Rego of a template.
pub(crate) struct Code {
    entry: Text,
    libs: Vec<Text>,
}

impl Code {
    /// Of the one target of a template.
    pub(crate) fn of(object: &Value) -> Result<Self, String> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let written = written(target(object)?)?;
        let module = |name: String, rego: String| Text {
            name,
            rego,
            edition: written.edition,
        };
        let libs = written.libs.into_iter().enumerate();
        Ok(Code {
            entry: module(name.to_string(), written.rego),
            libs: libs
                .map(|(i, rego)| module(format!("{name}/libs[{i}]"), rego))
                .collect(),
        })
    }

    /// The module that is asked, and its libraries.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &Text> {
        std::iter::once(&self.entry).chain(&self.libs)
    }

    /// The same program, which tells which of its rules held.
    pub(crate) fn tracer(&self, allowed: Allowed) -> Result<Tracer, Refusal> {
        Tracer::of_program(&self.entry, &self.libs, RULE, &ROOTS, allowed)
    }
}

/// Where a template keeps its program.
struct Written {
    rego: String,
    libs: Vec<String>,
    edition: Edition,
}

impl Template {
    /// Reads and compiles a template.
    pub fn read(object: &Value) -> Result<Self, TemplateError> {
        Template::read_allowing(object, Allowed::default())
    }

    /// As [`Template::read`], where its Rego may ask the data.
    pub fn read_allowing(object: &Value, allowed: Allowed) -> Result<Self, TemplateError> {
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let name = text("/metadata/name").to_string();
        let invalid = |problem: String| TemplateError::Invalid {
            name: name.clone(),
            problem,
        };
        let kind = text("/spec/crd/spec/names/kind").to_string();
        if kind.is_empty() {
            return Err(invalid("spec.crd.spec.names.kind is missing".to_string()));
        }
        if !name.eq_ignore_ascii_case(&kind) {
            return Err(invalid(format!(
                "its name must be {:?}, the kind in lower case",
                kind.to_lowercase()
            )));
        }
        let version = text("/apiVersion");
        let Some(legacy) = is_legacy(version) else {
            return Err(invalid(format!("unknown apiVersion {version:?}")));
        };
        let schema =
            Schema::read(object.pointer("/spec/crd/spec/validation"), legacy).map_err(invalid)?;
        let fail_mode = match object
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(FAIL_MODE))
            .and_then(Value::as_str)
        {
            None => None,
            Some("open") => Some(FailMode::Open),
            Some("closed") => Some(FailMode::Closed),
            Some(other) => {
                return Err(invalid(format!(
                    "unknown {FAIL_MODE} {other:?}: expected open or closed"
                )));
            }
        };
        let target = target(object).map_err(invalid)?;
        let operations = strings(target.get("operations")).map_err(invalid)?;
        let code = Code::of(object).map_err(invalid)?;
        let program = Program::allowing(&code.entry, &code.libs, RULE, &ROOTS, allowed)
            .map_err(|refusal| TemplateError::Rego { name, refusal })?;
        Ok(Template {
            kind,
            schema,
            program,
            fail_mode,
            operations,
            print: print(object),
        })
    }

    /// Whether it was read from an object that says the same.
    pub(crate) fn is_of(&self, object: &Value) -> bool {
        self.print == print(object)
    }

    /// Whether the template is asked about an operation.
    pub fn judges(&self, operation: &str) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|o| o == "*" || o == operation)
    }
}

/// What an absent `legacySchema` means in a version of templates; None for one that is not known.
pub(super) fn is_legacy(api_version: &str) -> Option<bool> {
    match api_version {
        "templates.gatekeeper.sh/v1" => Some(false),
        "templates.gatekeeper.sh/v1beta1" | "templates.gatekeeper.sh/v1alpha1" => Some(true),
        _ => None,
    }
}

/// What a template is made from: not its status, and not who wrote it when.
fn print(object: &Value) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for path in [
        "/apiVersion",
        "/metadata/name",
        "/metadata/annotations",
        "/spec",
    ] {
        object.pointer(path).map(Value::to_string).hash(&mut hasher);
    }
    hasher.finish()
}

fn strings(value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| format!("expected a list of strings, got {value}")),
    }
}

/// The one target of a template.
fn target(object: &Value) -> Result<&Value, String> {
    let targets = object.pointer("/spec/targets").and_then(Value::as_array);
    let Some([target]) = targets.map(Vec::as_slice) else {
        return Err("spec.targets must hold exactly one target".to_string());
    };
    if target.get("target").and_then(Value::as_str) != Some(TARGET) {
        return Err(format!("the target must be {TARGET:?}"));
    }
    Ok(target)
}

fn written(target: &Value) -> Result<Written, String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_string);
    let listed = target.get("code").and_then(Value::as_array);
    if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        let engine = |code: &&Value| code.get("engine").and_then(Value::as_str) == Some("Rego");
        let Some(source) = listed
            .iter()
            .find(engine)
            .and_then(|code| code.get("source"))
        else {
            return Err(
                "none of its code is for the engine Rego, which is the only one supported"
                    .to_string(),
            );
        };
        return Ok(Written {
            rego: text(source.get("rego")).ok_or("source.rego is missing")?,
            libs: strings(source.get("libs"))?,
            edition: match text(source.get("version")).as_deref() {
                Some("v1") => Edition::V1,
                None | Some("" | "v0") => Edition::V0,
                Some(other) => {
                    return Err(format!(
                        "unknown source.version {other:?}: expected v0 or v1"
                    ));
                }
            },
        });
    }
    Ok(Written {
        rego: text(target.get("rego")).ok_or("the target holds neither rego nor code")?,
        libs: strings(target.get("libs"))?,
        edition: Edition::V0,
    })
}
