//! An object as it comes from the API server, without what nobody here reads.
//!
//! What is dropped is dropped while the JSON is read: of a pod that is most of it, and a page of pods is
//! never in memory whole. `managedFields` goes from every object, and so does what a kind's
//! [`Fields`] name; all else stays as it came, also the fields of newer APIs.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::{Map, Number, Value};

/// Which fields are dropped.
pub(crate) trait Fields: Clone + fmt::Debug + Send + Sync + 'static {
    /// Paths of members; a list on the way is passed through.
    const DROPPED: &'static [&'static [&'static str]];
}

/// Everything is kept.
#[derive(Debug, Clone)]
pub(crate) struct All;

impl Fields for All {
    const DROPPED: &'static [&'static [&'static str]] = &[];
}

/// The bookkeeping of the API server, and the object as it was applied, within itself.
const ALWAYS_DROPPED: &[&[&str]] = &[
    &["metadata", "managedFields"],
    &[
        "metadata",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
];

/// An object of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Watched<F> {
    meta: ObjectMeta,
    /// What is kept of it.
    pub(crate) object: Value,
    fields: PhantomData<F>,
}

impl<F> Watched<F> {
    /// Its namespace, empty where it has none, and its name.
    pub(crate) fn key(&self) -> Key {
        Key {
            namespace: self.meta.namespace.clone().unwrap_or_default(),
            name: self.meta.name.clone().unwrap_or_default(),
        }
    }
}

/// Which object of its kind it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Empty for what has none.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
}

impl<'de, F: Fields> Deserialize<'de> for Watched<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dropped = ALWAYS_DROPPED.iter().chain(F::DROPPED).copied();
        let object = Pruned(dropped.collect()).deserialize(deserializer)?;
        let text = |name: &str| {
            let value = object.pointer(&format!("/metadata/{name}"));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        Ok(Watched {
            meta: ObjectMeta {
                name: text("name"),
                namespace: text("namespace"),
                resource_version: text("resourceVersion"),
                ..ObjectMeta::default()
            },
            object,
            fields: PhantomData,
        })
    }
}

impl<F> Resource for Watched<F> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// JSON without some members: what is left of each path from here on.
struct Pruned(Vec<&'static [&'static str]>);

impl<'de> DeserializeSeed<'de> for Pruned {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0.is_empty() {
            return Value::deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pruned {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Pruned(self.0.clone()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let below: Vec<_> = (self.0.iter())
                .filter_map(|path| path.split_first())
                .filter(|(first, _)| **first == name)
                .map(|(_, rest)| rest)
                .collect();
            if below.iter().any(|rest| rest.is_empty()) {
                members.next_value::<IgnoredAny>()?;
            } else {
                object.insert(name, members.next_value_seed(Pruned(below))?);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Clone)]
    struct Some;

    impl Fields for Some {
        const DROPPED: &'static [&'static [&'static str]] =
            &[&["spec", "containers", "env"], &["status"]];
    }

    #[test]
    fn what_is_named_is_dropped_and_nothing_else() {
        let text = r#"{"kind": "Pod", "metadata": {"name": "p", "namespace": "n", "resourceVersion": "7",
            "managedFields": [{"f": {}}], "annotations": {"a": "b",
            "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"env": 1.5, "x": null, "containers": [{"name": "c", "env": [{}], "n": [-1, true]}, 3]},
            "status": {"phase": "Running"}}"#;
        let pod: Watched<Some> = serde_json::from_str(text).unwrap();
        assert_eq!(
            pod.object,
            json!({"kind": "Pod",
                "metadata": {"name": "p", "namespace": "n", "resourceVersion": "7", "annotations": {"a": "b"}},
                "spec": {"env": 1.5, "x": null, "containers": [{"name": "c", "n": [-1, true]}, 3]}})
        );
        assert_eq!(
            pod.meta().resource_version.as_deref(),
            std::option::Option::Some("7")
        );
        let key = pod.key();
        assert_eq!((key.namespace.as_str(), key.name.as_str()), ("n", "p"));

        let whole: Watched<All> = serde_json::from_str(text).unwrap();
        assert_eq!(whole.object["status"]["phase"], "Running");
        assert_eq!(whole.object["metadata"].get("managedFields"), None);
        assert!(serde_json::from_str::<Watched<All>>("{\"a\": }").is_err());
    }
}
