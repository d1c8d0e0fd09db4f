//! What the webhook counts about itself.
//!
//! Labels are bounded: kinds are those we judge and `other`, operations and modes are the API's
//! few, rules are those of the bundle in force. Nothing a client names becomes a label.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::audit::found::Found;
use crate::data::{DataError, Language};
use crate::evaluate::Trace;
use crate::gatekeeper::Refused;
use crate::review::Review;
use crate::verdict::Decision;

/// From a tenth of a millisecond, which an ordinary pod takes, to the ten seconds an API server
/// waits.
const LATENCY_BUCKETS: [f64; 13] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    verdict: &'static str,
    kind: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimedLabels {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    language: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LanguageLabels {
    language: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PolicyLabels {
    kind: String,
    name: String,
}

/// A histogram of latencies for each set of labels.
type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

/// A metric, registered.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Latencies, registered.
fn timed<L>(registry: &mut Registry, name: &str, help: &str) -> Timed<L>
where
    L: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    let latencies: Timed<L> = Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
    registry.register(name, help, latencies.clone());
    latencies
}

/// How many policies that are refused have a series of their own; the log names all.
const REFUSED_MAX: usize = 100;

/// How the caches of the cluster fare. There are as many as kinds are watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics {
    contact: Family<CacheLabels, Gauge<f64, AtomicU64>>,
    failures: Family<CacheLabels, Counter>,
}

impl CacheMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("taffrail_admission_cache");
        CacheMetrics {
            contact: registered(
                registry,
                "last_contact_timestamp_seconds",
                "When the API server was last heard on the watch of a cache; 0 if never",
            ),
            failures: registered(
                registry,
                "watch_failures",
                "Attempts to list or watch that failed, by cache",
            ),
        }
    }

    /// When the API server was heard, and how many attempts failed.
    pub(crate) fn of(&self, cache: &str) -> (Gauge<f64, AtomicU64>, Counter) {
        let labels = CacheLabels {
            cache: cache.to_string(),
        };
        (
            self.contact.get_or_create(&labels).clone(),
            self.failures.get_or_create(&labels).clone(),
        )
    }

    /// A cache is no more.
    pub(crate) fn forget(&self, cache: &str) {
        let labels = CacheLabels {
            cache: cache.to_string(),
        };
        self.contact.remove(&labels);
        self.failures.remove(&labels);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViolationLabels {
    policy: String,
    kind: String,
    namespace: String,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// What the last audit found.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditMetrics {
    violations: Family<ViolationLabels, Gauge>,
    failures: Family<KindLabels, Gauge>,
    duration: Gauge<f64, AtomicU64>,
    last: Gauge<f64, AtomicU64>,
}

impl AuditMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("taffrail_admission_audit");
        AuditMetrics {
            violations: registered(
                registry,
                "violations",
                "Violations among what runs, as the last audit found them",
            ),
            failures: registered(
                registry,
                "failed_kinds",
                "Kinds that the last audit could not look at, 1 each",
            ),
            duration: registered(registry, "duration_seconds", "How long the last audit took"),
            last: registered(
                registry,
                "last_run_timestamp_seconds",
                "When the last audit ended; 0 before the first",
            ),
        }
    }

    /// An audit is over: what it found takes the place of what there was.
    pub(crate) fn observe(&self, found: &Found, elapsed: Duration) {
        self.violations.clear();
        for ((policy, kind, namespace, action), count) in found.counts() {
            let labels = ViolationLabels {
                policy: policy.clone(),
                kind: kind.clone(),
                namespace: namespace.clone(),
                action,
            };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.violations.get_or_create(&labels).set(count);
        }
        self.failures.clear();
        for kind in found.failures().keys() {
            let labels = KindLabels { kind: kind.clone() };
            self.failures.get_or_create(&labels).set(1);
        }
        self.duration.set(elapsed.as_secs_f64());
        let now = jiff::Timestamp::now().as_millisecond();
        self.last.set(now as f64 / 1000.0);
    }
}

