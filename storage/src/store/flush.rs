//! Memtables become parts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::view::Memory;
use super::{MaintainError, Store, recover};
use crate::table::{Density, Memtable as _, Table};
use crate::wal::SegmentId;
use crate::wal::writer::remove_before;

impl<T: Table> Store<T> {
    /// Moves every row in memory into parts and removes what the log then holds in vain.
    pub fn flush(&self) -> Result<(), MaintainError> {
        let _flushing = self.flushing.lock();
        self.flush_memory()
    }

    /// [`Store::flush`], by whoever holds the lock.
    pub(super) fn flush_memory(&self) -> Result<(), MaintainError> {
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
                added.extend(self.write_part(partition, Density::Hot, |writer| {
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
}
