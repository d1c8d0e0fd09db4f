//! Opening a store: what a crash may have left, and how it becomes whole again.
//!
//! In order: take the lock, read the manifest, sweep what it does not name, open what it names
//! (moving away what is corrupt), replay the log from its floor on, each segment into a memtable of
//! its own (so that the number of shards may be another than before), and begin a new segment for each
//! shard. The replayed memtables are served at once and flushed by the first
//! maintenance; a crash before that replays them again.
//!
//! A disk that takes no writes, full or read-only, does not keep an existing store from opening: whoever
//! restarts because of it needs its data most. Writes are refused until the disk takes a segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::append::ShardLog;
use super::budget::Budget;
use super::lazy::LazyPart;
use super::pace::MergePace;
use super::snapshot::Removals;
use super::tier::{Tiered, remote_part};
use super::view::{Generation, Memory, StoredPart, View};
use super::{OpenError, SHARDS_MAX, Store, StoreCounters, StoreOptions, Wake};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::manifest::{Manifest, PartId};
use crate::part::cache::PartCache;
use crate::part::reader::PartFile;
use crate::table::{Memtable as _, Shard, Table};
use crate::tier::Tier;
use crate::wal::SegmentId;
use crate::wal::reader::{self, Damage};
use crate::wal::writer::{WalWriter, create_segments};

/// What opening a store found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Records that were replayed from the log.
    pub records: u64,
    /// Rows that they hold.
    pub rows: u64,
    /// Bytes at the end of the log that were never acknowledged.
    pub torn_bytes: u64,
    /// Damage in the middle of the log.
    pub damage: Vec<Damage>,
    /// Parts that were moved to `quarantine/`, with what is wrong with them.
    pub quarantined: Vec<String>,
}

impl Recovered {
    /// Adds what another store, or another part of this one, was found with.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.rows += other.rows;
        self.torn_bytes += other.torn_bytes;
        self.damage.extend(other.damage);
        self.quarantined.extend(other.quarantined);
    }
}

pub(super) fn parts_dir(dir: &Path) -> PathBuf {
    dir.join("parts")
}

pub(super) fn wal_dir(dir: &Path) -> PathBuf {
    dir.join("wal")
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Moves a corrupt part where nobody reads it and a person can look at it.
pub(super) fn move_to_quarantine(disk: &dyn Disk, dir: &Path, part: PartId) {
    let quarantine = dir.join("quarantine");
    let from = parts_dir(dir).join(part.file_name());
    let moved = disk
        .create_dir_all(&quarantine)
        .and_then(|()| disk.rename(&from, &quarantine.join(part.file_name())));
    if let Err(error) = moved {
        tracing::warn!(path = %from.display(), %error, "a corrupt part could not be moved to quarantine");
    }
}

impl<T: Table> Store<T> {
    /// Opens the store in `dir`, making it if it is not there.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<(Self, Recovered), OpenError> {
        Self::open_tiered(disk, clock, dir, options, None)
    }

    /// Opens the store in `dir`, of which old parts may lie in a bucket. The bucket is not asked.
    pub fn open_tiered(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
        tier: Option<Arc<Tier>>,
    ) -> Result<(Self, Recovered), OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let (parts_path, wal_path) = (parts_dir(dir), wal_dir(dir));
        for path in [dir, &parts_path, &wal_path] {
            let made = disk.create_dir_all(path);
            // A read-only disk may refuse although the folder is there.
            made.or_else(|error| disk.list(path).map(drop).map_err(|_| error))
                .map_err(io(path))?;
        }
        let lock_path = dir.join("LOCK");
        let lock = disk
            .lock(&lock_path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::WouldBlock => OpenError::Locked {
                    path: lock_path.clone(),
                },
                _ => OpenError::Io {
                    path: lock_path.clone(),
                    source,
                },
            })?;
        let mut manifest = load_manifest::<T>(disk.as_ref(), dir, &options)?;
        // The width is part of what the parts mean; a changed option takes effect in a new store.
        let options = StoreOptions {
            partition_ms: manifest.partition_ms,
            ..options
        };
        sweep(disk.as_ref(), dir, &manifest);
        let mut recovered = Recovered::default();
        let cache = Arc::new(PartCache::new(options.cache_bytes_max));
        let parts = open_parts::<T>(
            disk.as_ref(),
            &cache,
            dir,
            &mut manifest,
            tier.as_ref(),
            &mut recovered,
        )?;

        let now = clock.now();
        let floor = manifest.wal_floor;
        let segments = reader::segments(disk.as_ref(), &wal_path, floor).map_err(io(&wal_path))?;
        let before_floor = SegmentId(floor.0.saturating_sub(1));
        let newest = segments.last().copied().unwrap_or(before_floor);
        let mut memtables: Vec<Arc<Memory<T>>> = Vec::new();
        let replayed = replay_all::<T>(disk.as_ref(), &wal_path, &segments, &mut recovered)
            .map_err(io(&wal_path))?;
        for ((generation, segment), table) in (0..).map(Generation).zip(segments).zip(replayed) {
            if table.rows() > 0 {
                memtables.push(Arc::new(Memory::new(segment, generation, now, table)));
            }
        }
        let generation = memtables.last().map(|memory| memory.generation.next());
        let generation = generation.unwrap_or_default();
        let count = options.shards.clamp(1, SHARDS_MAX);
        let logs = begin_logs(disk.as_ref(), &wal_path, newest.next(), count);
        let shards: Vec<ShardLog<T>> = (0..)
            .zip(logs)
            .map(|(number, wal)| {
                let table = T::Memtable::default();
                let memory = Arc::new(Memory::new(wal.segment(), generation, now, table));
                memtables.push(Arc::clone(&memory));
                ShardLog::new(Shard { number, of: count }, wal, memory)
            })
            .collect();
        let view = View { parts, memtables };
        let bytes_of =
            |memories: &[Arc<Memory<T>>]| memories.iter().map(|memory| memory.bytes()).sum();
        let budget = Budget::new(options.memory_bytes_max, bytes_of(&view.memtables));
        let pace = MergePace::new(Arc::clone(&clock), options.merge_bytes_per_second);
        let store = Self {
            dir: dir.to_owned(),
            options,
            disk,
            cache,
            clock,
            shards,
            next_shard: AtomicUsize::new(0),
            budget,
            active_bytes: AtomicUsize::new(bytes_of(view.active())),
            view: ArcSwap::from_pointee(view),
            flushing: Mutex::new(()),
            merging: Mutex::new(()),
            pace: Arc::new(pace),
            removals: Removals::default(),
            manifest: Mutex::new(manifest),
            tiered: tier.map(Tiered::new),
            counters: StoreCounters::default(),
            wake: Wake::default(),
            closed: AtomicBool::new(false),
            _lock: lock,
        };
        Ok((store, recovered))
    }
}

