//! The configuration: what was written, checked whole before anything starts, and what it means.
//!
//! [`file::ConfigFile`] is the YAML as it is written, with a default for every key; [`Config`] is
//! what it means once flags and environment variables have had their say. Whatever is wrong is named with its line and what
//! would be right; nothing starts before everything is right.

pub(crate) mod file;
mod locate;
pub(crate) mod memory;
mod query;
mod retention;
mod rules;
pub(crate) mod shown;
pub(crate) mod tenants;
pub(crate) mod tier;
pub(crate) mod web;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use admission::AdmissionConfig;
use agent::AgentConfig;
use agent::config::TailConfig;
use anyhow::{Context as _, anyhow};
use logs::LogsOptions;
use storage::store::{RetentionRule, StoreOptions};
use storage::wal::sync::FsyncPolicy;
use tsdb::TsdbOptions;
use tsdb::api::ApiOptions;
use tsdb::api::cors::Origins;
use tsdb::ingest::limits::IngestLimits;
use tsdb::rollup::RollupOptions;
use tsdb::rules::RulesConfig;

use crate::cli::RunArgs;
use crate::run::Role;
use file::ConfigFile;
use memory::Memory;
use query::QueryLimits;
use tenants::TenantsConfig;
use tier::TierConfig;
use web::WebSection;

/// What the program was told, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file it was read from.
    pub(crate) file: Option<PathBuf>,
    /// The file as it was read; empty where there is none.
    pub(crate) source: String,
    /// Address of the HTTP APIs.
    pub(crate) http: SocketAddr,
    /// How that is protected.
    pub(crate) web: WebSection,
    /// The file for that which the command line names.
    pub(crate) web_config_file: Option<PathBuf>,
    /// How much memory there is.
    pub(crate) memory: Memory,
    /// Tenants; none where they are not told apart.
    pub(crate) tenants: Option<TenantsConfig>,
    /// Folder that holds all data.
    pub(crate) data: PathBuf,
    /// How long a stop may take.
    pub(crate) shutdown_deadline: Duration,
    /// When a write is durable against power loss.
    pub(crate) fsync: FsyncPolicy,
    /// How long samples are kept.
    pub(crate) metrics_retention_ms: Option<i64>,
    /// Series that may be active, altogether.
    pub(crate) series_max: Option<u64>,
    /// Series of one target that may be active.
    pub(crate) series_per_target_max: Option<u64>,
    /// Whether snapshots and deletions are answered over HTTP.
    pub(crate) admin_api: bool,
    /// Origins whose pages may read the metrics API's answers.
    pub(crate) cors_origin: Option<Origins>,
    /// Where every query is noted.
    pub(crate) query_log_file: Option<PathBuf>,
    /// The bucket that old samples move to.
    pub(crate) metrics_tier: Option<TierConfig>,
    /// How many bytes they may take.
    pub(crate) metrics_retention_bytes: Option<u64>,
    /// Series that are kept for less.
    pub(crate) metrics_retention_rules: Vec<RetentionRule>,
    /// Roll-ups of what is old.
    pub(crate) rollups: Vec<RollupOptions>,
    /// What queries of metrics may cost.
    pub(crate) query: QueryLimits,
    /// Rules, and whom to send alerts to.
    pub(crate) rules: RulesConfig,
    /// How long lines are kept.
    pub(crate) logs_retention_ms: Option<i64>,
    /// The node agent.
    pub(crate) agent: AgentConfig,
    /// The admission webhook.
    pub(crate) admission: AdmissionConfig,
}

impl Config {
    /// Reads the file, if one is named, and lets flags and variables win over it.
    pub(crate) fn load(args: &RunArgs) -> anyhow::Result<Self> {
        let (mut file, source) = match &args.config {
            Some(path) => (read(path)?, read_text(path)?),
            None => (ConfigFile::default(), String::new()),
        };
        if let Some(http) = args.http {
            file.http = http;
        }
        if let Some(webhook) = args.webhook {
            file.admission.listen = webhook;
        }
        file.admission.gatekeeper.definitions |= args.gatekeeper_definitions;
        if let Some(data) = &args.data {
            file.data.clone_from(data);
        }
        file.agent
            .scrape
            .targets
            .extend(args.scrape.iter().cloned());
        if !args.logs.is_empty() {
            file.agent.tail.globs.clone_from(&args.logs);
        }
        file.agent.validate().context("command line")?;
        let config = Self::of(file).map_err(|problem| anyhow!(problem))?;
        Ok(Self {
            file: args.config.clone(),
            source,
            web: crate::web::section_of(config.web, args.web_config_file.clone()),
            web_config_file: args.web_config_file.clone(),
            ..config
        })
    }
}

/// The configuration as its file has it now, without flags: for what a reload changes.
pub(crate) fn reread(path: &Path) -> anyhow::Result<Config> {
    Config::of(read(path)?).map_err(|problem| anyhow!(problem))
}

