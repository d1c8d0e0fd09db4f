//! The series of one pod: what the kubelet, kube-state-metrics and the pod itself say of it.

use std::sync::Arc;

use model::labels::Labels;

use super::ClusterSeries;
use super::movements::{Ticks, counter, gauge, histogram};
use crate::random::Random;

const BOUNDS: [&str; 13] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25", "+Inf",
];
const PHASES: [&str; 5] = ["Failed", "Pending", "Running", "Succeeded", "Unknown"];
const CODES: [&str; 4] = ["200", "201", "404", "500"];
const CONTAINERS: [&str; 2] = ["app", "proxy"];

/// What the labels of a pod's series are made of.
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) workload: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) address: String,
    pub(super) uid: String,
}

impl Pod {
    fn labels(&self, name: &str, pairs: &[(&str, &str)]) -> Labels {
        let own = [
            ("__name__", name),
            ("namespace", self.namespace.as_str()),
            ("pod", self.name.as_str()),
        ];
        Labels::from_pairs(own.iter().chain(pairs).copied())
    }

    /// What the kubelet says: 22 series.
    pub(super) fn containers(
        &self,
        random: &mut Random,
        ticks: &Ticks<'_>,
        timestamps: &Arc<[i64]>,
        all: &mut Vec<ClusterSeries>,
    ) {
        let mut push = |name: &str, pairs: &[(&str, &str)], values: Vec<f64>| {
            let own = [
                ("job", "kubelet"),
                ("metrics_path", "/metrics/cadvisor"),
                ("instance", self.node.as_str()),
                ("node", self.node.as_str()),
            ];
            let pairs: Vec<(&str, &str)> = own.iter().chain(pairs).copied().collect();
            all.push(ClusterSeries {
                labels: self.labels(name, &pairs),
                timestamps: Arc::clone(timestamps),
                values,
            });
        };
        for container in CONTAINERS.into_iter().chain([""]) {
            let image = match container {
                "" => String::new(),
                named => format!("registry.example/{named}:v1"),
            };
            let of = [("container", container), ("image", image.as_str())];
            let rate = random.magnitude(0.001, 2.0);
            let values = counter(random, ticks, rate, 1e-9);
            push("container_cpu_usage_seconds_total", &of, values);
            for name in [
                "container_memory_working_set_bytes",
                "container_memory_rss",
                "container_memory_cache",
            ] {
                let mean = random.magnitude(1e7, 2e9);
                push(name, &of, gauge(random, ticks, mean, 4_096.0));
            }
            if container.is_empty() {
                continue;
            }
            push(
                "container_cpu_cfs_periods_total",
                &of,
                counter(random, ticks, 9.0, 1.0),
            );
            let rate = random.magnitude(0.01, 5.0);
            push(
                "container_cpu_cfs_throttled_periods_total",
                &of,
                counter(random, ticks, rate, 1.0),
            );
        }
        for name in [
            "container_network_receive_bytes_total",
            "container_network_transmit_bytes_total",
            "container_network_receive_packets_total",
            "container_network_transmit_packets_total",
        ] {
            let rate = random.magnitude(10.0, 1e6);
            push(
                name,
                &[("interface", "eth0")],
                counter(random, ticks, rate, 1.0),
            );
        }
        for name in ["container_fs_reads_total", "container_fs_writes_total"] {
            let pairs = [("container", "app"), ("device", "/dev/sda")];
            let rate = random.magnitude(0.01, 50.0);
            push(name, &pairs, counter(random, ticks, rate, 1.0));
        }
    }

