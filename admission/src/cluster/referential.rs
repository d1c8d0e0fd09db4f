//! What templates may know beside the object they judge: the kinds that SyncSets and Gatekeeper's Config name.
//!
//! Each kind is looked up, watched and kept as Rego has it. An [`Inventory`] is made of all of them when one is asked
//! for and something has changed, at most every so often, for programs are prepared anew with each.
//! A kind that may not be read keeps nobody from being ready. While a kind is not listed, and while there is more than [`BYTES_MAX`], nothing is known, and templates that ask
//! cannot judge.
//!
//! Gatekeeper's Config also says which namespaces are passed over ([`crate::gatekeeper::exclusion`]); that of our own namespace
//! or of Gatekeeper's counts, and no other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use parking_lot::Mutex;
use regorus::Value as Rego;
use serde_json::Value;
use tracing::warn;

use super::caches::{Cache, Caches};
use super::connect::told;
use super::watch::{Keep, Need, Presence, Watch};
use super::watched::{All, Key};
use crate::gatekeeper::exclusion::{self, Exclusions, Process};
use crate::gatekeeper::inventory::Place;
use crate::gatekeeper::request::to_rego;
use crate::gatekeeper::{Inventory, InventorySource};

/// How much text of objects is kept.
const BYTES_MAX: usize = 128 << 20;

/// The cache of Configs.
const CONFIGS: &str = "configs";

/// A kind, as SyncSets name it.
type Kind = (String, String, String);

/// The objects, and the inventory that was made of them.
pub(crate) struct Referential {
    held: Mutex<Held>,
    syncs: Mutex<Syncs>,
    caches: Caches,
    /// The namespaces whose Config counts.
    trusted: [String; 2],
    excluded: ArcSwap<Exclusions>,
}

#[derive(Default)]
struct Held {
    objects: BTreeMap<Place, (Rego, usize)>,
    bytes: usize,
    is_other: bool,
    made: Option<(Arc<Inventory>, Instant)>,
}

#[derive(Default)]
struct Syncs {
    /// What each SyncSet and Config names.
    named: BTreeMap<(&'static str, Key), BTreeSet<Kind>>,
    watched: BTreeMap<Kind, Cache>,
    /// The caches of SyncSets and Configs themselves.
    sources: Vec<Cache>,
    /// What each Config excludes that may.
    excluding: BTreeMap<Key, Exclusions>,
}

impl Referential {
    /// Begins to watch SyncSets and Configs, and what they name. `namespace` is our own.
    pub(crate) fn watch(caches: &Caches, namespace: &str) -> Arc<Self> {
        let referential = Arc::new(Referential {
            held: Mutex::default(),
            syncs: Mutex::default(),
            caches: caches.clone(),
            trusted: [exclusion::NAMESPACE.to_string(), namespace.to_string()],
            excluded: ArcSwap::default(),
        });
        for (name, group, version, kind) in [
            ("syncsets", "syncset.gatekeeper.sh", "v1alpha1", "SyncSet"),
            (CONFIGS, "config.gatekeeper.sh", "v1alpha1", "Config"),
        ] {
            let keep = Arc::new(KeepSync {
                referential: Arc::clone(&referential),
                source: name,
            });
            let resource = super::resource(group, version, kind);
            let cache = caches.watch::<All>(name, resource, Presence::Optional, keep);
            referential.syncs.lock().sources.extend(cache);
        }
        referential
    }

