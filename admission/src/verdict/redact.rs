//! A request as it may be kept: without what is secret, without what is only bulk, and no longer than there is room.
//!
//! It is written as text in one pass and never copied, for this is on the way of every answer. What is
//! not kept has [`MARK`] in its place, or is left out where nobody's rule asks for it
//! (`managedFields`, kubectl's copy of the object), and its path is told, so that whoever
//! replays the request knows what it does not know.
//!
//! Nothing of a Secret's values is ever kept, whatever is configured.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::config::Recording;
use crate::review::Review;

/// What stands for a value that is not kept.
pub const MARK: &str = "<redacted>";

/// How many paths a record names.
const PATHS_MAX: usize = 100;

/// How long most requests are.
const BYTES_OFTEN: usize = 8 << 10;

/// Members of objects that are left out: whole copies of what is there already, and who wrote what.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which of an update's two objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objects {
    Both,
    New,
}

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The `request` of an AdmissionReview.
    pub(crate) json: String,
    /// What is not in it.
    pub(crate) redacted: Vec<String>,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The request of a review, in at most `bytes_max` bytes.
pub(crate) fn request(
    review: &Review,
    recording: &Recording,
    objects: Objects,
    bytes_max: usize,
) -> Result<Kept, Full> {
    let mut writer = Writer {
        recording,
        out: Vec::with_capacity(BYTES_OFTEN.min(bytes_max)),
        bytes_max,
        path: Vec::new(),
        redacted: Vec::new(),
        more: 0,
    };
    writer.request(review, objects)?;
    if writer.more > 0 {
        writer
            .redacted
            .push(format!("and {} more places", writer.more));
    }
    Ok(Kept {
        // It is text: strings of the request, and what stands between them.
        json: String::from_utf8(writer.out).map_err(|_| Full)?,
        redacted: writer.redacted,
    })
}

/// What values an object holds that are nobody's business.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Secrets,
    Configuration,
    Other,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

struct Writer<'a> {
    recording: &'a Recording,
    out: Vec<u8>,
    bytes_max: usize,
    path: Vec<Step<'a>>,
    redacted: Vec<String>,
    more: usize,
}

impl<'a> Writer<'a> {
    fn request(&mut self, review: &'a Review, objects: Objects) -> Result<(), Full> {
        self.raw(b"{")?;
        let mut comma = false;
        for (name, value) in &review.request {
            self.name(&mut comma, name)?;
            self.path.push(Step::Member(name));
            self.value(value)?;
            self.path.pop();
        }
        let both = [
            ("object", &review.object),
            ("oldObject", &review.old_object),
        ];
        for (name, object) in both {
            if name == "oldObject" && objects == Objects::New {
                continue;
            }
            self.name(&mut comma, name)?;
            self.path.push(Step::Member(name));
            self.object(object, review)?;
            self.path.pop();
        }
        self.raw(b"}")
    }

    /// One of the two objects, by what it holds.
    fn object(&mut self, object: &'a Value, review: &Review) -> Result<(), Full> {
        let Value::Object(members) = object else {
            return self.value(object);
        };
        let holds = holds(members, review);
        self.raw(b"{")?;
        let mut comma = false;
        for (name, value) in members {
            let values = matches!(name.as_str(), "data" | "stringData" | "binaryData");
            if values && holds != Holds::Other {
                self.name(&mut comma, name)?;
                self.path.push(Step::Member(name));
                self.values(value, holds)?;
                self.path.pop();
            } else {
                self.member(&mut comma, name, value)?;
            }
        }
        self.raw(b"}")
    }

    /// The values of a Secret or a ConfigMap.
    fn values(&mut self, values: &'a Value, holds: Holds) -> Result<(), Full> {
        let Value::Object(members) = values else {
            return match values {
                Value::Null => self.raw(b"null"),
                _ => self.mark(),
            };
        };
        self.raw(b"{")?;
        let mut comma = false;
        for (name, value) in members {
            self.name(&mut comma, name)?;
            self.path.push(Step::Member(name));
            let long = || match value {
                Value::String(text) => text.len() > self.recording.config_map_value_bytes_max,
                _ => true,
            };
            if holds == Holds::Secrets || long() {
                self.mark()?;
            } else {
                self.value(value)?;
            }
            self.path.pop();
        }
        self.raw(b"}")
    }

    fn member(&mut self, comma: &mut bool, name: &'a str, value: &'a Value) -> Result<(), Full> {
        let of = self.path.last().copied();
        self.path.push(Step::Member(name));
        let of_metadata = matches!(of, Some(Step::Member("metadata")));
        if name == LAST_APPLIED || of_metadata && name == "managedFields" {
            self.note();
            self.path.pop();
            return Ok(());
        }
        self.name(comma, name)?;
        match value {
            _ if self.is_named() => self.mark()?,
            Value::Array(items) if name == "env" => self.list(items, Self::variable)?,
            Value::Array(items) if matches!(name, "args" | "command") => self.arguments(items)?,
            _ => self.value(value)?,
        }
        self.path.pop();
        Ok(())
    }

