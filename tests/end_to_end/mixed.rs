//! kill -9 of the real binary under a mixed load: samples in order, late, and written twice,
//! deletions among them, flushes and merges meanwhile. At the end every sample is compared, bit for bit,
//! with what was acknowledged.
//!
//! `TAFFRAIL_KILLS` says how often (10 if it does not); the moments and the load come from
//! `TAFFRAIL_SEED`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;

use crate::harness::{Taffrail, base_ms, from_environment};

/// Series of one writer; two writers share none, so that each knows the order of its writes.
const SERIES: u64 = 12;
/// Writers at work beside each other.
const WRITERS: u64 = 3;
/// How many more kills there are at most where nothing was acknowledged yet.
const MORE_KILLS_MAX: u64 = 100;
/// How far back a late sample may lie.
const LATE_MS: u64 = 600_000;

/// A small generator of numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What a sample may be: the bits of its value, or nothing. More than one where the process died
/// before it answered.
type Possible = BTreeSet<Option<u64>>;

/// What one writer has done.
#[derive(Default)]
struct Life {
    samples: BTreeMap<(u64, i64), Possible>,
    next: i64,
    written: u64,
    late: u64,
    repeated: u64,
    deleted: u64,
}

impl Life {
    fn set(&mut self, key: (u64, i64), state: Option<u64>, acknowledged: bool) {
        let possible = self
            .samples
            .entry(key)
            .or_insert_with(|| BTreeSet::from([None]));
        if acknowledged {
            possible.clear();
        }
        possible.insert(state);
    }
}

fn labels(writer: u64, series: u64) -> Labels {
    Labels::from_pairs([
        ("__name__", "mixed"),
        ("writer", &writer.to_string()),
        ("n", &series.to_string()),
    ])
}

/// A value that JSON carries bit for bit and that looks like nothing in particular.
fn any_value(random: &mut Random) -> f64 {
    match random.below(4) {
        0 => -0.0,
        1 => random.below(1000) as f64 / 100.0,
        2 => random.below(1_000_000) as f64,
        _ => f64::from_bits(0x3ff0_0000_0000_0000 | random.next() >> 12),
    }
}

/// Writes and deletes until the process is gone.
async fn live(
    server: &Taffrail,
    stop: &AtomicBool,
    base: i64,
    writer: u64,
    life: &mut Life,
    random: &mut Random,
) {
    while !stop.load(Ordering::Acquire) {
        match random.below(20) {
            0 => delete(server, base, writer, life, random).await,
            1..=3 => {
                life.late += 1;
                let back = random.below(LATE_MS) as i64;
                write(
                    server,
                    base,
                    writer,
                    life.next.saturating_sub(back).max(0),
                    life,
                    random,
                )
                .await;
            }
            4..=5 => {
                life.repeated += 1;
                write(server, base, writer, (life.next - 1).max(0), life, random).await;
            }
            _ => {
                let at = life.next;
                life.next += 1;
                write(server, base, writer, at, life, random).await;
            }
        }
    }
}

async fn write(
    server: &Taffrail,
    base: i64,
    writer: u64,
    at: i64,
    life: &mut Life,
    random: &mut Random,
) {
    let values: Vec<f64> = (0..SERIES).map(|_| any_value(random)).collect();
    let batch: Vec<SeriesSamples> = (0..)
        .zip(&values)
        .map(|(series, value)| SeriesSamples {
            labels: labels(writer, series),
            samples: vec![Sample {
                timestamp: Timestamp(base + at),
                value: *value,
            }],
            ..SeriesSamples::default()
        })
        .collect();
    let acknowledged = server.write(&batch).await;
    life.written += u64::from(acknowledged) * SERIES;
    for (series, value) in (0..).zip(&values) {
        life.set((series, at), Some(value.to_bits()), acknowledged);
    }
}

