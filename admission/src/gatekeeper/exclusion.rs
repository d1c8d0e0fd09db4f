//! Gatekeeper's Config: namespaces that its processes pass over.
//!
//! `spec.match` lists namespaces, by name or with `*` at an end, and the processes that are not to look at what is in them. It is about
//! Gatekeeper's policies only: Pod Security and the rules about networks have exemptions of their own. Whoever
//! may write a Config in some namespace must not be able to switch policies off elsewhere, so a Config counts only by the name and in
//! the namespaces that whoever reads it trusts.

use serde::Deserialize;
use serde_json::Value;

use super::matching::Glob;

/// The name of the one Config there is.
pub(crate) const NAME: &str = "config";

/// The namespace it is in, where Gatekeeper is installed as it usually is.
pub(crate) const NAMESPACE: &str = "gatekeeper-system";

/// Who passes over a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The webhook.
    Webhook,
    /// The audit.
    Audit,
    /// Whoever keeps the inventory.
    Sync,
}

impl Process {
    fn as_str(self) -> &'static str {
        match self {
            Process::Webhook => "webhook",
            Process::Audit => "audit",
            Process::Sync => "sync",
        }
    }
}

/// The namespaces that are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Exclusions(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    excluded_namespaces: Vec<Glob>,
    processes: Vec<String>,
}

impl Exclusions {
    /// As a Config says. An entry that cannot be read excludes nothing.
    pub(crate) fn of(config: &Value) -> Self {
        let entries = config.pointer("/spec/match").and_then(Value::as_array);
        let entries = entries.into_iter().flatten();
        Exclusions(
            entries
                .filter_map(|entry| Entry::deserialize(entry).ok())
                .collect(),
        )
    }

    /// What all of them exclude.
    pub(crate) fn union<'a>(all: impl IntoIterator<Item = &'a Exclusions>) -> Self {
        Exclusions(all.into_iter().flat_map(|one| one.0.clone()).collect())
    }

    /// Whether a process passes over what is in `namespace`; what is in none is never passed over.
    pub(crate) fn exclude(&self, process: Process, namespace: &str) -> bool {
        let is_of = |name: &String| name == "*" || name == process.as_str();
        !namespace.is_empty()
            && self.0.iter().any(|entry| {
                entry.processes.iter().any(is_of)
                    && (entry.excluded_namespaces.iter()).any(|glob| glob.matches(namespace))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_and_globs_choose() {
        let config = serde_json::json!({"spec": {"match": [
            {"excludedNamespaces": ["kube-*", "*-infra", "one"], "processes": ["webhook", "audit"]},
            {"excludedNamespaces": ["two"], "processes": ["*"]},
            {"excludedNamespaces": "three", "processes": ["*"]},
            {"excludedNamespaces": ["four"]},
            {"excludedNamespaces": ["*"], "processes": ["mutation-webhook"]},
        ]}});
        let exclusions = Exclusions::of(&config);
        for (namespace, expected) in [
            ("kube-system", [true, true, false]),
            ("a-infra", [true, true, false]),
            ("one", [true, true, false]),
            ("ones", [false; 3]),
            ("two", [true; 3]),
            ("three", [false; 3]),
            ("four", [false; 3]),
            ("", [false; 3]),
        ] {
            let processes = [Process::Webhook, Process::Audit, Process::Sync];
            let found = processes.map(|process| exclusions.exclude(process, namespace));
            assert_eq!(found, expected, "{namespace}");
        }
        assert_eq!(Exclusions::of(&Value::Null), Exclusions::default());
    }
}
