//! What writing costs, measured by hand: CPU time of everything the store does, and its memory.
//!
//! ```text
//! SERIES=100000 SCRAPES=40 cargo test --release -p tsdb --test measure -- --ignored --nocapture
//! ```
//!
//! Series are those of a cluster: ten labels, two hundred bytes, each request repeats them in full. CPU
//! time is that of all threads less what making the requests took, so other work on the machine does
//! not count.

// Helpers outside the test assert too.
#![allow(clippy::expect_used, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::wire::remote_write::{LabelPair, TimeSeries, WireSample, WriteRequest};
use prost::Message as _;
use storage::clock::{Clock as _, SystemClock};
use storage::disk::real::RealDisk;
use tsdb::{Tsdb, TsdbOptions};

/// Series of a request.
const REQUEST_SERIES: usize = 5_000;
/// Time between two scrapes.
const INTERVAL_MS: i64 = 15_000;

fn of_environment(name: &str, default: usize) -> usize {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// Nanoseconds on a core, of one thread.
fn thread_ns(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Nanoseconds on a core, of all threads.
fn process_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("a Linux");
    tasks
        .map(|task| thread_ns(&task.expect("a thread").path().join("schedstat")))
        .sum()
}

fn own_ns() -> u64 {
    thread_ns(Path::new("/proc/thread-self/schedstat"))
}

fn memory(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|kib| kib.parse().ok()).unwrap_or(0) * 1024
}

fn series(number: usize, at: i64, scrape: usize) -> TimeSeries {
    let pod = number / 50;
    let pair = |name: &str, value: String| LabelPair {
        name: name.to_owned(),
        value,
    };
    let value = match number % 4 {
        0 => (scrape * 7 + number) as f64,
        1 => 0.0,
        2 => (scrape * number % 1000) as f64 / 100.0,
        _ => (number * 4096) as f64,
    };
    TimeSeries {
        labels: vec![
            pair(
                "__name__",
                format!("container_memory_kind_{}_bytes", number % 50),
            ),
            pair("cluster", "production-eu-1".to_owned()),
            pair("container", format!("container-{}", pod % 7)),
            pair("endpoint", "https-metrics".to_owned()),
            pair("image", format!("registry/team/image:v1.{}", pod % 40)),
            pair(
                "instance",
                format!("10.0.{}.{}:10250", pod / 110 % 250, pod / 110 / 250),
            ),
            pair("job", "kubelet".to_owned()),
            pair("namespace", format!("namespace-{}", pod % 60)),
            pair("node", format!("node-{:04}", pod / 110)),
            pair("pod", format!("deployment-{}-{pod:08x}", pod % 300)),
        ],
        samples: vec![WireSample {
            value: Some(value),
            timestamp: at,
        }],
        ..TimeSeries::default()
    }
}

fn request(first: usize, count: usize, at: i64, scrape: usize) -> Vec<u8> {
    let request = WriteRequest {
        timeseries: (first..first + count)
            .map(|n| series(n, at, scrape))
            .collect(),
        metadata: Vec::new(),
    };
    let mut snappy = snap::raw::Encoder::new();
    snappy.compress_vec(&request.encode_to_vec()).expect("fits")
}

#[test]
#[ignore = "a measurement, run by hand"]
fn remote_write_in_process() {
    let (count, scrapes) = (
        of_environment("SERIES", 100_000),
        of_environment("SCRAPES", 40),
    );
    let flush_every = of_environment("FLUSH_EVERY", 0);
    let dir = tempfile::tempdir().expect("a folder");
    let open = || {
        let disk = Arc::new(RealDisk);
        let options = TsdbOptions::default();
        Tsdb::open(disk, Arc::new(SystemClock), dir.path(), options)
            .expect("opens")
            .0
    };
    let before = memory("VmRSS:");
    let tsdb = open();
    let background = tsdb.background().expect("threads");
    let start = SystemClock.now().millis() - scrapes as i64 * INTERVAL_MS;
    let (cpu, mut making) = (process_ns(), 0);
    for scrape in 0..scrapes {
        let at = start + scrape as i64 * INTERVAL_MS;
        for first in (0..count).step_by(REQUEST_SERIES) {
            let made = own_ns();
            let body = request(first, REQUEST_SERIES.min(count - first), at, scrape);
            making += own_ns() - made;
            let written = tsdb.write(&body).expect("writes");
            assert!(written.refused.is_empty());
        }
        if flush_every > 0 && (scrape + 1) % flush_every == 0 {
            tsdb.store().flush().expect("flushes");
        }
        println!(
            "scrape {scrape}: {:.2} s of CPU, {} MiB resident",
            (process_ns() - cpu - making) as f64 / 1e9,
            memory("VmRSS:") >> 20
        );
    }
    let writing = process_ns() - cpu - making;
    tsdb.store().flush().expect("flushes");
    let all = process_ns() - cpu - making;
    let samples = (count * scrapes) as f64;
    let rate = |ns: u64| samples / (ns as f64 / 1e9) / 1e6;
    println!(
        "{samples} samples: {:.2} M per CPU-second written, {:.2} M with the last flush",
        rate(writing),
        rate(all)
    );
    let resident = memory("VmRSS:").saturating_sub(before);
    println!(
        "{} B resident per series, {} B at the peak",
        resident / count as u64,
        memory("VmHWM:").saturating_sub(before) / count as u64
    );
    drop((background, tsdb));
    let opened = Instant::now();
    let (own, all) = (own_ns(), process_ns());
    drop(open());
    println!(
        "opened in {:?}, {:.2} s of CPU ({:.2} s of the opener)",
        opened.elapsed(),
        (process_ns() - all) as f64 / 1e9,
        (own_ns() - own) as f64 / 1e9
    );
}