    fn value(&mut self, value: &'a Value) -> Result<(), Full> {
        match value {
            Value::Null => self.raw(b"null"),
            Value::Bool(true) => self.raw(b"true"),
            Value::Bool(false) => self.raw(b"false"),
            Value::Number(number) => self.raw(number.to_string().as_bytes()),
            Value::String(text) => self.text(text),
            Value::Array(items) => self.list(items, Self::value),
            Value::Object(members) => {
                self.raw(b"{")?;
                let mut comma = false;
                for (name, value) in members {
                    self.member(&mut comma, name, value)?;
                }
                self.raw(b"}")
            }
        }
    }

    fn list(
        &mut self,
        items: &'a [Value],
        write: fn(&mut Self, &'a Value) -> Result<(), Full>,
    ) -> Result<(), Full> {
        self.raw(b"[")?;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.raw(b",")?;
            }
            self.path.push(Step::Item(i));
            write(self, item)?;
            self.path.pop();
        }
        self.raw(b"]")
    }

    /// An environment variable, whose value is kept unless its name says that it is secret.
    fn variable(&mut self, item: &'a Value) -> Result<(), Full> {
        let name = item.get("name").and_then(Value::as_str);
        let secret = name.is_some_and(|name| self.recording.names.is_match(name));
        let Value::Object(members) = item else {
            return self.value(item);
        };
        self.raw(b"{")?;
        let mut comma = false;
        for (name, value) in members {
            if secret && name == "value" && !value.is_null() {
                self.name(&mut comma, name)?;
                self.path.push(Step::Member(name));
                self.mark()?;
                self.path.pop();
            } else {
                self.member(&mut comma, name, value)?;
            }
        }
        self.raw(b"}")
    }

    /// `--NAME=VALUE`, and `--NAME` followed by its value.
    fn arguments(&mut self, items: &'a [Value]) -> Result<(), Full> {
        let names = &self.recording.names;
        let mut is_value = false;
        self.raw(b"[")?;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.raw(b",")?;
            }
            self.path.push(Step::Item(i));
            let was_value = std::mem::take(&mut is_value);
            match item.as_str().map(|text| (text, text.split_once('='))) {
                Some((_, Some((name, value))))
                    if !value.is_empty() && names.is_match(name) && !name.contains(' ') =>
                {
                    self.text(&format!("{name}={MARK}"))?;
                    self.note();
                }
                Some((text, None)) if text.starts_with('-') && names.is_match(text) => {
                    is_value = true;
                    self.text(text)?;
                }
                Some(_) if was_value => self.mark()?,
                _ => self.value(item)?,
            }
            self.path.pop();
        }
        self.raw(b"]")
    }

    /// Whether the configuration names the member that the path leads to.
    fn is_named(&self) -> bool {
        let fields = &self.recording.fields;
        if fields.is_empty() {
            return false;
        }
        // The first step is which of the two objects it is.
        let names = |wanted: &String, step: &Step<'_>| match step {
            Step::Member(name) => wanted == "*" || wanted == name,
            Step::Item(i) => wanted == "*" || *wanted == i.to_string(),
        };
        let steps = self.path.get(1..).unwrap_or_default();
        fields.iter().any(|field| {
            field.len() == steps.len() && field.iter().zip(steps).all(|(a, b)| names(a, b))
        })
    }

    /// In the place of a value.
    fn mark(&mut self) -> Result<(), Full> {
        self.note();
        self.text(MARK)
    }

    fn note(&mut self) {
        if self.redacted.len() >= PATHS_MAX {
            self.more += 1;
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            let _ = match step {
                Step::Member(name) if path.is_empty() => write!(path, "{name}"),
                Step::Member(name) if name.contains('.') => write!(path, "[{name:?}]"),
                Step::Member(name) => write!(path, ".{name}"),
                Step::Item(i) => write!(path, "[{i}]"),
            };
        }
        self.redacted.push(path);
    }

    fn name(&mut self, comma: &mut bool, name: &str) -> Result<(), Full> {
        if std::mem::replace(comma, true) {
            self.raw(b",")?;
        }
        self.text(name)?;
        self.raw(b":")
    }

    fn text(&mut self, text: &str) -> Result<(), Full> {
        self.room(text.len().saturating_add(2))?;
        // Writing to memory does not fail.
        serde_json::to_writer(&mut self.out, text).map_err(|_| Full)?;
        self.room(0)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.room(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn room(&self, bytes: usize) -> Result<(), Full> {
        if self.out.len().saturating_add(bytes) > self.bytes_max {
            return Err(Full);
        }
        Ok(())
    }
}

/// By what the object says it is, and by what the request says: either is enough.
fn holds(object: &Map<String, Value>, review: &Review) -> Holds {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = text(object.get("apiVersion"));
    let kind = text(object.get("kind"));
    let resource = review.request.get("resource");
    let of_core = !version.contains('/');
    let asked = |name: &str| {
        resource.is_some_and(|resource| {
            text(resource.get("group")).is_empty() && text(resource.get("resource")) == name
        })
    };
    if of_core && kind == "Secret" || review.kind == "Secret" || asked("secrets") {
        Holds::Secrets
    } else if of_core && kind == "ConfigMap" || review.kind == "ConfigMap" || asked("configmaps") {
        Holds::Configuration
    } else {
        Holds::Other
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{DecisionsConfig, RedactConfig};

    fn kept(object: &Value, old: &Value, bytes_max: usize) -> Result<Kept, Full> {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": "UPDATE", "kind": {"kind": object["kind"]},
                "userInfo": {"username": "anna", "groups": ["dev"]},
                "object": object, "oldObject": old,
            },
        });
        let review = Review::read(body.to_string().as_bytes()).unwrap();
        let config = DecisionsConfig {
            redact: RedactConfig {
                fields: vec!["spec.vault.token".into(), "spec.users.*.password".into()],
                ..RedactConfig::default()
            },
            ..DecisionsConfig::default()
        };
        request(
            &review,
            &config.validate().unwrap(),
            Objects::Both,
            bytes_max,
        )
    }

    fn check(object: &Value, expected: &Value, redacted: &[&str]) {
        let kept = kept(object, &Value::Null, 1 << 20).unwrap();
        let read: Value = serde_json::from_str(&kept.json).unwrap();
        assert_eq!(read["object"], *expected);
        assert_eq!(read["oldObject"], Value::Null);
        assert_eq!(read["userInfo"]["groups"][0], "dev");
        assert_eq!(kept.redacted, redacted);
    }

    #[test]
    fn what_is_secret_is_not_kept_and_its_place_is_told() {
        check(
            &json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                    "data": {"a": "c2VjcmV0", "b": null}, "stringData": "odd",
                    "metadata": {"name": "s", "annotations": {LAST_APPLIED: "secret", "x": "y"}}}),
            &json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                    "data": {"a": MARK, "b": MARK}, "stringData": MARK,
                    "metadata": {"name": "s", "annotations": {"x": "y"}}}),
            &[
                "object.data.a",
                "object.data.b",
                "object.metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]",
                "object.stringData",
            ],
        );
        check(
            &json!({"kind": "ConfigMap", "data": {"short": "x", "long": "x".repeat(2000)}}),
            &json!({"kind": "ConfigMap", "data": {"short": "x", "long": MARK}}),
            &["object.data.long"],
        );
        check(
            &json!({"kind": "Vault", "spec": {"vault": {"token": {"a": 1}}, "data": {"x": 1},
                    "users": [{"password": "p", "name": "n"}]}}),
            &json!({"kind": "Vault", "spec": {"vault": {"token": MARK}, "data": {"x": 1},
                    "users": [{"password": MARK, "name": "n"}]}}),
            &["object.spec.users[0].password", "object.spec.vault.token"],
        );
    }

    #[test]
    fn what_containers_are_told_is_kept_by_its_name() {
        check(
            &json!({"kind": "Deployment", "metadata": {"managedFields": [{"manager": "kubectl"}]},
                "spec": {"template": {"spec": {"containers": [{
                    "env": [{"name": "DB_PASSWORD", "value": "p"}, {"name": "LEVEL", "value": "debug"},
                            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
                    "args": ["--token=abc", "--password", "hunter2", "--level", "info", "--key="],
                    "command": ["sh", 1]}]}}}}),
            &json!({"kind": "Deployment", "metadata": {},
                "spec": {"template": {"spec": {"containers": [{
                    "env": [{"name": "DB_PASSWORD", "value": MARK}, {"name": "LEVEL", "value": "debug"},
                            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
                    "args": ["--token=<redacted>", "--password", MARK, "--level", "info", "--key="],
                    "command": ["sh", 1]}]}}}}),
            &[
                "object.metadata.managedFields",
                "object.spec.template.spec.containers[0].args[0]",
                "object.spec.template.spec.containers[0].args[2]",
                "object.spec.template.spec.containers[0].env[0].value",
            ],
        );
    }

    #[test]
    fn no_more_is_written_than_there_is_room_for() {
        let object = json!({"kind": "Pod", "spec": {"x": "é\n\"".repeat(100)}});
        let whole = kept(&object, &object, 1 << 20).unwrap().json.len();
        assert!(kept(&object, &object, whole).is_ok());
        for bytes_max in 0..whole {
            assert_eq!(kept(&object, &object, bytes_max), Err(Full));
        }
    }
}
