//! Parts become fewer.
//!
//! Only parts that are neighbours in the order of writing are merged, so that the merged part
//! takes their place and "the later write wins" stays a matter of order. Within a partition a run of
//! `merge_fan_in` parts of one level becomes one of the next; a partition that has ended
//! becomes one settled part. What was deleted is left out on the way, and where no merge comes by a part
//! is written anew for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::time::Timestamp;

use super::change::NewPart;
use super::view::View;
use super::{MaintainError, RetentionRule, Store};
use crate::manifest::{Manifest, PartId, PartRecord};
use crate::part::PartError;
use crate::part::writer::Pace;
use crate::table::{Density, MergeInput, MergePlan, Table};
use crate::tier::is_about;

/// A partition has ended when its last instant is this long ago.
const SETTLE_MS: i64 = 3_600_000;
/// Parts of an ended partition that together are larger stay apart.
const MERGED_BYTES_MAX: u64 = 4 << 30;

/// What a merge makes of its parts.
#[derive(Clone, Copy)]
struct Target {
    level: u32,
    density: Density,
    /// The rules that are due at this instant are applied.
    now: Timestamp,
    haste: Haste,
}

/// Whether a merge gives way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// It keeps to the pace.
    Paced,
    /// Somebody waits for it.
    Urgent,
}

impl<T: Table> Store<T> {
    /// Does the most useful merge, if there is one. Returns whether there was.
    pub fn merge_once(&self) -> Result<bool, MaintainError> {
        let _merging = self.merging.lock();
        let now = self.clock.now();
        let ended = |record: &PartRecord| {
            let range = record.partition.range(self.options.partition_ms);
            range.end.saturating_add(SETTLE_MS) < now
        };
        let (manifest, view) = self.named();
        if self.mark_ruled(&view, now)? {
            return Ok(true);
        }
        let has_erasures = |part: &PartRecord| {
            let mut rules = self.rules_due(part, now);
            manifest.erasures_of(part).next().is_some() || rules.next().is_some()
        };
        let fan_in = self.options.merge_fan_in;
        let can_read = |part: &PartRecord| self.can_read(part);
        let Some(chosen) = choose(&manifest.parts, fan_in, ended, has_erasures, can_read) else {
            return Ok(false);
        };
        let Some(newest) = chosen.last() else {
            return Ok(false);
        };
        let level = chosen.iter().map(|record| record.level).max().unwrap_or(0);
        let level = if chosen.len() > 1 { level + 1 } else { level };
        let density = if level > 1 || ended(newest) {
            Density::Settled
        } else {
            Density::Hot
        };
        let target = Target {
            level,
            density,
            now,
            haste: Haste::Paced,
        };
        self.merge_parts(&manifest, &view, chosen, target)
            .inspect_err(|error| self.note_unreadable(chosen, error))?;
        Ok(true)
    }

    /// Flushes, and makes one settled part of each partition, be it over or not, as fast as the machine can.
    pub fn merge_all(&self) -> Result<(), MaintainError> {
        self.flush()?;
        let _merging = self.merging.lock();
        let now = self.clock.now();
        let (manifest, _) = self.named();
        let partitions: BTreeSet<_> = manifest.parts.iter().map(|part| part.partition).collect();
        for partition in partitions {
            // Anew for each: retention and flushes go on.
            let (manifest, view) = self.named();
            let parts = manifest.parts.iter();
            let chosen: Vec<PartRecord> = parts
                .filter(|part| part.partition == partition)
                .cloned()
                .collect();
            let is_done = match chosen.as_slice() {
                [] => true,
                [only] => !only.density.is_hot() && manifest.erasures_of(only).next().is_none(),
                _ => false,
            };
            if is_done {
                continue;
            }
            let level = chosen.iter().map(|record| record.level).max().unwrap_or(0);
            let target = Target {
                level: level + 1,
                density: Density::Settled,
                now,
                haste: Haste::Urgent,
            };
            self.merge_parts(&manifest, &view, &chosen, target)?;
        }
        Ok(())
    }

