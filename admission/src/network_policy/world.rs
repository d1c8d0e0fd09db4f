//! The state of a cluster that decides who reaches whom, and how a change goes into it.
//!
//! A [`World`] is a value: cheap to clone, because what a change does not touch is shared, so
//! "what would this change do?" is asked by applying it to a clone. Pods have numbers; each rule
//! of each policy keeps the set of pods it selects, and a change sets and clears bits in these
//! sets. Labels and ports that pods have in common are kept once.
//!
//! Nothing in here does I/O or reads a clock. Objects come in already checked
//! ([`decode`](super::decode)).

mod choose;
mod compile;
mod intern;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use super::decode::Object;
use super::group::Grouping;
use super::pod::{Node, Pod};
use super::policy::{Direction, Policy, PolicyName};
use super::region::Region;
use super::selector::Labels;
use compile::Relabelled;
pub(super) use compile::{Compiled, peer_selects, selects_address};
use intern::Interner;

/// The label every namespace has, with its name.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A namespace: its labels, and its pods by number.
#[derive(Debug, Clone)]
pub(super) struct Namespace {
    pub(super) labels: Labels,
    pub(super) pods: RoaringBitmap,
    /// The same by their names.
    numbers: HashMap<Arc<str>, u32>,
}

/// Nodes by name.
pub(super) type Nodes = BTreeMap<Arc<str>, Node>;

/// The state of a cluster.
#[derive(Debug, Clone, Default)]
pub struct World {
    namespaces: BTreeMap<Arc<str>, Arc<Namespace>>,
    pods: Arc<Vec<Option<Arc<Pod>>>>,
    free: Vec<u32>,
    everyone: RoaringBitmap,
    nodes: Arc<Nodes>,
    policies: BTreeMap<PolicyName, Arc<Compiled>>,
    interner: Arc<Interner>,
    /// Worked out when it is asked for, and for all clones that are still the same.
    grouping: Arc<OnceLock<Grouping>>,
}

/// An object that is new, changed or gone.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is now like this.
    Is(Object),
    /// There is no such pod any more.
    PodGone {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// There is no such namespace any more.
    NamespaceGone(Arc<str>),
    /// There is no such node any more.
    NodeGone(Arc<str>),
    /// There is no such policy any more.
    PolicyGone(PolicyName),
}

impl Change {
    /// That `object` is gone.
    pub fn gone(object: Object) -> Self {
        match object {
            Object::Pod(Pod {
                namespace, name, ..
            })
            | Object::Ended { namespace, name } => Change::PodGone { namespace, name },
            Object::Namespace { name, .. } => Change::NamespaceGone(name),
            Object::Node(node) => Change::NodeGone(node.name),
            Object::Policy(policy) => Change::PolicyGone(policy.name),
        }
    }
}

/// The pods about which something may be different after a change.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    /// Pods that rules may select otherwise than before.
    pub(super) pods: RoaringBitmap,
    ingress: TouchedRules,
    egress: TouchedRules,
}

/// The pods whose rules of a direction are others than before.
#[derive(Debug, Clone, Default)]
pub(in crate::network_policy) struct TouchedRules {
    /// Those of whom no more is known.
    pub(super) whole: RoaringBitmap,
    /// Those that policies select which are others now.
    pub(super) subjects: RoaringBitmap,
    /// What the rules of these policies speak of, before and after: nothing else is decided otherwise, unless
    /// a pod is isolated now and was not.
    pub(super) spoken_of: Region,
}

impl TouchedRules {
    fn and(&mut self, other: &TouchedRules) {
        self.whole |= &other.whole;
        self.subjects |= &other.subjects;
        self.spoken_of = self.spoken_of.union(&other.spoken_of);
    }
}

