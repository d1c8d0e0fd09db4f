//! What is known of metric families: type, help, unit.
//!
//! Senders repeat it every minute, so what is known already is not written again, but once a day: a
//! part that expires takes what it knew along.

use std::collections::BTreeMap;

use model::sample::Metadata;
use model::time::Timestamp;
use parking_lot::RwLock;

/// Different descriptions of one family that are kept, as several targets may send.
const DESCRIPTIONS_MAX: usize = 8;
/// A description is written again after this.
const REPEATED_MS: i64 = 24 * 3_600_000;

/// Metadata by family.
#[derive(Debug)]
pub struct MetadataStore {
    families: RwLock<BTreeMap<String, Family>>,
    families_max: usize,
}

#[derive(Debug)]
struct Family {
    /// The newest first.
    known: Vec<Metadata>,
    /// When the newest was last written to the store.
    written: Timestamp,
}

impl MetadataStore {
    /// A store of at most `families_max` families.
    pub const fn new(families_max: usize) -> Self {
        Self {
            families: RwLock::new(BTreeMap::new()),
            families_max,
        }
    }

    /// What of `metadata` is to be written to the store at `now`: what is not known, and what has
    /// not been written for long.
    pub fn news(&self, metadata: Vec<Metadata>, now: Timestamp) -> Vec<Metadata> {
        if metadata.is_empty() {
            return metadata;
        }
        let families = self.families.read();
        let is_news = |new: &Metadata| {
            families.get(&new.family).is_none_or(|family| {
                family.known.first() != Some(new)
                    || family.written.saturating_add(REPEATED_MS) < now
            })
        };
        metadata.into_iter().filter(is_news).collect()
    }

    /// Remembers what was written to the store at `written`. Returns how many found no room.
    pub fn record(&self, metadata: &[Metadata], written: Timestamp) -> usize {
        if metadata.is_empty() {
            return 0;
        }
        let mut without_room = 0;
        let mut families = self.families.write();
        for new in metadata {
            if families.len() >= self.families_max && !families.contains_key(&new.family) {
                without_room += 1;
                continue;
            }
            let family = families.entry(new.family.clone()).or_insert(Family {
                known: Vec::new(),
                written,
            });
            family.known.retain(|old| old != new);
            family.known.insert(0, new.clone());
            family.known.truncate(DESCRIPTIONS_MAX);
            family.written = family.written.max(written);
        }
        without_room
    }

    /// Runs `visit` on each family with what is known of it, in order of name.
    pub fn each(&self, mut visit: impl FnMut(&str, &[Metadata])) {
        for (name, family) in self.families.read().iter() {
            visit(name, &family.known);
        }
    }

    /// What is known of one family.
    pub fn of(&self, family: &str) -> Vec<Metadata> {
        self.families
            .read()
            .get(family)
            .map(|family| family.known.clone())
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
        let record = |metadata: &[Metadata]| store.record(metadata, Timestamp(0));
        assert_eq!(record(&[metadata("a", "1"), metadata("b", "1")]), 1);
        assert_eq!(record(&[metadata("a", "2")]), 0);
        assert_eq!(record(&[metadata("a", "1")]), 0);
        let helps: Vec<String> = store.of("a").into_iter().map(|m| m.help).collect();
        assert_eq!(helps, ["1", "2"]);
        assert!(store.of("b").is_empty());
    }

    #[test]
    fn what_is_known_is_written_once_a_day() {
        let store = MetadataStore::new(10);
        let news = |help: &str, now: i64| {
            let news = store.news(vec![metadata("a", help)], Timestamp(now));
            store.record(&news, Timestamp(now));
            news.len()
        };
        assert_eq!(news("1", 0), 1);
        assert_eq!(news("1", REPEATED_MS), 0);
        assert_eq!(news("2", REPEATED_MS), 1);
        assert_eq!(news("2", 2 * REPEATED_MS), 0);
        assert_eq!(news("2", 2 * REPEATED_MS + 1), 1);
    }
}
