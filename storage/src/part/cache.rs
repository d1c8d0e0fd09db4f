//! What was read of parts and decoded, while there is room for it.
//!
//! A store opens hundreds of parts and reads few of them at a time, so nothing but a part's directory stays
//! in memory with the part. What readers decode (dictionaries, lists of places) they leave here,
//! under the offset of the block it came from; what was not asked for longest goes first. The cache
//! belongs to a store and is handed to its parts: memory for reading has one bound and no global.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

/// The number of a part's file within its cache.
pub(super) type FileRef = u64;

/// A value and its block: which file, which offset.
type Key = (FileRef, u64);

/// Decoded blocks of parts, bounded in bytes.
#[derive(Debug)]
pub struct PartCache {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    files: FileRef,
    entries: HashMap<Key, Entry>,
    /// The keys by when they were last asked for.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

/// What an entry takes beside its value, roughly.
const ENTRY_BYTES: usize = 128;

impl PartCache {
    /// A cache that holds at most `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: Mutex::default(),
        }
    }

    /// What the cache holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.held.lock().bytes
    }

    /// A number for a file.
    pub(super) fn file(&self) -> FileRef {
        let mut held = self.held.lock();
        held.files += 1;
        held.files
    }

    /// What is held for a block, if it is of type `T`.
    pub(super) fn get<T: Any + Send + Sync>(&self, file: FileRef, offset: u64) -> Option<Arc<T>> {
        let mut held = self.held.lock();
        let Held {
            entries,
            by_use,
            uses,
            ..
        } = &mut *held;
        let entry = entries.get_mut(&(file, offset))?;
        *uses += 1;
        by_use.remove(&entry.used);
        by_use.insert(*uses, (file, offset));
        entry.used = *uses;
        Arc::clone(&entry.value).downcast().ok()
    }

    /// Holds a value that takes `bytes`, and lets go of others for it. One that is larger than the
    /// cache is not held.
    pub(super) fn put<T: Any + Send + Sync>(
        &self,
        file: FileRef,
        offset: u64,
        value: &Arc<T>,
        bytes: usize,
    ) {
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        if bytes > self.bytes_max {
            return;
        }
        let mut held = self.held.lock();
        held.remove((file, offset));
        while held.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = held.by_use.first_key_value() else {
                break;
            };
            let oldest = *oldest;
            held.remove(oldest);
        }
        held.uses += 1;
        let used = held.uses;
        held.by_use.insert(used, (file, offset));
        held.bytes += bytes;
        let value: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(value);
        held.entries
            .insert((file, offset), Entry { value, bytes, used });
    }

    /// Lets go of everything that came from a file.
    pub(super) fn forget(&self, file: FileRef) {
        let mut held = self.held.lock();
        let of_file = held.entries.keys().filter(|key| key.0 == file);
        for key in of_file.copied().collect::<Vec<_>>() {
            held.remove(key);
        }
    }
}

impl Held {
    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let cache = PartCache::new(3 * (1000 + ENTRY_BYTES));
        let (one, two) = (cache.file(), cache.file());
        for offset in [1, 2, 3] {
            cache.put(one, offset, &Arc::new(offset), 1000);
        }
        assert_eq!(cache.get::<u64>(one, 1).as_deref(), Some(&1));
        assert_eq!(cache.get::<u32>(one, 1), None, "it is another type");
        cache.put(two, 1, &Arc::new(9_u64), 1000);
        assert_eq!(cache.get::<u64>(one, 2), None, "there was no room");
        assert_eq!(cache.get::<u64>(two, 1).as_deref(), Some(&9));
        cache.put(two, 2, &Arc::new(0_u64), 1 << 20);
        assert_eq!(cache.get::<u64>(two, 2), None, "it is larger than all");
        cache.forget(one);
        assert_eq!(cache.get::<u64>(one, 1), None);
        assert_eq!(cache.bytes(), 1000 + ENTRY_BYTES);
    }
}
