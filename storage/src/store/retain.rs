//! What is old goes: by age, by size, and for some series earlier than for others.
//!
//! By age and size whole parts go, which costs nothing. A rule concerns some series of a part: once the
//! whole of a partition is older than the rule keeps them, its parts are written anew without them, once.
//! The part remembers the rules that were applied, so that a rule that was changed, and a part that came
//! late, have their turn.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use model::time::{TimeRange, Timestamp};

use super::view::View;
use super::{MaintainError, RetentionRule, Store};
use crate::manifest::{PartId, PartRecord, RuleId};
use crate::table::{Erasure, Table};

impl<T: Table> Store<T> {
    /// Drops the parts whose every row is older than the retention, and the oldest that are more than
    /// there is room for. Returns how many.
    pub fn expire(&self) -> Result<usize, MaintainError> {
        let oldest = self.oldest_kept();
        let records: Vec<PartRecord> = {
            let manifest = self.manifest.lock();
            manifest.parts.clone()
        };
        let (old, kept): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| record.range().end < oldest);
        let mut expired: Vec<PartId> = old.iter().map(|record| record.id).collect();
        if let Some(bytes_max) = self.options.retention_bytes {
            // What lies in a bucket takes no room.
            let on_disk = kept.into_iter().filter(|record| !record.is_remote());
            let too_many = over_size(&on_disk.collect::<Vec<_>>(), bytes_max);
            if !too_many.is_empty() {
                tracing::info!(
                    table = T::NAME,
                    parts = too_many.len(),
                    bytes_max,
                    "parts are dropped because all together take more than the retention's bytes"
                );
            }
            expired.extend(too_many);
        }
        if expired.is_empty() || !self.replace_parts(&expired, Vec::new(), None)? {
            // Nothing to do, or a merge has just replaced one of them: the next look finds it.
            return Ok(0);
        }
        self.remove_files(&expired);
        let counter = &self.counters.expired;
        counter.fetch_add(expired.len() as u64, Ordering::Relaxed);
        Ok(expired.len())
    }

    /// The rules that are due at `now` and were not applied to the part.
    pub(super) fn rules_due(
        &self,
        part: &PartRecord,
        now: Timestamp,
    ) -> impl Iterator<Item = &RetentionRule> {
        let end = part.partition.range(self.options.partition_ms).end;
        let rules = self.options.retention_rules.iter();
        rules.filter(move |rule| {
            end < now.saturating_sub(rule.keep_ms) && !part.ruled.contains(&rule.id())
        })
    }

    /// The rules of which nothing is left in what a merge of `parts` makes at `now`.
    pub(super) fn rules_applied(&self, parts: &[PartRecord], now: Timestamp) -> Vec<RuleId> {
        let is_applied = |part: &PartRecord, id: RuleId| {
            let mut due = self.rules_due(part, now);
            part.ruled.contains(&id) || due.any(|rule| rule.id() == id)
        };
        let rules = self.options.retention_rules.iter().map(RetentionRule::id);
        rules
            .filter(|id| parts.iter().all(|part| is_applied(part, *id)))
            .collect()
    }

    /// Remembers of the parts that hold no series of the rules that are due that they were applied: there is
    /// nothing to write anew. Returns whether there was such a part.
    pub(super) fn mark_ruled(&self, view: &View<T>, now: Timestamp) -> Result<bool, MaintainError> {
        let mut without = HashSet::new();
        for stored in &view.parts {
            let mut due = self.rules_due(&stored.record, now).peekable();
            if due.peek().is_none() {
                continue;
            }
            // What cannot be asked may hold some: the merge finds out.
            let Ok(part) = stored.part() else { continue };
            if due.all(|rule| matches!(T::may_hold(part, &rule.matchers), Ok(false))) {
                without.insert(stored.record.id);
            }
        }
        if without.is_empty() {
            return Ok(false);
        }
        let manifest = self.manifest.lock();
        let mut next = manifest.clone();
        for part in &mut next.parts {
            if without.contains(&part.id) {
                part.ruled = self.rules_applied(std::slice::from_ref(part), now);
            }
        }
        self.commit(manifest, next, HashMap::new())?;
        Ok(true)
    }
}

impl RetentionRule {
    /// What a merge leaves out for the rule.
    pub(super) fn erasure(&self) -> Erasure {
        Erasure {
            matchers: self.matchers.clone(),
            range: TimeRange::ALL,
        }
    }
}

/// The parts to drop so that the rest takes at most `bytes_max`: whole partitions, the oldest first, and
/// of the newest partition, should it alone be too large, the parts that were written first.
fn over_size(parts: &[PartRecord], bytes_max: u64) -> Vec<PartId> {
    let mut bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let newest = parts.last().map(|part| part.partition);
    let mut dropped = Vec::new();
    for partition in parts.chunk_by(|a, b| a.partition == b.partition) {
        let is_newest = partition.first().map(|part| part.partition) == newest;
        let pieces = if is_newest { 1 } else { partition.len() };
        for piece in partition.chunks(pieces.max(1)) {
            if bytes <= bytes_max {
                return dropped;
            }
            bytes -= piece.iter().map(|part| part.bytes).sum::<u64>();
            dropped.extend(piece.iter().map(|part| part.id));
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Location;
    use crate::table::{Density, Partition};

    #[test]
    fn the_oldest_partitions_go_whole_and_of_the_newest_its_first_parts() {
        let check = |parts: &[(i64, u64)], bytes_max: u64, expected: &[u64]| {
            let records: Vec<PartRecord> = (0..)
                .zip(parts)
                .map(|(id, (partition, bytes))| PartRecord {
                    id: PartId(id),
                    partition: Partition(*partition),
                    level: 0,
                    sequence: id,
                    rows: 1,
                    bytes: *bytes,
                    start_ms: 0,
                    end_ms: 0,
                    location: Location::Disk,
                    density: Density::Hot,
                    erased: Vec::new(),
                    ruled: Vec::new(),
                })
                .collect();
            let dropped = over_size(&records, bytes_max);
            let dropped: Vec<u64> = dropped.iter().map(|id| id.0).collect();
            assert_eq!(dropped, expected, "{parts:?} in {bytes_max}");
        };
        check(&[], 0, &[]);
        check(&[(1, 10), (1, 10), (2, 10)], 30, &[]);
        check(&[(1, 10), (1, 10), (2, 10)], 29, &[0, 1]);
        check(&[(1, 10), (2, 10), (3, 10)], 10, &[0, 1]);
        check(&[(1, 10), (2, 5), (2, 5), (2, 5)], 12, &[0, 1]);
        check(&[(2, 5), (2, 50)], 12, &[0, 1]);
    }
}
