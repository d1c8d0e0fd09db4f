//! A table small enough to be obviously right: rows are `(key, time) → value`, the last write wins,
//! and every row of a batch carries the batch's number as its value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ::model::labels::Labels;
use ::model::matcher::Matcher;
use ::model::time::{TimeRange, Timestamp};
use storage::clock::ManualClock;
use storage::codec::{Cursor, Malformed, put_ivarint, put_uvarint};
use storage::disk::sim::SimDisk;
use storage::index::reader::IndexReader;
use storage::index::select::select;
use storage::index::writer::write_index;
use storage::manifest::PartId;
use storage::part::PartError;
use storage::part::reader::PartFile;
use storage::part::writer::PartWriter;
use storage::store::{OpenError, Recovered, Store, StoreOptions};
use storage::table::{Erasure, Memtable, MergePlan, PartSummary, Partition, Shard, Table};
use storage::wal::sync::FsyncPolicy;

pub(crate) type Rows = BTreeMap<(u32, i64), u64>;

/// Width of a partition in the tests' milliseconds.
pub(crate) const WIDTH_MS: i64 = 100;

/// What a row takes in memory.
pub(crate) const ROW_BYTES: usize = 20;

pub(crate) struct Toy;

#[derive(Default)]
pub(crate) struct ToyMemtable(Rows);

pub(crate) struct ToyPart {
    pub(crate) rows: Rows,
    index: IndexReader,
}

impl Memtable for ToyMemtable {
    type Batch = Rows;

    fn encode(&self, batch: &Rows, shard: Shard, record: &mut Vec<u8>) {
        let rows = batch
            .iter()
            .filter(|((key, _), _)| shard.holds(u64::from(*key) << 32));
        let rows: Rows = rows.map(|(key, value)| (*key, *value)).collect();
        if !rows.is_empty() {
            encode_rows(&rows, record);
        }
    }

    fn growth(&self, record: &[u8]) -> usize {
        Cursor::new(record)
            .uvarint()
            .map_or(0, |rows| rows as usize * ROW_BYTES)
    }

    fn apply(&mut self, record: &[u8]) -> Result<(), Malformed> {
        self.0.extend(decode_rows(record)?);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.0.len() * ROW_BYTES
    }

    fn rows(&self) -> u64 {
        self.0.len() as u64
    }

    fn partitions(&self, width_ms: i64) -> BTreeSet<Partition> {
        let times = self.0.keys().map(|(_, at)| Timestamp(*at));
        times.map(|at| Partition::of(at, width_ms)).collect()
    }
}

impl Table for Toy {
    const NAME: &'static str = "toy";
    type Memtable = ToyMemtable;
    type Part = ToyPart;

    fn open(file: PartFile) -> Result<ToyPart, PartError> {
        let rows = decode_rows(&file.section("rows")?)
            .map_err(|malformed| file.malformed("rows", malformed))?;
        let index = IndexReader::open(&file)?;
        Ok(ToyPart { rows, index })
    }

    fn may_hold(part: &ToyPart, matchers: &[Matcher]) -> Result<bool, PartError> {
        Ok(!select(&part.index, matchers)?.is_empty())
    }

    fn flush(
        memtables: &[&ToyMemtable],
        range: TimeRange,
        writer: &mut PartWriter,
    ) -> Result<PartSummary, PartError> {
        let rows = memtables.iter().flat_map(|memtable| memtable.0.iter());
        let inside = rows.filter(|((_, at), _)| range.contains(Timestamp(*at)));
        write(&inside.map(|(key, value)| (*key, *value)).collect(), writer)
    }

    fn merge(
        plan: &MergePlan<ToyPart>,
        writer: &mut PartWriter,
    ) -> Result<Option<PartSummary>, PartError> {
        let mut rows = Rows::new();
        for input in &plan.inputs {
            rows.extend(input.part.kept(&input.erasures));
        }
        if rows.is_empty() {
            return Ok(None);
        }
        write(&rows, writer).map(Some)
    }
}

impl ToyPart {
    /// What deletions leave of it.
    fn kept<'a>(
        &'a self,
        erasures: &'a [Erasure],
    ) -> impl Iterator<Item = (&'a (u32, i64), &'a u64)> {
        let rows = self.rows.iter();
        rows.filter(|(row, _)| !erasures.iter().any(|erasure| is_erased(**row, erasure)))
    }
}

/// Whether a deletion concerns a row.
pub(crate) fn is_erased((key, at): (u32, i64), erasure: &Erasure) -> bool {
    let labels = labels(key);
    erasure.range.contains(Timestamp(at))
        && erasure.matchers.iter().all(|m| m.matches_labels(&labels))
}

