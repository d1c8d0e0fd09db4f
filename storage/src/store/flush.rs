//! Memtables become parts, and the one step in which parts change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::lazy::LazyPart;
use super::view::{Memory, StoredPart, View};
use super::{MaintainError, Store, recover};
use crate::manifest::{PartId, PartRecord};
use crate::part::PartError;
use crate::part::reader::PartFile;
use crate::part::writer::PartWriter;
use crate::table::{Memtable as _, PartSummary, Partition, Table};
use crate::wal::SegmentId;
use crate::wal::writer::remove_before;

/// A part that is written and synced but not yet named by the manifest.
pub(super) struct NewPart<T: Table> {
    pub(super) record: PartRecord,
    pub(super) part: Arc<T::Part>,
}

impl<T: Table> Store<T> {
    /// Moves every row in memory into parts and removes what the log then holds in vain.
    pub fn flush(&self) -> Result<(), MaintainError> {
        let _flushing = self.flushing.lock();
        // What is sealed already goes first: while it cannot be written, sealing more would only
        // multiply the memtables and segments that wait.
        self.flush_waiting()?;
        // Sealing syncs the log while writers wait; most of that is done before. What fails here
        // fails there again, and is said there.
        let _ = self.sync();
        let sealed = self
            .seal()
            .map_err(|(path, source)| MaintainError::Io { path, source })?;
        if sealed { self.flush_waiting() } else { Ok(()) }
    }

    /// Flushes the sealed memtables, the oldest first.
    fn flush_waiting(&self) -> Result<(), MaintainError> {
        loop {
            let view = self.view.load_full();
            let Some(oldest) = view.oldest_sealed() else {
                return Ok(());
            };
            self.flush_sealed(oldest)?;
        }
    }

    /// Whether the active memtables are due, or sealed ones wait.
    pub fn flush_is_due(&self) -> bool {
        let view = self.view.load();
        if view.oldest_sealed().is_some() {
            return true;
        }
        let has_rows = |memory: &Arc<Memory<T>>| memory.table.read().rows() > 0;
        let since = view.active().iter().map(|memory| memory.since).min();
        let age = since.map_or(0, |since| {
            let now = self.clock.now().millis();
            now.saturating_sub(since.millis())
        });
        let is_due = age >= self.options.flush_interval_ms
            || self.active_bytes.load(Ordering::Relaxed) >= self.options.flush_bytes
            || self.budget.is_short()
            || self.sync_has_failed();
        is_due && view.active().iter().any(has_rows)
    }

    /// Flushes the memtables of a generation.
    fn flush_sealed(&self, memories: &[Arc<Memory<T>>]) -> Result<(), MaintainError> {
        let width = self.options.partition_ms;
        let mut added = Vec::new();
        {
            // Sealed: nobody writes to them, so holding the locks delays only readers' first touch.
            let locked: Vec<_> = memories.iter().map(|memory| memory.table.read()).collect();
            let tables: Vec<&T::Memtable> = locked.iter().map(|table| &**table).collect();
            let partitions = tables.iter().flat_map(|table| table.partitions(width));
            for partition in partitions.collect::<BTreeSet<_>>() {
                let range = partition.range(width);
                added.extend(self.write_part(partition, 0, None, |writer| {
                    T::flush(&tables, range, writer).map(Some)
                })?);
            }
        }
        let last = memories.iter().map(|memory| memory.segment).max();
        let floor = last.map(SegmentId::next);
        self.replace_parts(&[], added, floor)?;
        let bytes: usize = memories.iter().map(|memory| memory.bytes()).sum();
        self.budget.give_back(bytes);
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        let wal_dir = recover::wal_dir(&self.dir);
        let removed = floor.map_or(Ok(()), |floor| {
            remove_before(self.disk.as_ref(), &wal_dir, floor)
        });
        if let Err(error) = removed {
            tracing::warn!(table = T::NAME, %error, "a segment of the log that is not needed any more could not be removed");
        }
        Ok(())
    }

    /// Writes one part, synced, under the next number; none where there is nothing to write. `sequence` is its own number unless it
    /// stands in for older parts.
    pub(super) fn write_part(
        &self,
        partition: Partition,
        level: u32,
        sequence: Option<u64>,
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
            let part = T::open(PartFile::open(disk, &path)?)?;
            Ok(Some((summary, bytes, part)))
        });
        match written {
            Ok(Some((summary, bytes, part))) => Ok(Some(NewPart {
                record: PartRecord {
                    id,
                    partition,
                    level,
                    sequence: sequence.unwrap_or(id.0),
                    rows: summary.rows,
                    bytes,
                    start_ms: summary.range.start.millis(),
                    end_ms: summary.range.end.millis(),
                },
                part: Arc::new(part),
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
        let mut manifest = self.manifest.lock();
        let is_there = |id: &PartId| manifest.parts.iter().any(|record| record.id == *id);
        if !removed.iter().all(is_there) {
            return Ok(false);
        }
        let mut next = manifest.clone();
        next.parts.retain(|record| !removed.contains(&record.id));
        next.parts
            .extend(added.iter().map(|new| new.record.clone()));
        next.parts
            .sort_by_key(|record| (record.partition, record.sequence));
        if let Some(floor) = floor {
            next.wal_floor = floor;
        }
        next.store(self.disk.as_ref(), &self.dir)?;
        *manifest = next;
        let added: Vec<Arc<StoredPart<T>>> = added
            .into_iter()
            .map(|NewPart { record, part }| {
                let part = LazyPart::Open(part);
                Arc::new(StoredPart { record, part })
            })
            .collect();
        self.view.rcu(|view| {
            let mut next = View::clone(view);
            next.parts.retain(|part| !removed.contains(&part.record.id));
            next.parts.extend(added.iter().cloned());
            next.parts
                .sort_by_key(|part| (part.record.partition, part.record.sequence));
            if let Some(floor) = floor {
                next.memtables.retain(|memory| memory.segment >= floor);
            }
            next
        });
        Ok(true)
    }
}
