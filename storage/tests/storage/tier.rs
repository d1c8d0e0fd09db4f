//! Old parts in a bucket: moved, read, merged, dropped, with a crash at every operation of the disk and
//! at every request to the bucket.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ::model::matcher::Matcher;
use ::model::time::{TimeRange, Timestamp};
use futures_util::{FutureExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use storage::clock::ManualClock;
use storage::disk::Disk;
use storage::disk::real::RealDisk;
use storage::disk::sim::{Fault, SimDisk};
use storage::store::{OpenError, Store, StoreOptions};
use storage::table::Erasure;
use storage::tier::sim::{Fault as BucketFault, SimBucket};
use storage::tier::{Tier, TierOptions, TierPlace};
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, Toy, WIDTH_MS, batch, options, read_all, state_after};

const BATCHES: u64 = 12;
/// Long after every partition, and after everything that a bucket says was written today.
const NOW_MS: i64 = 4_000_000_000_000;

fn tier(client: Arc<dyn ObjectStore>, session: &str) -> Arc<Tier> {
    let place = TierPlace {
        url: "s3://bucket/toys".to_owned(),
        prefix: "toys".to_owned(),
    };
    let options = TierOptions {
        rest: std::time::Duration::ZERO,
        ..TierOptions::default()
    };
    Arc::new(Tier::new(client, &place, options, session).expect("starts"))
}

fn open_at(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: StoreOptions,
    tier: Option<Arc<Tier>>,
) -> Result<Store<Toy>, OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW_MS)));
    Store::open_tiered(disk, clock, dir, options, tier).map(|(store, _)| store)
}

fn open(disk: &SimDisk, bucket: &SimBucket, session: &str) -> Result<Store<Toy>, OpenError> {
    let tier = tier(Arc::new(bucket.clone()), session);
    let disk = Arc::new(disk.clone());
    open_at(
        disk,
        Path::new("/data"),
        options(FsyncPolicy::Always),
        Some(tier),
    )
}

/// Merges and moves until there is nothing left to do.
fn settle(store: &Store<Toy>) -> Result<(), storage::store::MaintainError> {
    while store.merge_once()? {}
    while store.tier_once()? {}
    Ok(())
}

/// The names of the objects below a folder of the store's.
fn objects(bucket: &SimBucket, folder: &str) -> BTreeSet<String> {
    let prefix = Key::from(format!("toys/{folder}"));
    let listed = bucket.objects().list(Some(&prefix));
    let names = listed.map_ok(|object| object.location.filename().expect("a name").to_owned());
    let names = names.try_collect().now_or_never();
    names.expect("in memory").expect("lists")
}

/// The names of the parts that the store says lie in the bucket.
fn remote(store: &Store<Toy>) -> BTreeSet<String> {
    let view = store.view();
    let remote = view.parts.iter().filter(|part| part.record.is_remote());
    remote.map(|part| part.record.id.file_name()).collect()
}

fn local_files(disk: &SimDisk) -> usize {
    let files = disk.files();
    let parts = files
        .iter()
        .filter(|(path, _)| path.starts_with("/data/parts"));
    parts.count()
}

fn put(bucket: &SimBucket, key: &str, bytes: Vec<u8>) {
    let key = Key::from(key);
    let put = bucket.objects().put(&key, PutPayload::from(bytes));
    put.now_or_never().expect("in memory").expect("puts");
}

fn get(bucket: &SimBucket, key: &str) -> Vec<u8> {
    let key = Key::from(key);
    let got = async { bucket.objects().get(&key).await?.bytes().await };
    let bytes = got.now_or_never().expect("in memory").expect("gets");
    bytes.to_vec()
}

fn remove(bucket: &SimBucket, key: &str) {
    let key = Key::from(key);
    let removed = bucket.objects().delete(&key);
    removed.now_or_never().expect("in memory").expect("removes");
}

