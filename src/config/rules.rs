//! Rules and alerts: which files, how often, and whom to tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::labels::Labels;
use serde::{Deserialize, Deserializer};
use tsdb::rules::RulesConfig;
use tsdb::rules::notifier::{Alertmanager, Credentials};

use super::file::parse_duration;

/// Where Alertmanager takes alerts.
const API_PATH: &str = "/api/v2/alerts";

/// The section as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RulesSection {
    /// Rule files, or globs of them; relative to the configuration file.
    pub(crate) files: Vec<String>,
    /// From one evaluation to the next.
    #[serde(deserialize_with = "duration")]
    evaluation_interval: Option<i64>,
    /// How far in the past rules look.
    #[serde(deserialize_with = "duration")]
    query_offset: Option<i64>,
    /// The labels that name this server in what it sends.
    external_labels: BTreeMap<String, String>,
    /// Where people reach this server.
    external_url: Option<String>,
    /// Whom alerts are sent to.
    alertmanagers: Vec<AlertmanagerSection>,
}

/// An Alertmanager as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertmanagerSection {
    url: String,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<i64>,
    #[serde(default)]
    basic_auth: Option<BasicAuthSection>,
    #[serde(default)]
    bearer_token: Option<String>,
    #[serde(default)]
    bearer_token_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuthSection {
    username: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
}

impl RulesSection {
    /// Makes what is relative relative to the folder of the configuration file.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for file in &mut self.files {
            if Path::new(file).is_relative() {
                *file = folder.join(&*file).to_string_lossy().into_owned();
            }
        }
    }

    /// What it means. Secrets in files are read here, so that a reload reads them again.
    pub(crate) fn check(&self, http: SocketAddr) -> Result<RulesConfig, String> {
        let default = RulesConfig::default();
        let interval = self.evaluation_interval;
        if interval == Some(0) {
            return Err("rules.evaluation_interval: must be above 0, such as 1m".to_owned());
        }
        let url = match &self.external_url {
            Some(url) => url_of("rules.external_url", url)?,
            None => format!("http://{http}"),
        };
        let alertmanagers = self.alertmanagers.iter().map(AlertmanagerSection::check);
        Ok(RulesConfig {
            files: self.files.clone(),
            evaluation_interval_ms: interval.unwrap_or(default.evaluation_interval_ms),
            query_offset_ms: self.query_offset.unwrap_or_default(),
            external_labels: Labels::from_pairs(&self.external_labels),
            external_url: url.into(),
            alertmanagers: alertmanagers.collect::<Result<_, _>>()?,
        })
    }
}

impl AlertmanagerSection {
    fn check(&self) -> Result<Alertmanager, String> {
        let mut url = url_of("rules.alertmanagers", &self.url)?;
        if !url.ends_with(API_PATH) {
            url.push_str(API_PATH);
        }
        let mut credentials = Credentials::None;
        if let Some(basic) = &self.basic_auth {
            let password = secret(basic.password.as_deref(), basic.password_file.as_deref())?;
            credentials = Credentials::Basic {
                username: basic.username.clone(),
                password: password.unwrap_or_default(),
            };
        }
        if let Some(token) = secret(
            self.bearer_token.as_deref(),
            self.bearer_token_file.as_deref(),
        )? {
            if credentials != Credentials::None {
                return Err(format!(
                    "rules.alertmanagers: {}: either basic_auth or a bearer token, not both",
                    self.url
                ));
            }
            credentials = Credentials::Bearer(token);
        }
        let timeout = self.timeout.unwrap_or(10_000).unsigned_abs();
        Ok(Alertmanager {
            url,
            timeout: Duration::from_millis(timeout.max(1)),
            credentials,
        })
    }
}

/// A secret that stands here or in a file.
fn secret(text: Option<&str>, file: Option<&Path>) -> Result<Option<String>, String> {
    match (text, file) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        (None, None) => Ok(None),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(text.trim_end().to_owned()))
            .map_err(|error| format!("rules.alertmanagers: {}: {error}", path.display())),
        (Some(_), Some(path)) => Err(format!(
            "rules.alertmanagers: the secret stands here and in {}; leave one out",
            path.display()
        )),
    }
}

fn url_of(key: &str, text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text);
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "{key}: {text:?} must be a URL such as http://HOST:PORT"
        )),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
