//! `targets`, `targets/metadata`, `scrape_pools`: what is scraped.
//!
//! The metrics store does not scrape. Whoever does is asked through [`Targets`], which the binary wires; a
//! store that nobody scrapes for has no targets. A job is a scrape pool, and nothing is ever dropped: targets
//! are configured, not discovered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use model::labels::Labels;
use model::matcher::Matcher;
use model::sample::Metadata;
use model::time::{Timestamp, format_duration};
use model::vector::write_labels;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::params::Params;
use super::response::{ApiError, Success};
use crate::query::parse_series_selector;

/// What Go writes for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Tells what is scraped.
pub trait Targets: Send + Sync {
    /// Every target, in the order of the configuration.
    fn active(&self) -> Vec<ActiveTarget>;
}

/// A target and its last scrape.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// What was known of it before its labels were made.
    pub discovered: Labels,
    /// The labels its series get.
    pub labels: Labels,
    /// Where it is scraped.
    pub url: String,
    /// Why the last scrape failed; empty where it did not.
    pub last_error: String,
    /// When it was scraped last.
    pub last_scrape: Option<Timestamp>,
    /// How long that took.
    pub last_duration: Duration,
    /// Whether it answered.
    pub health: TargetHealth,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// The families it showed.
    pub metadata: Arc<[Metadata]>,
}

/// Whether a target answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetHealth {
    /// It was not scraped yet.
    Unknown,
    /// It did.
    Up,
    /// It did not.
    Down,
}

impl TargetHealth {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl ActiveTarget {
    fn pool(&self) -> &str {
        self.labels.get("job").unwrap_or_default()
    }
}

type Known = State<Arc<dyn Targets>>;

pub(super) fn router(targets: Arc<dyn Targets>) -> Router {
    Router::new()
        .route("/api/v1/targets", get(active))
        .route("/api/v1/targets/metadata", get(metadata))
        .route("/api/v1/scrape_pools", get(pools))
        .with_state(targets)
}

/// `targets`
async fn active(State(known): Known, params: Params) -> Success {
    let (state, pool) = (params.get("state").to_lowercase(), params.get("scrapePool"));
    let mut targets = known.active();
    let pools: BTreeSet<String> = targets.iter().map(|of| of.pool().to_owned()).collect();
    targets.retain(|target| pool.is_empty() || target.pool() == pool);
    let wants = |wanted: &str| state.is_empty() || state == "any" || state == wanted;
    let active: Vec<Value> = if wants("active") {
        targets.iter().map(target_json).collect()
    } else {
        Vec::new()
    };
    let none = pools.into_iter().map(|pool| (pool, Value::from(0)));
    let counts = if wants("dropped") {
        none.collect()
    } else {
        Value::Null
    };
    let data = json!({
        "activeTargets": active,
        "droppedTargets": [],
        "droppedTargetCounts": counts,
    });
    Success::new(data.to_string())
}

fn target_json(target: &ActiveTarget) -> Value {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    json!({
        "discoveredLabels": labels_json(&target.discovered),
        "labels": labels_json(&target.labels),
        "scrapePool": target.pool(),
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": target.last_error,
        "lastScrape": target.last_scrape.map_or_else(|| NEVER.to_owned(), time),
        "lastScrapeDuration": target.last_duration.as_secs_f64(),
        "health": target.health.name(),
        "scrapeInterval": format_duration(millis(target.interval)),
        "scrapeTimeout": format_duration(millis(target.timeout)),
    })
}

fn labels_json(labels: &Labels) -> Value {
    let pairs = labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.into()));
    Value::Object(pairs.collect())
}

/// An instant as RFC 3339 has it.
pub(super) fn time(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
    time.to_string()
}

/// `targets/metadata`
async fn metadata(State(known): Known, params: Params) -> Result<Success, ApiError> {
    let limit = match params.get("limit") {
        "" => None,
        text => {
            let limit: i64 = text
                .parse()
                .map_err(|_| ApiError::bad_data("limit must be a number"))?;
            usize::try_from(limit).ok()
        }
    };
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => {
            parse_series_selector(text).map_err(|error| ApiError::bad_data(error.to_string()))?
        }
    };
    let metric = params.get("metric");
    let mut entries = Vec::new();
    for target in known.active() {
        if !matchers
            .iter()
            .all(|matcher: &Matcher| matcher.matches_labels(&target.labels))
        {
            continue;
        }
        let mut labels = String::new();
        write_labels(&mut labels, &target.labels);
        for family in target.metadata.iter() {
            if limit.is_some_and(|limit| entries.len() >= limit) {
                break;
            }
            if metric.is_empty() || metric == family.family {
                entries.push(metadata_json(&labels, family, metric.is_empty()));
            }
        }
    }
    Ok(Success::new(format!("[{}]", entries.join(","))))
}

/// In the order that upstream writes the fields; the name where not one is asked for.
fn metadata_json(labels: &str, family: &Metadata, with_name: bool) -> String {
    #[derive(serde::Serialize)]
    struct Entry<'a> {
        target: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        metric: Option<&'a str>,
        r#type: &'a str,
        help: &'a str,
        unit: &'a str,
    }
    let Ok(target) = serde_json::from_str(labels) else {
        return "{}".to_owned();
    };
    let entry = Entry {
        target,
        metric: with_name.then_some(&family.family),
        r#type: family.metric_type.as_str(),
        help: &family.help,
        unit: &family.unit,
    };
    serde_json::to_string(&entry).unwrap_or_default()
}

/// `scrape_pools`
async fn pools(State(known): Known) -> Success {
    let targets = known.active();
    let pools: BTreeSet<&str> = targets.iter().map(ActiveTarget::pool).collect();
    Success::new(json!({"scrapePools": pools}).to_string())
}