/// A deletion that concerns rows of every partition.
fn erasure() -> Erasure {
    Erasure {
        matchers: vec![Matcher::equal("key", "1000000")],
        range: TimeRange::new(Timestamp::MIN, Timestamp::MAX),
    }
}

fn erased(mut rows: Rows) -> Rows {
    rows.retain(|(key, _), _| *key != 1_000_000);
    rows
}

/// A store of which everything lies in the bucket.
fn moved(disk: &SimDisk, bucket: &SimBucket) -> Store<Toy> {
    let store = open(disk, bucket, "a").expect("opens");
    for number in 0..BATCHES {
        store.append(&batch(number)).expect("appends");
    }
    store.flush().expect("flushes");
    settle(&store).expect("settles");
    assert_eq!(remote(&store).len(), 3);
    store
}

#[test]
fn old_parts_move_and_are_read_where_they_are() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    let store = moved(&disk, &bucket);
    assert_eq!(local_files(&disk), 0);
    assert_eq!(objects(&bucket, "parts"), remote(&store));
    assert_eq!(read_all(&store), state_after(BATCHES));
    assert!(store.remote_bytes() > 0);
    drop(store);

    // A start asks the bucket for nothing.
    let requests = bucket.requests();
    let store = open(&disk, &bucket, "b").expect("opens");
    assert_eq!(bucket.requests(), requests);
    assert_eq!(read_all(&store), state_after(BATCHES));

    // Late rows make a part beside the remote one, and a run of them is merged with it.
    for number in BATCHES..2 * BATCHES {
        store.append(&batch(number)).expect("appends");
        store.flush().expect("flushes");
        settle(&store).expect("settles");
        assert_eq!(read_all(&store), state_after(number + 1));
        assert_eq!(local_files(&disk), 0);
    }
    assert!(
        store.view().parts.len() < 10,
        "{}",
        store.view().parts.len()
    );
    assert_eq!(objects(&bucket, "parts"), remote(&store));

    // What is deleted goes from the bucket too.
    let whole = store.remote_bytes();
    store.delete(erasure()).expect("deletes");
    assert_eq!(read_all(&store), erased(state_after(2 * BATCHES)));
    settle(&store).expect("settles");
    assert_eq!(read_all(&store), erased(state_after(2 * BATCHES)));
    assert!(store.remote_bytes() < whole);
    assert_eq!(objects(&bucket, "parts"), remote(&store));
}

#[test]
fn old_parts_move_to_a_folder_of_a_real_file_system() {
    let (data, bucket) = (tempfile::tempdir(), tempfile::tempdir());
    let (data, bucket) = (data.expect("folder"), bucket.expect("folder"));
    for session in ["a", "b"] {
        let client = object_store::local::LocalFileSystem::new_with_prefix(bucket.path());
        let tier = tier(Arc::new(client.expect("opens").with_fsync(true)), session);
        let options = options(FsyncPolicy::Always);
        let store = open_at(Arc::new(RealDisk), data.path(), options, Some(tier)).expect("opens");
        if session == "a" {
            for number in 0..BATCHES {
                store.append(&batch(number)).expect("appends");
            }
            store.flush().expect("flushes");
            settle(&store).expect("settles");
        }
        assert_eq!(read_all(&store), state_after(BATCHES));
        assert_eq!(remote(&store).len(), 3);
    }
    let parts = std::fs::read_dir(bucket.path().join("toys/parts")).expect("lists");
    assert_eq!(parts.count(), 3);
    let left = std::fs::read_dir(data.path().join("parts")).expect("lists");
    assert_eq!(left.count(), 0);
}

