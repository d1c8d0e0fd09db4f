//! Namespaces: their labels, which choose Pod Security's levels, and the objects, which constraints select.
//!
//! A namespace that is not in the cache may be so new that the watch has not told of it yet: it is asked
//! for, once, with little patience. Who cannot be answered is refused, as the trait says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::runtime::Handle;

use super::connect::told;
use super::watch::Keep;
use super::watched::Key;
use crate::evaluate::{NamespaceLabels, NamespaceLookupError};

/// How long a namespace that the watch does not know is asked for.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// A namespace, given out as it is: every review asks for it.
#[derive(Clone)]
struct Known {
    object: Arc<Value>,
    labels: Arc<BTreeMap<String, String>>,
}

/// The namespaces there are.
pub(crate) struct Namespaces {
    known: RwLock<HashMap<String, Known>>,
    api: Api<Namespace>,
    /// Where the client lives; whoever looks up is a thread that may block.
    runtime: Handle,
}

impl Namespaces {
    pub(crate) fn new(client: kube::Client, runtime: Handle) -> Arc<Self> {
        Arc::new(Namespaces {
            known: RwLock::default(),
            api: Api::all(client),
            runtime,
        })
    }

    fn known(&self, name: &str) -> Option<Known> {
        self.known.read().get(name).cloned()
    }

    fn ask(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let get = self.api.get_opt(name);
        let answer = self.runtime.block_on(async {
            let in_time = tokio::time::timeout(LOOKUP_TIMEOUT, get).await;
            in_time.map_err(|_| "the API server did not answer in time".to_string())
        })?;
        match answer {
            Ok(Some(namespace)) => Ok(namespace.metadata.labels.unwrap_or_default()),
            Ok(None) => Err("not found".to_string()),
            Err(error) => Err(told(&error)),
        }
    }
}

impl Keep for Namespaces {
    fn apply(&self, key: &Key, object: Value) {
        let labels = Arc::new(labels_of(&object));
        let object = Arc::new(object);
        let mut known = self.known.write();
        known.insert(key.name.clone(), Known { object, labels });
    }

    fn remove(&self, key: &Key) {
        self.known.write().remove(&key.name);
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let names: HashSet<&str> = listed.iter().map(|key| key.name.as_str()).collect();
        let mut known = self.known.write();
        known.retain(|name, _| names.contains(name.as_str()));
    }
}

fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    (labels.into_iter().flatten())
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

impl NamespaceLabels for Namespaces {
    fn labels(
        &self,
        namespace: &str,
    ) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        if let Some(known) = self.known(namespace) {
            return Ok(known.labels);
        }
        let asked = self.ask(namespace).map(Arc::new);
        asked.map_err(|problem| NamespaceLookupError {
            namespace: namespace.to_string(),
            problem,
        })
    }

    fn object(&self, namespace: &str) -> Option<Arc<Value>> {
        self.known(namespace).map(|known| known.object)
    }

    fn knows(&self, namespace: &str) -> bool {
        self.known(namespace).is_some()
    }
}
