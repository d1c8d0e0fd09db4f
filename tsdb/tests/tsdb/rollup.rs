//! Roll-ups beside the samples they are made from: the same questions, the same answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::model::labels::Labels;
use ::model::matcher::Matcher;
use ::model::sample::{HistogramSample, STALE_NAN_BITS, Sample, SeriesSamples};
use ::model::time::{TimeRange, Timestamp};
use ::model::vector::{QueryValue, RangeSeries};
use storage::clock::{Clock, ManualClock};
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;
use tsdb::query::{QueryOptions, Source};
use tsdb::rollup::{Resolution, RollupOptions};
use tsdb::{Tsdb, TsdbOptions};

use crate::support::histogram;

const DAY_MS: i64 = 24 * 3_600_000;
/// A scrape each thirty seconds, from a third of a day into the first day on.
const STEP_MS: i64 = 30_000;
const FIRST_MS: i64 = 28_807_000;
const SCRAPES: i64 = 3 * 2880;

struct Rolled {
    tsdb: Tsdb,
    clock: Arc<ManualClock>,
}

fn open(disk: &SimDisk) -> Rolled {
    let clock = Arc::new(ManualClock::new(Timestamp(6 * DAY_MS)));
    let rollup = |resolution| RollupOptions {
        resolution,
        after_ms: 2 * DAY_MS,
        retention_ms: None,
    };
    let mut options = TsdbOptions {
        rollups: vec![rollup(Resolution::FiveMinutes), rollup(Resolution::Hour)],
        ..TsdbOptions::default()
    };
    options.store.fsync = FsyncPolicy::Always;
    let handed: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let disk = Arc::new(disk.clone());
    let (tsdb, _) = Tsdb::open(disk, handed, Path::new("/metrics"), options).expect("opens");
    Rolled { tsdb, clock }
}

impl Rolled {
    fn make(&self) -> usize {
        let mut made = 0;
        for rollup in self.tsdb.rollups() {
            while rollup
                .make_one(self.tsdb.store(), self.clock.now())
                .expect("rolls up")
            {
                made += 1;
            }
        }
        made
    }

    fn ask(
        &self,
        source: &dyn Source,
        query: &str,
        step_ms: i64,
        range: (i64, i64),
    ) -> Vec<RangeSeries> {
        let (start, end) = (Timestamp(range.0), Timestamp(range.1));
        let step = Duration::from_millis(step_ms.unsigned_abs());
        let options = QueryOptions::default();
        let answer = self
            .tsdb
            .engine()
            .range(source, query, start, end, step, &options);
        match answer.expect("evaluates").value {
            QueryValue::Matrix(series) => series,
            other => panic!("{query}: {other:?}"),
        }
    }
}

fn series(name: &str, of: impl Fn(i64) -> Option<f64>) -> SeriesSamples {
    let samples = (0..SCRAPES).filter_map(|scrape| {
        Some(Sample {
            timestamp: Timestamp(FIRST_MS + scrape * STEP_MS),
            value: of(scrape)?,
        })
    });
    SeriesSamples {
        labels: Labels::from_pairs([("__name__", "m"), ("kind", name)]),
        samples: samples.collect(),
        ..SeriesSamples::default()
    }
}

fn write_all(rolled: &Rolled) {
    let batch = [
        series("counter", |scrape| Some((scrape % 1000) as f64 * 1.5)),
        series("gauge", |scrape| {
            Some(((scrape * 7919) % 104_729) as f64 - 5e4)
        }),
        series("ends", |scrape| match scrape {
            0..4000 => Some(1.0),
            4000 => Some(f64::from_bits(STALE_NAN_BITS)),
            _ => None,
        }),
        series("holes", |scrape| {
            (scrape / 50 % 3 != 1).then_some(scrape as f64)
        }),
    ];
    rolled.tsdb.append(&batch).expect("writes");
    rolled.tsdb.store().flush().expect("flushes");
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Asks both, and compares bit by bit, or up to rounding.
fn check(rolled: &Rolled, query: &str, step_ms: i64, exactly: bool) {
    for range in [(2 * DAY_MS / 3, 2 * DAY_MS), (DAY_MS, 4 * DAY_MS)] {
        let told = rolled.ask(&rolled.tsdb.source(), query, step_ms, range);
        let plain = rolled.ask(&rolled.tsdb.reader(), query, step_ms, range);
        let labels = |all: &[RangeSeries]| all.iter().map(|s| s.labels.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&told), labels(&plain), "{query} by {step_ms}");
        assert!(!plain.is_empty(), "{query}: nothing was compared");
        for (told, plain) in told.iter().zip(&plain) {
            assert_eq!(
                told.floats.len(),
                plain.floats.len(),
                "{query} of {}",
                plain.labels
            );
            for ((at, a), (expected_at, b)) in told.floats.iter().zip(&plain.floats) {
                assert_eq!(at, expected_at, "{query} of {}", plain.labels);
                let same = if exactly {
                    a.to_bits() == b.to_bits()
                } else {
                    is_close(*a, *b)
                };
                assert!(
                    same,
                    "{query} by {step_ms} of {} at {at:?}: {a} for {b}",
                    plain.labels
                );
            }
        }
    }
}

