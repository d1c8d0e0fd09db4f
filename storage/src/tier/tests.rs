use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::sim::{Fault, SimBucket};
use super::*;
use crate::disk::Disk as _;
use crate::disk::sim::SimDisk;
use crate::part::BlockHandle;
use crate::part::writer::PartWriter;

const STORE: &str = "store-1";
const CACHE_BYTES_MAX: usize = 8 << 20;
const PART: PartId = PartId(0x2a);

fn tier(client: impl ObjectStore, session: &str) -> Arc<Tier> {
    let place = TierPlace {
        url: "s3://bucket/a/prefix".to_owned(),
        prefix: "a/prefix".to_owned(),
    };
    let options = TierOptions {
        cache_bytes_max: CACHE_BYTES_MAX,
        rest: Duration::ZERO,
        ..TierOptions::default()
    };
    Arc::new(Tier::new(Arc::new(client), &place, options, session).expect("starts"))
}

/// A part of `blocks` blocks of 100,000 bytes on a disk, and where they are.
fn part(blocks: u64) -> (SimDisk, Vec<BlockHandle>) {
    let disk = SimDisk::new(1);
    let mut writer = PartWriter::create(&disk, Path::new("/p")).expect("creates");
    let handles = (0..blocks).map(|number| writer.block(&block(number)).expect("writes"));
    let handles = handles.collect();
    writer.section("name", b"content").expect("writes");
    writer.finish().expect("finishes");
    (disk, handles)
}

fn block(number: u64) -> Vec<u8> {
    let mut state = number + 1;
    let byte = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..100_000).map(byte).collect()
}

fn upload(tier: &Tier, disk: &SimDisk) -> Result<u64, TierError> {
    let file = disk.open(Path::new("/p")).expect("opens");
    let bytes = file.len().expect("length");
    let found = tier.owner(STORE)?;
    tier.claim(STORE, found.as_deref())?;
    tier.upload(PART, file.as_ref(), bytes)?;
    Ok(bytes)
}

/// The keys in the bucket.
fn keys(client: &impl ObjectStore) -> BTreeSet<String> {
    let listed = client
        .list(None)
        .map_ok(|object| object.location.to_string());
    futures_util::future::FutureExt::now_or_never(listed.try_collect())
        .expect("in memory")
        .expect("lists")
}

fn check_round_trip(client: impl ObjectStore, blocks: u64) {
    let tier = tier(client, "a");
    let (disk, handles) = part(blocks);
    let bytes = upload(&tier, &disk).expect("uploads");
    let remote = tier.open(STORE, PART, bytes).expect("opens");
    assert_eq!(remote.bytes(), bytes);
    assert_eq!(remote.section("name").expect("section"), b"content");
    for (number, handle) in (0..).zip(&handles) {
        assert_eq!(remote.block(*handle).expect("block"), block(number));
    }
    let counts = tier.counts();
    assert_eq!((counts.uploads, counts.upload_bytes), (1, bytes));
    assert!(counts.cache_bytes <= CACHE_BYTES_MAX as u64);
}

#[test]
fn a_part_in_a_bucket_reads_as_the_file_it_was() {
    // In one request, and in pieces.
    for blocks in [0, 1, 10, 170] {
        check_round_trip(SimBucket::default(), blocks);
    }
    let dir = tempfile::tempdir().expect("folder");
    let local = LocalFileSystem::new_with_prefix(dir.path()).expect("opens");
    check_round_trip(local, 170);
    assert!(dir.path().join("a/prefix/OWNER").exists());
    let part = dir.path().join("a/prefix/parts/000000000000002a.part");
    assert!(part.exists());
}

#[test]
fn a_part_is_opened_and_read_on_with_few_requests() {
    let client = SimBucket::default();
    let (disk, handles) = part(100);
    let bytes = upload(&tier(client.clone(), "a"), &disk).expect("uploads");
    let tier = tier(client.clone(), "b");
    let before = client.requests();
    let remote = tier.open(STORE, PART, bytes).expect("opens");
    // The owner, the header's range and the trailer's.
    assert_eq!(client.requests() - before, 3);
    remote.section("name").expect("section");
    assert_eq!(client.requests() - before, 3);
    let before = client.requests();
    for handle in &handles {
        remote.block(*handle).expect("block");
    }
    // Of 39 ranges, more with each request, up to 8 behind the one that is wanted.
    let requests = client.requests() - before;
    assert!(requests <= 7, "{requests} requests for {bytes} bytes");
}

