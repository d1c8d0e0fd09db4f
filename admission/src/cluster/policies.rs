//! Policies that are objects of the cluster: Gatekeeper's, and ConfigMaps of our own namespace.
//!
//! They are kept as they are; the keeper compiles them into a bundle when they change. A template brings a kind of
//! constraints, which is watched from the moment that the template is known. A ConfigMap with the label
//! [`LABEL`] holds files: Rego, which is added to the modules in force, and YAML of Gatekeeper's policies. It is
//! taken whole or not at all.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::caches::{Cache, Caches};
use super::watch::{Keep, Need, Presence, Watch};
use super::watched::{All, Key};
use crate::bundle::Module;
use crate::gatekeeper::Refused;
use crate::gatekeeper::documents::{self, Document};

/// The label of ConfigMaps that hold policies.
const LABEL: &str = "taffrail.io/policies=true";

/// What kind of object a policy is; constraints by their kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    ConfigMap,
    Template,
    Expansion,
    Constraint(String),
}

/// The policies there are.
pub(crate) struct PolicyObjects {
    objects: Mutex<BTreeMap<(Source, Key), Value>>,
    generation: AtomicU64,
    news: Arc<Notify>,
}

/// The policies of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Another number for other policies.
    pub(crate) generation: u64,
    /// Rego, by the ConfigMap it is from.
    pub(crate) modules: Vec<(String, Vec<Module>)>,
    /// Gatekeeper's.
    pub(crate) documents: Vec<Document>,
    /// What cannot be read at all.
    pub(crate) refused: Vec<Refused>,
}

impl PolicyObjects {
    /// Begins to watch; ConfigMaps in `namespace`.
    pub(crate) fn watch(caches: &Caches, namespace: &str) -> Arc<Self> {
        let policies = Arc::new(PolicyObjects {
            objects: Mutex::default(),
            generation: AtomicU64::new(1),
            news: caches.news(),
        });
        let keep = |source| -> Arc<dyn Keep> {
            Arc::new(KeepSource {
                policies: Arc::clone(&policies),
                source,
            })
        };
        if let Some(cache) = caches.announce("configmaps", Need::Readiness) {
            let resource = super::resource("", "v1", "ConfigMap");
            let watch = Watch {
                namespace: namespace.to_string(),
                labels: LABEL,
                ..Watch::all(resource, Presence::Always, caches.pauses())
            };
            caches.start::<All>(&cache, watch, keep(Source::ConfigMap));
        }
        let templates = Arc::new(KeepTemplates {
            templates: keep(Source::Template),
            policies: Arc::clone(&policies),
            caches: caches.clone(),
            constraints: Mutex::default(),
        });
        let resource = super::resource("templates.gatekeeper.sh", "v1", "ConstraintTemplate");
        let optional = Presence::Optional;
        caches.watch::<All>("constrainttemplates", resource, optional, templates);
        let resource = ApiResource {
            // Its plural is its singular.
            plural: "expansiontemplate".to_string(),
            ..super::resource("expansion.gatekeeper.sh", "v1beta1", "ExpansionTemplate")
        };
        let expansions = keep(Source::Expansion);
        caches.watch::<All>("expansiontemplates", resource, optional, expansions);
        policies
    }

    /// Which policies there are; another number for others.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The templates that are objects of their own.
    pub(crate) fn templates(&self) -> Vec<Value> {
        let objects = self.objects.lock();
        let templates = (objects.iter()).filter(|((source, _), _)| *source == Source::Template);
        templates.map(|(_, object)| object.clone()).collect()
    }

    /// The policies now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            generation: self.generation(),
            ..Snapshot::default()
        };
        for ((source, key), object) in &*self.objects.lock() {
            if *source == Source::ConfigMap {
                snapshot.add_config_map(key, object);
                continue;
            }
            let kind = object.get("kind").and_then(Value::as_str);
            snapshot.documents.push(Document {
                place: format!("{} {}", kind.unwrap_or_default(), key.name),
                object: object.clone(),
            });
        }
        snapshot
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.news.notify_one();
    }

    fn retain(&self, keep: impl Fn(&Source, &Key) -> bool) {
        let mut objects = self.objects.lock();
        let before = objects.len();
        objects.retain(|(source, key), _| keep(source, key));
        let is_other = objects.len() != before;
        drop(objects);
        if is_other {
            self.changed();
        }
    }
}