impl Touched {
    pub(super) fn rules(&self, direction: Direction) -> &TouchedRules {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    fn rules_mut(&mut self, direction: Direction) -> &mut TouchedRules {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    /// Whether anything may be different from some ends to others.
    pub(super) fn is_between(&self, from: &RoaringBitmap, to: &RoaringBitmap) -> bool {
        let has = |touched: &RoaringBitmap, ends| !touched.is_disjoint(ends);
        let rules =
            |rules: &TouchedRules, ends| has(&rules.whole, ends) || has(&rules.subjects, ends);
        has(&self.pods, from)
            || has(&self.pods, to)
            || rules(&self.egress, from)
            || rules(&self.ingress, to)
    }

    fn pod(&mut self, number: u32) {
        self.pods.insert(number);
        self.ingress.whole.insert(number);
        self.egress.whole.insert(number);
    }

    /// A policy is new, or was until now.
    fn policy(&mut self, compiled: &Compiled) {
        for direction in [Direction::Ingress, Direction::Egress] {
            if compiled.policy.rules(direction).is_some() {
                let rules = self.rules_mut(direction);
                rules.subjects |= &compiled.subject;
                rules.spoken_of = rules.spoken_of.union(&compiled.spoken_of(direction));
            }
        }
    }

    pub(super) fn and(&mut self, other: &Touched) {
        self.pods |= &other.pods;
        self.ingress.and(&other.ingress);
        self.egress.and(&other.egress);
    }
}

impl World {
    /// An empty cluster.
    pub fn new() -> Self {
        World::default()
    }

    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        self.change(change);
    }

    /// Applies a change and says whom it touches. A number that is freed is given away by later
    /// changes only to this world: whoever compares worlds adds pods before removing others.
    pub(super) fn change(&mut self, change: Change) -> Touched {
        if self.is_so(&change) {
            return Touched::default();
        }
        self.grouping = Arc::default();
        match change {
            Change::Is(Object::Pod(pod)) => self.set_pod(pod),
            Change::Is(Object::Ended { namespace, name }) | Change::PodGone { namespace, name } => {
                self.remove_pod(&namespace, &name)
            }
            Change::Is(Object::Namespace { name, labels }) => self.set_namespace(&name, &labels),
            Change::NamespaceGone(name) => {
                let touched = self.set_namespace(&name, &Labels::default());
                self.drop_namespace_if_empty(&name);
                touched
            }
            Change::Is(Object::Node(node)) => {
                Arc::make_mut(&mut self.nodes).insert(node.name.clone(), node);
                self.recompile_nodes()
            }
            Change::NodeGone(name) => {
                Arc::make_mut(&mut self.nodes).remove(&name);
                self.recompile_nodes()
            }
            Change::Is(Object::Policy(policy)) => self.set_policy(policy),
            Change::PolicyGone(name) => {
                let mut touched = Touched::default();
                if let Some(before) = self.policies.remove(&name) {
                    touched.policy(&before);
                }
                touched
            }
        }
    }

    /// Whether the change changes nothing, as most that a watch tells do.
    fn is_so(&self, change: &Change) -> bool {
        match change {
            Change::Is(Object::Pod(pod)) => {
                let known = self.number(&pod.namespace, &pod.name);
                known.and_then(|number| self.pod(number)) == Some(pod)
            }
            Change::Is(Object::Node(node)) => self.nodes.get(&node.name) == Some(node),
            Change::Is(Object::Ended { namespace, name }) | Change::PodGone { namespace, name } => {
                self.number(namespace, name).is_none()
            }
            Change::Is(Object::Policy(policy)) => {
                let known = self.policies.get(&policy.name);
                known.is_some_and(|compiled| *compiled.policy == *policy)
            }
            _ => false,
        }
    }

    fn set_pod(&mut self, pod: Pod) -> Touched {
        let pod = Arc::new(self.interner.pod(pod));
        let known = self.number(&pod.namespace, &pod.name);
        let number = known.unwrap_or_else(|| {
            let fresh = u32::try_from(self.pods.len()).unwrap_or(u32::MAX);
            self.free.pop().unwrap_or(fresh)
        });
        let at = number as usize;
        let pods = Arc::make_mut(&mut self.pods);
        if pods.len() <= at {
            pods.resize(at + 1, None);
        }
        let mut touched = Touched::default();
        match pods.get_mut(at) {
            Some(Some(same)) if *same == pod => return touched,
            Some(slot) => *slot = Some(pod.clone()),
            None => return touched,
        }
        touched.pod(number);
        self.everyone.insert(number);
        let namespace = self.namespace_mut(&pod.namespace);
        namespace.pods.insert(number);
        namespace.numbers.insert(pod.name.clone(), number);
        let labels = namespace.labels.clone();
        self.select(number, Some((&pod, &labels)));
        touched
    }

    fn remove_pod(&mut self, namespace: &Arc<str>, name: &Arc<str>) -> Touched {
        let mut touched = Touched::default();
        let Some(number) = self.number(namespace, name) else {
            return touched;
        };
        if let Some(slot) = Arc::make_mut(&mut self.pods).get_mut(number as usize) {
            *slot = None;
        }
        self.free.push(number);
        self.everyone.remove(number);
        let of = self.namespace_mut(namespace);
        of.pods.remove(number);
        of.numbers.remove(name);
        self.select(number, None);
        touched.pod(number);
        touched
    }

    /// Sets or clears the bit of a pod in everything that selects pods.
    fn select(&mut self, number: u32, pod: Option<(&Pod, &Labels)>) {
        for compiled in self.policies.values_mut() {
            Compiled::take_pod(compiled, number, pod, &self.nodes);
        }
    }

    fn namespace_mut(&mut self, name: &Arc<str>) -> &mut Namespace {
        let namespace = self.namespaces.entry(name.clone()).or_insert_with(|| {
            Arc::new(Namespace {
                labels: namespace_labels(name, &Labels::default()),
                pods: RoaringBitmap::new(),
                numbers: HashMap::new(),
            })
        });
        Arc::make_mut(namespace)
    }

    fn drop_namespace_if_empty(&mut self, name: &Arc<str>) {
        let is_empty = |namespace: &Arc<Namespace>| namespace.pods.is_empty();
        if self.namespaces.get(name).is_some_and(is_empty) {
            self.namespaces.remove(name);
        }
    }

    fn set_namespace(&mut self, name: &Arc<str>, labels: &Labels) -> Touched {
        let labels = namespace_labels(name, labels);
        let namespace = self.namespace_mut(name);
        let before = std::mem::replace(&mut namespace.labels, labels.clone());
        let pods = namespace.pods.clone();
        let mut touched = Touched::default();
        if before == labels || pods.is_empty() {
            return touched;
        }
        let mut policies = std::mem::take(&mut self.policies);
        let relabelled = Relabelled::new(self, (name, &pods), &before, &labels);
        for compiled in policies.values_mut() {
            let Some((changed, subject_changed)) = compiled.with_namespace(self, &relabelled)
            else {
                continue;
            };
            touched.pods |= &pods;
            if subject_changed {
                for direction in [Direction::Ingress, Direction::Egress] {
                    if changed.policy.rules(direction).is_some() {
                        touched.rules_mut(direction).whole |= &pods;
                    }
                }
            }
            *compiled = Arc::new(changed);
        }
        drop(relabelled);
        self.policies = policies;
        touched
    }

    fn set_policy(&mut self, policy: Policy) -> Touched {
        let mut touched = Touched::default();
        let compiled = Arc::new(Compiled::new(Arc::new(policy), self));
        touched.policy(&compiled);
        let name = compiled.policy.name.clone();
        if let Some(before) = self.policies.insert(name, compiled) {
            touched.policy(&before);
        }
        touched
    }

    fn recompile_nodes(&mut self) -> Touched {
        let mut touched = Touched::default();
        let names: Vec<PolicyName> = self.policies.keys().cloned().collect();
        for name in names {
            let Some(compiled) = self.policies.get(&name).filter(|c| c.policy.names_nodes()) else {
                continue;
            };
            let changed = Arc::new(Compiled::new(compiled.policy.clone(), self));
            touched.policy(compiled);
            touched.policy(&changed);
            self.policies.insert(name, changed);
        }
        touched
    }

    /// Every pod, by number.
    pub fn everyone(&self) -> &RoaringBitmap {
        &self.everyone
    }

    /// A pod by its number.
    pub fn pod(&self, number: u32) -> Option<&Pod> {
        self.pods.get(number as usize)?.as_deref()
    }

    fn number(&self, namespace: &str, name: &str) -> Option<u32> {
        self.namespaces.get(namespace)?.numbers.get(name).copied()
    }

    /// The pod of a name, or else the only one that stands for a maker of that name.
    pub fn find(&self, namespace: &str, name: &str) -> Vec<u32> {
        if let Some(number) = self.number(namespace, name) {
            return vec![number];
        }
        let pods = self.namespaces.get(namespace).map(|n| &n.pods);
        let is_maker = |number: &u32| {
            let maker = self.pod(*number).and_then(|pod| pod.name.split_once('/'));
            maker.is_some_and(|(_, maker)| maker == name)
        };
        pods.into_iter().flatten().filter(is_maker).collect()
    }

    /// The labels of a namespace; None if there is no such namespace.
    pub fn namespace_labels(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name).map(|namespace| &namespace.labels)
    }

