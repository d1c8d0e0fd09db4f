//! `input.review`, as Gatekeeper builds it.
//!
//! From an AdmissionReview it is the request; from an object alone, the request that would carry
//! it, with nothing said of operation and user. On DELETE the object is the old one. Members keep
//! what they hold, also null; the members that Gatekeeper always writes are always there.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value as Rego;
use serde_json::{Map, Value, json};

use super::matching::Origin;

/// What is judged.
#[derive(Debug, Clone)]
pub struct Request {
    review: Rego,
    object: Option<Value>,
    old_object: Option<Value>,
    /// The Namespace object of its namespace, where it is known.
    pub namespace_object: Option<Arc<Value>>,
    /// The namespace's name; empty where it is in none.
    pub namespace: String,
    /// CREATE, UPDATE, DELETE, CONNECT, or nothing.
    pub operation: String,
    /// Where the object comes from.
    pub origin: Origin,
}

/// Why there is nothing to judge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither an object nor an old one.
    #[error("the request holds neither an object nor an old object")]
    NoObject,
    /// A deletion that does not say what is deleted.
    #[error("the request to delete holds no old object")]
    NoOldObject,
    /// An object without a kind or a version.
    #[error("the object names no {0}")]
    NoKind(&'static str),
}

impl Request {
    /// The request that would bring this object.
    pub fn of_object(object: &Value, origin: Origin) -> Result<Self, RequestError> {
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let api_version = text("/apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        for (value, name) in [(text("/kind"), "kind"), (version, "apiVersion")] {
            if value.is_empty() {
                return Err(RequestError::NoKind(name));
            }
        }
        let mut request = Map::new();
        request.insert(
            "kind".into(),
            json!({"group": group, "version": version, "kind": text("/kind")}),
        );
        for (name, value) in [
            ("name", text("/metadata/name")),
            ("namespace", text("/metadata/namespace")),
        ] {
            if !value.is_empty() {
                request.insert(name.into(), value.into());
            }
        }
        request.insert("object".into(), object.clone());
        Self::of_request(request, origin)
    }

    /// From the `request` of an AdmissionReview.
    pub fn of_request(
        mut request: Map<String, Value>,
        origin: Origin,
    ) -> Result<Self, RequestError> {
        for (name, value) in [
            ("uid", Value::from("")),
            ("kind", json!({"group": "", "version": "", "kind": ""})),
            (
                "resource",
                json!({"group": "", "version": "", "resource": ""}),
            ),
            ("operation", Value::from("")),
            ("userInfo", json!({})),
            ("object", Value::Null),
            ("oldObject", Value::Null),
            ("options", Value::Null),
        ] {
            request.entry(name).or_insert(value);
        }
        let text = |name: &str| {
            request
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_string()
        };
        let (namespace, operation) = (text("namespace"), text("operation"));
        if operation == "DELETE" {
            let old = request.get("oldObject").cloned().unwrap_or_default();
            if old.is_null() {
                return Err(RequestError::NoOldObject);
            }
            request.insert("object".into(), old);
        }
        let object = |name: &str| {
            request
                .get(name)
                .filter(|object| !object.is_null())
                .cloned()
        };
        let (object, old_object) = (object("object"), object("oldObject"));
        if object.is_none() && old_object.is_none() {
            return Err(RequestError::NoObject);
        }
        Ok(Request {
            review: to_rego(&Value::Object(request)),
            object,
            old_object,
            namespace_object: None,
            namespace,
            operation,
            origin,
        })
    }

    /// With the Namespace object of its namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Option<Arc<Value>>) -> Self {
        self.namespace_object = namespace;
        self
    }

    /// The object, and the one it takes the place of.
    pub fn objects(&self) -> impl Iterator<Item = &Value> {
        self.object.iter().chain(&self.old_object)
    }

    /// The object that is to be stored, or was.
    pub fn object(&self) -> Option<&Value> {
        self.objects().next()
    }

    /// What a program is asked with.
    pub fn review(&self) -> Rego {
        let mut review = self.review.clone();
        // Where it is not known Gatekeeper gives an object without members.
        let known = self.namespace_object.as_ref();
        let namespace = known.map_or_else(Rego::new_object, |object| to_rego(object));
        if let Ok(members) = review.as_object_mut() {
            members.insert(Rego::from("namespaceObject"), namespace);
        }
        review
    }
}

/// `{"review": …, "parameters": …}`
pub fn input(review: &Rego, parameters: &Rego) -> Rego {
    Rego::from(BTreeMap::from([
        (Rego::from("review"), review.clone()),
        (Rego::from("parameters"), parameters.clone()),
    ]))
}

/// JSON as Rego has it; nothing is left out.
pub fn to_rego(value: &Value) -> Rego {
    match value {
        Value::Null => Rego::Null,
        Value::Bool(bool) => Rego::from(*bool),
        Value::Number(number) => number
            .as_i64()
            .map(Rego::from)
            .or_else(|| number.as_u64().map(Rego::from))
            .or_else(|| number.as_f64().map(Rego::from))
            .unwrap_or(Rego::Null),
        Value::String(text) => Rego::from(text.as_str()),
        Value::Array(items) => Rego::from(items.iter().map(to_rego).collect::<Vec<_>>()),
        Value::Object(members) => Rego::from(
            members
                .iter()
                .map(|(name, value)| (Rego::from(name.as_str()), to_rego(value)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}