    /// What kube-state-metrics and its rules say: 21 series.
    pub(super) fn state(
        &self,
        scrapes: usize,
        ticks: &Ticks<'_>,
        timestamps: &Arc<[i64]>,
        all: &mut Vec<ClusterSeries>,
    ) {
        let mut push_values = |name: &str, pairs: &[(&str, &str)], values: Vec<f64>| {
            let own = [("job", "kube-state-metrics"), ("instance", "10.0.9.9:8443")];
            let pairs: Vec<(&str, &str)> = own.iter().chain(pairs).copied().collect();
            all.push(ClusterSeries {
                labels: self.labels(name, &pairs),
                timestamps: Arc::clone(timestamps),
                values,
            });
        };
        let mut push = |name: &str, pairs: &[(&str, &str)], value: f64| {
            push_values(name, pairs, vec![value; scrapes]);
        };
        let info = [
            ("node", self.node.as_str()),
            ("pod_ip", &self.address),
            ("host_ip", "10.0.0.1"),
            ("uid", &self.uid),
            ("created_by_kind", "ReplicaSet"),
            ("created_by_name", &self.workload),
            ("priority_class", "default"),
        ];
        push("kube_pod_info", &info, 1.0);
        let owner = [("owner_kind", "ReplicaSet"), ("owner_name", &self.workload)];
        push("kube_pod_owner", &owner, 1.0);
        push("kube_pod_labels", &[("label_app", &self.workload)], 1.0);
        let workload = [
            ("workload", self.workload.as_str()),
            ("workload_type", "deployment"),
        ];
        push(
            "namespace_workload_pod:kube_pod_owner:relabel",
            &workload,
            1.0,
        );
        for phase in PHASES {
            let is = f64::from(phase == "Running");
            push("kube_pod_status_phase", &[("phase", phase)], is);
        }
        for container in CONTAINERS {
            let of = ("container", container);
            let image = [of, ("image", "registry.example/app:v1")];
            push("kube_pod_container_info", &image, 1.0);
            for (resource, unit, value) in
                [("cpu", "core", 0.25), ("memory", "byte", 268_435_456.0)]
            {
                let pairs = [of, ("resource", resource), ("unit", unit)];
                push("kube_pod_container_resource_requests", &pairs, value);
                push("kube_pod_container_resource_limits", &pairs, 4.0 * value);
            }
        }
        let restarts = |from: usize| -> Vec<f64> {
            let restarted = |scrape: usize| ticks.restart.is_some_and(|at| scrape >= at + from);
            (0..scrapes).map(|at| f64::from(restarted(at))).collect()
        };
        for (number, container) in CONTAINERS.into_iter().enumerate() {
            push_values(
                "kube_pod_container_status_restarts_total",
                &[("container", container)],
                restarts(number),
            );
        }
    }

    /// What the application says of itself: 41 series.
    pub(super) fn application(
        &self,
        random: &mut Random,
        ticks: &Ticks<'_>,
        timestamps: &Arc<[i64]>,
        all: &mut Vec<ClusterSeries>,
    ) {
        let instance = format!("{}:8080", self.address);
        let mut push = |name: &str, pairs: &[(&str, &str)], values: Vec<f64>| {
            let own = [
                ("job", "kubernetes-pods"),
                ("container", "app"),
                ("instance", instance.as_str()),
                ("service", self.workload.as_str()),
            ];
            let pairs: Vec<(&str, &str)> = own.iter().chain(pairs).copied().collect();
            all.push(ClusterSeries {
                labels: self.labels(name, &pairs),
                timestamps: Arc::clone(timestamps),
                values,
            });
        };
        for handler in ["/api/orders", "/api/users"] {
            for code in CODES {
                let rate = match code {
                    "500" => 0.02,
                    "404" => 0.1,
                    _ => random.magnitude(0.1, 40.0),
                };
                let pairs = [("handler", handler), ("method", "GET"), ("code", code)];
                push(
                    "http_requests_total",
                    &pairs,
                    counter(random, ticks, rate, 1.0),
                );
            }
            let rate = random.magnitude(0.1, 40.0);
            let found = histogram(random, ticks, rate, BOUNDS.len());
            for (bound, values) in BOUNDS.iter().zip(found.buckets) {
                let pairs = [("handler", handler), ("le", bound)];
                push("http_request_duration_seconds_bucket", &pairs, values);
            }
            let of = [("handler", handler)];
            push("http_request_duration_seconds_sum", &of, found.sum);
            push("http_request_duration_seconds_count", &of, found.count);
        }
        let cpu = random.magnitude(0.01, 1.0);
        push(
            "process_cpu_seconds_total",
            &[],
            counter(random, ticks, cpu, 0.01),
        );
        let resident = random.magnitude(1e7, 1e9);
        push(
            "process_resident_memory_bytes",
            &[],
            gauge(random, ticks, resident, 4_096.0),
        );
        push("go_goroutines", &[], gauge(random, ticks, 40.0, 1.0));
    }
}
