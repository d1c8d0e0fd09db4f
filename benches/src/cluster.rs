//! A cluster as dashboards see it: what the kubelet, kube-state-metrics, the nodes and the applications say.
//!
//! The generated [`day`](super::day) has the values of a cluster and the labels that cost bytes; this one has the
//! series that dashboards join: `kube_pod_info` and owners beside containers, buckets that are one
//! histogram, modes of CPUs, phases of pods. What is scraped together shares its timestamps: a node's
//! containers, all of kube-state-metrics, a pod's own exposition. One pod in eight restarts once, as in the day.
//!
//! [`Cluster::history`] is what recording rules would have left of thirty days: few series, five minutes
//! apart, so that long windows can be asked for without loading a month of scrapes.
//!
//! - [`pod`]: the series of one pod.
//! - [`movements`]: how values move.

mod movements;
mod pod;

use std::sync::Arc;

use model::labels::Labels;

use crate::day::START;
use crate::load::load;
use crate::random::Random;
use movements::{Ticks, counter, gauge, ratio};
use pod::Pod;

/// How large a cluster is, and for how long it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// What tells one cluster from another.
    pub seed: u64,
    /// Pods, each with [`POD_SERIES`] series.
    pub pods: usize,
    /// Pods of a node.
    pub pods_per_node: usize,
    /// Scrapes of each target, from [`START`] on.
    pub scrapes: usize,
    /// Between two scrapes, in milliseconds.
    pub step_ms: i64,
}

/// Series of a pod.
pub const POD_SERIES: usize = 84;
/// Between two points that a recording rule leaves, in milliseconds.
pub const RULE_STEP_MS: i64 = 300_000;
/// How far the history reaches back.
pub const HISTORY_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// One series of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterSeries {
    /// Its identity.
    pub labels: Labels,
    /// When it was scraped; series of a target share this.
    pub timestamps: Arc<[i64]>,
    /// What was scraped, staleness markers included.
    pub values: Vec<f64>,
}

const MODES: [&str; 8] = [
    "idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user",
];

impl Cluster {
    /// The last instant at which something was scraped may not be later than this.
    pub const fn end_ms(&self) -> i64 {
        START.millis() + self.scrapes as i64 * self.step_ms - 1
    }

    /// Every series that is scraped.
    pub fn series(&self) -> Vec<ClusterSeries> {
        let mut all = Vec::new();
        for node in 0..self.pods.div_ceil(self.pods_per_node) {
            self.node(node, &mut all);
        }
        let state = self.timestamps(u64::MAX);
        for pod in 0..self.pods {
            self.pod(pod, &state, &mut all);
        }
        all
    }

    /// When a target is scraped: at its own offset, never at a whole second.
    fn timestamps(&self, target: u64) -> Arc<[i64]> {
        let offset = Random::new(self.seed, target).below(self.step_ms as u64 / 1_000) as i64;
        let first = START.millis() + offset * 1_000 + 137;
        (0..self.scrapes as i64)
            .map(|scrape| first + scrape * self.step_ms)
            .collect()
    }

    const fn step_seconds(&self) -> f64 {
        self.step_ms as f64 / 1_000.0
    }

    fn node(&self, node: usize, all: &mut Vec<ClusterSeries>) {
        let random = &mut Random::new(self.seed, 1 << 32 | node as u64);
        let load = load(random, self.scrapes, self.step_seconds());
        let ticks = Ticks {
            load: &load,
            step_seconds: self.step_seconds(),
            restart: None,
        };
        let timestamps = self.timestamps(1 << 33 | node as u64);
        let address = format!("10.0.{}.{}:9100", node / 250, node % 250);
        let mut push = |name: &str, pairs: &[(&str, &str)], values: Vec<f64>| {
            let own = [
                ("__name__", name),
                ("job", "node-exporter"),
                ("instance", address.as_str()),
            ];
            all.push(ClusterSeries {
                labels: Labels::from_pairs(own.iter().chain(pairs).copied()),
                timestamps: Arc::clone(&timestamps),
                values,
            });
        };
        for cpu in ["0", "1", "2", "3"] {
            for mode in MODES {
                let rate = match mode {
                    "idle" => 0.7,
                    "user" => 0.2,
                    _ => 0.02,
                };
                let values = counter(random, &ticks, rate, 0.01);
                push(
                    "node_cpu_seconds_total",
                    &[("cpu", cpu), ("mode", mode)],
                    values,
                );
            }
        }
        let total = 67_430_000_000.0;
        push("node_memory_MemTotal_bytes", &[], vec![total; self.scrapes]);
        let available = gauge(random, &ticks, total * 0.4, 4_096.0);
        push("node_memory_MemAvailable_bytes", &[], available);
        for device in ["/dev/sda1", "/dev/sdb1"] {
            let pairs = [
                ("device", device),
                ("fstype", "ext4"),
                ("mountpoint", device),
            ];
            let available = gauge(random, &ticks, 2e11, 4_096.0);
            push("node_filesystem_avail_bytes", &pairs, available);
            push(
                "node_filesystem_size_bytes",
                &pairs,
                vec![5e11; self.scrapes],
            );
        }
    }

