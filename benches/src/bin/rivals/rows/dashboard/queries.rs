//! What dashboards and their rules ask of a cluster, as the Kubernetes mixins, node and SLO dashboards write it.

/// What a query is asked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Over {
    /// The last instant, as rules and tables ask.
    Instant,
    /// The last hours, closely.
    Hours,
    /// The whole day, less closely.
    Day,
    /// Thirty days.
    Month,
}

/// One panel, or one rule.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Query {
    pub(in super::super) name: &'static str,
    pub(in super::super) text: &'static str,
    pub(in super::super) over: Over,
}

const fn query(name: &'static str, over: Over, text: &'static str) -> Query {
    Query { name, text, over }
}

/// Asked of what was scraped.
pub(in super::super) const SCRAPED: [Query; 21] = [
    query(
        "CPU by pod of a namespace",
        Over::Hours,
        r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="namespace-3", image!="", container!=""}[5m]))"#,
    ),
    query(
        "CPU by namespace",
        Over::Hours,
        r#"sum by (namespace) (rate(container_cpu_usage_seconds_total{image!="", container!=""}[5m]))"#,
    ),
    query(
        "CPU by container, joined with kube_pod_info",
        Over::Hours,
        r#"sum by (namespace, pod, container) (irate(container_cpu_usage_seconds_total{job="kubelet", metrics_path="/metrics/cadvisor", image!=""}[5m])) * on (namespace, pod) group_left(node) topk by (namespace, pod) (1, max by (namespace, pod, node) (kube_pod_info{node!=""}))"#,
    ),
    query(
        "memory, joined with kube_pod_info",
        Over::Instant,
        r#"container_memory_working_set_bytes{job="kubelet", metrics_path="/metrics/cadvisor", image!=""} * on (namespace, pod) group_left(node) topk by (namespace, pod) (1, max by (namespace, pod, node) (kube_pod_info{node!=""}))"#,
    ),
    query(
        "memory by workload, joined with the owner",
        Over::Hours,
        r#"sum by (workload) (container_memory_working_set_bytes{container!="", image!=""} * on (namespace, pod) group_left(workload, workload_type) namespace_workload_pod:kube_pod_owner:relabel{workload_type="deployment"})"#,
    ),
    query(
        "CPU against requests",
        Over::Day,
        r#"sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[5m])) / sum by (namespace) (kube_pod_container_resource_requests{resource="cpu"})"#,
    ),
    query(
        "CPU throttling",
        Over::Hours,
        r#"sum by (container, pod, namespace) (increase(container_cpu_cfs_throttled_periods_total{container!=""}[5m])) / sum by (container, pod, namespace) (increase(container_cpu_cfs_periods_total[5m])) > 0.25"#,
    ),
    query(
        "topk of network by pod",
        Over::Hours,
        r"topk(5, sum by (pod) (rate(container_network_receive_bytes_total[5m])))",
    ),
    query(
        "p99 of a histogram by service",
        Over::Hours,
        r"histogram_quantile(0.99, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))",
    ),
    query(
        "median of each histogram",
        Over::Day,
        r"histogram_quantile(0.5, rate(http_request_duration_seconds_bucket[5m]))",
    ),
    query(
        "errors by service",
        Over::Day,
        r#"sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m]))"#,
    ),
    query(
        "burn rate of an SLO, two windows",
        Over::Instant,
        r#"sum(rate(http_requests_total{code=~"5.."}[1h])) / sum(rate(http_requests_total[1h])) > 0.0001 and sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.0001"#,
    ),
    query(
        "CPU of nodes",
        Over::Day,
        r#"1 - avg without (cpu) (sum without (mode) (rate(node_cpu_seconds_total{job="node-exporter", mode=~"idle|iowait|steal"}[5m])))"#,
    ),
    query(
        "memory of nodes",
        Over::Day,
        r"1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    ),
    query(
        "file systems that fill up",
        Over::Instant,
        r#"node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.5 and predict_linear(node_filesystem_avail_bytes{fstype!=""}[6h], 4 * 3600) < 3e11"#,
    ),
    query(
        "pods running, joined with the owner",
        Over::Instant,
        r#"sum by (namespace, owner_kind) (max by (namespace, pod) (kube_pod_status_phase{phase=~"Running|Pending"}) * on (namespace, pod) group_left(owner_kind) topk by (namespace, pod) (1, max by (namespace, pod, owner_kind) (kube_pod_owner)))"#,
    ),
    query(
        "pods by phase",
        Over::Hours,
        r"sum by (phase) (kube_pod_status_phase)",
    ),
    query(
        "subquery: peak of CPU by namespace",
        Over::Hours,
        r#"max_over_time(sum by (namespace) (rate(container_cpu_usage_seconds_total{container!=""}[5m]))[1h:1m])"#,
    ),
    query(
        "quantile over pods",
        Over::Day,
        r#"quantile(0.95, sum by (pod) (container_memory_working_set_bytes{container!=""}))"#,
    ),
    query(
        "quantile over an hour",
        Over::Day,
        r#"quantile_over_time(0.9, container_memory_working_set_bytes{container="app"}[1h])"#,
    ),
    query(
        "restarts",
        Over::Hours,
        r"sum by (namespace) (increase(kube_pod_container_status_restarts_total[1h])) > 0",
    ),
];

/// Asked of what recording rules left.
pub(in super::super) const HISTORY: [Query; 6] = [
    query(
        "30 days: availability",
        Over::Instant,
        r#"1 - sum(sum_over_time(code_verb:apiserver_request_total:increase1h{code=~"5.."}[30d])) / sum(sum_over_time(code_verb:apiserver_request_total:increase1h[30d]))"#,
    ),
    query(
        "30 days: mean, through the day",
        Over::Day,
        r"avg_over_time(namespace:container_cpu_usage_seconds_total:sum_rate[30d])",
    ),
    query(
        "30 days: requests, through the day",
        Over::Day,
        r"sum by (namespace) (increase(namespace:http_requests:total[30d]))",
    ),
    query(
        "30 days: quantile",
        Over::Instant,
        r"quantile_over_time(0.95, namespace:container_cpu_usage_seconds_total:sum_rate[30d])",
    ),
    query(
        "30 days: peaks of a day, each hour",
        Over::Month,
        r"max_over_time(instance:node_cpu_utilisation:rate5m[1d])",
    ),
    query(
        "30 days: a recording, each hour",
        Over::Month,
        r"namespace:container_cpu_usage_seconds_total:sum_rate",
    ),
];