/// What a life of the store was told before it ended.
#[derive(Debug, Default)]
struct Life {
    acknowledged: u64,
    deletion: Deletion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Deletion {
    #[default]
    NotTried,
    Tried,
    Done,
}

impl Life {
    /// Writes, moves, writes late, deletes, and moves again until it is done or something fails.
    fn live(&mut self, disk: &SimDisk, bucket: &SimBucket) -> Option<()> {
        let store = open(disk, bucket, "a").ok()?;
        for number in 0..BATCHES {
            store.append(&batch(number)).ok()?;
            self.acknowledged = number + 1;
            if number % 4 == 3 {
                store.flush().ok()?;
                settle(&store).ok()?;
            }
        }
        self.deletion = Deletion::Tried;
        store.delete(erasure()).ok()?;
        self.deletion = Deletion::Done;
        settle(&store).ok()
    }

    /// What the store may hold now.
    fn states(&self) -> Vec<Rows> {
        let states = [self.acknowledged, self.acknowledged + 1].map(state_after);
        let whole = states.clone().into_iter();
        let erased = states.into_iter().map(erased);
        match self.deletion {
            Deletion::NotTried => whole.collect(),
            Deletion::Tried => whole.chain(erased).collect(),
            Deletion::Done => erased.collect(),
        }
    }
}

/// The next life: everything is there, the rest can be done, and nothing is left over in the bucket.
fn check_reopens(disk: &SimDisk, bucket: &SimBucket, life: &Life, what: &str) {
    let store = open(disk, bucket, "b");
    assert!(store.is_ok(), "{what}: {:?}", store.err());
    let Ok(store) = store else { return };
    let rows = read_all(&store);
    assert!(life.states().contains(&rows), "{what}: {life:?}");
    store.flush().expect("flushes");
    let settled = settle(&store);
    assert!(settled.is_ok(), "{what}: {:?}", settled.err());
    assert_eq!(read_all(&store), rows, "{what}");
    assert_eq!(objects(bucket, "parts"), remote(&store), "{what}");
    assert_eq!(remote(&store).len(), store.view().parts.len(), "{what}");
    assert_eq!(local_files(disk), 0, "{what}");
}

#[test]
fn a_crash_at_any_operation_of_the_disk_loses_nothing() {
    let disk = SimDisk::new(0);
    let whole = Life::default().live(&disk, &SimBucket::default());
    assert_eq!(whole, Some(()));
    let operations = disk.operations();
    assert!(operations > 100, "the workload is too small: {operations}");
    for at in 0..operations {
        let (disk, bucket) = (SimDisk::new(at), SimBucket::default());
        disk.inject(Fault::Crash(at));
        let mut life = Life::default();
        life.live(&disk, &bucket);
        assert!(disk.has_crashed(), "operation {at} was not reached");
        let copy = SimBucket::copy_of(&bucket);
        check_reopens(
            &disk.after_kill(),
            &bucket,
            &life,
            &format!("killed at {at}"),
        );
        let what = format!("power lost at {at}");
        check_reopens(&disk.after_power_loss(), &copy, &life, &what);
    }
    println!("tier: {operations} operations of the disk, each killed and powered off");
}

#[test]
fn a_crash_at_any_request_to_the_bucket_loses_nothing() {
    let bucket = SimBucket::default();
    let whole = Life::default().live(&SimDisk::new(0), &bucket);
    assert_eq!(whole, Some(()));
    let requests = bucket.requests();
    assert!(requests > 30, "the workload is too small: {requests}");
    for at in 0..requests {
        for fault in [
            BucketFault::Away(at),
            BucketFault::AnswerLost(at),
            BucketFault::Flip(at),
        ] {
            let (disk, bucket) = (SimDisk::new(at), SimBucket::default());
            bucket.inject(fault);
            let mut life = Life::default();
            // A life goes on where it can: a deletion, say, waits for the bucket.
            life.live(&disk, &bucket);
            assert!(bucket.requests() > at, "{fault:?} was not reached");
            bucket.heal();
            check_reopens(&disk.after_kill(), &bucket, &life, &format!("{fault:?}"));
        }
    }
    println!("tier: {requests} requests to the bucket, each unanswered, half-done and wrong");
}

#[test]
fn a_bucket_that_is_away_stops_nothing_else() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    bucket.inject(BucketFault::Away(0));
    let store = open(&disk, &bucket, "b").expect("opens");
    // A query that needs the bucket fails and says which object.
    let before = store.view();
    let part = before.parts.first().expect("a part");
    let error = part.part().err().expect("away").to_string();
    let key = format!("s3://bucket/toys/parts/{}", part.record.id.file_name());
    assert!(
        error.contains(&key) && error.contains("no answer"),
        "{error}"
    );
    // What is on the disk is written, merged and read; what is deleted is gone for every reader.
    let late = |number: u64, at: i64| Rows::from([((7, at), number)]);
    let far = 50 * WIDTH_MS;
    for number in 0..4 {
        store
            .append(&late(number, far + number as i64))
            .expect("appends");
        store.flush().expect("flushes");
    }
    store.delete(erasure()).expect("deletes");
    while store.merge_once().expect("merges") {}
    assert!(store.tier_once().is_err());
    let range = TimeRange::new(Timestamp(far), Timestamp(far + 100));
    let view = store.view();
    let parts: Vec<_> = view.parts_in(range).collect();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].part().expect("opens").rows.len(), 4);
    assert_eq!(
        store
            .counters()
            .quarantined
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    // And when it is back so is everything.
    bucket.heal();
    assert!(part.part().is_ok());
    drop(view);
    drop(before);
    settle(&store).expect("settles");
    let mut expected = erased(state_after(BATCHES));
    for number in 0..4 {
        expected.extend(late(number, far + number as i64));
    }
    assert_eq!(read_all(&store), expected);
}

