//! Blocks of floats that were decoded, kept for the next query.
//!
//! Dashboards ask the same again and again, and decoding is most of what a query costs. A cache holds
//! blocks up to a number of bytes. What goes when it is full is left to chance: a scan through more
//! than it holds then still finds a part of it at the next scan, where the least recently used
//! would always be the next one needed; and a hit changes nothing, so hits wait for nobody.
//!
//! A part is never changed and its number never used again, so nothing is ever stale. Blocks of a
//! part that is gone leave by chance too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use storage::manifest::PartId;

use crate::store::chunk::Place;

/// What an entry takes beside its floats.
const ENTRY_BYTES: usize = 96;

/// Which block: its part, and where its values lie there.
type Key = (PartId, Place);

/// Decoded blocks, up to a number of bytes.
#[derive(Debug)]
pub struct BlockCache {
    bytes_max: usize,
    blocks: RwLock<Blocks>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Blocks {
    places: HashMap<Key, usize>,
    entries: Vec<(Key, Arc<[f64]>)>,
    bytes: usize,
    /// The state of chance.
    random: u64,
}

impl BlockCache {
    /// An empty cache of at most `bytes_max`; with 0 it stays empty.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            blocks: RwLock::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.read().bytes
    }

    /// How often a block was there, and how often it was not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.hits), count(&self.misses))
    }

    pub(super) fn get(&self, part: PartId, place: Place) -> Option<Arc<[f64]>> {
        let blocks = self.blocks.read();
        let entry = blocks.places.get(&(part, place));
        let found = entry.and_then(|at| blocks.entries.get(*at));
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(|(_, block)| Arc::clone(block))
    }

    /// Keeps a block, unless it would be all there is room for.
    pub(super) fn insert(&self, part: PartId, place: Place, block: &Arc<[f64]>) {
        let bytes = entry_bytes(block);
        if bytes > self.bytes_max / 8 {
            return;
        }
        let mut blocks = self.blocks.write();
        if blocks.places.contains_key(&(part, place)) {
            return;
        }
        while blocks.bytes + bytes > self.bytes_max {
            blocks.drop_one();
        }
        blocks.bytes += bytes;
        let at = blocks.entries.len();
        blocks.places.insert((part, place), at);
        blocks.entries.push(((part, place), Arc::clone(block)));
    }
}

impl Blocks {
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
        let (key, block) = self.entries.swap_remove(at);
        self.places.remove(&key);
        self.bytes = self.bytes.saturating_sub(entry_bytes(&block));
        if let Some((moved, _)) = self.entries.get(at) {
            self.places.insert(*moved, at);
        }
    }
}

fn entry_bytes(block: &[f64]) -> usize {
    size_of_val(block) + ENTRY_BYTES
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
            cache.insert(PartId(1), place(number), &block);
            cache.insert(PartId(1), place(number), &block);
            assert!(cache.bytes() <= 100_000);
            assert_eq!(cache.get(PartId(1), place(number)), Some(block));
            assert_eq!(cache.get(PartId(2), place(number)), None);
        }
        let held =
            (0..1_000).filter_map(|number| Some((number, cache.get(PartId(1), place(number))?)));
        let held: Vec<_> = held.collect();
        assert_eq!(held.len(), 100_000 / (4_000 + ENTRY_BYTES));
        for (number, block) in held {
            assert_eq!(block.first(), Some(&f64::from(number)));
        }
    }

    #[test]
    fn without_room_it_stays_empty() {
        let cache = BlockCache::new(0);
        cache.insert(PartId(1), place(1), &vec![1.0].into());
        assert_eq!(cache.bytes(), 0);
    }
}
