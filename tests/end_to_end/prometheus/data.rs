//! An hour of samples that both systems mean the same by.
//!
//! Since 3.0 a window no longer holds a sample that lies exactly at its left end, so no sample lies at the end of
//! any window that is asked for: scrapes are 7.123 s after a multiple of 15 s, questions 4.321 s after one.

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples, stale_nan};
use model::time::Timestamp;

use crate::harness::base_ms;

const SCRAPES: i64 = 200;
const STEP_MS: i64 = 15_000;
const SCRAPE_OFFSET_MS: i64 = 7_123;
const QUESTION_OFFSET_MS: i64 = 4_321;
/// Scrapes of one write.
const BATCH: usize = 20;

/// A small generator of numbers that a seed repeats.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// The hour.
pub(super) struct Data {
    begin_ms: i64,
    series: Vec<SeriesSamples>,
}

/// As the API takes a time.
pub(super) fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.millis() / 1000, at.millis() % 1000)
}

impl Data {
    pub(super) fn new(seed: u64) -> Self {
        let mut data = Self {
            begin_ms: base_ms() / 60_000 * 60_000,
            series: Vec::new(),
        };
        let mut random = Random::new(seed);
        for instance in ["a:9100", "b:9100", "c:9100"] {
            let target = [("job", "api"), ("instance", instance)];
            for code in ["200", "404", "500"] {
                for method in ["get", "post"] {
                    let labels = [("code", code), ("method", method)];
                    data.counter("requests_total", &target, &labels, &mut random);
                }
            }
            data.counter("errors_total", &target, &[("method", "get")], &mut random);
            data.gauge(
                "temperature_celsius",
                &target,
                &[("zone", "in")],
                &mut random,
            );
            data.gauge(
                "temperature_celsius",
                &target,
                &[("zone", "out")],
                &mut random,
            );
            data.gauge("queue_length", &target, &[], &mut random);
            data.odd(&target, &mut random);
            data.histogram(&target, &mut random);
            let version = if instance.starts_with('c') { "2" } else { "1" };
            data.add("build_info", &target, &[("version", version)], |_| {
                Some(1.0)
            });
        }
        data
    }

    /// When the instant queries are asked: while all but the series that ended are there.
    pub(super) const fn instant(&self) -> Timestamp {
        Timestamp(self.begin_ms + 150 * STEP_MS + QUESTION_OFFSET_MS)
    }

    /// From before the first sample to after the last.
    pub(super) fn range(&self) -> (Timestamp, Timestamp) {
        let at = |scrape: i64| Timestamp(self.begin_ms + scrape * STEP_MS + QUESTION_OFFSET_MS);
        (at(-10), at(SCRAPES + 30))
    }

    /// The samples in the order of time, for Prometheus takes no others.
    pub(super) fn batches(&self) -> impl Iterator<Item = Vec<SeriesSamples>> {
        (0..SCRAPES).step_by(BATCH).map(|first| {
            let at = |scrape: i64| self.begin_ms + scrape * STEP_MS;
            let range = at(first)..at(first + BATCH as i64);
            let cut = |series: &SeriesSamples| SeriesSamples {
                labels: series.labels.clone(),
                samples: (series.samples.iter())
                    .filter(|sample| range.contains(&sample.timestamp.millis()))
                    .copied()
                    .collect(),
                ..SeriesSamples::default()
            };
            let batch = self.series.iter().map(cut);
            batch.filter(|series| !series.samples.is_empty()).collect()
        })
    }

    fn add(
        &mut self,
        name: &str,
        target: &[(&str, &str)],
        labels: &[(&str, &str)],
        mut value: impl FnMut(i64) -> Option<f64>,
    ) {
        let pairs = [("__name__", name)].into_iter();
        let pairs = pairs
            .chain(target.iter().copied())
            .chain(labels.iter().copied());
        let samples = (0..SCRAPES).filter_map(|scrape| {
            let at = self.begin_ms + scrape * STEP_MS + SCRAPE_OFFSET_MS;
            value(scrape).map(|value| Sample {
                timestamp: Timestamp(at),
                value,
            })
        });
        self.series.push(SeriesSamples {
            labels: Labels::from_pairs(pairs),
            samples: samples.collect(),
            ..SeriesSamples::default()
        });
    }

    /// Grows, begins anew once in a while, misses scrapes, and may end with a staleness marker.
    fn counter(
        &mut self,
        name: &str,
        target: &[(&str, &str)],
        labels: &[(&str, &str)],
        random: &mut Random,
    ) {
        let (mut count, speed) = (random.below(10_000) as f64 + 5e3, random.below(40) + 1);
        let ends = (random.below(4) == 0).then(|| 60 + random.below(130) as i64);
        let gap = random.below(180) as i64;
        self.add(name, target, labels, |scrape| {
            if random.below(90) == 0 {
                count = (count / 2.0).floor();
            }
            count += random.below(speed * 2) as f64;
            match ends {
                Some(end) if scrape == end => Some(stale_nan()),
                Some(end) if scrape > end => None,
                _ if (gap..gap + 28).contains(&scrape) || random.below(40) == 0 => None,
                _ => Some(count),
            }
        });
    }

    /// Moves both ways, with decimals.
    fn gauge(
        &mut self,
        name: &str,
        target: &[(&str, &str)],
        labels: &[(&str, &str)],
        random: &mut Random,
    ) {
        let mut level = random.unit() * 40.0 - 10.0;
        self.add(name, target, labels, |_| {
            level += random.unit() * 3.0 - 1.5;
            (random.below(30) > 0).then_some(level)
        });
    }

    /// What is hardly a number.
    fn odd(&mut self, target: &[(&str, &str)], random: &mut Random) {
        let values = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            0.0,
            1e-300,
            7.25,
        ];
        self.add("odd", target, &[], |_| {
            Some(values[random.below(values.len())])
        });
    }

    /// A classic histogram with its sum and count.
    fn histogram(&mut self, target: &[(&str, &str)], random: &mut Random) {
        let bounds = ["0.05", "0.1", "0.5", "1", "5", "+Inf"];
        let mut counts = vec![vec![0.0; bounds.len() + 1]];
        for _ in 0..SCRAPES {
            let mut row: Vec<f64> = counts.last().expect("a row").clone();
            for _ in 0..random.below(20) {
                let seconds = random.unit() * random.unit() * 6.0;
                row[bounds.len()] += seconds;
                for (count, bound) in row.iter_mut().zip(bounds) {
                    let bound: f64 = bound.replace('+', "").parse().expect("a number");
                    *count += f64::from(u8::from(seconds <= bound));
                }
            }
            counts.push(row);
        }
        let at =
            |column: usize| move |scrape: i64, counts: &[Vec<f64>]| counts[scrape as usize][column];
        for (column, bound) in bounds.into_iter().enumerate() {
            let value = at(column);
            self.add(
                "latency_seconds_bucket",
                target,
                &[("le", bound)],
                |scrape| Some(value(scrape, &counts)),
            );
        }
        let (sum, count) = (at(bounds.len()), at(bounds.len() - 1));
        self.add("latency_seconds_sum", target, &[], |scrape| {
            Some(sum(scrape, &counts))
        });
        self.add("latency_seconds_count", target, &[], |scrape| {
            Some(count(scrape, &counts))
        });
    }
}
