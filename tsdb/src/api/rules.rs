//! `rules`, `alerts`, `alertmanagers`.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use model::matcher::Matcher;
use model::time::Timestamp;
use model::vector::{write_labels, write_list, write_pairs, write_text};
use xxhash_rust::xxh3::xxh3_128;

use super::params::Params;
use super::response::{ApiError, Success};
use crate::query::Guard;
use crate::rules::RuleManager;
use crate::rules::alerts::{Alert, AlertState};
use crate::rules::file::{RuleKind, RuleSpec};
use crate::rules::group::{Group, GroupState, Health, RuleState};

/// The routes of rules below `/api/v1`.
pub fn router(rules: RuleManager) -> Router {
    Router::new()
        .route("/api/v1/rules", get(groups))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/alertmanagers", get(alertmanagers))
        .with_state(rules)
}

/// Which rules are wanted, and how they are shown.
struct Filter {
    alerting: bool,
    recording: bool,
    with_alerts: bool,
    files: Vec<String>,
    groups: Vec<String>,
    names: Vec<String>,
    matchers: Vec<Vec<Matcher>>,
}

impl Filter {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let (alerting, recording) = match params.get("type").to_lowercase().as_str() {
            "" => (true, true),
            "alert" => (true, false),
            "record" => (false, true),
            other => {
                let reason = format!("not supported value {other:?}");
                return Err(ApiError::parameter("type", reason));
            }
        };
        let with_alerts = match params.get("exclude_alerts") {
            "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => true,
            "1" | "t" | "T" | "true" | "True" | "TRUE" => false,
            other => {
                let reason = format!(
                    "error converting exclude_alerts: strconv.ParseBool: parsing {other:?}: invalid syntax"
                );
                return Err(ApiError::parameter("exclude_alerts", reason));
            }
        };
        let all = |name: &str| params.all(name).map(str::to_owned).collect();
        Ok(Self {
            alerting,
            recording,
            with_alerts,
            files: all("file[]"),
            groups: all("rule_group[]"),
            names: all("rule_name[]"),
            // They are in the address, so they are short.
            matchers: params.matchers(&Guard::default())?,
        })
    }

    fn takes_group(&self, group: &Group) -> bool {
        let is_in = |wanted: &[String], name: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one == name)
        };
        is_in(&self.files, &group.file) && is_in(&self.groups, &group.spec.name)
    }

    fn takes_rule(&self, rule: &RuleSpec) -> bool {
        let kind = match rule.kind {
            RuleKind::Alerting(_) => self.alerting,
            RuleKind::Recording => self.recording,
        };
        let label = |name: &str| {
            let mut labels = rule.labels.iter();
            let found = labels.find(|(label, _)| label == name);
            found.map_or("", |(_, value)| value.text())
        };
        let mut sets = self.matchers.iter();
        kind && (self.names.is_empty() || self.names.contains(&rule.name))
            && (self.matchers.is_empty()
                || sets.any(|set| set.iter().all(|one| one.matches(label(one.name())))))
    }
}

/// Where a page of groups begins: a text that says nothing to others.
fn token_of(group: &Group) -> String {
    format!("{:032x}", xxh3_128(group.key().as_bytes()))
}

/// How many groups are wanted, and from which on.
fn page(params: &Params) -> Result<(Option<usize>, String), ApiError> {
    let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
    if limit.is_empty() {
        if !token.is_empty() {
            let reason = "group_limit needs to be present in order to paginate over the groups";
            return Err(ApiError::parameter("group_next_token", reason));
        }
        return Ok((None, String::new()));
    }
    let number: i64 = limit.parse().map_err(|_| {
        let reason = format!(
            "group_limit needs to be a valid number: strconv.ParseInt: parsing {limit:?}: invalid syntax"
        );
        ApiError::parameter("group_limit", reason)
    })?;
    match usize::try_from(number) {
        Ok(number) if number > 0 => Ok((Some(number), token.to_owned())),
        _ => Err(ApiError::parameter(
            "group_limit",
            "group_limit needs to be greater than 0",
        )),
    }
}

/// `rules`
async fn groups(State(rules): State<RuleManager>, params: Params) -> Result<Success, ApiError> {
    let filter = Filter::of(&params)?;
    let (limit, token) = page(&params)?;
    let all = rules.groups();
    let first = if token.is_empty() {
        0
    } else {
        let mut groups = all.iter();
        groups
            .position(|group| token_of(group) == token)
            .ok_or_else(|| {
                let reason =
                    format!("invalid group_next_token '{token}'. were rule groups changed?");
                ApiError::parameter("group_next_token", reason)
            })?
    };
    let (mut texts, mut next) = (Vec::new(), None);
    for group in all.iter().skip(first) {
        if !filter.takes_group(group) {
            continue;
        }
        let wanted = |rule: &&RuleSpec| filter.takes_rule(rule);
        if !group.spec.rules.iter().any(|rule| wanted(&rule)) {
            continue;
        }
        if limit.is_some_and(|limit| texts.len() >= limit) {
            next = Some(token_of(group));
            break;
        }
        let mut text = String::new();
        group.read(|state| write_group(&mut text, group, state, &filter));
        texts.push(text);
    }
    let mut data = String::from("{\"groups\":");
    write_list(&mut data, &texts, |out, text| out.push_str(text));
    if let Some(next) = next {
        data.push_str(",\"groupNextToken\":");
        write_text(&mut data, &next);
    }
    data.push('}');
    Ok(Success::new(data))
}

