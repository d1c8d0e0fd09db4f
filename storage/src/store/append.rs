//! A batch on its way into log and memory, shard by shard.
//!
//! Each shard has a lock of its own, which orders its log and its memtable, so that replay repeats
//! exactly what happened. A batch visits one shard after the other and holds one lock at a time; batches that
//! come at the same time begin at different shards and follow each other through the rest. Only sealing
//! holds all locks at once, and takes them in the order of the shards' numbers.
//!
//! Where a batch must be durable before it is acknowledged, the logs are synced when all shards have
//! their rows, without a lock: what others append meanwhile is made durable by the same sync.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::budget;
use super::view::{Generation, Memory};
use super::{AppendError, Store};
use crate::table::{Memtable, Shard, Table};
use crate::wal::SegmentId;
use crate::wal::sync::{FsyncPolicy, Syncer};
use crate::wal::writer::{NewSegment, Position, WalWriter, create_segments};

/// What a shard's buffer keeps between records.
const RECORD_BYTES_KEPT: usize = 1 << 20;

/// A shard: the end of its log, and the memtable whose rows that segment of the log holds.
pub(super) struct ShardLog<T: Table> {
    shard: Shard,
    pub(super) syncer: Arc<Syncer>,
    writer: Mutex<Writer<T>>,
}

pub(super) struct Writer<T: Table> {
    wal: WalWriter,
    memory: Arc<Memory<T>>,
    record: Vec<u8>,
}

/// Where a record ends in the log of its shard.
struct End {
    segment: SegmentId,
    position: Position,
}

impl<T: Table> Writer<T> {
    fn has_rows(&self) -> bool {
        self.memory.table.read().rows() > 0
    }
}

impl<T: Table> ShardLog<T> {
    /// A shard that begins with `memory`, whose log is `wal`.
    pub(super) fn new(shard: Shard, wal: WalWriter, memory: Arc<Memory<T>>) -> Self {
        Self {
            shard,
            syncer: wal.syncer(),
            writer: Mutex::new(Writer {
                wal,
                memory,
                record: Vec::new(),
            }),
        }
    }
}

