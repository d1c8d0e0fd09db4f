//! kill -9 of the real binary under load, again and again, and a count at the end: what was
//! acknowledged is there, bit for bit, once; and so is every line of the files that were tailed
//! meanwhile, though the agent died between its sink and its checkpoint.
//!
//! `TAFFRAIL_KILLS` says how often (10 if it does not); the moments come from `TAFFRAIL_SEED`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;

use crate::harness::{Taffrail, base_ms, from_environment, until};

/// What was acknowledged, and what was in flight when the process died.
#[derive(Default)]
struct Written {
    acknowledged: BTreeMap<u64, u64>,
    in_flight: BTreeMap<u64, u64>,
}

/// A value whose bits look like nothing in particular.
fn value_of(number: u64) -> f64 {
    f64::from_bits(0x3ff0_0000_0000_0000 | number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12)
}

async fn write_until(
    server: &Taffrail,
    stop: &AtomicBool,
    base: i64,
    next: &mut u64,
    written: &mut Written,
) {
    while !stop.load(Ordering::Acquire) {
        let number = *next;
        *next += 1;
        let series: Vec<SeriesSamples> = (0..10)
            .map(|series| SeriesSamples {
                labels: Labels::from_pairs([("__name__", "killed"), ("n", &series.to_string())]),
                samples: vec![Sample {
                    timestamp: Timestamp(base + number as i64),
                    value: value_of(number),
                }],
                ..SeriesSamples::default()
            })
            .collect();
        let acknowledged = server.write(&series).await;
        let kept = if acknowledged {
            &mut written.acknowledged
        } else {
            &mut written.in_flight
        };
        kept.insert(number, 10);
    }
}

async fn push_until(
    server: &Taffrail,
    stop: &AtomicBool,
    base: i64,
    next: &mut u64,
    written: &mut Written,
) {
    while !stop.load(Ordering::Acquire) {
        let number = *next;
        *next += 1;
        let lines: Vec<(i64, String)> = (0..10)
            .map(|line| {
                (
                    (base + number as i64) * 1_000_000 + line,
                    format!("{number} {line}"),
                )
            })
            .collect();
        let acknowledged = server.push(r#"{app="killed"}"#, &lines).await;
        let kept = if acknowledged {
            &mut written.acknowledged
        } else {
            &mut written.in_flight
        };
        kept.insert(number, 10);
    }
}

/// How many rows of each batch there are; panics at a row that was never written.
async fn samples_found(server: &Taffrail, base: i64) -> BTreeMap<u64, u64> {
    let at = ((base + 3_000_000) as f64 / 1000.0).to_string();
    let query = [("query", "killed[1h]"), ("time", at.as_str())];
    let data = server.data("/api/v1/query", &query).await;
    let mut found = BTreeMap::new();
    for series in data["result"].as_array().expect("a matrix") {
        for point in series["values"].as_array().expect("values") {
            let millis = (point[0].as_f64().expect("a time") * 1000.0).round() as i64;
            let number = u64::try_from(millis - base).expect("not before the first");
            let value: f64 = point[1].as_str().expect("text").parse().expect("a number");
            assert_eq!(
                value.to_bits(),
                value_of(number).to_bits(),
                "batch {number}"
            );
            *found.entry(number).or_default() += 1;
        }
    }
    found
}

async fn lines_found(server: &Taffrail, base: i64, batches: u64) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    // A query gives at most 5,000 lines: ask for 400 batches of ten at a time.
    for first in (0..batches).step_by(400) {
        let start = ((base + first as i64) * 1_000_000).to_string();
        let end = ((base + first as i64 + 400) * 1_000_000).to_string();
        let query = [
            ("query", r#"{app="killed"}"#),
            ("start", &start),
            ("end", &end),
            ("limit", "5000"),
        ];
        let data = server.data("/loki/api/v1/query_range", &query).await;
        for stream in data["result"].as_array().expect("streams") {
            for value in stream["values"].as_array().expect("values") {
                let line = value[1].as_str().expect("a line");
                let number = line
                    .split(' ')
                    .next()
                    .and_then(|number| number.parse().ok());
                *found.entry(number.expect("a number")).or_default() += 1;
            }
        }
    }
    found
}

/// The program whose logs are tailed: it writes numbered lines to two files by turns.
struct Program {
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Program {
    /// The files it writes to; the first is rotated.
    const FILES: [&str; 2] = ["web.log", "db.log"];
    /// How many lines lie between two rotations, and how many there are at most: the agent remembers
    /// 64 files of a log, and these are never removed.
    const ROTATION_LINES: u64 = 301;
    const ROTATIONS_MAX: u64 = 50;

    fn start(folder: &Path) -> Self {
        let (folder, stop) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        let (into, stopping) = (folder.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let paths = Self::FILES.map(|name| into.join(name));
            let mut files = paths
                .each_ref()
                .map(|path| File::create(path).expect("a file"));
            let mut number = 0;
            while !stopping.load(Ordering::Acquire) {
                let rotation = number / Self::ROTATION_LINES;
                if number % Self::ROTATION_LINES == Self::ROTATION_LINES - 1
                    && rotation < Self::ROTATIONS_MAX
                {
                    let rotated = into.join(format!("web.log.{rotation}"));
                    fs::rename(&paths[0], rotated).expect("renamed");
                    files[0] = File::create(&paths[0]).expect("a file");
                }
                for file in &mut files {
                    writeln!(file, "tailed {number}").expect("written");
                }
                number += 1;
                // A pace, so that the log can be counted; nothing waits for it.
                std::thread::sleep(Duration::from_millis(1));
            }
            number
        });
        Self {
            folder,
            stop,
            thread,
        }
    }

    /// The pattern of its files.
    fn pattern(&self) -> String {
        self.folder.join("*.log").display().to_string()
    }

    /// Ends it; gives how many lines each file has.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("ends")
    }
}

