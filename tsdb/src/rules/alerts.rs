//! The alerts of one rule and what becomes of them: inactive, pending, firing, resolved.
//!
//! Pure but for the templates, which may ask the store: instants are handed in, and what is to be stored and
//! sent is handed out. The rules of this machine are upstream's, to the order in which they are looked
//! at. Source: Prometheus' `rules/alerting.go` and the restoring in `rules/group.go`.

use std::collections::BTreeMap;

use model::labels::{Labels, METRIC_NAME};
use model::sample::is_stale_nan;
use model::time::Timestamp;
use model::vector::{InstantSample, SampleValue};

use super::file::{AlertSpec, RuleSpec};
use super::template::{Expander, Template, TemplateContext};

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";
/// The series of each alert that is pending or firing.
pub const ALERTS: &str = "ALERTS";
/// The series whose values say since when.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// How long an alert is remembered after it was resolved.
const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// It is over, or has not begun.
    Inactive,
    /// It has lasted for less than `for`.
    Pending,
    /// It is to be told.
    Firing,
}

impl AlertState {
    /// Upstream's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about, which is its identity.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Vec<(String, String)>,
    /// How far it has come.
    pub state: AlertState,
    /// What its expression gave last.
    pub value: f64,
    /// Since when its expression gives something.
    pub active_at: Timestamp,
    /// Since when it fires.
    pub fired_at: Option<Timestamp>,
    /// Since when it is over.
    pub resolved_at: Option<Timestamp>,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<Timestamp>,
}

impl Alert {
    /// Whether it is to be sent now. One that is over is sent as often as one that fires, for as long as it
    /// is remembered.
    fn needs_sending(&self, at: Timestamp, resend_delay_ms: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        match (self.sent_at, self.resolved_at) {
            (None, _) => true,
            (Some(sent), Some(resolved)) if resolved > sent => true,
            (Some(sent), _) => sent.saturating_add(resend_delay_ms) < at,
        }
    }
}

/// An alert as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentAlert {
    /// What it is about.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Vec<(String, String)>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it was resolved, or until when it holds if nothing more is heard of it.
    pub ends_at: Timestamp,
    /// Its expression.
    pub expr: String,
}

/// The alerts of a rule.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    active: BTreeMap<Labels, Alert>,
    /// Whether the states of an earlier run are known, so that series may be written over them.
    pub is_restored: bool,
}

impl Alerts {
    /// Every alert that is remembered, in the order of labels.
    pub fn all(&self) -> impl Iterator<Item = &Alert> {
        self.active.values()
    }

    /// Those that are pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.all().filter(|alert| alert.resolved_at.is_none())
    }

    /// How far the farthest has come.
    pub fn state(&self) -> AlertState {
        let states = self.all().map(|alert| alert.state);
        states.max().unwrap_or(AlertState::Inactive)
    }

    /// Takes in the alerts that the expression raised. Returns the samples to store.
    pub fn update(
        &mut self,
        spec: &AlertSpec,
        given: &Raised,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Labels, f64)>, String> {
        let given = &given.0;
        for (labels, alert) in given {
            match self.active.get_mut(labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    known.value = alert.value;
                    known.annotations.clone_from(&alert.annotations);
                }
                _ => {
                    self.active.insert(labels.clone(), alert.clone());
                }
            }
        }
        let mut series = Vec::new();
        let mut live = 0_usize;
        let is_restored = self.is_restored;
        self.active.retain(|labels, alert| {
            let (kept, lives) = step(alert, spec, given.contains_key(labels), at);
            if lives {
                live += 1;
                if is_restored {
                    series.push((alerts_series(alert), 1.0));
                    let since = alert.active_at.millis().div_euclid(1000) as f64;
                    series.push((named(labels, ALERTS_FOR_STATE), since));
                }
            }
            kept
        });
        if limit > 0 && live > limit {
            self.active.clear();
            return Err(format!("exceeded limit of {limit} with {live} alerts"));
        }
        Ok(series)
    }

    /// What is to be sent, and notes that it was.
    pub fn take_due(
        &mut self,
        expr: &str,
        at: Timestamp,
        interval_ms: i64,
        resend_delay_ms: i64,
    ) -> Vec<SentAlert> {
        // Two evaluations, or two deliveries, may fail before it counts as over.
        let holds = resend_delay_ms.max(interval_ms).saturating_mul(4);
        let mut due = Vec::new();
        for alert in self.active.values_mut() {
            if !alert.needs_sending(at, resend_delay_ms) {
                continue;
            }
            alert.sent_at = Some(at);
            due.push(SentAlert {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                starts_at: alert.fired_at.unwrap_or(alert.active_at),
                ends_at: alert.resolved_at.unwrap_or(at.saturating_add(holds)),
                expr: expr.to_owned(),
            });
        }
        due
    }

    /// Brings back since when alerts were pending, from the last samples of `ALERTS_FOR_STATE` that an
    /// earlier run wrote.
    pub fn restore(
        &mut self,
        spec: &AlertSpec,
        last: &[(Labels, Timestamp, f64)],
        at: Timestamp,
        grace_period_ms: i64,
    ) {
        let known: BTreeMap<Labels, (Timestamp, f64)> = last
            .iter()
            .map(|(labels, down_at, since)| (labels.without_metric_name(), (*down_at, *since)))
            .collect();
        for (labels, alert) in &mut self.active {
            let Some((down_at, since)) = known.get(labels) else {
                continue;
            };
            if is_stale_nan(*since) {
                // It was over before the restart.
                continue;
            }
            let since = Timestamp((*since as i64).saturating_mul(1000));
            let spent = down_at.millis().saturating_sub(since.millis());
            let remaining = spec.hold_ms.saturating_sub(spent);
            alert.active_at = if remaining <= 0 {
                since
            } else if remaining < grace_period_ms {
                // It fires when the grace period is over.
                at.saturating_add(grace_period_ms.saturating_sub(spec.hold_ms))
            } else {
                // The time that nobody looked does not count.
                since.saturating_add(at.millis().saturating_sub(down_at.millis()))
            };
        }
        self.is_restored = true;
    }

    /// Takes over the alerts of a rule that this one replaces.
    pub fn adopt(&mut self, from: &Self) {
        self.active.clone_from(&from.active);
        self.is_restored = from.is_restored;
    }
}