#[test]
fn a_missing_object_is_looked_for_again_and_never_quarantined() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    let name = objects(&bucket, "parts").pop_first().expect("a part");
    let key = format!("toys/parts/{name}");
    let bytes = get(&bucket, &key);
    remove(&bucket, &key);
    let store = open(&disk, &bucket, "b").expect("opens");
    settle(&store).expect("settles");
    let view = store.view();
    let is_missing = |id: &str| id == name;
    for part in &view.parts {
        let found = part.part();
        assert_eq!(found.is_err(), is_missing(&part.record.id.file_name()));
        if let Err(error) = found {
            assert!(
                error.to_string().contains("the object is missing"),
                "{error}"
            );
            store
                .quarantine(part.record.id, &error)
                .expect("is left alone");
        }
    }
    assert_eq!(remote(&store).len(), 3);
    put(&bucket, &key, bytes);
    assert_eq!(read_all(&store), state_after(BATCHES));
}

#[test]
fn a_corrupt_object_goes_to_the_bucket_s_quarantine() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    let name = objects(&bucket, "parts").pop_first().expect("a part");
    let key = format!("toys/parts/{name}");
    let mut bytes = get(&bucket, &key);
    bytes[20] ^= 1;
    put(&bucket, &key, bytes);
    let store = open(&disk, &bucket, "b").expect("opens");
    let view = store.view();
    let parts = view.parts.iter();
    let wrong: Vec<_> = parts.filter(|part| part.part().is_err()).cloned().collect();
    assert_eq!(wrong.len(), 1);
    let error = wrong[0].part().err().expect("the flipped bit");
    assert!(error.is_corruption(), "{error}");
    store
        .quarantine(wrong[0].record.id, &error)
        .expect("quarantines");
    drop((view, wrong));
    settle(&store).expect("settles");
    assert_eq!(objects(&bucket, "quarantine"), BTreeSet::from([name]));
    assert_eq!(objects(&bucket, "parts"), remote(&store));
    assert_eq!(remote(&store).len(), 2);
    assert!(!read_all(&store).is_empty());
}