/// How often each line of a tailed file is in the store.
async fn tailed_found(server: &Taffrail, path: &Path, base: i64) -> BTreeMap<u64, u64> {
    let query = format!(r#"{{filename="{}"}}"#, path.display());
    let end = ((base + 7_200_000) * 1_000_000).to_string();
    let mut start = base * 1_000_000;
    let mut found = BTreeMap::new();
    loop {
        let parameters = [
            ("query", query.as_str()),
            ("start", &start.to_string()),
            ("end", &end),
            ("direction", "forward"),
            ("limit", "5000"),
        ];
        let data = server.data("/loki/api/v1/query_range", &parameters).await;
        let mut last = None;
        for stream in data["result"].as_array().expect("streams") {
            for value in stream["values"].as_array().expect("values") {
                let line = value[1].as_str().expect("a line");
                let number = line.strip_prefix("tailed ").and_then(|n| n.parse().ok());
                *found.entry(number.expect("a number")).or_default() += 1;
                let at: i64 = value[0]
                    .as_str()
                    .and_then(|at| at.parse().ok())
                    .expect("a time");
                last = last.max(Some(at));
            }
        }
        // A time is given once in a log: the next page begins behind the last.
        match last {
            Some(last) => start = last + 1,
            None => return found,
        }
    }
}

/// Waits until a tailed file's lines are all there, and finds each once.
async fn compare_tailed(server: &Taffrail, path: &Path, base: i64, lines: u64) {
    let found = until("every line of a tailed file is stored", async || {
        let found = tailed_found(server, path, base).await;
        (0..lines)
            .all(|line| found.contains_key(&line))
            .then_some(found)
    })
    .await;
    let repeated: Vec<_> = found.iter().filter(|(_, count)| **count != 1).collect();
    assert!(repeated.is_empty(), "{}: {repeated:?}", path.display());
    assert_eq!(found.len() as u64, lines, "{}", path.display());
}

fn compare(what: &str, written: &Written, found: &BTreeMap<u64, u64>) {
    for (number, rows) in &written.acknowledged {
        let there = found.get(number).copied().unwrap_or_default();
        assert_eq!(there, *rows, "{what}: batch {number} was acknowledged");
    }
    for (number, rows) in found {
        let most = written
            .acknowledged
            .get(number)
            .or(written.in_flight.get(number));
        assert!(Some(rows) <= most, "{what}: batch {number} has {rows} rows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_repeated_by_kill() {
    let kills = from_environment("TAFFRAIL_KILLS", 10);
    let mut random = from_environment("TAFFRAIL_SEED", 1).wrapping_mul(2) + 1;
    let dir = tempfile::tempdir().expect("temporary folder");
    let base = base_ms();
    let (mut samples, mut lines) = (Written::default(), Written::default());
    let (mut next_sample, mut next_line) = (0, 0);
    let folder = tempfile::tempdir().expect("temporary folder");
    let program = Program::start(folder.path());
    let pattern = program.pattern();
    for _ in 0..kills {
        let server = Taffrail::start(dir.path(), &["--logs", &pattern]);
        let stop = Arc::new(AtomicBool::new(false));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let pid = server.pid();
        let moment = Duration::from_millis(20 + random % 300);
        let stopping = Arc::clone(&stop);
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("alive");
            stopping.store(true, Ordering::Release);
        });
        tokio::join!(
            write_until(&server, &stop, base, &mut next_sample, &mut samples),
            push_until(&server, &stop, base, &mut next_line, &mut lines),
        );
        killer.join().expect("ends");
    }
    let server = Taffrail::start(dir.path(), &["--logs", &pattern]);
    compare("samples", &samples, &samples_found(&server, base).await);
    compare(
        "lines",
        &lines,
        &lines_found(&server, base, next_line).await,
    );
    let tailed = program.end();
    for name in Program::FILES {
        compare_tailed(&server, &folder.path().join(name), base, tailed).await;
    }
    let acknowledged = |written: &Written| written.acknowledged.values().sum::<u64>();
    println!(
        "kill: {kills} times; {} samples and {} lines acknowledged, 2 * {tailed} tailed, all there once",
        acknowledged(&samples),
        acknowledged(&lines),
    );
    assert!(acknowledged(&samples) > 0 && acknowledged(&lines) > 0);
}
