//! The configuration file, as it is written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::retention::{DownsamplingSection, RetentionRuleSection, Size};
use serde::{Deserialize, Deserializer};
use storage::wal::sync::FsyncPolicy;
use tsdb::api::cors::Origins;

use super::memory::{self, Memory};
use super::query::QuerySection;
use super::rules::RulesSection;
use super::tenants::TenantsSection;
use super::tier::TierSection;
use super::web::WebSection;

/// Every key of the file, with its default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Address of the HTTP APIs.
    pub(crate) http: SocketAddr,
    /// Folder that holds all data.
    pub(crate) data: PathBuf,
    /// How much memory there is; where nothing is said, what the machine and its groups of control allow.
    pub(crate) memory: Option<Size>,
    /// How the HTTP APIs are protected.
    pub(crate) web: WebSection,
    /// Who is told apart.
    pub(crate) tenants: TenantsSection,
    /// How long a stop may take before it is cut short.
    #[serde(deserialize_with = "duration")]
    pub(crate) shutdown_deadline: Duration,
    /// What both stores share.
    pub(crate) storage: StorageSection,
    /// The metrics store.
    pub(crate) metrics: MetricsSection,
    /// What queries of metrics may cost.
    pub(crate) query: QuerySection,
    /// Rules and alerts.
    pub(crate) rules: RulesSection,
    /// The log store.
    pub(crate) logs: LogsSection,
    /// The node agent.
    pub(crate) agent: agent::AgentConfig,
    /// The admission webhook.
    pub(crate) admission: admission::AdmissionConfig,
}

/// What both stores share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSection {
    /// `always`, or an interval such as `100ms`.
    #[serde(deserialize_with = "fsync")]
    pub(crate) fsync: FsyncPolicy,
}

/// The metrics store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsSection {
    /// How long samples are kept.
    pub(crate) retention: Retention,
    /// How many bytes they may take; the oldest go first.
    pub(crate) retention_size: Option<Size>,
    /// Series that are kept for less.
    pub(crate) retention_rules: Vec<RetentionRuleSection>,
    /// Roll-ups of what is old.
    pub(crate) downsampling: Vec<DownsamplingSection>,
    /// Series that may be active; a new one beyond is refused.
    pub(crate) series_max: Option<u64>,
    /// The same of one target, which is a `job` and an `instance`.
    pub(crate) series_per_target_max: Option<u64>,
    /// Whether snapshots and deletions are answered over HTTP; where nothing is said, on a loopback address only.
    pub(crate) admin_api: Option<bool>,
    /// Origins whose pages may read answers: a pattern that matches them whole.
    #[serde(deserialize_with = "origins")]
    pub(crate) cors_origin: Option<Origins>,
    /// A file that every query is noted in, with what it took.
    pub(crate) query_log_file: Option<PathBuf>,
    /// The bucket that old samples move to.
    pub(crate) tier: TierSection,
}

/// The log store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogsSection {
    /// How long lines are kept.
    pub(crate) retention: Retention,
}

/// `400d`, or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention(Option<i64>);

const DAY_MS: i64 = 24 * 3_600_000;

impl Retention {
    /// Milliseconds; `None` is for ever.
    pub(crate) const fn millis(self) -> Option<i64> {
        self.0
    }
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 9440)),
            data: "taffrail-data".into(),
            memory: None,
            web: WebSection::default(),
            tenants: TenantsSection::default(),
            shutdown_deadline: Duration::from_secs(10),
            storage: StorageSection::default(),
            metrics: MetricsSection::default(),
            query: QuerySection::default(),
            rules: RulesSection::default(),
            logs: LogsSection::default(),
            agent: agent::AgentConfig::default(),
            admission: admission::AdmissionConfig::default(),
        }
    }
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            fsync: FsyncPolicy::Interval(100),
        }
    }
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self {
            retention: Retention(Some(400 * DAY_MS)),
            retention_size: None,
            retention_rules: Vec::new(),
            downsampling: Vec::new(),
            series_max: None,
            series_per_target_max: None,
            admin_api: None,
            cors_origin: None,
            query_log_file: None,
            tier: TierSection::default(),
        }
    }
}

impl Default for LogsSection {
    fn default() -> Self {
        Self {
            retention: Retention(Some(90 * DAY_MS)),
        }
    }
}

impl ConfigFile {
    /// How much memory there is.
    pub(crate) fn memory(&self) -> Result<Memory, String> {
        if self.memory.is_some_and(|size| size.0 < memory::BYTES_MIN) {
            return Err("memory: must be at least 128MiB".to_owned());
        }
        Ok(Memory::of(self.memory.map(|size| size.0)))
    }

    /// What the types do not say.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.shutdown_deadline.is_zero() {
            return Err("shutdown_deadline: must be above 0, such as 10s".to_owned());
        }
        let limits = [
            ("series_max", self.metrics.series_max),
            ("series_per_target_max", self.metrics.series_per_target_max),
        ];
        if let Some((key, _)) = limits.iter().find(|(_, limit)| *limit == Some(0)) {
            return Err(format!(
                "metrics.{key}: must be above 0; leave it out for no limit"
            ));
        }
        self.metrics.tier.check()?;
        self.memory()?;
        self.query.check(Memory::of(Some(memory::BYTES_MIN)))?;
        self.web.check()?;
        self.tenants.check()?;
        self.rules.check(self.http)?;
        if self.http == self.admission.listen && self.http.port() != 0 {
            return Err(format!(
                "admission.listen: {} is the address of `http` already",
                self.http
            ));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "forever" {
            return Ok(Self(None));
        }
        let millis = parse_duration(&text).map_err(serde::de::Error::custom)?;
        if millis < 3_600_000 {
            return Err(serde::de::Error::custom(
                "retention must be at least 1h, or `forever`",
            ));
        }
        Ok(Self(Some(millis)))
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let millis = parse_duration(&text).map_err(serde::de::Error::custom)?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Origins>, D::Error> {
    let pattern = String::deserialize(deserializer)?;
    let origins = Origins::new(&pattern).map_err(|error| {
        serde::de::Error::custom(format!(
            "cors_origin {pattern:?} must be a regular expression: {error}"
        ))
    });
    origins.map(Some)
}

fn fsync<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FsyncPolicy, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "always" {
        return Ok(FsyncPolicy::Always);
    }
    match model::time::parse_duration(&text) {
        Ok(millis @ 1..=60_000) => Ok(FsyncPolicy::Interval(millis.unsigned_abs())),
        _ => Err(serde::de::Error::custom(format!(
            "fsync {text:?} must be `always` or an interval from 1ms to 1m, such as 100ms"
        ))),
    }
}

pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    model::time::parse_duration(text)
        .map_err(|error| format!("{error}; write 10s, 5m, 1h30m or 7d"))
}