#[test]
fn an_upload_that_fails_anywhere_is_reported_and_works_later() {
    for blocks in [1, 170] {
        let whole = SimBucket::default();
        let (disk, _) = part(blocks);
        upload(&tier(whole.clone(), "a"), &disk).expect("uploads");
        let requests = whole.requests();
        assert!(requests > 4);
        for at in 0..requests {
            for fault in [Fault::Away(at), Fault::AnswerLost(at)] {
                let client = SimBucket::default();
                client.inject(fault);
                let tier = tier(client.clone(), "a");
                let error = upload(&tier, &disk).expect_err("the fault");
                assert_eq!(tier.counts().uploads, 0, "{fault:?}");
                let text = error.to_string();
                assert!(text.starts_with("s3://bucket/a/prefix/"), "{text}");
                assert!(text.contains("check that the endpoint"), "{text}");
                client.heal();
                let bytes = upload(&tier, &disk).expect("uploads");
                tier.open(STORE, PART, bytes).expect("opens");
            }
        }
    }
}

#[test]
fn what_is_read_back_wrong_is_not_believed() {
    for blocks in [1, 170] {
        let (disk, _) = part(blocks);
        let whole = SimBucket::default();
        upload(&tier(whole.clone(), "a"), &disk).expect("uploads");
        let client = SimBucket::default();
        client.inject(Fault::Flip(whole.requests() - 1));
        let error = upload(&tier(client.clone(), "a"), &disk).expect_err("the fault");
        assert!(matches!(error, TierError::Differs { .. }), "{error}");
        assert_eq!(
            keys(client.objects()),
            BTreeSet::from(["a/prefix/OWNER".to_owned()])
        );
    }
}

#[test]
fn wrong_bytes_are_fetched_once_more_before_they_count_as_damage() {
    let client = SimBucket::default();
    let (disk, handles) = part(10);
    let bytes = upload(&tier(client.clone(), "a"), &disk).expect("uploads");
    let wrong = |at: u64| {
        let tier = tier(client.clone(), "b");
        client.inject(Fault::Flip(client.requests() + at));
        let remote = tier.open(STORE, PART, bytes)?;
        // The range whose last byte is wrong when it comes second.
        remote.block(*handles.get(2).expect("blocks")).map(drop)
    };
    for at in [1, 2, 3] {
        wrong(at).expect("it is right the second time");
    }
    // And what is wrong in the bucket stays wrong.
    let path = object_store::path::Path::from("a/prefix/parts/000000000000002a.part");
    let mut flipped = disk.read(Path::new("/p")).expect("reads");
    *flipped.get_mut(150_000).expect("byte") ^= 1;
    let put = client.objects().put(&path, PutPayload::from(flipped));
    futures_util::future::FutureExt::now_or_never(put)
        .expect("in memory")
        .expect("puts");
    client.heal();
    let remote = tier(client, "c").open(STORE, PART, bytes).expect("opens");
    let error = remote.block(*handles.get(1).expect("blocks"));
    let error = error.expect_err("the flipped bit");
    assert!(error.is_corruption());
    assert!(is_about(error.path(), PART), "{error}");
}