    /// Watches what is named, and no longer what is not.
    fn follow(self: &Arc<Self>, syncs: &mut Syncs) {
        let named: BTreeSet<Kind> = syncs.named.values().flatten().cloned().collect();
        let ended: Vec<Kind> = (syncs.watched.keys())
            .filter(|kind| !named.contains(*kind))
            .cloned()
            .collect();
        for kind in ended {
            if let Some(cache) = syncs.watched.remove(&kind) {
                self.caches.end(&cache);
            }
            self.keep(&kind).retain(&HashSet::new());
        }
        for kind in named {
            if syncs.watched.contains_key(&kind) {
                continue;
            }
            let (group, version, name) = &kind;
            let cache = self
                .caches
                .announce(&format!("data/{group}/{version}/{name}"), Need::Attempt);
            let Some(cache) = cache else {
                continue;
            };
            let find = find(self.caches.clone(), cache.clone(), self.keep(&kind));
            let gvk = GroupVersionKind::gvk(group, version, name);
            self.caches.spawn(&cache, find(gvk));
            syncs.watched.insert(kind, cache);
        }
    }

    fn keep(self: &Arc<Self>, (group, version, kind): &Kind) -> Arc<dyn Keep> {
        let slash = if group.is_empty() { "" } else { "/" };
        Arc::new(KeepData {
            referential: Arc::clone(self),
            group_version: format!("{group}{slash}{version}"),
            kind: kind.clone(),
        })
    }

    fn is_listed(&self) -> bool {
        let syncs = self.syncs.lock();
        let mut caches = syncs.sources.iter().chain(syncs.watched.values());
        caches.all(|cache| cache.status.is_synced())
    }
}

/// Finds out what a kind is called in URLs, and watches it.
fn find(
    caches: Caches,
    cache: Cache,
    keep: Arc<dyn Keep>,
) -> impl FnOnce(GroupVersionKind) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move |gvk| {
        Box::pin(async move {
            let mut pause = caches.pauses().first;
            loop {
                match pinned_kind(caches.client(), &gvk).await {
                    Ok((resource, _)) => {
                        let watch = Watch::all(resource, Presence::Optional, caches.pauses());
                        caches.start::<All>(&cache, watch, keep);
                        return;
                    }
                    // A kind that nobody has installed has no objects.
                    Err(kube::Error::Discovery(_)) => cache.status.set_synced(),
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        cache.status.set_synced();
                    }
                    Err(error) => cache.status.complain(told(&error)),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(caches.pauses().longest);
            }
        })
    }
}

impl InventorySource for Referential {
    fn current(&self) -> Arc<Inventory> {
        if !self.is_listed() {
            return Arc::new(Inventory::unknown());
        }
        let mut held = self.held.lock();
        let pause: Duration = self.caches.pauses().first;
        let is_old = |(_, made): &(_, Instant)| made.elapsed() >= pause;
        if let Some(made) = held
            .made
            .as_ref()
            .filter(|made| !(held.is_other && is_old(made)))
        {
            return Arc::clone(&made.0);
        }
        let inventory = if held.bytes > BYTES_MAX {
            warn!(
                bytes = held.bytes,
                "SyncSets name more than is kept for templates; those that ask cannot judge"
            );
            Inventory::unknown()
        } else {
            let excluded = self.excluded.load();
            let is_kept = |place: &Place| !excluded.exclude(Process::Sync, namespace_of(place));
            let objects = held.objects.iter().filter(|(place, _)| is_kept(place));
            Inventory::of(objects.map(|(place, (object, _))| (place.clone(), object.clone())))
        };
        let inventory = Arc::new(inventory);
        held.is_other = false;
        held.made = Some((Arc::clone(&inventory), Instant::now()));
        inventory
    }

    fn excludes(&self, process: Process, namespace: &str) -> bool {
        self.excluded.load().exclude(process, namespace)
    }
}

/// The namespace that an object is in; a namespace is in itself.
fn namespace_of(place: &Place) -> &str {
    if place.kind == "Namespace" && place.group_version == "v1" {
        &place.name
    } else {
        &place.namespace
    }
}

/// The objects of one kind.
struct KeepData {
    referential: Arc<Referential>,
    group_version: String,
    kind: String,
}

impl KeepData {
    fn place(&self, key: &Key) -> Place {
        Place {
            namespace: key.namespace.clone(),
            group_version: self.group_version.clone(),
            kind: self.kind.clone(),
            name: key.name.clone(),
        }
    }