/// The log's end of each shard, in new segments from `first` on.
fn begin_logs(disk: &dyn Disk, wal_dir: &Path, first: SegmentId, count: u32) -> Vec<WalWriter> {
    match create_segments(disk, wal_dir, first, count) {
        Ok(segments) => (segments.into_iter())
            .map(|segment| WalWriter::new(wal_dir, segment))
            .collect(),
        Err(error) => {
            tracing::error!(path = %wal_dir.display(), %error, "the disk takes no writes; what it holds is served, and writes are refused until it does");
            std::iter::successors(Some(first), |id| Some(id.next()))
                .take(count as usize)
                .map(|id| WalWriter::without_segment(wal_dir, id))
                .collect()
        }
    }
}

fn load_manifest<T: Table>(
    disk: &dyn Disk,
    dir: &Path,
    options: &StoreOptions,
) -> Result<Manifest, OpenError> {
    if let Some(manifest) = Manifest::load(disk, dir)? {
        if manifest.table != T::NAME {
            return Err(OpenError::OtherTable {
                dir: dir.to_owned(),
                found: manifest.table,
                expected: T::NAME,
            });
        }
        return Ok(manifest);
    }
    let parts = disk.list(&parts_dir(dir)).map_err(|source| OpenError::Io {
        path: parts_dir(dir),
        source,
    })?;
    if parts.iter().any(|name| has_extension(name, "part")) {
        return Err(OpenError::ManifestMissing {
            dir: dir.to_owned(),
        });
    }
    let manifest = Manifest::empty(T::NAME, options.partition_ms);
    manifest.store(disk, dir)?;
    Ok(manifest)
}

/// Removes what a crash left half-done. Failing to is no harm: nothing reads it.
fn sweep(disk: &dyn Disk, dir: &Path, manifest: &Manifest) {
    let mut garbage = Vec::new();
    let parts_dir = parts_dir(dir);
    for name in disk.list(&parts_dir).unwrap_or_default() {
        let named = manifest
            .parts
            .iter()
            .any(|record| !record.is_remote() && record.id.file_name() == name);
        if !named {
            garbage.push(parts_dir.join(name));
        }
    }
    for name in disk.list(dir).unwrap_or_default() {
        if has_extension(&name, "tmp") {
            garbage.push(dir.join(name));
        }
    }
    for path in garbage {
        if let Err(error) = disk.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover of an earlier crash could not be removed");
        }
    }
    let wal_dir = wal_dir(dir);
    if let Err(error) = crate::wal::writer::remove_before(disk, &wal_dir, manifest.wal_floor) {
        tracing::warn!(path = %wal_dir.display(), %error, "a segment of the log that is not needed any more could not be removed");
    }
}