    /// What the manifest names, and the view of the same moment.
    fn named(&self) -> (Manifest, Arc<View<T>>) {
        let manifest = self.manifest.lock();
        (manifest.clone(), self.view())
    }

    /// Writes one part in place of `chosen`, which are neighbours of one partition.
    fn merge_parts(
        &self,
        manifest: &Manifest,
        view: &View<T>,
        chosen: &[PartRecord],
        target: Target,
    ) -> Result<(), MaintainError> {
        let Target {
            level,
            density,
            now,
            haste,
        } = target;
        let Some(newest) = chosen.last() else {
            return Ok(());
        };
        let ids: Vec<PartId> = chosen.iter().map(|record| record.id).collect();
        let inputs = view
            .parts
            .iter()
            .filter(|part| ids.contains(&part.record.id))
            .map(|part| {
                let ruled = self
                    .rules_due(&part.record, now)
                    .map(RetentionRule::erasure);
                let erasures = part.erasures.iter().cloned();
                Ok(MergeInput {
                    part: Arc::clone(part.part()?),
                    erasures: erasures.chain(ruled).collect(),
                })
            })
            .collect::<Result<_, PartError>>()?;
        let plan = MergePlan { inputs, density };
        let merged = self.write_part(newest.partition, density, |writer| {
            if haste == Haste::Paced {
                writer.set_pace(Arc::clone(&self.pace) as Arc<dyn Pace>);
            }
            T::merge(&plan, writer)
        });
        let mut merged = match merged {
            Err(MaintainError::Part(error)) => {
                let culprit = ids.iter().find(|id| is_about(error.path(), **id));
                if let Some(culprit) = culprit {
                    self.quarantine(*culprit, &error)?;
                }
                return Err(error.into());
            }
            merged => merged?,
        };
        if let Some(NewPart { record, .. }) = &mut merged {
            record.level = level;
            record.sequence = newest.sequence;
            // Of a part that is older than a deletion all inputs are, and the plan named it for each.
            let applied = manifest.erasures.iter().map(|erasure| erasure.id);
            record.erased = applied.filter(|id| id.0 > newest.sequence).collect();
            record.ruled = self.rules_applied(chosen, now);
        }
        let merged_id: Vec<PartId> = merged.iter().map(|new| new.record.id).collect();
        if self.replace_parts(&ids, merged.into_iter().collect(), None)? {
            self.counters.merges.fetch_add(1, Ordering::Relaxed);
            self.remove_files(&ids);
        } else {
            self.remove_files(&merged_id);
        }
        Ok(())
    }
}

/// The neighbours to merge, from the oldest to the newest: a run of one level, else a partition that has
/// ended and is not one settled part, else a part with rows that were deleted.
fn choose(
    parts: &[PartRecord],
    fan_in: usize,
    ended: impl Fn(&PartRecord) -> bool,
    has_erasures: impl Fn(&PartRecord) -> bool,
    can_read: impl Fn(&PartRecord) -> bool,
) -> Option<&[PartRecord]> {
    let by_partition = || parts.chunk_by(|a, b| a.partition == b.partition);
    let run = by_partition()
        .flat_map(|partition| partition.chunk_by(|a, b| a.level == b.level))
        .find(|run| run.len() >= fan_in.max(2) && run.iter().all(&can_read));
    // What lies in a bucket is not fetched for a few late rows: they make a part beside it.
    run.or_else(|| {
        by_partition()
            .flat_map(|partition| partition.chunk_by(|a, b| a.location == b.location))
            .find(|run| run.iter().all(|part| !part.is_remote() && ended(part)) && !is_settled(run))
    })
    .or_else(|| {
        let mut parts = parts.chunks(1);
        parts.find(|part| part.iter().all(&can_read) && part.iter().any(&has_erasures))
    })
}

