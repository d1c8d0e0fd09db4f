//! A group of rules at work: one after another at the same instant, each result stored before the
//! next rule asks.
//!
//! Only one evaluation of a group runs at a time; the manager sees to that. What others look at lies behind a
//! lock that is never held while an expression is evaluated or a sample is stored. A series that a rule gave
//! before and does not give now ends with a staleness marker; so do the series of rules that a
//! reload took away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::histogram::Histogram;
use model::labels::{Labels, METRIC_NAME};
use model::matcher::Matcher;
use model::sample::{HistogramSample, Sample, SeriesSamples, stale_nan};
use model::time::{TimeRange, Timestamp};
use model::vector::{InstantSample, SampleValue};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::alerts::{ALERT_NAME, ALERTS_FOR_STATE, Alerts, Raised, SentAlert};
use super::counters::RuleCounters;
use super::evaluator::{Evaluator, Store};
use super::file::{GroupSpec, RuleKind, RuleSpec};
use super::template::TemplateContext;

/// Scrapes and recording rules need a while after a start before alerts are what they were.
const EVALUATIONS_BEFORE_RESTORE: u64 = 2;

/// Whether a rule works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// It was, the last time.
    Good,
    /// It could not be evaluated, or what it gave could not be stored.
    Bad(String),
}

impl Health {
    /// Upstream's word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad(_) => "err",
        }
    }
}

/// What a rule was found to be.
#[derive(Clone, Debug, Default)]
pub struct RuleState {
    /// Whether it works.
    pub health: Health,
    /// How long the last evaluation took.
    pub evaluation_seconds: f64,
    /// When that was.
    pub last_evaluation: Option<Timestamp>,
    /// Its alerts, if it is an alerting rule.
    pub alerts: Alerts,
    /// The series it gave the last time.
    previous: BTreeSet<Labels>,
}

/// What a group was found to be.
#[derive(Clone, Debug, Default)]
pub struct GroupState {
    /// Its rules, in order.
    pub rules: Vec<RuleState>,
    /// How long the last evaluation took.
    pub evaluation_seconds: f64,
    /// When that was.
    pub last_evaluation: Option<Timestamp>,
    /// Samples that the last evaluation gave.
    pub samples: usize,
    /// Series of rules that are gone, to be ended.
    orphans: Vec<Labels>,
    /// Evaluations so far.
    evaluations: u64,
}

/// What an evaluation works with.
#[derive(Clone)]
pub struct Bench {
    /// Answers expressions.
    pub evaluator: Arc<dyn Evaluator>,
    /// Keeps samples.
    pub store: Arc<dyn Store>,
    /// Takes alerts that are to be sent.
    pub sender: Arc<dyn Fn(Vec<SentAlert>) + Send + Sync>,
    /// What is counted.
    pub counters: Arc<RuleCounters>,
    /// From one sending of an alert to the next.
    pub resend_delay_ms: i64,
    /// How long nobody may have looked for the state of alerts to be restored.
    pub outage_tolerance_ms: i64,
    /// How long a restored alert is pending at least.
    pub grace_period_ms: i64,
}

/// When something is evaluated.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// The instant.
    at: Timestamp,
    /// The instant that samples get and expressions are asked at, which may be earlier.
    sample_at: Timestamp,
}

/// What a group has of the configuration, beside its file.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// From one evaluation to the next.
    pub interval_ms: i64,
    /// How far in the past it looks.
    pub query_offset_ms: i64,
    /// The labels that name this server.
    pub external_labels: Labels,
    /// Where people reach it.
    pub external_url: Arc<str>,
}

/// What was counted of a group.
#[derive(Debug, Default)]
pub struct GroupCounters {
    /// Rules that were evaluated.
    pub evaluations: AtomicU64,
    /// Those that failed.
    pub failures: AtomicU64,
    /// Evaluations of the group, missed ones included.
    pub iterations: AtomicU64,
    /// Evaluations that were due and did not happen.
    pub missed: AtomicU64,
}

