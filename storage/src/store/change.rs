//! The one step in which parts change: files first, then the manifest, then the view.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::lazy::LazyPart;
use super::view::{StoredPart, View};
use super::{MaintainError, Store, recover};
use crate::manifest::{Location, Manifest, PartId, PartRecord};
use crate::part::PartError;
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::table::{Density, PartSummary, Partition, Table};
use crate::wal::SegmentId;

/// A part that is written and synced but not yet named by the manifest.
pub(super) struct NewPart<T: Table> {
    pub(super) record: PartRecord,
    pub(super) part: T::Part,
}

impl<T: Table> Store<T> {
    /// Writes one part, synced, under the next number; none where there is nothing to write. It is one of
    /// the first level and its sequence is its number, until whoever merges says otherwise.
    pub(super) fn write_part(
        &self,
        partition: Partition,
        density: Density,
        write: impl FnOnce(&mut PartWriter) -> Result<Option<PartSummary>, PartError>,
    ) -> Result<Option<NewPart<T>>, MaintainError> {
        let id = {
            let mut manifest = self.manifest.lock();
            let id = PartId(manifest.next_part);
            manifest.next_part += 1;
            id
        };
        let path = self.part_path(id);
        let disk = self.disk.as_ref();
        let written = PartWriter::create(disk, &path).and_then(|mut writer| {
            let Some(summary) = write(&mut writer)? else {
                return Ok(None);
            };
            let bytes = writer.finish()?;
            // Reading back what was written is the assertion that it can be read.
            let part = T::open(PartFile::open_with(disk, &path, &self.cache)?)?;
            Ok(Some((summary, bytes, part)))
        });
        match written {
            Ok(Some((summary, bytes, part))) => Ok(Some(NewPart {
                record: PartRecord {
                    id,
                    partition,
                    level: 0,
                    sequence: id.0,
                    rows: summary.rows,
                    bytes,
                    start_ms: summary.range.start.millis(),
                    end_ms: summary.range.end.millis(),
                    location: Location::Disk,
                    density,
                    erased: Vec::new(),
                    ruled: Vec::new(),
                },
                part,
            })),
            Ok(None) => {
                let _ = disk.remove(&path);
                Ok(None)
            }
            Err(error) => {
                // Room for the next try; if even this fails the next start sweeps it.
                let _ = disk.remove(&path);
                Err(error.into())
            }
        }
    }

    /// Names `added` and forgets `removed`, in the manifest and in the view, as one step. With a
    /// floor the memtables of the segments before it go too: their rows are in `added`.
    ///
    /// Returns false, and changes nothing, where one of `removed` is not there any more: it has
    /// expired or is in quarantine.
    pub(super) fn replace_parts(
        &self,
        removed: &[PartId],
        added: Vec<NewPart<T>>,
        floor: Option<SegmentId>,
    ) -> Result<bool, MaintainError> {
        let parts_dir = recover::parts_dir(&self.dir);
        if !added.is_empty() {
            self.disk
                .sync_dir(&parts_dir)
                .map_err(|source| MaintainError::Io {
                    path: parts_dir,
                    source,
                })?;
        }
        let manifest = self.manifest.lock();
        let mut next = manifest.clone();
        let (gone, kept): (Vec<PartRecord>, Vec<PartRecord>) = next
            .parts
            .into_iter()
            .partition(|record| removed.contains(&record.id));
        if gone.len() < removed.len() {
            return Ok(false);
        }
        next.parts = kept;
        let mut opened = HashMap::new();
        for NewPart { mut record, part } in added {
            // What was deleted while a merge ran is still in its result, unless it never was in what the merge read.
            let untouched = next
                .erasures
                .iter()
                .filter(|erasure| !gone.iter().any(|part| part.is_subject_to(erasure)))
                .map(|erasure| erasure.id)
                .filter(|id| !record.erased.contains(id));
            let untouched: Vec<_> = untouched.collect();
            record.erased.extend(untouched);
            opened.insert(record.id, Arc::new(LazyPart::Open(Arc::new(part))));
            next.parts.push(record);
        }
        if let Some(floor) = floor {
            next.wal_floor = floor;
        }
        self.commit(manifest, next, opened)?;
        Ok(true)
    }

    /// Makes `next` what the manifest says, and the view what `next` says. Parts that the view does not have
    /// yet are in `opened`.
    pub(super) fn commit(
        &self,
        mut manifest: MutexGuard<'_, Manifest>,
        mut next: Manifest,
        mut opened: HashMap<PartId, Arc<LazyPart<T>>>,
    ) -> Result<(), MaintainError> {
        next.parts
            .sort_by_key(|record| (record.partition, record.sequence));
        next.forget_erasures();
        next.store(self.disk.as_ref(), &self.dir)?;
        let view = self.view.load_full();
        let known: HashMap<PartId, &Arc<StoredPart<T>>> = view
            .parts
            .iter()
            .map(|part| (part.record.id, part))
            .collect();
        let parts = next.parts.iter().filter_map(|record| {
            let known = known.get(&record.id).copied();
            if let Some(part) = known
                && part.record == *record
                && next.erasures_of(record).eq(part.erasures.iter())
            {
                return Some(Arc::clone(part));
            }
            // A part that moved is opened anew.
            let part = match opened.remove(&record.id) {
                Some(opened) => opened,
                None => Arc::clone(&known?.part),
            };
            Some(Arc::new(StoredPart {
                record: record.clone(),
                part,
                erasures: next.erasures_of(record).cloned().collect(),
            }))
        });
        let parts: Vec<Arc<StoredPart<T>>> = parts.collect();
        debug_assert_eq!(parts.len(), next.parts.len(), "a named part is not open");
        if let Some(tiered) = &self.tiered {
            tiered.doom(&manifest, &next, &known);
        }
        self.view.rcu(|view| {
            let mut changed = View::clone(view);
            changed.parts.clone_from(&parts);
            changed
                .memtables
                .retain(|memory| memory.segment >= next.wal_floor);
            changed
        });
        *manifest = next;
        Ok(())
    }
}