async fn delete(server: &Taffrail, base: i64, writer: u64, life: &mut Life, random: &mut Random) {
    let series = random.below(SERIES);
    let start = random.below(life.next.max(1) as u64) as i64;
    let end = start + random.below(50) as i64;
    let seconds = |at: i64| format!("{:.3}", (base + at) as f64 / 1000.0);
    let query = [
        (
            "match[]",
            format!(r#"mixed{{writer="{writer}",n="{series}"}}"#),
        ),
        ("start", seconds(start)),
        ("end", seconds(end)),
    ];
    let acknowledged = server
        .post("/api/v1/admin/tsdb/delete_series", &query)
        .await
        == Some(204);
    life.deleted += u64::from(acknowledged);
    let keys: Vec<(u64, i64)> = life
        .samples
        .range((series, start)..=(series, end))
        .map(|(key, _)| *key)
        .collect();
    for key in keys {
        life.set(key, None, acknowledged);
    }
}

/// Every sample of one writer, by its bits.
async fn found(server: &Taffrail, base: i64, writer: u64) -> BTreeMap<(u64, i64), u64> {
    let at = ((base + 3_000_000) as f64 / 1000.0).to_string();
    let query = format!(r#"mixed{{writer="{writer}"}}[1h]"#);
    let data = server
        .data("/api/v1/query", &[("query", &query), ("time", &at)])
        .await;
    let mut found = BTreeMap::new();
    for series in data["result"].as_array().expect("a matrix") {
        let number = series["metric"]["n"].as_str().expect("a label").parse();
        let number: u64 = number.expect("a number");
        for point in series["values"].as_array().expect("values") {
            let millis = (point[0].as_f64().expect("a time") * 1000.0).round() as i64;
            let value: f64 = point[1].as_str().expect("text").parse().expect("a number");
            let twice = found.insert((number, millis - base), value.to_bits());
            assert!(
                twice.is_none(),
                "series {number} at {millis} is there twice"
            );
        }
    }
    found
}

fn compare(writer: u64, life: &Life, found: &BTreeMap<(u64, i64), u64>) {
    for (key, possible) in &life.samples {
        let there = found.get(key).copied();
        assert!(
            possible.contains(&there),
            "writer {writer}, series and instant {key:?}: found {there:x?}, possible is {possible:x?}"
        );
    }
    let invented = found.keys().find(|key| !life.samples.contains_key(key));
    assert_eq!(
        invented, None,
        "writer {writer}: a sample that nobody wrote"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_load_survives_kill() {
    let kills = from_environment("TAFFRAIL_KILLS", 10);
    let seed = from_environment("TAFFRAIL_SEED", 1).wrapping_mul(2) + 1;
    let mut random = Random(seed);
    let mut writers: Vec<(Life, Random)> = (1..=WRITERS)
        .map(|writer| {
            (
                Life::default(),
                Random(seed.wrapping_mul(0x9e37_79b9).wrapping_add(writer)),
            )
        })
        .collect();
    let dir = tempfile::tempdir().expect("temporary folder");
    let base = base_ms();
    // A busy machine may be killed before it has acknowledged anything.
    let has_lived = |writers: &[(Life, Random)]| {
        let lives = || writers.iter().map(|(life, _)| life);
        lives().any(|life| life.written > 0) && lives().any(|life| life.deleted > 0)
    };
    let mut killed = 0;
    while killed < kills || (!has_lived(&writers) && killed < kills + MORE_KILLS_MAX) {
        killed += 1;
        let server = Taffrail::start(dir.path(), &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let pid = server.pid();
        let moment = Duration::from_millis(20 + random.below(300));
        let stopping = Arc::clone(&stop);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("alive");
            stopping.store(true, Ordering::Release);
        });
        let lives = (0..).zip(&mut writers);
        let lives =
            lives.map(|(writer, (life, random))| live(&server, &stop, base, writer, life, random));
        futures_util::future::join_all(lives).await;
        killer.join().expect("ends");
    }
    let server = Taffrail::start(dir.path(), &[]);
    for (writer, (life, _)) in (0..).zip(&writers) {
        compare(writer, life, &found(&server, base, writer).await);
    }
    let total = |of: fn(&Life) -> u64| writers.iter().map(|(life, _)| of(life)).sum::<u64>();
    println!(
        "mixed kill: {killed} times; {} samples acknowledged ({} late and {} repeated batches), {} deletions, all bit for bit",
        total(|life| life.written),
        total(|life| life.late),
        total(|life| life.repeated),
        total(|life| life.deleted),
    );
    assert!(has_lived(&writers), "nothing was acknowledged");
}