/// A group of rules at work.
pub struct Group {
    /// As it is written.
    pub spec: GroupSpec,
    /// The file it is written in.
    pub file: Arc<str>,
    /// What it has of the configuration.
    pub settings: GroupSettings,
    /// What was counted.
    pub counters: Arc<GroupCounters>,
    /// Whether the state of its alerts may be in the store.
    restores: bool,
    state: Mutex<GroupState>,
}

impl Group {
    /// A group that was not evaluated yet. Where `restores` is set, what an earlier run knew of its alerts is
    /// looked for after the second evaluation.
    pub fn new(spec: GroupSpec, file: Arc<str>, settings: GroupSettings, restores: bool) -> Self {
        let mut rules = vec![RuleState::default(); spec.rules.len()];
        for rule in &mut rules {
            rule.alerts.is_restored = !restores;
        }
        Self {
            spec,
            file,
            settings,
            counters: Arc::new(GroupCounters::default()),
            restores,
            state: Mutex::new(GroupState {
                rules,
                ..GroupState::default()
            }),
        }
    }

    /// Whether what an earlier run knew of its alerts is still to be looked for.
    pub fn is_restoring(&self) -> bool {
        self.restores && self.state.lock().evaluations < EVALUATIONS_BEFORE_RESTORE
    }

