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

/// The namespaces there are.
pub(crate) struct Namespaces {
    objects: RwLock<HashMap<String, Arc<Value>>>,
    api: Api<Namespace>,
    /// Where the client lives; whoever looks up is a thread that may block.
    runtime: Handle,
}

impl Namespaces {
    pub(crate) fn new(client: kube::Client, runtime: Handle) -> Arc<Self> {
        Arc::new(Namespaces {
            objects: RwLock::default(),
            api: Api::all(client),
            runtime,
        })
    }

    fn known(&self, name: &str) -> Option<Arc<Value>> {
        self.objects.read().get(name).cloned()
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
        let mut objects = self.objects.write();
        objects.insert(key.name.clone(), Arc::new(object));
    }

    fn remove(&self, key: &Key) {
        self.objects.write().remove(&key.name);
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let names: HashSet<&str> = listed.iter().map(|key| key.name.as_str()).collect();
        let mut objects = self.objects.write();
        objects.retain(|name, _| names.contains(name.as_str()));
    }
}

impl NamespaceLabels for Namespaces {
    fn labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, NamespaceLookupError> {
        if let Some(object) = self.known(namespace) {
            let labels = object
                .pointer("/metadata/labels")
                .and_then(Value::as_object);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            return Ok(labels
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect());
        }
        self.ask(namespace).map_err(|problem| NamespaceLookupError {
            namespace: namespace.to_string(),
            problem,
        })
    }

    fn object(&self, namespace: &str) -> Option<Value> {
        self.known(namespace).map(|object| (*object).clone())
    }
}