fn open_parts<T: Table>(
    disk: &dyn Disk,
    cache: &Arc<PartCache>,
    dir: &Path,
    manifest: &mut Manifest,
    tier: Option<&Arc<Tier>>,
    recovered: &mut Recovered,
) -> Result<Vec<Arc<StoredPart<T>>>, OpenError> {
    let mut parts = Vec::new();
    let mut corrupt = Vec::new();
    for record in &manifest.parts {
        if record.is_remote() {
            let (Some(tier), Some(known)) = (tier, &manifest.tier) else {
                return Err(OpenError::NoTier {
                    dir: dir.to_owned(),
                    parts: manifest.remote_parts().count(),
                    url: (manifest.tier.as_ref())
                        .map_or("a bucket", |tier| &tier.url)
                        .to_owned(),
                });
            };
            parts.push(Arc::new(StoredPart {
                record: record.clone(),
                part: Arc::new(remote_part(tier, cache, &known.store, record)),
                erasures: manifest.erasures_of(record).cloned().collect(),
            }));
            continue;
        }
        let path = parts_dir(dir).join(record.id.file_name());
        match PartFile::open_with(disk, &path, cache).and_then(T::open) {
            Ok(part) => parts.push(Arc::new(StoredPart {
                record: record.clone(),
                part: Arc::new(LazyPart::Open(Arc::new(part))),
                erasures: manifest.erasures_of(record).cloned().collect(),
            })),
            Err(error) if error.is_corruption() || is_missing(&error) => {
                tracing::error!(table = T::NAME, %error, "a part cannot be read; it is moved to quarantine and the rest is served");
                recovered.quarantined.push(error.to_string());
                corrupt.push(record.id);
            }
            Err(error) => return Err(OpenError::Part(error)),
        }
    }
    if !corrupt.is_empty() {
        manifest
            .parts
            .retain(|record| !corrupt.contains(&record.id));
        // Where the disk takes no manifest, the next that it takes says so, or the next start finds out again.
        match manifest.store(disk, dir) {
            Ok(()) => (corrupt.into_iter()).for_each(|part| move_to_quarantine(disk, dir, part)),
            Err(error) => {
                tracing::warn!(%error, "corrupt parts stay where they are until the disk takes writes");
            }
        }
    }
    Ok(parts)
}

fn is_missing(error: &crate::part::PartError) -> bool {
    matches!(error, crate::part::PartError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Reads every segment into a memtable of its own, as many at a time as there are cores.
fn replay_all<T: Table>(
    disk: &dyn Disk,
    wal_dir: &Path,
    segments: &[SegmentId],
    recovered: &mut Recovered,
) -> io::Result<Vec<T::Memtable>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tables = Vec::with_capacity(segments.len());
    for at_once in segments.chunks(cores) {
        let replayed: Vec<_> = std::thread::scope(|scope| {
            let replay = |segment| move || replay::<T>(disk, wal_dir, segment);
            let threads = at_once.iter().map(|segment| scope.spawn(replay(*segment)));
            let threads: Vec<_> = threads.collect();
            let results = threads.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect()
        });
        for result in replayed {
            let (table, found) = result?;
            recovered.add(found);
            tables.push(table);
        }
    }
    Ok(tables)
}

/// Reads a segment into a memtable.
fn replay<T: Table>(
    disk: &dyn Disk,
    wal_dir: &Path,
    segment: SegmentId,
) -> io::Result<(T::Memtable, Recovered)> {
    let mut table = T::Memtable::default();
    let mut recovered = Recovered::default();
    let replayed = reader::replay(disk, wal_dir, segment, |offset, record| {
        if let Err(malformed) = table.apply(record) {
            tracing::error!(table = T::NAME, segment = %segment.file_name(), offset, %malformed, "a record of the log cannot be read in full");
            recovered.damage.push(Damage {
                path: wal_dir.join(segment.file_name()),
                offset,
                bytes: record.len() as u64,
            });
        }
    })?;
    for damage in &replayed.damage {
        tracing::error!(table = T::NAME, %damage, "the log is damaged");
    }
    recovered.rows = table.rows();
    recovered.records = replayed.frames;
    recovered.torn_bytes = replayed.torn_bytes;
    recovered.damage.extend(replayed.damage);
    Ok((table, recovered))
}