    fn is_of_it(&self, place: &Place) -> bool {
        place.group_version == self.group_version && place.kind == self.kind
    }
}

impl Keep for KeepData {
    fn apply(&self, key: &Key, object: Value) {
        let bytes = text_bytes(&object);
        let mut held = self.referential.held.lock();
        let new = (to_rego(&object), bytes);
        if let Some((_, former)) = held.objects.insert(self.place(key), new) {
            held.bytes -= former;
        }
        held.bytes += bytes;
        held.is_other = true;
    }

    fn remove(&self, key: &Key) {
        let mut held = self.referential.held.lock();
        if let Some((_, bytes)) = held.objects.remove(&self.place(key)) {
            held.bytes -= bytes;
        }
        held.is_other = true;
    }

    fn retain(&self, listed: &HashSet<Key>) {
        let mut guard = self.referential.held.lock();
        let held = &mut *guard;
        let bytes = &mut held.bytes;
        held.objects.retain(|place, (_, size)| {
            let key = Key {
                namespace: place.namespace.clone(),
                name: place.name.clone(),
            };
            let stays = !self.is_of_it(place) || listed.contains(&key);
            if !stays {
                *bytes -= *size;
            }
            stays
        });
        held.is_other = true;
    }
}

/// About as long as the object is as text.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(text_bytes).sum::<usize>() + 8,
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| name.len() + 8 + text_bytes(value);
            members.iter().map(member).sum::<usize>() + 8
        }
        Value::String(text) => text.len() + 8,
        _ => 8,
    }
}

/// SyncSets, or Configs.
struct KeepSync {
    referential: Arc<Referential>,
    source: &'static str,
}

impl KeepSync {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<(&'static str, Key), BTreeSet<Kind>>)) {
        let mut syncs = self.referential.syncs.lock();
        change(&mut syncs.named);
        self.referential.follow(&mut syncs);
    }

    /// Whether the object is the Config whose exclusions count.
    fn may_exclude(&self, key: &Key) -> bool {
        self.source == CONFIGS
            && key.name == exclusion::NAME
            && self.referential.trusted.contains(&key.namespace)
    }

    fn exclude(&self, change: impl FnOnce(&mut BTreeMap<Key, Exclusions>)) {
        if self.source != CONFIGS {
            return;
        }
        let mut syncs = self.referential.syncs.lock();
        change(&mut syncs.excluding);
        let all = Exclusions::union(syncs.excluding.values());
        if **self.referential.excluded.load() != all {
            self.referential.excluded.store(Arc::new(all));
            self.referential.held.lock().is_other = true;
        }
    }
}

impl Keep for KeepSync {
    fn apply(&self, key: &Key, object: Value) {
        let list = ["/spec/gvks", "/spec/sync/syncOnly"];
        let list = list
            .iter()
            .find_map(|path| object.pointer(path)?.as_array());
        let text = |item: &Value, name: &str| {
            let text = item.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_string()
        };
        let kinds = list.into_iter().flatten().map(|item| {
            (
                text(item, "group"),
                text(item, "version"),
                text(item, "kind"),
            )
        });
        let kinds: BTreeSet<Kind> = kinds.collect();
        self.change(|named| {
            named.insert((self.source, key.clone()), kinds);
        });
        if self.may_exclude(key) {
            let exclusions = Exclusions::of(&object);
            self.exclude(|excluding| {
                excluding.insert(key.clone(), exclusions);
            });
        }
    }

    fn remove(&self, key: &Key) {
        self.change(|named| {
            named.remove(&(self.source, key.clone()));
        });
        self.exclude(|excluding| {
            excluding.remove(key);
        });
    }

    fn retain(&self, listed: &HashSet<Key>) {
        self.change(|named| {
            named.retain(|(source, key), _| *source != self.source || listed.contains(key));
        });
        self.exclude(|excluding| excluding.retain(|key, _| listed.contains(key)));
    }
}
