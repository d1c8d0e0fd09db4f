//! What is known of metric families: type, help, unit. In memory and bounded; senders repeat it.

use std::collections::BTreeMap;

use model::sample::Metadata;
use parking_lot::RwLock;

/// Different descriptions of one family that are kept, as several targets may send.
const DESCRIPTIONS_MAX: usize = 8;

/// Metadata by family.
#[derive(Debug)]
pub struct MetadataStore {
    families: RwLock<BTreeMap<String, Vec<Metadata>>>,
    families_max: usize,
}

impl MetadataStore {
    /// A store of at most `families_max` families.
    pub const fn new(families_max: usize) -> Self {
        Self {
            families: RwLock::new(BTreeMap::new()),
            families_max,
        }
    }

    /// Remembers `metadata`, the newest first. Returns how many found no room.
    pub fn record(&self, metadata: &[Metadata]) -> usize {
        let mut without_room = 0;
        let news: Vec<&Metadata> = {
            let families = self.families.read();
            let is_known = |new: &&Metadata| {
                let known = families.get(&new.family);
                known.is_none_or(|known| known.first() != Some(*new))
            };
            metadata.iter().filter(is_known).collect()
        };
        if news.is_empty() {
            return 0;
        }
        let mut families = self.families.write();
        for new in news {
            if families.len() >= self.families_max && !families.contains_key(&new.family) {
                without_room += 1;
                continue;
            }
            let known = families.entry(new.family.clone()).or_default();
            known.retain(|old| old != new);
            known.insert(0, new.clone());
            known.truncate(DESCRIPTIONS_MAX);
        }
        without_room
    }

    /// Runs `visit` on each family with what is known of it, in order of name.
    pub fn each(&self, mut visit: impl FnMut(&str, &[Metadata])) {
        for (family, known) in self.families.read().iter() {
            visit(family, known);
        }
    }

    /// What is known of one family.
    pub fn of(&self, family: &str) -> Vec<Metadata> {
        self.families
            .read()
            .get(family)
            .cloned()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(family: &str, help: &str) -> Metadata {
        Metadata {
            family: family.to_owned(),
            help: help.to_owned(),
            ..Metadata::default()
        }
    }

    #[test]
    fn the_newest_comes_first_and_the_bound_holds() {
        let store = MetadataStore::new(1);
        assert_eq!(store.record(&[metadata("a", "1"), metadata("b", "1")]), 1);
        assert_eq!(store.record(&[metadata("a", "2")]), 0);
        assert_eq!(store.record(&[metadata("a", "1")]), 0);
        let helps: Vec<String> = store.of("a").into_iter().map(|m| m.help).collect();
        assert_eq!(helps, ["1", "2"]);
        assert!(store.of("b").is_empty());
    }
}