    fn pod(&self, pod: usize, state: &Arc<[i64]>, all: &mut Vec<ClusterSeries>) {
        let random = &mut Random::new(self.seed, pod as u64);
        let load = load(random, self.scrapes, self.step_seconds());
        let restart = (pod % 8 == 3).then(|| random.below(self.scrapes.max(1) as u64) as usize);
        let ticks = Ticks {
            load: &load,
            step_seconds: self.step_seconds(),
            restart,
        };
        let pod = Pod {
            namespace: format!("namespace-{}", pod % 13),
            workload: format!("deployment-{}", pod % 97),
            name: format!(
                "deployment-{}-{:09x}-{pod:05x}",
                pod % 97,
                pod % 97 * 0x9e37
            ),
            node: format!("ip-10-0-{}", pod / self.pods_per_node),
            address: format!("10.{}.{}.{}", pod >> 16, pod >> 8 & 0xff, pod & 0xff),
            uid: format!("{pod:08x}-5f7d-4c6b-8e21-{:012x}", random.below(1 << 48)),
        };
        let node_target = 1 << 34 | pod.node.len() as u64 | (pod_number(&pod) as u64) << 8;
        let kubelet = self.timestamps(node_target);
        pod.containers(random, &ticks, &kubelet, all);
        pod.state(self.scrapes, &ticks, state, all);
        let own = self.timestamps(1 << 35 | random.below(1 << 30));
        pod.application(random, &ticks, &own, all);
    }

    /// What recording rules left of the days before the end of this cluster's first day, by series.
    pub fn history(&self) -> Vec<ClusterSeries> {
        let points = HISTORY_DAYS * DAY_MS / RULE_STEP_MS;
        let first = START.millis() + DAY_MS - HISTORY_DAYS * DAY_MS + 7_137;
        let timestamps: Arc<[i64]> = (0..points)
            .map(|point| first + point * RULE_STEP_MS)
            .collect();
        let random = &mut Random::new(self.seed, 1 << 36);
        let step_seconds = RULE_STEP_MS as f64 / 1_000.0;
        let load = load(random, points as usize, step_seconds);
        let ticks = Ticks {
            load: &load,
            step_seconds,
            restart: None,
        };
        let mut all = Vec::new();
        let mut push = |pairs: &[(&str, &str)], values: Vec<f64>| {
            all.push(ClusterSeries {
                labels: Labels::from_pairs(pairs.iter().copied()),
                timestamps: Arc::clone(&timestamps),
                values,
            });
        };
        for verb in ["GET", "LIST", "POST", "PUT"] {
            for code in ["200", "201", "404", "500", "503"] {
                let name = "code_verb:apiserver_request_total:increase1h";
                let mean = if code.starts_with('5') { 3.0 } else { 4_000.0 };
                let values = gauge(random, &ticks, mean, 1.0 / 1024.0);
                push(
                    &[("__name__", name), ("verb", verb), ("code", code)],
                    values,
                );
            }
        }
        for namespace in 0..13 {
            let namespace = format!("namespace-{namespace}");
            let of = ("namespace", namespace.as_str());
            let name = "namespace:container_cpu_usage_seconds_total:sum_rate";
            push(&[("__name__", name), of], ratio(random, &ticks, 7.0));
            let name = "namespace:http_requests:total";
            push(
                &[("__name__", name), of],
                counter(random, &ticks, 20.0, 1.0),
            );
        }
        for node in 0..10 {
            let instance = format!("10.0.0.{node}:9100");
            let name = "instance:node_cpu_utilisation:rate5m";
            let values = ratio(random, &ticks, 0.4);
            push(&[("__name__", name), ("instance", &instance)], values);
        }
        all
    }
}

/// The number of the node a pod runs on.
fn pod_number(pod: &Pod) -> usize {
    let number = pod.node.rsplit('-').next();
    number.and_then(|n| n.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::sample::is_stale_nan;

    use super::*;

    const SMALL: Cluster = Cluster {
        seed: 1,
        pods: 20,
        pods_per_node: 10,
        scrapes: 50,
        step_ms: 15_000,
    };

    #[test]
    fn a_pod_has_as_many_series_as_it_says_and_all_differ() {
        let series = SMALL.series();
        let of_pods = series.iter().filter(|one| one.labels.get("pod").is_some());
        assert_eq!(of_pods.count(), SMALL.pods * POD_SERIES);
        let labels: BTreeSet<&Labels> = series.iter().map(|one| &one.labels).collect();
        assert_eq!(labels.len(), series.len());
        for one in &series {
            assert_eq!(one.values.len(), SMALL.scrapes, "{:?}", one.labels);
            assert_eq!(one.timestamps.len(), SMALL.scrapes);
            assert!(one.timestamps.iter().all(|at| *at <= SMALL.end_ms()));
        }
    }

    #[test]
    fn counters_grow_and_buckets_are_one_histogram() {
        let series = SMALL.series();
        for one in &series {
            let name = one.labels.metric_name();
            if name.ends_with("_total") || name.ends_with("_bucket") {
                let falls = one.values.windows(2).filter(|pair| pair[1] < pair[0]);
                assert_eq!(falls.count(), 0, "{:?}", one.labels);
            }
        }
        let mut buckets = series
            .iter()
            .filter(|one| one.labels.metric_name().ends_with("_bucket"));
        let (first, second) = (buckets.next(), buckets.next());
        let pairs = first
            .zip(second)
            .map(|(a, b)| a.values.iter().zip(&b.values));
        for (less, more) in pairs.into_iter().flatten() {
            assert!(less <= more || is_stale_nan(*less));
        }
    }

    #[test]
    fn the_history_ends_with_the_day_and_is_the_same_each_time() {
        let history = SMALL.history();
        let last = history.iter().filter_map(|one| one.timestamps.last()).max();
        assert!(last.is_some_and(|last| *last < START.millis() + DAY_MS));
        let bits = |all: Vec<ClusterSeries>| -> Vec<u64> {
            all.iter()
                .flat_map(|one| one.values.iter().map(|v| v.to_bits()))
                .collect()
        };
        assert_eq!(bits(history), bits(SMALL.history()));
    }
}