impl<T: Table> Store<T> {
    /// Appends a batch. Returns when it is as durable as the options say. After an error some of
    /// its rows may be there, namely those of the shards that had taken theirs.
    pub fn append(&self, batch: &<T::Memtable as Memtable>::Batch) -> Result<(), AppendError> {
        let first = self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1);
        let (last, first) = self.shards.split_at(first);
        let shards = || first.iter().chain(last);
        let mut appended = Vec::with_capacity(self.shards.len());
        let mut result = shards().try_for_each(|shard| {
            appended.extend(self.append_to(shard, batch)?.map(|end| (shard, end)));
            Ok(())
        });
        if result.is_ok() && self.options.fsync == FsyncPolicy::Always {
            result = appended.into_iter().try_for_each(|(shard, end)| {
                let synced = shard.syncer.sync_to(end.position);
                let path = || super::recover::wal_dir(&self.dir).join(end.segment.file_name());
                synced.map_err(|source| AppendError::from_disk(path(), source))
            });
        }
        if result.is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Appends what of a batch belongs to a shard. Returns where its log ends then; `None` where
    /// nothing does.
    fn append_to(
        &self,
        shard: &ShardLog<T>,
        batch: &<T::Memtable as Memtable>::Batch,
    ) -> Result<Option<End>, AppendError> {
        let mut deadline = None;
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(AppendError::Closed);
            }
            let mut writer = self.lock_sound(shard)?;
            let Writer { memory, record, .. } = &mut *writer;
            record.clear();
            record.shrink_to(RECORD_BYTES_KEPT);
            let growth = {
                let table = memory.table.read();
                table.encode(batch, shard.shard, record);
                if record.is_empty() {
                    return Ok(None);
                }
                table.growth(record)
            };
            if self.budget.take(growth) {
                return self.write(writer, growth).map(Some);
            }
            // Nobody can flush while the shard is locked.
            drop(writer);
            self.wait_for_room(growth, &mut deadline)?;
        }
    }

    /// Writes the record that the shard's writer has made to log and memtable; `growth` is taken of the
    /// budget.
    fn write(
        &self,
        mut writer: MutexGuard<'_, Writer<T>>,
        growth: usize,
    ) -> Result<End, AppendError> {
        let Writer {
            wal,
            memory,
            record,
        } = &mut *writer;
        let position = wal.append(record).map_err(|source| {
            self.budget.give_back(growth);
            AppendError::from_disk(wal.path(), source)
        })?;
        let (mut table, before) = (memory.table.write(), memory.bytes());
        if let Err(malformed) = table.apply(record) {
            // The record was made from the same memtable, under the same lock.
            tracing::error!(table = T::NAME, %malformed, "a record does not decode; this is a defect of the program");
            debug_assert!(false, "own record does not decode: {malformed}");
        }
        let bytes = table.bytes();
        drop(table);
        memory.set_bytes(bytes);
        self.budget.correct(before.saturating_add(growth), bytes);
        // Wraps where the memtable has become smaller, which comes to the same sum.
        let added = bytes.wrapping_sub(before);
        let active = self.active_bytes.fetch_add(added, Ordering::Relaxed);
        let counters = &self.counters;
        counters.records.fetch_add(1, Ordering::Relaxed);
        let record_bytes = record.len() as u64;
        counters
            .record_bytes
            .fetch_add(record_bytes, Ordering::Relaxed);
        let segment = wal.segment();
        drop(writer);
        if active.wrapping_add(added) >= self.options.flush_bytes {
            self.wake();
        }
        Ok(End { segment, position })
    }

    /// Waits until a flush has made room; the first wait of an append sets the time by which it must
    /// have.
    fn wait_for_room(
        &self,
        growth: usize,
        deadline: &mut Option<Instant>,
    ) -> Result<(), AppendError> {
        let bytes_max = self.options.memory_bytes_max;
        if growth > bytes_max {
            return Err(AppendError::over_budget(growth, bytes_max));
        }
        self.wake();
        let deadline = *deadline.get_or_insert_with(|| {
            self.counters.waited.fetch_add(1, Ordering::Relaxed);
            budget::deadline(self.options.overload_wait_ms)
        });
        let is_closed = || self.closed.load(Ordering::Acquire);
        if self.budget.wait(growth, deadline, is_closed) {
            return Ok(());
        }
        Err(AppendError::Overloaded {
            bytes: self.memory_bytes(),
            bytes_max,
        })
    }

    /// Locks a shard whose log can be appended to, which may take sealing what cannot.
    fn lock_sound<'a>(
        &self,
        shard: &'a ShardLog<T>,
    ) -> Result<MutexGuard<'a, Writer<T>>, AppendError> {
        loop {
            let writer = shard.writer.lock();
            if !writer.wal.is_poisoned() {
                return Ok(writer);
            }
            drop(writer);
            self.seal_where(|writer| writer.wal.is_poisoned())
                .map_err(|(path, source)| AppendError::from_disk(path, source))?;
            self.wake();
        }
    }

    /// Seals what is being written to if it holds rows. Returns whether it did.
    pub(super) fn seal(&self) -> Result<bool, (PathBuf, std::io::Error)> {
        self.seal_where(Writer::has_rows)
    }

    /// Ends the memtables of all shards, and begins new ones in new segments, if `is_due` says so of one of
    /// them. On an error nothing has changed.
    fn seal_where(
        &self,
        is_due: impl Fn(&Writer<T>) -> bool,
    ) -> Result<bool, (PathBuf, std::io::Error)> {
        let mut writers: Vec<_> = self
            .shards
            .iter()
            .map(|shard| shard.writer.lock())
            .collect();
        let newest = writers.iter().map(|writer| writer.wal.segment()).max();
        let (Some(newest), true) = (newest, writers.iter().any(|writer| is_due(writer))) else {
            return Ok(false);
        };
        let wal_dir = super::recover::wal_dir(&self.dir);
        let (first, count) = (newest.next(), writers.len() as u32);
        let segments = create_segments(self.disk.as_ref(), &wal_dir, first, count)
            .map_err(|source| (wal_dir.join(first.file_name()), source))?;
        let generation = writers.first().map(|writer| writer.memory.generation);
        let generation = generation.map_or(Generation::default(), Generation::next);
        let memories: Vec<Arc<Memory<T>>> = writers
            .iter_mut()
            .zip(segments)
            .map(|(writer, segment)| self.go_on(writer, segment, generation))
            .collect();
        let bytes = memories.iter().map(|memory| memory.bytes()).sum();
        // Beyond the budget if need be: it is little, and without it nothing can be flushed.
        self.budget.correct(0, bytes);
        self.active_bytes.store(bytes, Ordering::Relaxed);
        self.view.rcu(|view| {
            let mut next = super::View::clone(view);
            next.memtables.extend(memories.iter().cloned());
            next
        });
        Ok(true)
    }

    /// Lets a shard go on in another segment, with another memtable.
    fn go_on(
        &self,
        writer: &mut Writer<T>,
        segment: NewSegment,
        generation: Generation,
    ) -> Arc<Memory<T>> {
        writer.wal.go_on_in(segment);
        let table = writer.memory.table.read().successor();
        let (segment, now) = (writer.wal.segment(), self.clock.now());
        writer.memory = Arc::new(Memory::new(segment, generation, now, table));
        Arc::clone(&writer.memory)
    }
}
