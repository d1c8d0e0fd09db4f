//! Labels, ports and names that many pods have in common, kept once.
//!
//! What nobody holds any more is swept out when the table has doubled since it was last swept,
//! so that a cluster that makes pods with ever new labels for months does not grow it. The
//! clones of a world share one table.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use crate::network_policy::pod::{NamedPort, Pod};
use crate::network_policy::selector::Labels;

/// Below this many entries nothing is swept.
const SWEEP_ENTRIES_MIN: usize = 1024;

#[derive(Debug)]
struct Table<T: ?Sized> {
    entries: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Table<T> {
    fn default() -> Self {
        Table {
            entries: HashSet::new(),
            sweep_at: SWEEP_ENTRIES_MIN,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Table<T> {
    fn share(&mut self, entry: &Arc<T>) -> Arc<T> {
        if let Some(known) = self.entries.get(entry) {
            return known.clone();
        }
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|entry| Arc::strong_count(entry) > 1);
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_ENTRIES_MIN);
        }
        self.entries.insert(entry.clone());
        entry.clone()
    }
}

#[derive(Debug, Default)]
struct Tables {
    strings: Table<str>,
    labels: Table<Labels>,
    ports: Table<[NamedPort]>,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Interner(Mutex<Tables>);

impl Interner {
    pub(super) fn pod(&self, pod: Pod) -> Pod {
        // A table that somebody left in the middle of an insertion is still a table.
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = &mut *tables;
        let labels = if let Some(known) = tables.labels.entries.get(&pod.labels) {
            known.clone()
        } else {
            let shared = pod.labels.shared(|text| tables.strings.share(text));
            tables.labels.share(&Arc::new(shared))
        };
        Pod {
            namespace: tables.strings.share(&pod.namespace),
            labels,
            ports: tables.ports.share(&pod.ports),
            ..pod
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_swept() {
        let mut table: Table<str> = Table::default();
        let kept = table.share(&Arc::from("kept"));
        for i in 0..100_000 {
            table.share(&Arc::from(format!("passing {i}")));
        }
        assert!(table.entries.len() <= SWEEP_ENTRIES_MIN * 2);
        assert!(Arc::ptr_eq(&kept, &table.share(&Arc::from("kept"))));
    }
}