/// The webhook's own series.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    reviews: Family<ReviewLabels, Counter>,
    latency: Histogram,
    rules: Family<RuleLabels, Counter>,
    policies: Timed<TimedLabels>,
    refusals: Family<RefusalLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    refused_policies: Family<PolicyLabels, Gauge>,
    pub(crate) in_flight: Gauge,
    pub(crate) certificate_expiry: Gauge<f64, AtomicU64>,
    pub(crate) data: DataMetrics,
}

/// What rules ask of metrics and logs.
#[derive(Debug, Clone)]
pub(crate) struct DataMetrics {
    questions: Family<QuestionLabels, Counter>,
    latency: Timed<LanguageLabels>,
}

impl DataMetrics {
    /// A question was answered, or was not, after a while.
    pub(crate) fn observe(
        &self,
        language: Language,
        result: Result<(), &DataError>,
        elapsed: Duration,
    ) {
        let language = language.as_str();
        let outcome = match result {
            Ok(()) => "answered",
            Err(error) => error.outcome(),
        };
        let labels = QuestionLabels { language, outcome };
        self.questions.get_or_create(&labels).inc();
        let of_it = self.latency.get_or_create(&LanguageLabels { language });
        of_it.observe(elapsed.as_secs_f64());
    }
}

impl Metrics {
    /// Registers the series.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("taffrail_admission");
        let latency = Histogram::new(LATENCY_BUCKETS);
        registry.register(
            "review_duration_seconds",
            "Time from the last byte of a request to its verdict",
            latency.clone(),
        );
        Metrics {
            reviews: registered(
                registry,
                "reviews",
                "Admission reviews answered, by verdict, kind and operation",
            ),
            latency,
            rules: registered(registry, "rule_hits", "Violations found, by rule and mode"),
            policies: timed(
                registry,
                "policy_duration_seconds",
                "Time a policy took for a review: PodSecurity, NetworkPolicy, KIND/NAME of constraints",
            ),
            refusals: registered(
                registry,
                "refused_requests",
                "Requests that were no review or came while too many were under way",
            ),
            reloads: registered(
                registry,
                "reloads",
                "Policies and certificates taken up anew",
            ),
            refused_policies: registered(
                registry,
                "refused_policies",
                "Policies among the cluster's objects that do not hold as they stand, 1 each",
            ),
            in_flight: registered(registry, "reviews_in_flight", "Admission reviews under way"),
            certificate_expiry: registered(
                registry,
                "certificate_expiry_timestamp_seconds",
                "When the serving certificate ends; 0 where somebody else renews it",
            ),
            data: DataMetrics {
                questions: registered(
                    registry,
                    "data_questions",
                    "Questions of rules to metrics and logs, by language and outcome",
                ),
                latency: timed(
                    registry,
                    "data_question_duration_seconds",
                    "Time until a question of a rule to metrics or logs had its answer, or none",
                ),
            },
        }
    }

    pub(crate) fn observe(
        &self,
        review: &Review,
        decision: &Decision,
        trace: &Trace,
        elapsed: Duration,
    ) {
        self.reviews
            .get_or_create(&ReviewLabels {
                verdict: decision.verdict.as_str(),
                kind: review.target.as_str(),
                operation: review.operation.as_str(),
            })
            .inc();
        self.latency.observe(elapsed.as_secs_f64());
        for (policy, took) in &trace.times {
            let labels = TimedLabels {
                policy: policy.clone(),
            };
            let of_it = self.policies.get_or_create(&labels);
            of_it.observe(took.as_secs_f64());
        }
        for hit in &decision.rules {
            self.rules
                .get_or_create(&RuleLabels {
                    rule: hit.rule.clone(),
                    mode: hit.mode.as_str(),
                })
                .inc();
        }
    }

    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { reason }).inc();
    }

    /// These and no others are refused.
    pub(crate) fn refuse_policies(&self, refused: &[Refused]) {
        self.refused_policies.clear();
        for one in refused.iter().take(REFUSED_MAX) {
            let labels = PolicyLabels {
                kind: one.kind.clone(),
                name: one.name.clone(),
            };
            self.refused_policies.get_or_create(&labels).set(1);
        }
    }

    pub(crate) fn reload(&self, what: &'static str, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        self.reloads
            .get_or_create(&ReloadLabels { what, result })
            .inc();
    }
}