fn write(rows: &Rows, writer: &mut PartWriter) -> Result<PartSummary, PartError> {
    let mut bytes = Vec::new();
    encode_rows(rows, &mut bytes);
    writer.section("rows", &bytes)?;
    let keys: BTreeSet<u32> = rows.keys().map(|(key, _)| *key).collect();
    let series: Vec<Labels> = keys.iter().map(|key| labels(*key)).collect();
    write_index(&series, writer)?;
    let times = || rows.keys().map(|(_, at)| Timestamp(*at));
    Ok(PartSummary {
        rows: rows.len() as u64,
        range: TimeRange::new(times().min().expect("rows"), times().max().expect("rows")),
    })
}

fn labels(key: u32) -> Labels {
    Labels::from_pairs([("key", key.to_string().as_str()), ("kind", "toy")])
}

fn encode_rows(rows: &Rows, out: &mut Vec<u8>) {
    put_uvarint(out, rows.len() as u64);
    for ((key, at), value) in rows {
        put_uvarint(out, u64::from(*key));
        put_ivarint(out, *at);
        put_uvarint(out, *value);
    }
}

fn decode_rows(bytes: &[u8]) -> Result<Rows, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(3)?;
    let mut rows = Rows::new();
    for _ in 0..count {
        let key = cursor.uvarint()? as u32;
        rows.insert((key, cursor.ivarint()?), cursor.uvarint()?);
    }
    Ok(rows)
}

pub(crate) fn options(fsync: FsyncPolicy) -> StoreOptions {
    StoreOptions {
        partition_ms: WIDTH_MS,
        fsync,
        merge_fan_in: 3,
        ..StoreOptions::default()
    }
}

pub(crate) fn open(
    disk: &SimDisk,
    fsync: FsyncPolicy,
) -> Result<(Store<Toy>, Recovered), OpenError> {
    open_with(disk, options(fsync))
}

pub(crate) fn open_with(
    disk: &SimDisk,
    options: StoreOptions,
) -> Result<(Store<Toy>, Recovered), OpenError> {
    // Early, so that no partition has ended.
    open_at(disk, options, Arc::new(ManualClock::new(Timestamp(0))))
}

pub(crate) fn open_at(
    disk: &SimDisk,
    options: StoreOptions,
    clock: Arc<ManualClock>,
) -> Result<(Store<Toy>, Recovered), OpenError> {
    let disk = Arc::new(disk.clone());
    Store::open(disk, clock, Path::new("/data"), options)
}

/// Opens the store that a snapshot is.
pub(crate) fn open_snapshot(disk: &SimDisk, dir: &Path) -> Result<Store<Toy>, OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let options = options(FsyncPolicy::Always);
    let opened = Store::open(Arc::new(disk.clone()), clock, dir, options);
    opened.map(|(store, _)| store)
}

/// Everything the store holds. Panics where a part cannot be read, or where its index does not lead to
/// its rows.
pub(crate) fn read_all(store: &Store<Toy>) -> Rows {
    read_or_damage(store).expect("reads")
}

/// Everything the store holds, or the first part that cannot be read.
pub(crate) fn read_or_damage(store: &Store<Toy>) -> Result<Rows, (PartId, PartError)> {
    let view = store.view();
    let mut rows = Rows::new();
    for part in &view.parts {
        let failed = |error| (part.record.id, error);
        let opened = part.part().map_err(failed)?;
        let keys: BTreeSet<u32> = opened.rows.keys().map(|(key, _)| *key).collect();
        for (position, key) in keys.iter().enumerate() {
            let matcher = Matcher::equal("key", key.to_string());
            let found = select(&opened.index, &[matcher]).map_err(failed)?;
            assert_eq!(found.iter().collect::<Vec<_>>(), [position as u32]);
        }
        rows.extend(opened.kept(&part.erasures));
    }
    for memory in &view.memtables {
        rows.extend(&memory.table.read().0);
    }
    Ok(rows)
}

/// How many rows the store holds, counting one that is in two places twice.
pub(crate) fn count_all(store: &Store<Toy>) -> usize {
    let view = store.view();
    let parts = view
        .parts
        .iter()
        .map(|part| part.part().expect("opens").kept(&part.erasures).count());
    let memtables = view.memtables.iter();
    parts.sum::<usize>()
        + memtables
            .map(|memory| memory.table.read().0.len())
            .sum::<usize>()
}

/// The rows of batch `number`: three keys in one partition, and one row that every batch overwrites.
pub(crate) fn batch(number: u64) -> Rows {
    let at = (number as i64 % 3) * WIDTH_MS + number as i64 % WIDTH_MS;
    let mut rows: Rows = (0..3)
        .map(|key| ((key + 3 * number as u32, at), number))
        .collect();
    rows.insert((1_000_000, 5), number);
    rows
}

/// What the store must hold after the batches `0..count`.
pub(crate) fn state_after(count: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 0..count {
        rows.extend(batch(number));
    }
    rows
}

/// Whether each row is as in one of `states`.
pub(crate) fn is_between(rows: &Rows, states: &[Rows]) -> bool {
    let keys = states.iter().flat_map(Rows::keys).chain(rows.keys());
    keys.collect::<BTreeSet<_>>()
        .into_iter()
        .all(|key| states.iter().any(|state| state.get(key) == rows.get(key)))
}
