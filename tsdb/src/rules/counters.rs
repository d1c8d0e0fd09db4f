//! What rules and notifications count, under upstream's names: the dashboards and alerts that people
//! have ask for these.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;

use super::group::{Group, GroupState};
use super::manager::RuleManager;
use super::notifier::{Notifier, OutletCounts};

/// Seconds that evaluations are counted below.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// What is counted of all rules together.
#[derive(Debug)]
pub struct RuleCounters {
    /// How long evaluations of a rule took.
    pub rule_duration: Histogram,
    /// How long evaluations of a group took.
    pub group_duration: Histogram,
}

impl Default for RuleCounters {
    fn default() -> Self {
        Self {
            rule_duration: Histogram::new(BUCKETS),
            group_duration: Histogram::new(BUCKETS),
        }
    }
}

/// Reads the counters when they are scraped.
#[derive(Debug)]
pub(super) struct RulesCollector {
    manager: RuleManager,
    notifier: Notifier,
}

impl RulesCollector {
    pub(super) const fn new(manager: RuleManager, notifier: Notifier) -> Self {
        Self { manager, notifier }
    }
}

type Encoder<'a, 'b> = &'a mut DescriptorEncoder<'b>;

/// A number of each group.
type OfGroup = fn(&Group, &GroupState) -> f64;

impl Collector for RulesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let groups: Vec<(String, Arc<Group>)> = (self.manager.groups().into_iter())
            .map(|group| (group.key(), group))
            .collect();
        encode_groups(&mut encoder, &groups)?;
        let counters = self.manager.counters();
        for (name, help, histogram) in [
            (
                "prometheus_rule_evaluation_duration_seconds",
                "The duration for a rule to execute",
                &counters.rule_duration,
            ),
            (
                "prometheus_rule_group_duration_seconds",
                "The duration of rule group evaluations",
                &counters.group_duration,
            ),
        ] {
            let to = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            histogram.encode(to)?;
        }
        let reload = self.manager.last_reload();
        gauge(
            &mut encoder,
            "prometheus_config_last_reload_successful",
            "Whether the last configuration reload attempt was successful",
            f64::from(u8::from(reload.succeeded)),
        )?;
        gauge(
            &mut encoder,
            "prometheus_config_last_reload_success_timestamp_seconds",
            "Timestamp of the last successful configuration reload",
            reload.success_at.seconds(),
        )?;
        encode_notifications(&mut encoder, &self.notifier)
    }
}

fn encode_groups(
    encoder: Encoder<'_, '_>,
    groups: &[(String, Arc<Group>)],
) -> Result<(), fmt::Error> {
    let counters: [(&str, &str, OfGroup); 4] = [
        (
            "prometheus_rule_evaluations",
            "The total number of rule evaluations",
            |group, _| group.counters.evaluations.load(Ordering::Relaxed) as f64,
        ),
        (
            "prometheus_rule_evaluation_failures",
            "The total number of rule evaluation failures",
            |group, _| group.counters.failures.load(Ordering::Relaxed) as f64,
        ),
        (
            "prometheus_rule_group_iterations",
            "The total number of scheduled rule group evaluations, whether executed or missed",
            |group, _| group.counters.iterations.load(Ordering::Relaxed) as f64,
        ),
        (
            "prometheus_rule_group_iterations_missed",
            "The total number of rule group evaluations missed due to slow rule group evaluation",
            |group, _| group.counters.missed.load(Ordering::Relaxed) as f64,
        ),
    ];
    for (name, help, value) in counters {
        let mut to = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (key, group) in groups {
            let labels = [("rule_group", key.as_str())];
            let number = group.read(|state| value(group, state)) as u64;
            to.encode_family(&labels)?
                .encode_counter::<NoLabelSet, u64, u64>(&number, None)?;
        }
    }
    let gauges: [(&str, &str, OfGroup); 5] = [
        (
            "prometheus_rule_group_interval_seconds",
            "The interval of a rule group",
            |group, _| group.settings.interval_ms as f64 / 1000.0,
        ),
        (
            "prometheus_rule_group_last_duration_seconds",
            "The duration of the last rule group evaluation",
            |_, state| state.evaluation_seconds,
        ),
        (
            "prometheus_rule_group_last_evaluation_timestamp_seconds",
            "The timestamp of the last rule group evaluation in seconds",
            |_, state| state.last_evaluation.unwrap_or_default().seconds(),
        ),
        (
            "prometheus_rule_group_last_evaluation_samples",
            "The number of samples returned during the last rule group evaluation",
            |_, state| state.samples as f64,
        ),
        (
            "prometheus_rule_group_rules",
            "The number of rules",
            |group, _| group.spec.rules.len() as f64,
        ),
    ];
    for (name, help, value) in gauges {
        let mut to = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (key, group) in groups {
            let labels = [("rule_group", key.as_str())];
            to.encode_family(&labels)?
                .encode_gauge(&group.read(|state| value(group, state)))?;
        }
    }
    Ok(())
}

/// A number of each Alertmanager.
type OfOutlet = fn(&OutletCounts) -> u64;

fn encode_notifications(encoder: Encoder<'_, '_>, notifier: &Notifier) -> Result<(), fmt::Error> {
    let outlets = notifier.counts();
    let counters: [(&str, &str, OfOutlet); 3] = [
        (
            "prometheus_notifications_sent",
            "Total number of alerts sent",
            |counts| counts.sent,
        ),
        (
            "prometheus_notifications_errors",
            "Total number of sent alerts affected by errors",
            |counts| counts.errors,
        ),
        (
            "prometheus_notifications_dropped",
            "Total number of alerts dropped because the queue was full or sending failed",
            |counts| counts.dropped,
        ),
    ];
    for (name, help, value) in counters {
        let mut to = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for counts in &outlets {
            let labels = [("alertmanager", counts.url.as_str())];
            to.encode_family(&labels)?
                .encode_counter::<NoLabelSet, u64, u64>(&value(counts), None)?;
        }
    }
    let name = "prometheus_notifications_queue_length";
    let help = "The number of alert notifications in the queue";
    let mut to = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for counts in &outlets {
        let labels = [("alertmanager", counts.url.as_str())];
        to.encode_family(&labels)?
            .encode_gauge(&(counts.waiting as i64))?;
    }
    gauge(
        encoder,
        "prometheus_notifications_queue_capacity",
        "The capacity of the alert notifications queue",
        notifier.capacity() as f64,
    )?;
    gauge(
        encoder,
        "prometheus_notifications_alertmanagers_discovered",
        "The number of alertmanagers discovered and active",
        outlets.len() as f64,
    )
}

fn gauge(encoder: Encoder<'_, '_>, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