    /// Its name in metrics: `FILE;NAME`.
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.spec.name)
    }

    /// What it was found to be, as of now.
    pub fn state(&self) -> GroupState {
        self.read(GroupState::clone)
    }

    /// Looks at what it was found to be; evaluations wait for it.
    pub fn read<R>(&self, with: impl FnOnce(&GroupState) -> R) -> R {
        with(&self.state.lock())
    }

    /// The last instant, not after `now`, that the group is evaluated at. Groups are spread over the
    /// interval, each at the same place of it for ever.
    pub fn slot(&self, now: Timestamp) -> Timestamp {
        let interval = self.settings.interval_ms.max(1);
        let hash = xxh3_64(self.key().as_bytes());
        let offset = (hash % interval.unsigned_abs()) as i64;
        let base = (now.millis().saturating_sub(offset)).div_euclid(interval);
        Timestamp(base.saturating_mul(interval).saturating_add(offset))
    }

    /// The series that its rules gave the last time, and those that are still to be ended.
    pub fn live_series(&self) -> Vec<Labels> {
        let state = self.state.lock();
        let of_rules = state.rules.iter().flat_map(|rule| rule.previous.iter());
        of_rules.chain(&state.orphans).cloned().collect()
    }

    /// Takes over what is known of the group this one replaces. Series of rules that are gone will be ended.
    pub fn adopt(&self, from: &Self) {
        let (mut own, from_state) = (self.state.lock(), from.state());
        own.evaluation_seconds = from_state.evaluation_seconds;
        own.last_evaluation = from_state.last_evaluation;
        own.evaluations = from_state.evaluations;
        own.orphans = from_state.orphans;
        let mut before: Vec<(&RuleSpec, Option<RuleState>)> = (from.spec.rules.iter())
            .zip(from_state.rules.into_iter().map(Some))
            .collect();
        for (rule, state) in self.spec.rules.iter().zip(&mut own.rules) {
            let same = before.iter_mut().find(|(old, state)| {
                state.is_some()
                    && old.name == rule.name
                    && old.labels == rule.labels
                    && is_alerting(old) == is_alerting(rule)
            });
            if let Some(old) = same.and_then(|(_, state)| state.take()) {
                state.previous = old.previous;
                state.alerts.adopt(&old.alerts);
            }
        }
        let gone = before.into_iter().filter_map(|(_, state)| state);
        own.orphans.extend(gone.flat_map(|state| state.previous));
    }

    /// Evaluates every rule once.
    pub fn evaluate(&self, bench: &Bench, at: Timestamp) {
        let began = Instant::now();
        let offset = self.settings.query_offset_ms;
        let moment = Moment {
            at,
            sample_at: at.saturating_sub(offset),
        };
        self.counters.iterations.fetch_add(1, Ordering::Relaxed);
        let mut samples = 0;
        for (index, rule) in self.spec.rules.iter().enumerate() {
            samples += self.evaluate_rule(bench, index, rule, moment);
        }
        self.end_orphans(bench, moment);
        let seconds = began.elapsed().as_secs_f64();
        bench.counters.group_duration.observe(seconds);
        let evaluations = {
            let mut state = self.state.lock();
            state.samples = samples;
            state.evaluation_seconds = seconds;
            state.last_evaluation = Some(at);
            state.evaluations += 1;
            state.evaluations
        };
        if self.restores && evaluations == EVALUATIONS_BEFORE_RESTORE {
            self.restore(bench, at);
        }
    }

    fn evaluate_rule(&self, bench: &Bench, index: usize, rule: &RuleSpec, moment: Moment) -> usize {
        let began = Instant::now();
        self.counters.evaluations.fetch_add(1, Ordering::Relaxed);
        let given = self.give(bench, index, rule, moment);
        let (outcome, count) = match given {
            Ok(series) => {
                let count = series.len();
                (self.store(bench, index, series, moment), count)
            }
            Err(error) => (Err(error), 0),
        };
        if let Err(error) = &outcome {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            let (file, group, rule) = (&*self.file, &*self.spec.name, &*rule.name);
            tracing::warn!(file, group, rule, error, "a rule could not be evaluated");
        }
        let seconds = began.elapsed().as_secs_f64();
        bench.counters.rule_duration.observe(seconds);
        self.with_rule(index, |state| {
            state.health = match outcome {
                Ok(()) => Health::Good,
                Err(error) => Health::Bad(error),
            };
            state.evaluation_seconds = seconds;
            state.last_evaluation = Some(moment.at);
        });
        count
    }

    /// Looks at a rule under the lock; there is a state for each.
    fn with_rule<R>(&self, index: usize, with: impl FnOnce(&mut RuleState) -> R) -> R {
        let mut state = self.state.lock();
        match state.rules.get_mut(index) {
            Some(rule) => with(rule),
            None => with(&mut RuleState::default()),
        }
    }

    /// What a rule gives at an instant; alerts that are due go to the sender.
    fn give(
        &self,
        bench: &Bench,
        index: usize,
        rule: &RuleSpec,
        moment: Moment,
    ) -> Result<Vec<SeriesSamples>, String> {
        let samples = bench.evaluator.instant(&rule.expr, moment.sample_at)?;
        match &rule.kind {
            RuleKind::Recording => recorded(rule, samples, moment, self.spec.limit),
            RuleKind::Alerting(spec) => {
                // Templates may ask the store, so they come before the lock.
                let context = self.template_context(bench, moment);
                let raised = Raised::of(rule, spec, &samples, moment.at, &context)?;
                let limit = self.spec.limit;
                let interval = self.settings.interval_ms;
                let (given, due) = self.with_rule(index, |state| {
                    let alerts = &mut state.alerts;
                    let given = alerts.update(spec, &raised, moment.at, limit)?;
                    let due =
                        alerts.take_due(&rule.expr, moment.at, interval, bench.resend_delay_ms);
                    Ok::<_, String>((given, due))
                })?;
                if !due.is_empty() {
                    (bench.sender)(due);
                }
                let float = |(labels, value)| float_of(labels, moment.sample_at, value);
                Ok(given.into_iter().map(float).collect())
            }
        }
    }

    fn template_context(&self, bench: &Bench, moment: Moment) -> TemplateContext {
        let (evaluator, at) = (Arc::clone(&bench.evaluator), moment.at);
        TemplateContext {
            external_labels: self.settings.external_labels.clone(),
            external_url: Arc::clone(&self.settings.external_url),
            query: Arc::new(move |expr| evaluator.instant(expr, at)),
            now: moment.at,
        }
    }

    /// Stores what a rule gave, and ends what it gives no longer.
    fn store(
        &self,
        bench: &Bench,
        index: usize,
        mut series: Vec<SeriesSamples>,
        moment: Moment,
    ) -> Result<(), String> {
        let given: BTreeSet<Labels> = series.iter().map(|one| one.labels.clone()).collect();
        let ended: Vec<Labels> = self.with_rule(index, |state| {
            let ended = state.previous.difference(&given);
            ended.cloned().collect()
        });
        let ended = ended.into_iter();
        series.extend(ended.map(|labels| float_of(labels, moment.sample_at, stale_nan())));
        if series.is_empty() {
            return Ok(());
        }
        bench.store.append(&series)?;
        self.with_rule(index, |state| state.previous = given);
        Ok(())
    }

    /// Ends the series of rules that are gone, unless another gives them now.
    fn end_orphans(&self, bench: &Bench, moment: Moment) {
        let orphans = {
            let mut state = self.state.lock();
            let orphans = std::mem::take(&mut state.orphans);
            let lives = |labels: &Labels| {
                let mut rules = state.rules.iter();
                rules.any(|rule| rule.previous.contains(labels))
            };
            let dead: Vec<Labels> = orphans.into_iter().filter(|one| !lives(one)).collect();
            dead
        };
        end_series(bench, orphans, moment.sample_at);
    }

    /// Looks in the store for what an earlier run knew of the alerts.
    fn restore(&self, bench: &Bench, at: Timestamp) {
        let range = TimeRange::new(at.saturating_sub(bench.outage_tolerance_ms), at);
        for (index, rule) in self.spec.rules.iter().enumerate() {
            let RuleKind::Alerting(spec) = &rule.kind else {
                continue;
            };
            let mut last = Vec::new();
            // One that is pending for less would only wait longer.
            if spec.hold_ms >= bench.grace_period_ms {
                let matchers = [
                    Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE),
                    Matcher::equal(ALERT_NAME, rule.name.as_str()),
                ];
                match bench.store.last(&matchers, range) {
                    Ok(found) => last = found,
                    Err(error) => {
                        let rule = &*rule.name;
                        tracing::error!(rule, error, "the state of alerts cannot be restored");
                    }
                }
            }
            self.with_rule(index, |state| {
                state.alerts.restore(spec, &last, at, bench.grace_period_ms);
            });
        }
    }
}

