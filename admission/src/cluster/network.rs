//! The state that decides who reaches whom, kept as it changes.
//!
//! One [`World`] for namespaces, pods, nodes and policies. Readers get it as it is at that moment and keep it;
//! a change goes into a clone where somebody still reads. Before everything is listed, and while an object
//! is there that cannot be read, the state is not known, and says so: a policy left out would turn
//! the answers of rules about the whole cluster around.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tracing::warn;

use super::watch::{Keep, Status};
use super::watched::Key;
use crate::network_policy::builtins::{ClusterState, StateUnknown};
use crate::network_policy::{Change, PolicyName, World, object};

/// Which objects of the world a watch brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Namespaces,
    Nodes,
    Pods,
    NetworkPolicies,
    ClusterNetworkPolicies,
}

/// The state, and what keeps it from being known.
pub(crate) struct NetworkState {
    world: RwLock<Arc<World>>,
    unreadable: Mutex<BTreeMap<(Part, Key), String>>,
    parts: Vec<Arc<Status>>,
}

impl NetworkState {
    /// Known once `parts` are.
    pub(crate) fn new(parts: Vec<Arc<Status>>) -> Arc<Self> {
        Arc::new(NetworkState {
            world: RwLock::default(),
            unreadable: Mutex::default(),
            parts,
        })
    }

    /// What takes the objects of a part.
    pub(crate) fn keep(self: &Arc<Self>, part: Part) -> Arc<dyn Keep> {
        Arc::new(KeepPart {
            state: Arc::clone(self),
            part,
        })
    }

    fn change(&self, change: Change) {
        let mut world = self.world.write();
        Arc::make_mut(&mut world).apply(change);
    }
}

impl ClusterState for NetworkState {
    fn world(&self) -> Result<Arc<World>, StateUnknown> {
        if let Some(status) = self.parts.iter().find(|status| !status.is_synced()) {
            return Err(StateUnknown(format!(
                "{} are not listed yet",
                status.name()
            )));
        }
        if let Some(problem) = self.unreadable.lock().values().next() {
            return Err(StateUnknown(problem.clone()));
        }
        Ok(self.world.read().clone())
    }
}

struct KeepPart {
    state: Arc<NetworkState>,
    part: Part,
}

impl KeepPart {
    fn gone(&self, key: &Key) -> Change {
        let name = || Arc::from(key.name.as_str());
        let namespace = || Arc::from(key.namespace.as_str());
        match self.part {
            Part::Namespaces => Change::NamespaceGone(name()),
            Part::Nodes => Change::NodeGone(name()),
            Part::Pods => Change::PodGone {
                namespace: namespace(),
                name: name(),
            },
            Part::NetworkPolicies => Change::PolicyGone(PolicyName::NetworkPolicy {
                namespace: namespace(),
                name: name(),
            }),
            Part::ClusterNetworkPolicies => {
                Change::PolicyGone(PolicyName::ClusterNetworkPolicy { name: name() })
            }
        }
    }

    fn keys(&self) -> Vec<Key> {
        let world = self.state.world.read();
        let key = |namespace: &str, name: &str| Key {
            namespace: namespace.to_string(),
            name: name.to_string(),
        };
        match self.part {
            Part::Namespaces => world.namespaces().map(|name| key("", name)).collect(),
            Part::Nodes => world.node_names().map(|name| key("", name)).collect(),
            Part::Pods => (world.everyone().iter())
                .filter_map(|number| world.pod(number))
                .map(|pod| key(&pod.namespace, &pod.name))
                .collect(),
            part => (world.policies())
                .filter_map(|policy| match (&policy.name, part) {
                    (PolicyName::NetworkPolicy { namespace, name }, Part::NetworkPolicies) => {
                        Some(key(namespace, name))
                    }
                    (PolicyName::ClusterNetworkPolicy { name }, Part::ClusterNetworkPolicies) => {
                        Some(key("", name))
                    }
                    _ => None,
                })
                .collect(),
        }
    }
}

impl Keep for KeepPart {
    fn apply(&self, key: &Key, value: Value) {
        let place = (self.part, key.clone());
        match object(&value, &key.namespace) {
            Ok(Some(read)) => {
                self.state.unreadable.lock().remove(&place);
                self.state.change(Change::Is(read));
            }
            Ok(None) => {}
            Err(malformed) => {
                let kind = value
                    .get("kind")
                    .and_then(Value::as_str)
                    .unwrap_or("object");
                let slash = if key.namespace.is_empty() { "" } else { "/" };
                let problem = format!(
                    "{kind} {}{slash}{} cannot be judged: {malformed}",
                    key.namespace, key.name
                );
                warn!(problem, "who may reach whom is not known");
                self.state.unreadable.lock().insert(place, problem);
                self.state.change(self.gone(key));
            }
        }
    }

    fn remove(&self, key: &Key) {
        self.state
            .unreadable
            .lock()
            .remove(&(self.part, key.clone()));
        self.state.change(self.gone(key));
    }

    fn retain(&self, listed: &HashSet<Key>) {
        for key in self.keys().iter().filter(|key| !listed.contains(key)) {
            self.state.change(self.gone(key));
        }
        let mut unreadable = self.state.unreadable.lock();
        unreadable.retain(|(part, key), _| *part != self.part || listed.contains(key));
    }
}
