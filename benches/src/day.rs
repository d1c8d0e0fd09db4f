//! A day of a Kubernetes cluster, generated: the same seed is the same day, bit for bit.
//!
//! A pod has a hundred series in a fixed mix of [`Kind`]s ([`MIX`]), scraped every 15 seconds at the
//! pod's own offset, as Prometheus does. What the mix is made of decides every figure of bytes a sample,
//! so it was fitted to eighteen published figures of plain codecs on such a day, none of them the store's:
//! the program `anchors` prints them. It is part of the data; `benches/README.md` says in words how it
//! was fitted, and what figures an earlier day gave.
//!
//! One pod in eight restarts once: the scrape that fails is a staleness marker, and counters start
//! again at 0.
//!
//! - [`values`]: how each kind moves.

mod values;

use std::sync::Arc;

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;

use crate::load::load;
use crate::random::Random;
use values::{Movement, STEP_SECONDS};

/// Between two scrapes of a pod.
pub const STEP_MS: i64 = 15_000;
/// 2025-06-15T00:00:00Z: a whole day within one partition of each system.
pub const START: Timestamp = Timestamp(1_749_945_600_000);
/// Series of a pod.
pub const POD_SERIES: usize = 100;

/// How the values of a series move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Never: infos, limits, replicas, start times.
    Constant,
    /// The bucket of a handler that is hardly called: a few steps a day.
    IdleBucket,
    /// Requests: whole numbers that follow the load of the day.
    Requests,
    /// Bytes: large whole numbers that follow it too.
    Bytes,
    /// CPU seconds with two decimals, as the kernel's ticks give them.
    CentisecondCpu,
    /// CPU seconds with nine decimals, as cgroups give them.
    NanosecondCpu,
    /// Memory in whole pages.
    Memory,
    /// A sum of latencies: floats with all their digits.
    FloatSum,
    /// Goroutines, connections, queue lengths.
    SmallGauge,
}

/// How many series of a pod are of which kind.
pub const MIX: [(Kind, usize); 9] = [
    (Kind::Constant, 24),
    (Kind::IdleBucket, 35),
    (Kind::Requests, 6),
    (Kind::Bytes, 13),
    (Kind::CentisecondCpu, 8),
    (Kind::NanosecondCpu, 4),
    (Kind::Memory, 4),
    (Kind::FloatSum, 4),
    (Kind::SmallGauge, 2),
];

/// How large a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// What tells one day from another.
    pub seed: u64,
    /// Series in all.
    pub series: usize,
    /// Scrapes of each.
    pub scrapes: usize,
}

/// A thousand series, each 15 seconds: 5.76 million samples.
impl Default for Day {
    fn default() -> Self {
        Self {
            seed: 1,
            series: 1_000,
            scrapes: 5_760,
        }
    }
}

/// One series of the day.
#[derive(Clone, Debug)]
pub struct DaySeries {
    /// Its identity.
    pub labels: Labels,
    /// How it moves.
    pub kind: Kind,
    /// When it was scraped; series of a pod share this.
    pub timestamps: Arc<[i64]>,
    /// What was scraped, staleness markers included.
    pub values: Vec<f64>,
}

impl Day {
    /// Every series, pod by pod.
    pub fn series(&self) -> impl Iterator<Item = DaySeries> + '_ {
        let pods = self.series.div_ceil(POD_SERIES);
        (0..pods).flat_map(|pod| self.pod(pod)).take(self.series)
    }

    /// The last instant of the day.
    pub fn end(&self) -> Timestamp {
        Timestamp(START.millis() + self.scrapes as i64 * STEP_MS - 1)
    }

    /// The series of one pod.
    fn pod(&self, pod: usize) -> Vec<DaySeries> {
        let mut random = Random::new(self.seed, pod as u64);
        let offset = random.below(STEP_MS as u64) as i64;
        let timestamps: Arc<[i64]> = (0..self.scrapes as i64)
            .map(|scrape| START.millis() + offset + scrape * STEP_MS)
            .collect();
        let restart = (pod % 8 == 3).then(|| random.below(self.scrapes.max(1) as u64) as usize);
        let load = load(&mut random, self.scrapes, STEP_SECONDS);
        kinds()
            .enumerate()
            .map(|(number, (kind, nth))| {
                let stream = (pod * POD_SERIES + number) as u64 | 1 << 40;
                let random = Random::new(self.seed, stream);
                let movement = Movement { kind, nth, restart };
                DaySeries {
                    labels: labels(kind, nth, pod),
                    kind,
                    timestamps: Arc::clone(&timestamps),
                    values: movement.values(random, &load),
                }
            })
            .collect()
    }
}

impl DaySeries {
    /// All of it, as a store takes it.
    pub fn samples(&self) -> SeriesSamples {
        let pairs = self.timestamps.iter().zip(&self.values);
        SeriesSamples {
            labels: self.labels.clone(),
            samples: pairs
                .map(|(at, value)| Sample {
                    timestamp: Timestamp(*at),
                    value: *value,
                })
                .collect(),
            ..SeriesSamples::default()
        }
    }

    /// The same series under the metric name `name`, its own name in the label `metric`: functions
    /// over a range drop the name, and what is left must still tell series apart.
    #[must_use]
    pub fn renamed(mut self, name: &str) -> Self {
        let mut builder = self.labels.to_builder();
        builder.set("metric", self.labels.metric_name());
        builder.set(model::labels::METRIC_NAME, name);
        self.labels = builder.build();
        self
    }
}