/// Ends series with a staleness marker.
pub(super) fn end_series(bench: &Bench, series: Vec<Labels>, at: Timestamp) {
    let ended: Vec<SeriesSamples> = series
        .into_iter()
        .map(|labels| float_of(labels, at, stale_nan()))
        .collect();
    if !ended.is_empty()
        && let Err(error) = bench.store.append(&ended)
    {
        tracing::warn!(error, "series of rules that are gone could not be ended");
    }
}

const fn is_alerting(rule: &RuleSpec) -> bool {
    matches!(rule.kind, RuleKind::Alerting(_))
}

fn float_of(labels: Labels, timestamp: Timestamp, value: f64) -> SeriesSamples {
    SeriesSamples {
        labels,
        samples: vec![Sample { timestamp, value }],
        ..SeriesSamples::default()
    }
}

fn histogram_of(labels: Labels, timestamp: Timestamp, histogram: Histogram) -> SeriesSamples {
    SeriesSamples {
        labels,
        histograms: vec![HistogramSample {
            timestamp,
            histogram,
        }],
        ..SeriesSamples::default()
    }
}

/// The samples of a recording rule under its own name and labels.
fn recorded(
    rule: &RuleSpec,
    samples: Vec<InstantSample>,
    moment: Moment,
    limit: usize,
) -> Result<Vec<SeriesSamples>, String> {
    let count = samples.len();
    let mut series = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.to_builder();
        labels.set(METRIC_NAME, &rule.name);
        for (name, value) in &rule.labels {
            labels.set(name, value.text());
        }
        let labels = labels.build();
        let one = match sample.value {
            SampleValue::Float(value) => float_of(labels.clone(), moment.sample_at, value),
            SampleValue::Histogram(histogram) => {
                histogram_of(labels.clone(), moment.sample_at, *histogram)
            }
        };
        series.insert(labels, one);
    }
    if series.len() < count {
        return Err(
            "vector contains metrics with the same labelset after applying rule labels".to_owned(),
        );
    }
    if limit > 0 && count > limit {
        return Err(format!("exceeded limit of {limit} with {count} series"));
    }
    Ok(series.into_values().collect())
}
