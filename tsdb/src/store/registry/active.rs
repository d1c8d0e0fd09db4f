//! The registries that are written to, for whoever looks up what a write names.
//!
//! A write is decoded before it takes the lock of any shard, and most of its series are known: they are
//! looked up here, by the bytes they are named with, and the write carries their numbers. What makes a
//! number good is the registry it was given by, so a write carries the registries too: where a shard
//! has begun another one meanwhile, the number stands for the labels that the old one has, and no more.

use std::sync::Arc;

use model::labels::Labels;
use parking_lot::RwLockReadGuard;
use storage::index::SeriesRef;
use storage::table::Shard;

use super::{Registry, Shared};

/// The registries of the memtables that were written to at some moment, by shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveRegistries(Vec<Arc<Shared>>);

impl ActiveRegistries {
    pub(in crate::store) fn new(by_shard: impl Iterator<Item = Arc<Shared>>) -> Self {
        Self(by_shard.collect())
    }

    /// Whether what is known of the series of a shard was found in `shared`.
    pub(in crate::store) fn has(&self, shard: Shard, shared: &Arc<Shared>) -> bool {
        let of_shard = self.0.get(shard.number as usize);
        of_shard.is_some_and(|of_shard| Arc::ptr_eq(of_shard, shared))
    }

    /// The labels of a series of the shard that holds `hash`.
    pub(crate) fn labels(&self, hash: u64, series: SeriesRef) -> Option<Labels> {
        let shards = u32::try_from(self.0.len()).ok().filter(|len| *len > 0)?;
        let shared = self.0.get(Shard::number_of(hash, shards) as usize)?;
        shared.read().labels(series)
    }

    /// What looks series up. While it is there no new series is taken in, but for
    /// [`Lookup::let_pass`].
    pub(crate) fn lookup(&self) -> Lookup<'_> {
        Lookup {
            of: self,
            shards: self.read().map(|registry| (registry, 0)).collect(),
        }
    }

    /// The registries to read, all taken in the order of the shards.
    fn read(&self) -> impl Iterator<Item = RwLockReadGuard<'_, Registry>> {
        self.0.iter().map(|shared| shared.read_in_turn())
    }
}

/// Looks series up by the bytes they are named with.
pub(crate) struct Lookup<'a> {
    of: &'a ActiveRegistries,
    /// By shard: the registry, and which series is likely to be next.
    shards: Vec<(RwLockReadGuard<'a, Registry>, SeriesRef)>,
}

impl Lookup<'_> {
    /// The number of the series with these labels, in their plain form, whose fingerprint is `hash`.
    #[inline]
    pub(crate) fn find(&mut self, hash: u64, labels: &[u8]) -> Option<SeriesRef> {
        let shards = self.shards.len() as u32;
        if shards == 0 {
            return None;
        }
        let shard = Shard::number_of(hash, shards);
        let (registry, guess) = self.shards.get_mut(shard as usize)?;
        let found = registry.find_plain(*guess, hash, labels)?;
        // A scrape comes in the order of the one before.
        *guess = found.wrapping_add(1);
        Some(found)
    }

    /// Lets those pass who wait for a registry to write to.
    ///
    /// All are given back before the first is taken again. Two who each waited for one and kept the other would wait
    /// for ever, where a writer waits for each.
    pub(crate) fn let_pass(&mut self) {
        let guesses: Vec<SeriesRef> = (self.shards.drain(..)).map(|(_, guess)| guess).collect();
        self.shards.extend(self.of.read().zip(guesses));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

    use model::labels::split_pair;
    use model::sample::SeriesSamples;
    use model::wire::remote_write::TimeSeries;
    use prost::Message as _;

    use super::*;
    use crate::ingest::named::Fingerprints;

    fn labels(job: &str) -> Labels {
        Labels::from_pairs([("__name__", "up"), ("job", job)])
    }

    fn plain(labels: &Labels) -> Vec<u8> {
        let series = SeriesSamples {
            labels: labels.clone(),
            ..SeriesSamples::default()
        };
        TimeSeries::from(&series).encode_to_vec()
    }

    #[test]
    fn who_lets_pass_keeps_no_registry_from_writers_while_waiting_for_another() {
        let shards = [(); 2].map(|()| Arc::new(Shared::default()));
        let active = ActiveRegistries::new(shards.iter().cloned());
        let (done, all_done) = mpsc::channel();
        let (look, start) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        std::thread::spawn({
            let (look, start, done) = (Arc::clone(&look), Arc::clone(&start), done.clone());
            move || {
                let mut lookup = active.lookup();
                look.wait();
                start.wait();
                lookup.let_pass();
                done.send(()).expect("somebody waits");
            }
        });
        look.wait();
        let [first, second] = shards;
        std::thread::spawn({
            let first = Arc::clone(&first);
            move || {
                first.write(|_| second.write(|_| ()));
                done.send(()).expect("somebody waits");
            }
        });
        // Nobody gets in beside a writer that waits.
        while first.registry.try_read().is_some() {
            std::thread::yield_now();
        }
        start.wait();
        for _ in 0..2 {
            let ended = all_done.recv_timeout(Duration::from_mins(1));
            ended.expect("nobody waits for ever");
        }
    }

    #[test]
    fn a_fingerprint_alone_is_not_believed() {
        let shared = Arc::new(Shared::default());
        let hash_of = |job| Fingerprints::default().of(labels(job).as_encoded());
        for job in ["a", "b"] {
            shared.write(|registry| {
                let mut pairs = Vec::new();
                let labels = labels(job);
                let mut rest = labels.as_encoded();
                while let Some((pair, after)) = split_pair(rest) {
                    pairs.push(registry.intern(pair).expect("room"));
                    rest = after;
                }
                registry.register(&pairs);
            });
        }
        let active = ActiveRegistries::new(std::iter::once(shared));
        let mut lookup = active.lookup();
        for (hash, named, found) in [
            ("a", "a", Some(0)),
            ("b", "b", Some(1)),
            ("a", "a", Some(0)),
            // As two label sets with one fingerprint would come.
            ("a", "b", None),
            ("b", "a", None),
            ("a", "aa", None),
            ("a", "", None),
        ] {
            let found_now = lookup.find(hash_of(hash), &plain(&labels(named)));
            assert_eq!(found_now, found, "{hash} {named}");
        }
        let mut longer = plain(&labels("a"));
        longer.extend(plain(&labels("a")));
        assert_eq!(lookup.find(hash_of("a"), &longer), None);
    }
}