    /// The names of all namespaces, in order.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(|name| &**name)
    }

    /// The names of all nodes, in order.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(|name| &**name)
    }

    /// The pods of a namespace.
    pub fn pods_of(&self, namespace: &str) -> RoaringBitmap {
        let namespace = self.namespaces.get(namespace);
        namespace.map(|n| n.pods.clone()).unwrap_or_default()
    }

    /// The policies, by name.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values().map(|compiled| &*compiled.policy)
    }

    pub(super) fn compiled(&self) -> impl Iterator<Item = &Arc<Compiled>> {
        self.policies.values()
    }

    pub(super) fn grouping(&self) -> &Grouping {
        self.grouping.get_or_init(|| Grouping::of(self))
    }

    pub(super) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(super) fn namespace_entries(&self) -> impl Iterator<Item = (&Arc<str>, &Namespace)> {
        self.namespaces.iter().map(|(name, entry)| (name, &**entry))
    }

    pub(super) fn namespace_entry(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|entry| &**entry)
    }
}

/// A namespace's labels with the one that every namespace has.
fn namespace_labels(name: &str, labels: &Labels) -> Labels {
    let said = labels
        .iter()
        .filter(|(key, _)| *key != NAMESPACE_NAME_LABEL);
    said.chain([(NAMESPACE_NAME_LABEL, name)]).collect()
}
