//! Which objects a constraint judges: `spec.match`.
//!
//! An object must pass all that is asked. What is not asked passes, and so does what cannot be
//! asked of an object: an object that is in no namespace passes `namespaces` and
//! `excludedNamespaces`. Only a namespace selector can be undecidable, where the object's
//! namespace is not known; that is an error, and the constraint then speaks against the object.

use serde::Deserialize;
use serde_json::Value;

use super::selector::{Selector, labels_of};
use crate::review::group_of;

/// `spec.match`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Match {
    source: MatchSource,
    kinds: Vec<Kinds>,
    scope: Option<String>,
    namespaces: Vec<Glob>,
    excluded_namespaces: Vec<Glob>,
    label_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    name: Option<Glob>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kinds {
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
}

/// Which objects a constraint means by their origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum MatchSource {
    #[default]
    All,
    Generated,
    Original,
}

/// Where an object comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody sent it.
    Original,
    /// It was expanded from what somebody sent.
    Generated,
}

/// A text that may begin or end in `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Glob(String);

impl Glob {
    pub(super) fn matches(&self, text: &str) -> bool {
        let glob = self.0.as_str();
        match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
            (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or(rest)),
            (Some(end), None) => text.ends_with(end),
            (None, Some(begin)) => text.starts_with(begin),
            (None, None) => text == glob,
        }
    }

    /// A name that is yet to be chosen is known by its beginning only.
    fn matches_generated(&self, begin: &str) -> bool {
        self.0.ends_with('*') && self.matches(begin)
    }
}

/// The namespace an object is in, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The Namespace object.
    pub namespace: Option<&'a Value>,
    /// Where the object comes from.
    pub origin: Origin,
}

/// What of `spec.match` an object does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Criterion {
    Kinds,
    Scope,
    Namespaces,
    ExcludedNamespaces,
    LabelSelector,
    NamespaceSelector,
    Name,
    Source,
}

impl Criterion {
    /// The member of `spec.match`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Criterion::Kinds => "kinds",
            Criterion::Scope => "scope",
            Criterion::Namespaces => "namespaces",
            Criterion::ExcludedNamespaces => "excludedNamespaces",
            Criterion::LabelSelector => "labelSelector",
            Criterion::NamespaceSelector => "namespaceSelector",
            Criterion::Name => "name",
            Criterion::Source => "source",
        }
    }
}

/// A constraint cannot tell whether it judges an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the namespace of {name} is not known, and spec.match.namespaceSelector asks for its labels"
)]
pub struct Undecidable {
    name: String,
}

impl Match {
    /// What is wrong with it beyond its shape, where something is.
    pub fn problem(&self) -> Option<String> {
        for (name, selector) in [
            ("labelSelector", &self.label_selector),
            ("namespaceSelector", &self.namespace_selector),
        ] {
            if let Some(problem) = selector.as_ref().and_then(Selector::problem) {
                return Some(format!("spec.match.{name}: {problem}"));
            }
        }
        None
    }

    /// Whether the constraint judges this object.
    pub fn matches(&self, object: &Value, around: Surroundings<'_>) -> Result<bool, Undecidable> {
        Ok(self.mismatch(object, around)?.is_none())
    }

