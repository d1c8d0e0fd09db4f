//! What queries made of parts, kept for the next query: blocks of floats that were decoded, and what
//! matchers found.
//!
//! Dashboards ask the same again and again, and decoding is most of what a query costs. A cache holds
//! things up to a number of bytes. What goes when it is full is left to chance: a scan through more
//! than it holds then still finds a part of it at the next scan, where the least recently used
//! would always be the next one needed; and a hit changes nothing, so hits wait for nobody.
//!
//! A part is never changed and its number never used again, so nothing is ever stale. What was made of a
//! part that is gone leaves by chance too.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use storage::manifest::PartId;

use crate::store::chunk::Place;

/// What an entry takes beside its key and value.
const ENTRY_BYTES: usize = 96;

/// What takes memory.
pub trait Weigh {
    /// How much beside its own size, in bytes.
    fn bytes(&self) -> usize;
}

/// Which block: its part, and where its values lie there.
pub(super) type BlockKey = (PartId, Place);

/// Decoded blocks, up to a number of bytes.
pub type BlockCache = Cache<BlockKey, Arc<[f64]>>;

/// Values by keys, up to a number of bytes.
#[derive(Debug)]
pub struct Cache<K, V> {
    bytes_max: usize,
    held: RwLock<Held<K, V>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Held<K, V> {
    places: HashMap<K, usize>,
    entries: Vec<(K, V)>,
    bytes: usize,
    /// The state of chance.
    random: u64,
}

impl<K: Weigh + Hash + Eq + Clone, V: Weigh + Clone> Cache<K, V> {
    /// An empty cache of at most `bytes_max`; with 0 it stays empty.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: RwLock::new(Held {
                places: HashMap::new(),
                entries: Vec::new(),
                bytes: 0,
                random: 0,
            }),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.held.read().bytes
    }

    /// How often a value was there, and how often it was not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.hits), count(&self.misses))
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let held = self.held.read();
        let entry = held.places.get(key);
        let found = entry.and_then(|at| held.entries.get(*at));
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(|(_, value)| value.clone())
    }

    /// Keeps a value, unless it would be all there is room for.
    pub(super) fn insert(&self, key: &K, value: &V) {
        let bytes = entry_bytes(key, value);
        if bytes > self.bytes_max / 8 {
            return;
        }
        let mut held = self.held.write();
        if held.places.contains_key(key) {
            return;
        }
        while held.bytes + bytes > self.bytes_max {
            held.drop_one();
        }
        held.bytes += bytes;
        let at = held.entries.len();
        held.places.insert(key.clone(), at);
        held.entries.push((key.clone(), value.clone()));
    }
}

impl<K: Weigh + Hash + Eq + Clone, V: Weigh> Held<K, V> {
    fn drop_one(&mut self) {
        if self.entries.is_empty() {
            self.bytes = 0;
            return;
        }
        // Knuth's linear congruences; the high bits are the good ones.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = (self.random >> 33) as usize % self.entries.len();
        let (key, value) = self.entries.swap_remove(at);
        self.places.remove(&key);
        self.bytes = self.bytes.saturating_sub(entry_bytes(&key, &value));
        if let Some((moved, _)) = self.entries.get(at) {
            self.places.insert(moved.clone(), at);
        }
    }
}

/// The key is held twice, where it is looked up and with its value.
fn entry_bytes(key: &impl Weigh, value: &impl Weigh) -> usize {
    2 * key.bytes() + value.bytes() + ENTRY_BYTES
}

impl Weigh for BlockKey {
    fn bytes(&self) -> usize {
        0
    }
}

impl Weigh for Arc<[f64]> {
    fn bytes(&self) -> usize {
        size_of_val(&**self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place {
            page: number,
            ..Place::default()
        }
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let cache = BlockCache::new(100_000);
        for number in 0..1_000 {
            let block: Arc<[f64]> = vec![f64::from(number); 500].into();
            cache.insert(&(PartId(1), place(number)), &block);
            cache.insert(&(PartId(1), place(number)), &block);
            assert!(cache.bytes() <= 100_000);
            assert_eq!(cache.get(&(PartId(1), place(number))), Some(block));
            assert_eq!(cache.get(&(PartId(2), place(number))), None);
        }
        let held =
            (0..1_000).filter_map(|number| Some((number, cache.get(&(PartId(1), place(number)))?)));
        let held: Vec<_> = held.collect();
        assert_eq!(held.len(), 100_000 / (4_000 + ENTRY_BYTES));
        for (number, block) in held {
            assert_eq!(block.first(), Some(&f64::from(number)));
        }
    }

    #[test]
    fn without_room_it_stays_empty() {
        let cache = BlockCache::new(0);
        cache.insert(&(PartId(1), place(1)), &vec![1.0].into());
        assert_eq!(cache.bytes(), 0);
    }
}