/// `alerts`
async fn alerts(State(rules): State<RuleManager>) -> Success {
    let mut found = Vec::new();
    for group in rules.groups() {
        group.read(|state| {
            for rule in &state.rules {
                found.extend(rule.alerts.active().cloned());
            }
        });
    }
    let mut data = String::from("{\"alerts\":");
    write_list(&mut data, &found, write_alert);
    data.push('}');
    Success::new(data)
}

/// `alertmanagers`
async fn alertmanagers(State(rules): State<RuleManager>) -> Success {
    let mut data = String::from("{\"activeAlertmanagers\":");
    write_list(&mut data, &rules.notifier().urls(), |out, url| {
        out.push_str("{\"url\":");
        write_text(out, url);
        out.push('}');
    });
    data.push_str(",\"droppedAlertmanagers\":[]}");
    Success::new(data)
}

fn write_group(out: &mut String, group: &Group, state: &GroupState, filter: &Filter) {
    out.push_str("{\"name\":");
    write_text(out, &group.spec.name);
    out.push_str(",\"file\":");
    write_text(out, &group.file);
    out.push_str(",\"rules\":");
    let rules: Vec<(&RuleSpec, &RuleState)> = (group.spec.rules.iter().zip(&state.rules))
        .filter(|(rule, _)| filter.takes_rule(rule))
        .collect();
    write_list(out, &rules, |out, (rule, state)| {
        write_rule(out, rule, state, filter.with_alerts);
    });
    let interval = group.settings.interval_ms as f64 / 1000.0;
    let limit = group.spec.limit;
    let _ = write!(out, ",\"interval\":{interval},\"limit\":{limit}");
    write_evaluation(out, state.evaluation_seconds, state.last_evaluation);
    out.push('}');
}

fn write_rule(out: &mut String, rule: &RuleSpec, state: &RuleState, with_alerts: bool) {
    let labels: Vec<(&str, &str)> = (rule.labels.iter())
        .map(|(name, value)| (name.as_str(), value.text()))
        .collect();
    if let RuleKind::Alerting(spec) = &rule.kind {
        out.push_str("{\"state\":");
        write_text(out, state.alerts.state().as_str());
        out.push_str(",\"name\":");
        write_text(out, &rule.name);
        out.push_str(",\"query\":");
        write_text(out, &rule.expr);
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let (hold, keep) = (seconds(spec.hold_ms), seconds(spec.keep_firing_ms));
        let _ = write!(out, ",\"duration\":{hold},\"keepFiringFor\":{keep}");
        out.push_str(",\"labels\":");
        write_pairs(out, labels.iter().copied());
        out.push_str(",\"annotations\":");
        let annotations: Vec<(&str, &str)> = (spec.annotations.iter())
            .map(|(name, value)| (name.as_str(), value.text()))
            .collect();
        write_pairs(out, annotations.iter().copied());
        out.push_str(",\"alerts\":");
        let shown: Vec<&Alert> = if with_alerts {
            state.alerts.active().collect()
        } else {
            Vec::new()
        };
        write_list(out, &shown, |out, alert| write_alert(out, alert));
    } else {
        out.push_str("{\"name\":");
        write_text(out, &rule.name);
        out.push_str(",\"query\":");
        write_text(out, &rule.expr);
        if !labels.is_empty() {
            out.push_str(",\"labels\":");
            write_pairs(out, labels.iter().copied());
        }
    }
    out.push_str(",\"health\":");
    write_text(out, state.health.as_str());
    if let Health::Bad(error) = &state.health {
        out.push_str(",\"lastError\":");
        write_text(out, error);
    }
    write_evaluation(out, state.evaluation_seconds, state.last_evaluation);
    out.push_str(match rule.kind {
        RuleKind::Alerting(_) => ",\"type\":\"alerting\"}",
        RuleKind::Recording => ",\"type\":\"recording\"}",
    });
}

fn write_evaluation(out: &mut String, seconds: f64, at: Option<Timestamp>) {
    let _ = write!(out, ",\"evaluationTime\":{seconds},\"lastEvaluation\":");
    match at {
        Some(at) => write_instant(out, at),
        None => out.push_str("\"0001-01-01T00:00:00Z\""),
    }
}

fn write_alert(out: &mut String, alert: &Alert) {
    out.push_str("{\"labels\":");
    write_labels(out, &alert.labels);
    out.push_str(",\"annotations\":");
    let annotations: Vec<(&str, &str)> = (alert.annotations.iter())
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    write_pairs(out, annotations.iter().copied());
    out.push_str(",\"state\":");
    write_text(out, alert.state.as_str());
    out.push_str(",\"activeAt\":");
    write_instant(out, alert.active_at);
    if let (Some(since), AlertState::Firing) = (alert.keep_firing_since, alert.state) {
        out.push_str(",\"keepFiringSince\":");
        write_instant(out, since);
    }
    out.push_str(",\"value\":");
    write_text(out, &exponential(alert.value));
    out.push('}');
}

/// A float as Go's `%e` writes it with as many digits as it takes: `1.5e+00`.
fn exponential(value: f64) -> String {
    if !value.is_finite() {
        return model::vector::format_float(value);
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// An instant as Go writes it: no more decimals than it takes.
fn write_instant(out: &mut String, at: Timestamp) {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
    write_text(out, &instant.to_string());
}