/// Names of each kind: a family, the label that tells its series apart, and whether it belongs to a
/// container of the pod or to the pod's own exposition.
const fn family(kind: Kind, nth: usize) -> (&'static str, &'static str) {
    match (kind, nth % 4) {
        (Kind::Constant, 0) => ("kube_pod_container_resource_limits", "resource"),
        (Kind::Constant, 1) => ("kube_pod_labels", "label_app"),
        (Kind::Constant, 2) => ("kube_pod_status_phase", "phase"),
        (Kind::Constant, _) => ("process_start_time_seconds", "process"),
        (Kind::IdleBucket, _) => ("http_request_duration_seconds_bucket", "le"),
        (Kind::Requests, 0 | 1) => ("http_requests_total", "code"),
        (Kind::Requests, _) => ("container_fs_reads_total", "device"),
        (Kind::Bytes, 0 | 1) => ("container_network_receive_bytes_total", "interface"),
        (Kind::Bytes, _) => ("http_response_size_bytes_sum", "handler"),
        (Kind::CentisecondCpu, _) => ("process_cpu_seconds_total", "process"),
        (Kind::NanosecondCpu, _) => ("container_cpu_usage_seconds_total", "cpu"),
        (Kind::Memory, 0 | 1) => ("container_memory_working_set_bytes", "scope"),
        (Kind::Memory, _) => ("process_resident_memory_bytes", "process"),
        (Kind::FloatSum, _) => ("http_request_duration_seconds_sum", "handler"),
        (Kind::SmallGauge, _) => ("go_goroutines", "process"),
    }
}

/// The labels of a pod's series.
pub fn pod_labels(pod: usize) -> impl Iterator<Item = Labels> {
    kinds().map(move |(kind, nth)| labels(kind, nth, pod))
}

/// The kind of each series of a pod, and which of its kind it is.
fn kinds() -> impl Iterator<Item = (Kind, usize)> {
    let mix = MIX.iter();
    mix.flat_map(|(kind, count)| (0..*count).map(|nth| (*kind, nth)))
}

fn labels(kind: Kind, nth: usize, pod: usize) -> Labels {
    let (name, own) = family(kind, nth);
    let own_value = if kind == Kind::IdleBucket {
        let bounds = [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25",
            "+Inf",
        ];
        let bound = bounds.get(nth % bounds.len());
        bound.copied().unwrap_or_default().to_owned()
    } else {
        format!("{own}-{nth}")
    };
    let deployment = pod % 97;
    let mut pairs = vec![
        ("__name__", name.to_owned()),
        ("cluster", "bench".to_owned()),
        ("namespace", format!("namespace-{}", pod % 13)),
        (
            "pod",
            format!(
                "deployment-{deployment}-{:09x}-{pod:05x}",
                deployment * 0x9e37_79b9
            ),
        ),
        ("container", "app".to_owned()),
        (
            "node",
            format!("ip-10-0-{}-{}", pod / 30 / 250, pod / 30 % 250),
        ),
        ("job", "kubernetes-pods".to_owned()),
        (
            "instance",
            format!("10.{}.{}.{}:9100", pod >> 16, pod >> 8 & 0xff, pod & 0xff),
        ),
        (own, own_value),
    ];
    if kind == Kind::IdleBucket {
        pairs.push(("handler", format!("/admin/{}", nth / 13)));
    }
    Labels::from_pairs(pairs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::sample::is_stale_nan;

    use super::*;

    const SMALL: Day = Day {
        seed: 1,
        series: 1_000,
        scrapes: 40,
    };

    #[test]
    fn a_pod_has_a_hundred_series() {
        let total: usize = MIX.iter().map(|(_, count)| count).sum();
        assert_eq!(total, POD_SERIES);
    }

    #[test]
    fn series_differ_by_more_than_their_name() {
        let labels: BTreeSet<Labels> = SMALL
            .series()
            .map(|series| series.renamed("m").labels.without_metric_name())
            .collect();
        assert_eq!(labels.len(), SMALL.series);
        let names: BTreeSet<Labels> = SMALL.series().map(|series| series.labels).collect();
        assert_eq!(names.len(), SMALL.series);
    }

    #[test]
    fn the_same_seed_is_the_same_day_bit_for_bit() {
        let bits = |day: Day| -> Vec<u64> {
            day.series()
                .flat_map(|series| series.values.into_iter().map(f64::to_bits))
                .collect()
        };
        assert_eq!(bits(SMALL), bits(SMALL));
        assert_ne!(bits(SMALL), bits(Day { seed: 2, ..SMALL }));
    }

    #[test]
    fn counters_fall_only_where_a_pod_restarts() {
        for series in SMALL.series() {
            assert_eq!(series.values.len(), SMALL.scrapes);
            let markers = series.values.iter().filter(|v| is_stale_nan(**v)).count();
            assert!(markers <= 1, "{:?}", series.labels);
            let grows = !matches!(series.kind, Kind::Memory | Kind::SmallGauge);
            let falls = series.values.windows(2).filter(|pair| pair[1] < pair[0]);
            // The marker compares as neither.
            assert!(!grows || falls.count() == 0, "{:?}", series.labels);
        }
    }
}