    /// What keeps the constraint from judging this object, if something does.
    pub(crate) fn mismatch(
        &self,
        object: &Value,
        around: Surroundings<'_>,
    ) -> Result<Option<Criterion>, Undecidable> {
        let it = Object::new(object, around.namespace);
        let namespace_matches = |globs: &[Glob]| {
            it.namespace_asked()
                .map(|namespace| globs.iter().any(|glob| glob.matches(namespace)))
        };
        let labels_match = || {
            let selector = self.label_selector.as_ref();
            selector.is_none_or(|selector| selector.selects(&labels_of(object)))
        };
        Ok(if !self.kinds_match(&it) {
            Some(Criterion::Kinds)
        } else if !self.scope_matches(&it) {
            Some(Criterion::Scope)
        } else if !self.namespaces.is_empty()
            && !namespace_matches(&self.namespaces).unwrap_or(true)
        {
            Some(Criterion::Namespaces)
        } else if namespace_matches(&self.excluded_namespaces).unwrap_or(false) {
            Some(Criterion::ExcludedNamespaces)
        } else if !labels_match() {
            Some(Criterion::LabelSelector)
        } else if !self.namespace_selector_matches(&it)? {
            Some(Criterion::NamespaceSelector)
        } else if !self.name_matches(&it) {
            Some(Criterion::Name)
        } else if !self.source_matches(around.origin) {
            Some(Criterion::Source)
        } else {
            None
        })
    }

    fn source_matches(&self, origin: Origin) -> bool {
        match self.source {
            MatchSource::All => true,
            MatchSource::Generated => origin == Origin::Generated,
            MatchSource::Original => origin == Origin::Original,
        }
    }

    fn kinds_match(&self, it: &Object<'_>) -> bool {
        self.is_about(it.group, it.kind)
    }

    /// Whether it may judge objects of a kind.
    pub(crate) fn is_about(&self, group: &str, kind: &str) -> bool {
        let listed = |list: &[String], word: &str| {
            list.is_empty() || list.iter().any(|l| l == "*" || l == word)
        };
        self.kinds.is_empty()
            || self
                .kinds
                .iter()
                .any(|entry| listed(&entry.kinds, kind) && listed(&entry.api_groups, group))
    }

    fn scope_matches(&self, it: &Object<'_>) -> bool {
        let in_namespace = !it.own_namespace.is_empty() || it.around.is_some();
        match self.scope.as_deref() {
            Some("Cluster") => it.is_namespace || !in_namespace,
            Some("Namespaced") => !it.is_namespace && in_namespace,
            _ => true,
        }
    }

    fn namespace_selector_matches(&self, it: &Object<'_>) -> Result<bool, Undecidable> {
        let Some(selector) = &self.namespace_selector else {
            return Ok(true);
        };
        if it.is_namespace {
            return Ok(selector.selects(&labels_of(it.json)));
        }
        match it.around {
            Some(namespace) => Ok(selector.selects(&labels_of(namespace))),
            // What is in no namespace passes.
            None if it.own_namespace.is_empty() => Ok(true),
            None => Err(Undecidable {
                name: it.text("/metadata/name").to_string(),
            }),
        }
    }

    fn name_matches(&self, it: &Object<'_>) -> bool {
        match &self.name {
            Some(glob) if !glob.0.is_empty() => {
                glob.matches(it.text("/metadata/name"))
                    || glob.matches_generated(it.text("/metadata/generateName"))
            }
            _ => true,
        }
    }
}

/// What is asked of an object, found once.
struct Object<'a> {
    json: &'a Value,
    group: &'a str,
    kind: &'a str,
    own_namespace: &'a str,
    around: Option<&'a Value>,
    is_namespace: bool,
}

impl<'a> Object<'a> {
    fn new(object: &'a Value, around: Option<&'a Value>) -> Self {
        let text = |pointer| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (group, kind) = (group_of(text("/apiVersion")), text("/kind"));
        Object {
            json: object,
            group,
            kind,
            own_namespace: text("/metadata/namespace"),
            around,
            is_namespace: kind == "Namespace" && group.is_empty(),
        }
    }

    fn text(&self, pointer: &str) -> &'a str {
        self.json
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The namespace whose name is compared; None where the object is in none.
    fn namespace_asked(&self) -> Option<&'a str> {
        if self.is_namespace {
            return Some(self.text("/metadata/name"));
        }
        match self.around {
            Some(namespace) => namespace.pointer("/metadata/name").and_then(Value::as_str),
            None => Some(self.own_namespace).filter(|name| !name.is_empty()),
        }
    }
}
