//! What of a decision is kept.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The longest line the log store takes.
const LINE_BYTES_MAX: usize = 256 << 10;

/// The shortest in which a verdict still has room.
const LINE_BYTES_MIN: usize = 64 << 10;

/// What of a decision is kept. Each is kept: there is no sampling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionsConfig {
    /// Whether the request is kept with the verdict, redacted; without it nothing can be replayed.
    pub review: bool,
    /// The longest line; what does not fit is left out, and the line says so.
    pub line_bytes_max: usize,
    /// What of a request is not kept.
    pub redact: RedactConfig,
}

impl Default for DecisionsConfig {
    fn default() -> Self {
        DecisionsConfig {
            review: true,
            line_bytes_max: 128 << 10,
            redact: RedactConfig::default(),
        }
    }
}

/// What of a request is not kept, beside what a Secret holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactConfig {
    /// A regular expression: the values of environment variables and of arguments (`--NAME=VALUE`) whose
    /// names match it are not kept.
    pub names: String,
    /// No longer value of a ConfigMap is kept.
    pub config_map_value_bytes_max: usize,
    /// Further members of objects, as `spec.vault.token` or `spec.users.*.password`.
    pub fields: Vec<String>,
}

impl Default for RedactConfig {
    fn default() -> Self {
        RedactConfig {
            names: "(?i)pass|pwd|secret|token|key|credential|auth|private|dsn".to_string(),
            config_map_value_bytes_max: 1 << 10,
            fields: Vec::new(),
        }
    }
}

/// [`DecisionsConfig`], checked.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(crate) review: bool,
    pub(crate) line_bytes_max: usize,
    pub(crate) names: Regex,
    pub(crate) config_map_value_bytes_max: usize,
    pub(crate) fields: Vec<Vec<String>>,
}

impl DecisionsConfig {
    /// Checks what one key alone cannot tell.
    pub fn validate(&self) -> Result<Recording, ConfigError> {
        if !(LINE_BYTES_MIN..=LINE_BYTES_MAX).contains(&self.line_bytes_max) {
            return Err(ConfigError::LineBytes(
                self.line_bytes_max,
                LINE_BYTES_MIN,
                LINE_BYTES_MAX,
            ));
        }
        let redact = &self.redact;
        let names = Regex::new(&redact.names).map_err(|error| {
            let problem = error.to_string();
            let last = problem.lines().last().unwrap_or_default();
            ConfigError::RedactNames(last.trim_start_matches("error: ").to_string())
        })?;
        let split = |field: &String| field.split('.').map(str::to_string).collect();
        Ok(Recording {
            review: self.review,
            line_bytes_max: self.line_bytes_max,
            names,
            config_map_value_bytes_max: redact.config_map_value_bytes_max,
            fields: redact.fields.iter().map(split).collect(),
        })
    }
}