#[test]
fn roll_ups_answer_as_the_samples_do() {
    let rolled = open(&SimDisk::new(1));
    write_all(&rolled);
    assert!(rolled.make() >= 4, "two partitions in two resolutions");
    for step in [300_000, 3_600_000] {
        for function in ["max", "min", "first", "last", "present"] {
            for window in ["5m", "1h", "3h"] {
                check(
                    &rolled,
                    &format!("{function}_over_time(m[{window}])"),
                    step,
                    true,
                );
            }
        }
        check(&rolled, "sum_over_time(m[1h])", step, false);
        check(&rolled, "m", step, true);
        check(&rolled, "max_over_time(m[1h] offset 1h)", step, true);
        // Not whole stretches: answered from the samples, so exactly.
        check(&rolled, "max_over_time(m[7m])", step, true);
        check(&rolled, "avg_over_time(m[1h])", step, true);
    }
}

#[test]
fn increases_add_up_and_go_on_in_the_samples() {
    let rolled = open(&SimDisk::new(2));
    write_all(&rolled);
    rolled.make();
    let range = (DAY_MS, 4 * DAY_MS);
    for (query, of_reset) in [
        (r#"increase(m{kind="counter"}[6h])"#, 1500.0),
        (r#"rate(m{kind="counter"}[6h])"#, 1500.0 / 21_600.0),
    ] {
        let told = rolled.ask(&rolled.tsdb.source(), query, 3_600_000, range);
        let plain = rolled.ask(&rolled.tsdb.reader(), query, 3_600_000, range);
        assert_eq!(told[0].floats.len(), plain[0].floats.len());
        for ((at, a), (_, b)) in told[0].floats.iter().zip(&plain[0].floats) {
            // Where a series ends, half a stretch is extrapolated where half a scrape would be: a
            // twelfth of the window at most.
            assert!(
                (a - b).abs() <= of_reset / 12.0,
                "{query} at {at:?}: {a} for {b}"
            );
        }
    }
}

#[test]
fn what_changes_is_rolled_up_anew_and_meanwhile_read_as_it_is() {
    let disk = SimDisk::new(3);
    let rolled = open(&disk);
    write_all(&rolled);
    let made = rolled.make();
    assert_eq!(rolled.make(), 0);
    let query = r#"max_over_time(m{kind="gauge"}[1h])"#;
    let late = SeriesSamples {
        samples: vec![Sample {
            timestamp: Timestamp(DAY_MS + 3_700_000),
            value: 1e9,
        }],
        ..series("gauge", |_| None)
    };
    rolled.tsdb.append(&[late]).expect("writes");
    check(&rolled, query, 3_600_000, true);
    rolled.tsdb.store().flush().expect("flushes");
    check(&rolled, query, 3_600_000, true);
    assert!(rolled.make() > 0);
    check(&rolled, query, 3_600_000, true);
    // Deleted is deleted, from the first moment on.
    let gauge = vec![Matcher::equal("kind", "gauge")];
    let range = TimeRange::new(Timestamp(DAY_MS + 3_000_000), Timestamp(DAY_MS + 9_000_000));
    rolled.tsdb.delete(gauge, range).expect("deletes");
    let found = rolled.ask(
        &rolled.tsdb.source(),
        query,
        3_600_000,
        (DAY_MS + 7_200_000, DAY_MS + 9_000_000),
    );
    assert!(
        found
            .iter()
            .all(|series| series.floats.iter().all(|(_, max)| *max < 1e9)),
        "{found:?}"
    );
    rolled.tsdb.store().merge_all().expect("merges");
    assert!(rolled.make() > 0 && made > 0);
    check(&rolled, query, 3_600_000, true);
    // What is made is remembered.
    drop(rolled);
    assert_eq!(open(&disk).make(), 0);
}

#[test]
fn series_with_histograms_are_read_as_they_are() {
    let rolled = open(&SimDisk::new(4));
    let mut both = series("gauge", |scrape| (scrape < 2000).then_some(1.0));
    both.histograms = (2000..SCRAPES)
        .map(|scrape| HistogramSample {
            timestamp: Timestamp(FIRST_MS + scrape * STEP_MS),
            histogram: histogram(scrape as f64, 3),
        })
        .collect();
    rolled.tsdb.append(&[both]).expect("writes");
    rolled.tsdb.store().flush().expect("flushes");
    assert!(rolled.make() > 0);
    let range = (DAY_MS, 4 * DAY_MS);
    let query = "last_over_time(m[1h])";
    let told = rolled.ask(&rolled.tsdb.source(), query, 3_600_000, range);
    let plain = rolled.ask(&rolled.tsdb.reader(), query, 3_600_000, range);
    assert_eq!(told, plain);
    assert!(plain.iter().any(|series| !series.histograms.is_empty()));
}