impl Config {
    /// What the metrics store is told.
    pub(crate) fn tsdb_options(&self) -> TsdbOptions {
        let default = self.memory.metrics(TsdbOptions::default());
        TsdbOptions {
            store: StoreOptions {
                fsync: self.fsync,
                retention_ms: self.metrics_retention_ms,
                retention_bytes: self.metrics_retention_bytes,
                retention_rules: self.metrics_retention_rules.clone(),
                ..default.store
            },
            ingest: IngestLimits {
                series_active_max: self.series_max,
                series_per_target_max: self.series_per_target_max,
                ..default.ingest
            },
            query: self.query.engine(),
            api: ApiOptions {
                cors_origin: self.cors_origin.clone(),
                query_log_file: self.query_log_file.clone(),
                queries_max: self.query.concurrency,
                ..default.api
            },
            rollups: self.rollups.clone(),
            ..default
        }
    }

    /// What the log store is told.
    pub(crate) fn logs_options(&self) -> LogsOptions {
        LogsOptions {
            store: StoreOptions {
                fsync: self.fsync,
                retention_ms: self.logs_retention_ms,
                ..self.memory.lines(StoreOptions::default())
            },
            ..LogsOptions::default()
        }
    }

    /// What the agent of a role is told. A server has one too, for its own metrics and for the
    /// targets that are named: the machine's belong to the agent that runs there.
    pub(crate) fn agent_of(&self, role: &Role) -> AgentConfig {
        let mut agent = self.agent.clone();
        if matches!(role, Role::Server) {
            agent.collect.cgroup = false;
            agent.collect.node = false;
            agent.tail.pods = false;
            agent.tail.globs.clear();
        }
        agent
    }
}

impl Config {
    /// What a file means that was checked.
    fn of(file: ConfigFile) -> Result<Self, String> {
        let memory = file.memory()?;
        let mut agent = file.agent;
        if agent.tail.globs.is_empty() {
            agent.tail.globs = ["/var/log/*.log", "/var/log/*/*.log"]
                .map(str::to_owned)
                .to_vec();
        }
        // What lies in the data folder follows it, unless it was put elsewhere by name.
        if agent.tail.checkpoint == TailConfig::default().checkpoint {
            agent.tail.checkpoint = file.data.join("agent").join("tail.json");
        }
        let mut admission = file.admission;
        let directory = &mut admission.certificate.directory;
        directory.get_or_insert_with(|| file.data.join("admission"));
        Ok(Self {
            file: None,
            memory,
            query: file.query.check(memory)?,
            rules: file.rules.check(file.http)?,
            source: String::new(),
            http: file.http,
            web: file.web,
            web_config_file: None,
            tenants: file.tenants.check()?,
            // Nothing is authenticated: whoever reaches the port may ask.
            admin_api: (file.metrics.admin_api).unwrap_or_else(|| file.http.ip().is_loopback()),
            data: file.data,
            shutdown_deadline: file.shutdown_deadline,
            fsync: file.storage.fsync,
            metrics_retention_ms: file.metrics.retention.millis(),
            metrics_retention_bytes: file.metrics.retention_size.map(|size| size.0),
            metrics_retention_rules: file
                .metrics
                .retention_rules
                .into_iter()
                .map(|rule| rule.0)
                .collect(),
            rollups: file.metrics.downsampling.iter().map(|one| one.0).collect(),
            series_max: file.metrics.series_max,
            series_per_target_max: file.metrics.series_per_target_max,
            cors_origin: file.metrics.cors_origin,
            query_log_file: file.metrics.query_log_file,
            metrics_tier: file.metrics.tier.check()?,
            logs_retention_ms: file.logs.retention.millis(),
            agent,
            admission,
        })
    }
}

/// Reads and checks a configuration file.
pub(crate) fn read(path: &Path) -> anyhow::Result<ConfigFile> {
    let text = read_text(path)?;
    let mut file = parse(&text).map_err(|problem| anyhow!("{}{problem}", path.display()))?;
    if let Some(folder) = path.parent() {
        file.rules.resolve(folder);
        file.web.resolve(folder);
    }
    Ok(file)
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration {}", path.display()))
}

/// Reads and checks a configuration; the error begins with `:LINE: ` where a line is known.
fn parse(text: &str) -> Result<ConfigFile, String> {
    let has_content = text
        .lines()
        .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let file: ConfigFile = if has_content {
        serde_yaml_ng::from_str(text).map_err(|error| {
            let line = error.location().map(|location| location.line());
            let text = error.to_string();
            // The place is told once, in front.
            let problem = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(problem, _)| problem);
            at_line(line, problem)
        })?
    } else {
        ConfigFile::default()
    };
    let checks = [
        file.agent.validate().map_err(|error| error.to_string()),
        (file.admission.clone().validate())
            .map(|_| ())
            .map_err(|error| error.to_string()),
        file.validate(),
    ];
    for check in checks {
        check.map_err(|problem| {
            // Every such message begins with the key it is about.
            let is_key = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            let key = problem.split(|c| !is_key(c)).next().unwrap_or_default();
            at_line(locate::line_of(text, key), &problem)
        })?;
    }
    Ok(file)
}