impl Snapshot {
    fn add_config_map(&mut self, key: &Key, object: &Value) {
        let place = format!("ConfigMap {}/{}", key.namespace, key.name);
        let files = object.get("data").and_then(Value::as_object);
        let (mut modules, mut found) = (Vec::new(), Vec::new());
        for (name, text) in files.into_iter().flatten() {
            let (path, text) = (format!("{place}/{name}"), text.as_str().unwrap_or_default());
            let is_rego = Path::new(name).extension().is_some_and(|end| end == "rego");
            if is_rego && !name.ends_with("_test.rego") {
                modules.push(Module {
                    path,
                    text: text.to_string(),
                });
            } else if documents::is_document(Path::new(name)) {
                match documents::parse(&path, text) {
                    Ok(documents) => found.extend(documents),
                    Err(error) => {
                        let refused = Refused::config_map(&key.name, error.to_string());
                        self.refused.push(refused);
                        return;
                    }
                }
            }
        }
        if !modules.is_empty() {
            self.modules.push((key.name.clone(), modules));
        }
        self.documents.extend(found);
    }
}

struct KeepSource {
    policies: Arc<PolicyObjects>,
    source: Source,
}

impl Keep for KeepSource {
    fn apply(&self, key: &Key, mut object: Value) {
        // What others write there all the time is not what a policy says.
        if let Some(members) = object.as_object_mut() {
            members.remove("status");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("generation");
        }
        let place = (self.source.clone(), key.clone());
        let mut objects = self.policies.objects.lock();
        if objects.get(&place) == Some(&object) {
            return;
        }
        objects.insert(place, object);
        drop(objects);
        self.policies.changed();
    }

    fn remove(&self, key: &Key) {
        let gone = |source: &Source, known: &Key| *source == self.source && known == key;
        self.policies.retain(|source, known| !gone(source, known));
    }

    fn retain(&self, listed: &HashSet<Key>) {
        self.policies
            .retain(|source, key| *source != self.source || listed.contains(key));
    }
}

/// Templates, and a watch for the constraints of each.
struct KeepTemplates {
    templates: Arc<dyn Keep>,
    policies: Arc<PolicyObjects>,
    caches: Caches,
    /// The kind and the cache, by the template's name.
    constraints: Mutex<BTreeMap<String, (String, Cache)>>,
}

impl KeepTemplates {
    fn begin(&self, template: &str, kind: &str) {
        let mut constraints = self.constraints.lock();
        if constraints
            .get(template)
            .is_some_and(|(known, _)| known == kind)
        {
            return;
        }
        if let Some(former) = constraints.remove(template) {
            self.end(&former);
        }
        // It becomes part of a URL.
        let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_kind || constraints.values().any(|(known, _)| known == kind) {
            return;
        }
        let resource = ApiResource {
            plural: kind.to_ascii_lowercase(),
            ..super::resource("constraints.gatekeeper.sh", "v1beta1", kind)
        };
        let keep = Arc::new(KeepSource {
            policies: Arc::clone(&self.policies),
            source: Source::Constraint(kind.to_string()),
        });
        let name = format!("constraints/{kind}");
        // Its kind comes to be when Gatekeeper makes it, or we do (`definitions`), or whoever made the template.
        let cache = self
            .caches
            .watch::<All>(&name, resource, Presence::Optional, keep);
        if let Some(cache) = cache {
            constraints.insert(template.to_string(), (kind.to_string(), cache));
        }
    }

    fn end(&self, (kind, cache): &(String, Cache)) {
        self.caches.end(cache);
        let of_it = Source::Constraint(kind.clone());
        self.policies.retain(|source, _| *source != of_it);
    }
}

impl Keep for KeepTemplates {
    fn apply(&self, key: &Key, object: Value) {
        let kind = object.pointer("/spec/crd/spec/names/kind");
        self.begin(&key.name, kind.and_then(Value::as_str).unwrap_or_default());
        self.templates.apply(key, object);
    }

    fn remove(&self, key: &Key) {
        if let Some(former) = self.constraints.lock().remove(&key.name) {
            self.end(&former);
        }
        self.templates.remove(key);
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let names: HashSet<&str> = listed.iter().map(|key| key.name.as_str()).collect();
        let mut constraints = self.constraints.lock();
        constraints.retain(|name, former| {
            let stays = names.contains(name.as_str());
            if !stays {
                self.end(former);
            }
            stays
        });
        drop(constraints);
        self.templates.retain(listed);
    }
}
