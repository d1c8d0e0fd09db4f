//! Parts become fewer and older ones go.
//!
//! Only parts that are neighbours in the order of writing are merged, so that the merged part
//! takes their place and "the later write wins" stays a matter of order. Within a partition a run of
//! `merge_fan_in` parts of one level becomes one of the next; a partition that has ended
//! becomes one part.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{MaintainError, Store};
use crate::manifest::{PartId, PartRecord};
use crate::part::PartError;
use crate::table::{Density, MergeInput, MergePlan, Table};

/// A partition has ended when its last instant is this long ago.
const SETTLE_MS: i64 = 3_600_000;
/// Parts of an ended partition that together are larger stay apart.
const MERGED_BYTES_MAX: u64 = 4 << 30;

impl<T: Table> Store<T> {
    /// Does the most useful merge, if there is one. Returns whether there was.
    pub fn merge_once(&self) -> Result<bool, MaintainError> {
        let _merging = self.merging.lock();
        let now = self.clock.now().millis();
        let ended = |record: &PartRecord| {
            let range = record.partition.range(self.options.partition_ms);
            range.end.millis().saturating_add(SETTLE_MS) < now
        };
        let view = self.view();
        let records: Vec<PartRecord> = view.parts.iter().map(|part| part.record.clone()).collect();
        let Some(chosen) = choose(&records, self.options.merge_fan_in, ended) else {
            return Ok(false);
        };
        let Some(newest) = chosen.last() else {
            return Ok(false);
        };
        let ids: Vec<PartId> = chosen.iter().map(|record| record.id).collect();
        let level = chosen.iter().map(|record| record.level).max().unwrap_or(0) + 1;
        let density = if level > 1 || ended(newest) {
            Density::Settled
        } else {
            Density::Hot
        };
        let inputs = view
            .parts
            .iter()
            .filter(|part| ids.contains(&part.record.id))
            .map(|part| {
                Ok(MergeInput {
                    part: Arc::clone(part.part()?),
                    erasures: Arc::from([]),
                })
            })
            .collect::<Result<_, PartError>>()?;
        let plan = MergePlan { inputs, density };
        let sequence = Some(newest.sequence);
        let merged = self.write_part(newest.partition, level, sequence, |writer| {
            T::merge(&plan, writer)
        });
        let merged = match merged {
            Err(MaintainError::Part(error)) => {
                let culprit = ids.iter().find(|id| self.part_path(**id) == *error.path());
                if let Some(culprit) = culprit {
                    self.quarantine(*culprit, &error)?;
                }
                return Err(error.into());
            }
            merged => merged?,
        };
        let merged_id: Vec<PartId> = merged.iter().map(|new| new.record.id).collect();
        if self.replace_parts(&ids, merged.into_iter().collect(), None)? {
            self.counters.merges.fetch_add(1, Ordering::Relaxed);
            self.remove_files(&ids);
        } else {
            self.remove_files(&merged_id);
        }
        Ok(true)
    }

    /// Drops the parts whose every row is older than the retention. Returns how many.
    pub fn expire(&self) -> Result<usize, MaintainError> {
        let oldest = self.oldest_kept();
        let expired: Vec<PartId> = self
            .view()
            .parts
            .iter()
            .filter(|part| part.record.range().end < oldest)
            .map(|part| part.record.id)
            .collect();
        if expired.is_empty() || !self.replace_parts(&expired, Vec::new(), None)? {
            // Nothing to do, or a merge has just replaced one of them: the next look finds it.
            return Ok(0);
        }
        self.remove_files(&expired);
        Ok(expired.len())
    }

    /// Removes the files of parts that the manifest no longer names. Queries that still read them
    /// have them open.
    fn remove_files(&self, parts: &[PartId]) {
        for part in parts {
            let path = self.part_path(*part);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a part that is not needed any more could not be removed; the next start sweeps it");
            }
        }
    }
}

/// The neighbours to merge, from the oldest to the newest.
fn choose(
    parts: &[PartRecord],
    fan_in: usize,
    ended: impl Fn(&PartRecord) -> bool,
) -> Option<&[PartRecord]> {
    let by_partition = || parts.chunk_by(|a, b| a.partition == b.partition);
    let run = by_partition()
        .flat_map(|partition| partition.chunk_by(|a, b| a.level == b.level))
        .find(|run| run.len() >= fan_in.max(2));
    run.or_else(|| {
        by_partition().find(|partition| {
            partition.len() > 1
                && partition.iter().all(&ended)
                && partition.iter().map(|record| record.bytes).sum::<u64>() <= MERGED_BYTES_MAX
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
            })
            .collect()
    }

    #[test]
    fn runs_of_one_level_and_ended_partitions_are_chosen() {
        let check = |levels: &[(i64, u32)], ended_before: i64, expected: Option<&[u64]>| {
            let parts = parts(levels);
            let chosen = choose(&parts, 3, |record| record.partition.0 < ended_before);
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
    }
}
