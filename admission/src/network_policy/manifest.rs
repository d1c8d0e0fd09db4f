//! Objects from manifests: YAML or JSON, many documents in a file, Lists of objects.
//!
//! What `kubectl apply` would take, a later object in the place of an earlier one of its name. Kinds that
//! do not matter here are passed over; one that does and cannot be meant is an error with
//! its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::decode::{Malformed, Object, object};
use super::policy::PolicyName;
use super::world::{Change, World};
use crate::yaml;

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A document is neither YAML nor JSON.
    #[error("document {document}: {problem}")]
    Unreadable {
        /// Which document, from 1.
        document: usize,
        /// What the reader says.
        problem: String,
    },
    /// An object cannot be meant as it stands.
    #[error("document {document}: {name}: {problem}")]
    Malformed {
        /// Which document, from 1.
        document: usize,
        /// The object's kind and name.
        name: String,
        /// Which field, and what is wrong with it.
        problem: Malformed,
    },
}

/// Which object, of all kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Namespace(Arc<str>),
    Node(Arc<str>),
    Pod(Arc<str>, Arc<str>),
    Policy(PolicyName),
}

/// Objects by name.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    objects: BTreeMap<Key, Object>,
}

impl Manifests {
    /// Adds the objects of a file; those that name no namespace are in `namespace`.
    pub fn read(&mut self, text: &str, namespace: &str) -> Result<(), ManifestError> {
        for (i, document) in yaml::documents(text).enumerate() {
            let document_number = i + 1;
            let value = document.map_err(|error| ManifestError::Unreadable {
                document: document_number,
                problem: error.to_string(),
            })?;
            self.add(&value, namespace, document_number)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        value: &Value,
        namespace: &str,
        document: usize,
    ) -> Result<(), ManifestError> {
        let text = |at: &str| {
            value
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let items = value.get("items").and_then(Value::as_array);
        if let Some(items) = items.filter(|_| text("/kind").ends_with("List")) {
            return items
                .iter()
                .try_for_each(|item| self.add(item, namespace, document));
        }
        if value.is_null() {
            return Ok(());
        }
        let read = object(value, namespace).map_err(|problem| ManifestError::Malformed {
            document,
            name: format!("{} {}", text("/kind"), text("/metadata/name")),
            problem,
        })?;
        if let Some(object) = read {
            self.objects.insert(key(&object), object);
        }
        Ok(())
    }

    /// The cluster they make.
    pub fn world(&self) -> World {
        let mut world = World::new();
        for object in self.objects.values() {
            world.apply(Change::Is(object.clone()));
        }
        world
    }

    /// What makes `after` of these: what is new or other, and then what is gone.
    pub fn changes(&self, after: &Manifests) -> Vec<Change> {
        let is_new = |(key, object): &(&Key, &Object)| self.objects.get(key) != Some(object);
        let new = after.objects.iter().filter(is_new);
        let is_gone = |(key, _): &(&Key, &Object)| !after.objects.contains_key(key);
        let gone = self.objects.iter().filter(is_gone);
        new.map(|(_, object)| Change::Is(object.clone()))
            .chain(gone.map(|(_, object)| Change::gone(object.clone())))
            .collect()
    }
}

fn key(object: &Object) -> Key {
    match object {
        Object::Pod(pod) => Key::Pod(pod.namespace.clone(), pod.name.clone()),
        Object::Ended { namespace, name } => Key::Pod(namespace.clone(), name.clone()),
        Object::Namespace { name, .. } => Key::Namespace(name.clone()),
        Object::Node(node) => Key::Node(node.name.clone()),
        Object::Policy(policy) => Key::Policy(policy.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifests, ManifestError> {
        let mut manifests = Manifests::default();
        manifests.read(text, "here")?;
        Ok(manifests)
    }

    #[test]
    fn documents_and_lists_are_objects() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service}\n\
                    - {apiVersion: apps/v1, kind: DeploymentList, items: \
                       [{apiVersion: apps/v1, kind: Deployment, metadata: {name: b, namespace: there}}]}\n";
        let world = read(text).unwrap().world();
        let names: Vec<_> = world
            .everyone()
            .iter()
            .map(|n| world.pod(n).unwrap().to_string())
            .collect();
        assert_eq!(names, ["here/a", "there/deployment/b"]);
    }

    #[test]
    fn an_error_names_document_object_and_field() {
        let malformed = "{}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {ingress: 1}\n";
        for (text, expected) in [
            (
                malformed,
                "document 2: NetworkPolicy p: spec.ingress: must be a list",
            ),
            ("a: [", "document 1: "),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn changes_make_the_one_of_the_other() {
        let pod = |name: &str, label: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{l: {label}}}}}}}\n---\n"
            )
        };
        let before =
            read(&[pod("same", "x"), pod("other", "x"), pod("gone", "x")].concat()).unwrap();
        let after = read(&[pod("same", "x"), pod("other", "y"), pod("new", "x")].concat()).unwrap();
        let changes = before.changes(&after);
        assert_eq!(changes.len(), 3, "{changes:?}");
        let mut world = before.world();
        for change in changes {
            world.apply(change);
        }
        let labels = |world: &World, name: &str| {
            let number = world.find("here", name).first().copied();
            number.map(|number| {
                world
                    .pod(number)
                    .unwrap()
                    .labels
                    .get("l")
                    .unwrap()
                    .to_string()
            })
        };
        for name in ["same", "other", "new", "gone"] {
            assert_eq!(labels(&world, name), labels(&after.world(), name), "{name}");
        }
    }
}
