//! What the agent is told: read from the configuration file, checked whole before anything starts.
//!
//! [`AgentConfig`] is plain data with a default for every key; [`AgentConfig::validate`] is the one
//! place where its limits are judged. Durations are written as in Prometheus: `10s`, `1m30s`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::access::{Access, BasicAuth, TlsConfig};

/// The agent's configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// The name of this node, for the labels `instance` and `node_name`. Empty: the host's name.
    pub node_name: String,
    /// Where the machine shows itself; changed in a container and in tests.
    pub roots: Roots,
    /// The agent's own collectors.
    pub collect: CollectConfig,
    /// Targets to scrape.
    pub scrape: ScrapeConfig,
    /// Files to tail.
    pub tail: TailConfig,
    /// The way to the sink.
    pub ship: ShipConfig,
}

/// Where the machine shows itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roots {
    /// The proc filesystem of the host.
    pub proc: PathBuf,
    /// The sys filesystem of the host.
    pub sys: PathBuf,
    /// Where container runtimes keep what they run.
    pub run: PathBuf,
    /// The folder with `pods` and `containers`.
    pub var_log: PathBuf,
    /// The host's root, below which its mount points are found.
    pub rootfs: PathBuf,
}

/// The agent's own collectors: cgroups and node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectConfig {
    /// How often they run.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// Whether cgroup metrics are read.
    pub cgroup: bool,
    /// Whether node metrics are read.
    pub node: bool,
}

/// Scraping.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrapeConfig {
    /// The URLs to scrape; without a path, `/metrics`.
    pub targets: Vec<String>,
    /// The `job` label of those targets.
    pub job: String,
    /// How often each target is scraped.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// How long a scrape may take; not longer than the interval.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// The longest body, decompressed.
    pub body_bytes_max: usize,
    /// The most samples of one scrape; 0 for no limit.
    pub sample_limit: usize,
    /// Whether a target's own `job` and `instance` win over the agent's. Where they do not, they
    /// become `exported_job` and `exported_instance`.
    pub honor_labels: bool,
    /// A file with a bearer token that every target over HTTP is shown.
    pub bearer_token_file: Option<PathBuf>,
    /// A name and a password that every target is shown.
    pub basic_auth: Option<BasicAuth>,
    /// TLS of all targets.
    pub tls_config: TlsConfig,
}

/// Tailing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TailConfig {
    /// Whether container logs below `var_log/pods` are read.
    pub pods: bool,
    /// Patterns of plain log files.
    pub globs: Vec<String>,
    /// The `job` label of plain files.
    pub job: String,
    /// Where the checkpoint lies; its folder is made at need.
    pub checkpoint: PathBuf,
    /// How often open files are looked at.
    #[serde(deserialize_with = "duration")]
    pub poll_interval: Duration,
    /// How often new files are looked for.
    #[serde(deserialize_with = "duration")]
    pub discover_interval: Duration,
    /// The most bytes of lines in one write.
    pub batch_bytes_max: usize,
    /// The longest line; longer ones are handed on in parts.
    pub line_bytes_max: usize,
    /// On the very first start, without a checkpoint, only this much of the end of each file is read.
    pub first_read_bytes_max: u64,
    /// The most files held open.
    pub files_max: usize,
}

/// The way to the sink.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShipConfig {
    /// The most scrapes that wait for the sink.
    pub outbox_batches_max: usize,
    /// A file with a bearer token that the server is shown.
    pub bearer_token_file: Option<PathBuf>,
    /// A name and a password that it is shown.
    pub basic_auth: Option<BasicAuth>,
    /// TLS of the way there.
    pub tls_config: TlsConfig,
    /// The tenant it is for, where the server tells tenants apart.
    pub org_id: Option<String>,
}

impl ScrapeConfig {
    /// How targets are reached.
    pub fn access(&self) -> Access {
        Access {
            bearer_token_file: self.bearer_token_file.clone(),
            basic_auth: self.basic_auth.clone(),
            tls_config: self.tls_config.clone(),
            org_id: None,
        }
    }
}

impl ShipConfig {
    /// How the server is reached.
    pub fn access(&self) -> Access {
        Access {
            bearer_token_file: self.bearer_token_file.clone(),
            basic_auth: self.basic_auth.clone(),
            tls_config: self.tls_config.clone(),
            org_id: self.org_id.clone(),
        }
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            run: "/run".into(),
            var_log: "/var/log".into(),
            rootfs: "/".into(),
        }
    }
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            cgroup: true,
            node: true,
        }
    }
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            job: "scrape".to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            body_bytes_max: 64 << 20,
            sample_limit: 0,
            honor_labels: false,
            bearer_token_file: None,
            basic_auth: None,
            tls_config: TlsConfig::default(),
        }
    }
}

impl Default for TailConfig {
    fn default() -> Self {
        Self {
            pods: true,
            globs: Vec::new(),
            job: "varlogs".to_owned(),
            checkpoint: "taffrail-data/agent/tail.json".into(),
            poll_interval: Duration::from_millis(200),
            discover_interval: Duration::from_millis(500),
            batch_bytes_max: 1 << 20,
            line_bytes_max: 256 << 10,
            first_read_bytes_max: 64 << 20,
            files_max: 4096,
        }
    }
}