/// The alerts that an expression raised, by their labels.
#[derive(Clone, Debug, Default)]
pub struct Raised(BTreeMap<Labels, Alert>);

impl Raised {
    /// An alert for each series, its templates expanded.
    pub fn of(
        rule: &RuleSpec,
        spec: &AlertSpec,
        samples: &[InstantSample],
        at: Timestamp,
        context: &TemplateContext,
    ) -> Result<Self, String> {
        let labels = Expanders::new(&rule.name, &rule.labels, context);
        let annotations = Expanders::new(&rule.name, &spec.annotations, context);
        let mut given = BTreeMap::new();
        for sample in samples {
            let mut builder = sample.labels.to_builder();
            builder.remove(METRIC_NAME);
            for (name, value) in labels.expand(sample) {
                builder.set(&name, &value);
            }
            builder.set(ALERT_NAME, &rule.name);
            let labels = builder.build();
            let alert = Alert {
                labels: labels.clone(),
                annotations: annotations.expand(sample).collect(),
                state: AlertState::Pending,
                value: match &sample.value {
                    SampleValue::Float(value) => *value,
                    SampleValue::Histogram(_) => 0.0,
                },
                active_at: at,
                fired_at: None,
                resolved_at: None,
                sent_at: None,
                keep_firing_since: None,
            };
            if given.insert(labels, alert).is_some() {
                let message =
                    "vector contains metrics with the same labelset after applying alert labels";
                return Err(message.to_owned());
            }
        }
        Ok(Self(given))
    }
}

/// Templates of a rule, made ready once for all its series.
struct Expanders<'a> {
    alert: &'a str,
    all: Vec<(&'a str, Expander<'a>)>,
}

impl<'a> Expanders<'a> {
    fn new(
        alert: &'a str,
        templates: &'a [(String, Template)],
        context: &'a TemplateContext,
    ) -> Self {
        let all = templates.iter();
        Self {
            alert,
            all: all
                .map(|(name, template)| (name.as_str(), template.with(context)))
                .collect(),
        }
    }

    /// The names and the texts for a series. An error is a text too: an alert is sent all the same.
    fn expand(&self, sample: &InstantSample) -> impl Iterator<Item = (String, String)> {
        self.all.iter().map(|(name, expander)| {
            let text = expander.expand(&sample.labels, &sample.value);
            let text = text.unwrap_or_else(|error| {
                tracing::warn!(alert = self.alert, error, "a template cannot be expanded");
                format!("<error expanding template: {error}>")
            });
            ((*name).to_owned(), text)
        })
    }
}

/// One step of an alert's life: whether it is remembered, and whether it is pending or firing.
fn step(alert: &mut Alert, spec: &AlertSpec, is_given: bool, at: Timestamp) -> (bool, bool) {
    let since = |then: Timestamp| at.millis().saturating_sub(then.millis());
    if is_given {
        alert.keep_firing_since = None;
    } else {
        let mut goes_on = false;
        if alert.state == AlertState::Firing && spec.keep_firing_ms > 0 {
            let began = *alert.keep_firing_since.get_or_insert(at);
            goes_on = since(began) < spec.keep_firing_ms;
        }
        let is_forgotten = alert.state == AlertState::Pending
            || alert
                .resolved_at
                .is_some_and(|resolved| since(resolved) > RESOLVED_RETENTION_MS);
        if !goes_on {
            if alert.state != AlertState::Inactive {
                alert.state = AlertState::Inactive;
                alert.resolved_at = Some(at);
            }
            return (!is_forgotten, false);
        }
    }
    if alert.state == AlertState::Pending && since(alert.active_at) >= spec.hold_ms {
        alert.state = AlertState::Firing;
        alert.fired_at = Some(at);
    }
    (true, true)
}

/// The labels with a name of a metric.
fn named(labels: &Labels, name: &str) -> Labels {
    let mut builder = labels.to_builder();
    builder.set(METRIC_NAME, name);
    builder.build()
}

fn alerts_series(alert: &Alert) -> Labels {
    let mut builder = alert.labels.to_builder();
    builder.set(METRIC_NAME, ALERTS);
    builder.set("alertstate", alert.state.as_str());
    builder.build()
}
