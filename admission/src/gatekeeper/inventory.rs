//! Referential data: what a template may know beside the object it judges.
//!
//! `data.inventory.cluster[groupVersion][kind][name]` and
//! `data.inventory.namespace[namespace][groupVersion][kind][name]`. An [`Inventory`] is made
//! whole and shared; programs that ask for it are prepared anew when it is another one, so whoever
//! fills it from a cluster makes a new one for a batch of changes, not for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value as Rego;
use serde_json::Value;

use super::exclusion::Process;
use super::request::to_rego;

/// Where the inventory of a review comes from: the seam for informers over what SyncSets and
/// Config name. It is asked for every review and must answer from memory.
pub trait InventorySource: Send + Sync + 'static {
    /// The inventory now.
    fn current(&self) -> Arc<Inventory>;

    /// Whether Gatekeeper's Config says that a process passes over what is in a namespace.
    fn excludes(&self, _process: Process, _namespace: &str) -> bool {
        false
    }
}

/// Objects, by where they are.
#[derive(Debug, Clone)]
pub struct Inventory {
    data: Arc<Rego>,
    namespaces: BTreeMap<String, Value>,
    known: bool,
}

impl Default for Inventory {
    fn default() -> Self {
        Inventory::new(&[])
    }
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Empty for what is in none.
    pub(crate) namespace: String,
    /// `apiVersion`.
    pub(crate) group_version: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

/// An inventory that never changes.
impl InventorySource for Arc<Inventory> {
    fn current(&self) -> Arc<Inventory> {
        self.clone()
    }
}

type Tree = BTreeMap<String, BTreeMap<String, BTreeMap<String, Rego>>>;

impl Inventory {
    /// Of these objects; the later of two with one name wins.
    pub fn new(objects: &[Value]) -> Self {
        let mut cluster = Tree::new();
        let mut namespaced = BTreeMap::<String, Tree>::new();
        let mut namespaces = BTreeMap::new();
        for object in objects {
            let text = |pointer| {
                let value = object.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default().to_string()
            };
            let (version, kind) = (text("/apiVersion"), text("/kind"));
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            if version == "v1" && kind == "Namespace" {
                namespaces.insert(name.clone(), object.clone());
            }
            let tree = if namespace.is_empty() {
                &mut cluster
            } else {
                namespaced.entry(namespace).or_default()
            };
            tree.entry(version)
                .or_default()
                .entry(kind)
                .or_default()
                .insert(name, to_rego(object));
        }
        Inventory::of_trees(cluster, namespaced, namespaces)
    }

    fn of_trees(
        cluster: Tree,
        namespaced: BTreeMap<String, Tree>,
        namespaces: BTreeMap<String, Value>,
    ) -> Self {
        let mut inventory = BTreeMap::new();
        if !cluster.is_empty() {
            inventory.insert("cluster".to_string(), tree(cluster));
        }
        if !namespaced.is_empty() {
            let namespaced = namespaced
                .into_iter()
                .map(|(name, objects)| (name, tree(objects)));
            inventory.insert("namespace".to_string(), object(namespaced));
        }
        // It is there also where it is empty.
        let data = [("inventory".to_string(), object(inventory))];
        Inventory {
            data: Arc::new(object(data)),
            namespaces,
            known: true,
        }
    }

    /// Of objects as Rego has them, by where they are.
    pub(crate) fn of(objects: impl IntoIterator<Item = (Place, Rego)>) -> Self {
        let mut cluster = Tree::new();
        let mut namespaced = BTreeMap::<String, Tree>::new();
        for (place, object) in objects {
            let tree = if place.namespace.is_empty() {
                &mut cluster
            } else {
                namespaced.entry(place.namespace).or_default()
            };
            tree.entry(place.group_version)
                .or_default()
                .entry(place.kind)
                .or_default()
                .insert(place.name, object);
        }
        Inventory::of_trees(cluster, namespaced, BTreeMap::new())
    }

    /// Nobody knows what there is: a template that asks for it cannot judge.
    pub fn unknown() -> Self {
        Inventory {
            known: false,
            ..Inventory::default()
        }
    }

    /// Whether what is not in it is not there.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// What stands below `data`.
    pub fn data(&self) -> &Arc<Rego> {
        &self.data
    }

    /// The Namespace object of this name.
    pub fn namespace(&self, name: &str) -> Option<&Value> {
        self.namespaces.get(name)
    }
}

fn tree(tree: Tree) -> Rego {
    object(tree.into_iter().map(|(version, kinds)| {
        let kinds = kinds.into_iter().map(|(kind, names)| (kind, object(names)));
        (version, object(kinds))
    }))
}

fn object(members: impl IntoIterator<Item = (String, Rego)>) -> Rego {
    Rego::from(
        members
            .into_iter()
            .map(|(name, value)| (Rego::from(name), value))
            .collect::<BTreeMap<_, _>>(),
    )
}