#[test]
fn an_object_stays_while_somebody_reads_its_part() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    let tier = tier(Arc::new(bucket.clone()), "b");
    let options = StoreOptions {
        retention_ms: Some(NOW_MS - WIDTH_MS),
        ..options(FsyncPolicy::Always)
    };
    let dir = Path::new("/data");
    let store = open_at(Arc::new(disk.clone()), dir, options, Some(tier)).expect("opens");
    let view = store.view();
    assert_eq!(store.expire().expect("expires"), 1);
    assert_eq!(remote(&store).len(), 2);
    settle(&store).expect("settles");
    assert_eq!(objects(&bucket, "parts").len(), 3);
    assert!(view.parts.iter().all(|part| part.part().is_ok()));
    drop(view);
    settle(&store).expect("settles");
    assert_eq!(objects(&bucket, "parts"), remote(&store));
}

#[test]
fn a_folder_that_is_not_the_store_s_is_not_read_and_not_changed() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    let before = objects(&bucket, "parts");
    // Another store of the same prefix keeps its parts.
    let other_disk = SimDisk::new(2);
    let other = open(&other_disk, &bucket, "b").expect("opens");
    other.append(&batch(0)).expect("appends");
    other.flush().expect("flushes");
    let error = settle(&other).expect_err("another store's").to_string();
    assert!(error.contains("belongs to another store"), "{error}");
    assert_eq!(local_files(&other_disk), 1);
    assert_eq!(objects(&bucket, "parts"), before);
    // The store does not read another bucket's parts as its own.
    let elsewhere = SimBucket::default();
    for name in &before {
        let key = format!("toys/parts/{name}");
        put(&elsewhere, &key, get(&bucket, &key));
    }
    let store = open(&disk, &elsewhere, "c").expect("opens");
    let view = store.view();
    let error = view.parts[0].part().err().expect("not ours").to_string();
    assert!(error.contains("not the folder"), "{error}");
    drop((view, store));
    // And it says so if no bucket is configured any more.
    let options = options(FsyncPolicy::Always);
    let opened = open_at(Arc::new(disk), Path::new("/data"), options, None);
    let error = opened.err().expect("no tier").to_string();
    assert!(
        error.contains("3 parts of the store lie in s3://bucket/toys"),
        "{error}"
    );
}

#[test]
fn a_copy_of_a_store_reads_the_folder_and_changes_it_only_when_it_is_handed_over() {
    let (disk, bucket) = (SimDisk::new(1), SimBucket::default());
    drop(moved(&disk, &bucket));
    let original = open(&disk, &bucket, "b").expect("opens");
    original
        .snapshot(Path::new("/copy"))
        .expect("makes a snapshot");
    // The original goes on, and is the one that claims the folder.
    original.append(&batch(BATCHES)).expect("appends");
    original.flush().expect("flushes");
    settle(&original).expect("settles");
    let before = objects(&bucket, "parts");
    let copy = {
        let tier = Some(tier(Arc::new(bucket.clone()), "c"));
        let options = options(FsyncPolicy::Always);
        open_at(Arc::new(disk.clone()), Path::new("/copy"), options, tier).expect("opens")
    };
    assert_eq!(read_all(&copy), state_after(BATCHES));
    let error = settle(&copy).expect_err("the original's").to_string();
    assert!(error.contains("remove the object"), "{error}");
    assert_eq!(objects(&bucket, "parts"), before);
    // Handed over: the copy owns the folder, and leaves alone what it does not know of.
    remove(&bucket, "toys/OWNER");
    copy.delete(erasure()).expect("deletes");
    settle(&copy).expect("settles");
    assert_eq!(read_all(&copy), erased(state_after(BATCHES)));
    assert!(objects(&bucket, "parts").is_superset(&remote(&copy)));
    original.append(&batch(BATCHES + 1)).expect("appends");
    original.flush().expect("flushes");
    // A merge that needs what the copy removed fails, and holds up the rest no longer than once.
    let error = settle(&original).expect_err("was removed").to_string();
    assert!(error.contains("the object is missing"), "{error}");
    let error = settle(&original).expect_err("the copy's").to_string();
    assert!(error.contains("remove the object"), "{error}");
}