fn at_line(line: Option<usize>, problem: &str) -> String {
    match line {
        Some(line) => format!(":{line}: {problem}"),
        None => format!(": {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_a_configuration() {
        for text in ["", "# only a comment\n", "agent: {}\n"] {
            let config = Config::of(parse(text).expect("valid")).expect("valid");
            assert_eq!(config.http.to_string(), "127.0.0.1:9440");
            assert_eq!(config.admission.listen.to_string(), "127.0.0.1:9443");
            assert_eq!(config.data, Path::new("taffrail-data"));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("http: 1\nhtp: 127.0.0.1:1\n", ":1: http:"),
            ("data: /x\nhtp: 127.0.0.1:1\n", ":2: unknown field `htp`"),
            ("agent:\n  scrap: {}\n", ":2: agent: unknown field `scrap`"),
            (
                "agent:\n  scrape:\n    timeout: 20s\n",
                ":3: agent.scrape.timeout: must be above 0",
            ),
            (
                "storage:\n  fsync: sometimes\n",
                ":2: storage: fsync \"sometimes\" must be `always` or an interval",
            ),
            (
                "metrics:\n  retention: 5s\n",
                ":2: metrics: retention must be at least 1h",
            ),
            (
                "metrics:\n  tier:\n    url: s3://abc/x\n    after: 5m\n",
                ":4: metrics.tier.after: \"5m\" must be a duration",
            ),
            (
                "rules:\n  alertmanagers:\n  - url: am:9093\n",
                ":2: rules.alertmanagers: \"am:9093\" must be a URL",
            ),
            (
                "rules:\n  evaluation_interval: 0s\n",
                ":2: rules.evaluation_interval: must be above 0",
            ),
            (
                "rules:\n  alertmanagers:\n  - url: http://am\n    tls: x\n",
                ":4: rules.alertmanagers[0]: unknown field `tls`",
            ),
            (
                "query:\n  timeout: 0s\n",
                ":2: query.timeout: must be above 0",
            ),
            (
                "query:\n  memory_bytes_max: 1MiB\n",
                ":2: query.memory_bytes_max: must be at least 8MiB",
            ),
            ("query:\n  series_max: 0\n", ":2: query.series_max: "),
            (
                "web:\n  tls_server_config:\n    cert_file: a\n",
                ":2: web.tls_server_config.key_file: is missing",
            ),
            (
                "web:\n  tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n",
                ":2: web.tls_server_config.client_ca_file: has no effect without",
            ),
            (
                "web:\n  tls_server_config: {cert_file: a, key_file: b, min_version: TLS11}\n",
                ":2: web.tls_server_config.min_version: unknown variant `TLS11`",
            ),
            (
                "tenants:\n  enabled: true\n  default: a/b\n",
                ":3: tenants.default: tenant ID 'a/b' contains unsupported character '/'",
            ),
            (
                "tenants: {count_max: 0}\n",
                ":1: tenants.count_max: must be above 0",
            ),
            (
                "web:\n  config_file: a\n  tls_server_config: {}\n",
                ":3: web.tls_server_config: stands here and belongs into",
            ),
            ("shutdown_deadline: 0s\n", ":1: shutdown_deadline: must be"),
            ("- a\n", ":1: invalid type: sequence"),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
        }
    }

    #[test]
    fn the_readme_s_configuration_is_valid() {
        let readme = include_str!("../README.md");
        let blocks = readme.split("```yaml\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split("```").next());
        let mut files = blocks.map(|yaml| parse(yaml).expect("valid"));
        let file = files.next().expect("the README shows a configuration");
        let tier = files.find_map(|file| file.metrics.tier.check().expect("valid"));
        assert_eq!(tier.expect("a tier").url, "s3://my-bucket/taffrail");
        let rules = files.last().expect("rules").rules;
        let rules = rules.check(file.http).expect("valid");
        let url = &rules.alertmanagers[0].url;
        assert_eq!(url, "http://alertmanager:9093/api/v2/alerts");
        assert_eq!(file.data, Path::new("/var/lib/taffrail"));
        assert_eq!(file.agent.tail.globs.len(), 2);
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("taffrail.yaml");
        std::fs::write(&path, "http: 127.0.0.1:1\ndata: /from-file\n").expect("writes");
        let args = RunArgs {
            config: Some(path),
            http: Some("127.0.0.1:2".parse().expect("address")),
            ..RunArgs::default()
        };
        let config = Config::load(&args).expect("valid");
        assert_eq!(config.http.port(), 2);
        assert_eq!(config.data, Path::new("/from-file"));
    }
}