/// Whether parts of an ended partition, neighbours on the disk, are as they stay.
pub(super) fn is_settled(run: &[PartRecord]) -> bool {
    match run {
        [only] => !only.density.is_hot(),
        parts => parts.iter().map(|record| record.bytes).sum::<u64>() > MERGED_BYTES_MAX,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // tests know their own parts
mod tests {
    use super::*;
    use crate::manifest::Location;
    use crate::table::Partition;

    fn parts(levels: &[(i64, u32)]) -> Vec<PartRecord> {
        levels
            .iter()
            .enumerate()
            .map(|(index, (partition, level))| PartRecord {
                id: PartId(index as u64),
                partition: Partition(*partition),
                level: *level,
                sequence: index as u64,
                rows: 1,
                bytes: 1,
                start_ms: 0,
                end_ms: 0,
                location: Location::Disk,
                density: Density::Hot,
                erased: Vec::new(),
                ruled: Vec::new(),
            })
            .collect()
    }

    #[test]
    fn runs_then_ended_partitions_then_deletions_are_chosen() {
        let check = |levels: &[(i64, u32)], ended_before: i64, expected: Option<&[u64]>| {
            let parts = parts(levels);
            let ended = |record: &PartRecord| record.partition.0 < ended_before;
            let chosen = choose(&parts, 3, ended, |record| record.level == 9, |_| true);
            let chosen: Option<Vec<u64>> =
                chosen.map(|chosen| chosen.iter().map(|record| record.id.0).collect());
            assert_eq!(chosen.as_deref(), expected, "{levels:?}");
        };
        check(&[], 0, None);
        check(&[(1, 0), (1, 0)], 0, None);
        check(&[(1, 0), (1, 0), (1, 0)], 0, Some(&[0, 1, 2]));
        check(
            &[(1, 2), (1, 1), (1, 0), (1, 0), (1, 0)],
            0,
            Some(&[2, 3, 4]),
        );
        check(&[(1, 0), (2, 0), (2, 0), (3, 0)], 0, None);
        check(&[(1, 1), (1, 0), (2, 0)], 2, Some(&[0, 1]));
        check(&[(1, 1), (2, 0)], 2, Some(&[0]));
        check(&[(1, 0), (1, 9), (2, 0)], 0, Some(&[1]));
        check(
            &[(1, 0), (1, 9), (2, 0), (2, 0), (2, 0)],
            0,
            Some(&[2, 3, 4]),
        );
    }

    #[test]
    fn an_ended_partition_of_one_settled_part_is_left_alone() {
        let mut parts = parts(&[(1, 1)]);
        assert!(choose(&parts, 3, |_| true, |_| false, |_| true).is_some());
        parts[0].density = Density::Settled;
        assert!(choose(&parts, 3, |_| true, |_| false, |_| true).is_none());
    }

    #[test]
    fn what_lies_in_a_bucket_is_fetched_for_a_run_or_a_deletion_and_only_if_it_can_be() {
        let check = |parts: &[PartRecord], can_read: bool, expected: Option<&[u64]>| {
            let can_read = |part: &PartRecord| can_read || !part.is_remote();
            let chosen = choose(parts, 3, |_| true, |part| part.level == 9, can_read);
            let chosen: Option<Vec<u64>> =
                chosen.map(|chosen| chosen.iter().map(|record| record.id.0).collect());
            assert_eq!(chosen.as_deref(), expected);
        };
        let of = |levels: &[(i64, u32)], remote: usize| {
            let mut parts = parts(levels);
            for part in parts.iter_mut().take(remote) {
                part.location = Location::Bucket;
            }
            parts
        };
        check(&of(&[(1, 1), (1, 0), (1, 2)], 1), true, Some(&[1, 2]));
        check(&of(&[(1, 1), (1, 2)], 2), true, None);
        let run = of(&[(1, 1), (1, 1), (1, 1), (1, 0), (1, 2)], 2);
        check(&run, true, Some(&[0, 1, 2]));
        check(&run, false, Some(&[2, 3, 4]));
        check(&of(&[(1, 9)], 1), true, Some(&[0]));
        check(&of(&[(1, 9)], 1), false, None);
    }
}