#[test]
fn what_cannot_be_fetched_is_no_damage() {
    let client = SimBucket::default();
    let (disk, handles) = part(100);
    let bytes = upload(&tier(client.clone(), "a"), &disk).expect("uploads");
    let tier = tier(client.clone(), "b");
    let remote = tier.open(STORE, PART, bytes).expect("opens");
    client.inject(Fault::Away(0));
    let read = |number: usize| {
        let handle = *handles.get(number).expect("blocks");
        remote.block(handle).map(drop)
    };
    let away = read(50).expect_err("away");
    client.heal();
    read(50).expect("block");
    tier.remove(PART).expect("removes");
    let missing = read(70).expect_err("missing");
    for error in [away, missing] {
        assert!(!error.is_corruption(), "{error}");
        let text = error.to_string();
        let key = "s3://bucket/a/prefix/parts/000000000000002a.part";
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn a_folder_has_one_owner() {
    let client = SimBucket::default();
    let first = tier(client.clone(), "a");
    assert_eq!(first.owner(STORE).expect("answers"), None);
    first.claim(STORE, None).expect("is free");
    first.confirm(STORE).expect("is still ours");
    // Another store is turned away, whatever it wants.
    let other = tier(client.clone(), "b");
    let error = other.owner("store-2").expect_err("taken");
    assert!(matches!(error, TierError::OtherStore { .. }), "{error}");
    let error = other.open("store-2", PART, 100).expect_err("taken");
    assert!(error.to_string().contains("another store"), "{error}");
    // So is who had seen nobody.
    let error = other.claim(STORE, None).expect_err("taken");
    assert!(matches!(error, TierError::TakenOver { .. }), "{error}");
    // Another process takes over, and the first one stops changing anything.
    let copy = tier(client.clone(), "c");
    let found = copy.owner(STORE).expect("answers");
    assert_eq!(found.as_deref(), Some("a"));
    copy.claim(STORE, found.as_deref()).expect("is the store");
    let error = first.confirm(STORE).expect_err("taken over");
    assert!(matches!(error, TierError::TakenOver { .. }), "{error}");
    copy.confirm(STORE).expect("is still the copy's");
    // A folder without an owner is not where a store's parts are.
    let elsewhere = tier(SimBucket::default(), "d");
    let error = elsewhere.open(STORE, PART, 100).expect_err("empty");
    assert!(error.to_string().contains("not the folder"), "{error}");
    // Nor is what nobody can read.
    let path = object_store::path::Path::from("a/prefix/OWNER");
    for text in [
        "",
        "{}",
        "{\"format\":9,\"store\":\"store-1\",\"session\":\"a\"}",
    ] {
        let put = client
            .objects()
            .put(&path, PutPayload::from(Bytes::from_static(text.as_bytes())));
        futures_util::future::FutureExt::now_or_never(put)
            .expect("in memory")
            .expect("puts");
        let error = tier(client.clone(), "e").owner(STORE);
        let error = error.expect_err("unreadable");
        assert!(
            matches!(error, TierError::Owner { .. }),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn a_survey_finds_old_parts_that_nothing_names_and_named_ones_that_are_missing() {
    let client = SimBucket::default();
    for name in [
        "parts/0000000000000001.part",
        "parts/0000000000000002.part",
        "parts/0000000000000009.part",
        "parts/1.part",
        "parts/000000000000000A.part",
        "parts/notes.txt",
        "0000000000000003.part",
    ] {
        let path = object_store::path::Path::from(format!("a/prefix/{name}"));
        let put = client.objects().put(&path, PutPayload::from_static(b"x"));
        futures_util::future::FutureExt::now_or_never(put)
            .expect("in memory")
            .expect("puts");
    }
    let tier = tier(client, "a");
    let named = BTreeSet::from([PartId(1), PartId(3)]);
    let surveyed = |now_ms| {
        let survey = tier.survey(now_ms, &named, PartId(9)).expect("lists");
        assert_eq!(survey.missing, [PartId(3)]);
        survey.orphans
    };
    assert_eq!(surveyed(i64::MAX), [PartId(2)]);
    assert_eq!(surveyed(0), []);
}

#[test]
fn a_bucket_that_gave_no_answer_is_left_alone_for_a_moment() {
    for (rest, requests) in [(Duration::ZERO, 4), (Duration::from_hours(1), 2)] {
        let client = SimBucket::default();
        let options = TierOptions {
            rest,
            ..TierOptions::default()
        };
        let place = TierPlace {
            url: "s3://bucket".to_owned(),
            prefix: String::new(),
        };
        let tier = Tier::new(Arc::new(client.clone()), &place, options, "a").expect("starts");
        client.inject(Fault::Away(0));
        let survey = || tier.survey(0, &BTreeSet::new(), PartId(9)).map(drop);
        for number in 0..2 {
            let error = survey().expect_err("away").to_string();
            assert!(error.starts_with("s3://bucket/parts: "), "{error}");
            assert!(error.contains("no answer"), "{error}");
            // Changing is another matter than reading.
            let error = tier.remove(PartId(number)).expect_err("away").to_string();
            let key = PartId(number).file_name();
            assert!(
                error.starts_with(&format!("s3://bucket/parts/{key}: ")),
                "{error}"
            );
        }
        assert!(tier.is_away());
        assert_eq!(client.requests(), requests, "{rest:?}");
        client.heal();
        assert_eq!(survey().is_ok(), rest.is_zero());
        assert_eq!(tier.is_away(), !rest.is_zero());
    }
}