impl Default for ShipConfig {
    fn default() -> Self {
        Self {
            outbox_batches_max: 128,
            org_id: None,
            bearer_token_file: None,
            basic_auth: None,
            tls_config: TlsConfig::default(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A duration or limit lies outside what works.
    #[error("agent.{key}: {problem}")]
    Value {
        /// The key, as in the file.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A target is no URL that can be scraped.
    #[error("agent.scrape.targets: {target:?}: {problem}; write http://HOST:PORT/PATH")]
    Target {
        /// As it was written.
        target: String,
        /// What is wrong.
        problem: String,
    },
    /// A pattern of files is none.
    #[error("agent.tail.globs: {pattern:?}: {problem}")]
    Glob {
        /// As it was written.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
}

impl AgentConfig {
    /// Says what is wrong with the configuration, the first fault first.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let value = |key, problem: &str| ConfigError::Value {
            key,
            problem: problem.to_owned(),
        };
        let second = Duration::from_secs(1);
        for (key, interval) in [
            ("collect.interval", self.collect.interval),
            ("scrape.interval", self.scrape.interval),
        ] {
            if interval < second {
                return Err(value(key, "must be at least 1s"));
            }
        }
        if self.scrape.timeout.is_zero() || self.scrape.timeout > self.scrape.interval {
            return Err(value(
                "scrape.timeout",
                "must be above 0 and not longer than agent.scrape.interval",
            ));
        }
        for (key, interval) in [
            ("tail.poll_interval", self.tail.poll_interval),
            ("tail.discover_interval", self.tail.discover_interval),
        ] {
            if interval < Duration::from_millis(10) || interval > second {
                return Err(value(key, "must lie between 10ms and 1s"));
            }
        }
        for (key, limit, least) in [
            ("scrape.body_bytes_max", self.scrape.body_bytes_max, 1024),
            ("tail.batch_bytes_max", self.tail.batch_bytes_max, 4096),
            ("tail.line_bytes_max", self.tail.line_bytes_max, 1024),
            ("tail.files_max", self.tail.files_max, 1),
            ("ship.outbox_batches_max", self.ship.outbox_batches_max, 1),
        ] {
            if limit < least {
                return Err(value(key, &format!("must be at least {least}")));
            }
        }
        for (key, access) in [
            ("scrape", self.scrape.access()),
            ("ship", self.ship.access()),
        ] {
            let checked = access.validate();
            checked.map_err(|error| value(key, &error.to_string()))?;
        }
        let targets = self.targets()?;
        for (position, url) in targets.iter().enumerate() {
            if targets.iter().take(position).any(|earlier| earlier == url) {
                return Err(ConfigError::Target {
                    target: url.to_string(),
                    problem: "is there twice".to_owned(),
                });
            }
        }
        for pattern in &self.tail.globs {
            glob::Pattern::new(pattern).map_err(|error| ConfigError::Glob {
                pattern: pattern.clone(),
                problem: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// The targets as URLs; one without a path means `/metrics`.
    pub fn targets(&self) -> Result<Vec<Url>, ConfigError> {
        self.scrape
            .targets
            .iter()
            .map(|text| target(text))
            .collect()
    }
}

fn target(text: &str) -> Result<Url, ConfigError> {
    let error = |problem: String| ConfigError::Target {
        target: text.to_owned(),
        problem,
    };
    let mut url = Url::parse(text).map_err(|source| error(source.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error(format!(
            "cannot scrape the scheme {:?}",
            url.scheme()
        )));
    }
    if url.path() == "/" && url.query().is_none() {
        url.set_path("/metrics");
    }
    Ok(url)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let millis = model::time::parse_duration(&text).map_err(serde::de::Error::custom)?;
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<AgentConfig, String> {
        let config: AgentConfig = serde_json::from_str(json).map_err(|e| e.to_string())?;
        config.validate().map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_key_has_a_default() {
        let config = parse("{}").expect("defaults are valid");
        assert_eq!(config.scrape.interval, Duration::from_secs(10));
        assert_eq!(config.collect.interval, Duration::from_secs(10));
    }

    #[test]
    fn a_target_without_a_path_means_metrics() {
        let config =
            parse(r#"{"scrape":{"targets":["http://a:1","https://b/x?y=1","http://c/?z"]}}"#);
        let urls = config.expect("valid").targets().expect("valid");
        let texts: Vec<_> = urls.iter().map(Url::as_str).collect();
        assert_eq!(
            texts,
            ["http://a:1/metrics", "https://b/x?y=1", "http://c/?z"]
        );
    }

    #[test]
    fn a_wrong_value_is_named() {
        for (json, want) in [
            (r#"{"scrap":1}"#, "unknown field `scrap`"),
            (r#"{"scrape":{"interval":"1x"}}"#, "not a valid duration"),
            (
                r#"{"scrape":{"interval":"500ms"}}"#,
                "agent.scrape.interval: must be at least 1s",
            ),
            (
                r#"{"scrape":{"timeout":"20s"}}"#,
                "agent.scrape.timeout: must be above 0",
            ),
            (
                r#"{"scrape":{"targets":["localhost:9100"]}}"#,
                "cannot scrape the scheme",
            ),
            (
                r#"{"scrape":{"targets":["http://a:1","http://a:1/metrics"]}}"#,
                "is there twice",
            ),
            (
                r#"{"tail":{"poll_interval":"2s"}}"#,
                "agent.tail.poll_interval: must lie between",
            ),
            (
                r#"{"tail":{"globs":["a/[b"]}}"#,
                "agent.tail.globs: \"a/[b\"",
            ),
            (
                r#"{"tail":{"line_bytes_max":1}}"#,
                "agent.tail.line_bytes_max: must be at least 1024",
            ),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(want), "{json}: {error}");
        }
    }
}
