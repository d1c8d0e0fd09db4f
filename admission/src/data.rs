//! Rules that ask the data: `taffrail.promql` and `taffrail.logql`.
//!
//! | builtin | answer |
//! | --- | --- |
//! | `taffrail.promql(query, options)` | the value of a PromQL expression: `[{"labels", "value"}]`, or with `since` and `step` `[{"labels", "values": [[seconds, value]]}]` |
//! | `taffrail.logql(query, options)` | the same of a LogQL metric query; of a log query `[{"labels", "time", "line"}]`, newest first |
//!
//! Options are an object, and may be empty: `offset` (how long before the review it is asked about),
//! `since` and `step` (durations as `7d` or `1h30m`), `limit` (lines, 100 if not said). A value that
//! is no number (NaN, an infinity) has no `value`, so that what compares it is undefined; `text` has it.
//!
//! Who answers is a [`DataSource`], which the binary wires to its stores or to a server. A
//! [`Session`] holds the answers of one review: the same question is asked once, everything that was asked
//! is recorded ([`Asked`]), and a later replay answers from the record. It reaches the builtins by way
//! of the thread, because an engine's builtins are fixed when its policies are compiled.
//!
//! A question without an answer fails the evaluation, whatever Rego makes of errors elsewhere: the fail mode
//! decides about the request, and the answer names the question. It is never taken for "nothing found".

mod answer;
mod builtins;
mod kept;
mod recorded;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::DataMetrics;

pub use answer::{Answer, LabelMap};
pub(crate) use builtins::{NAMES, arity, failure, function, install, with_session};
pub(crate) use kept::KeptAnswers;
pub use recorded::{Recorded, RecordedError};

/// Which of the builtins a configuration allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// `taffrail.promql`.
    pub promql: Permission,
    /// `taffrail.logql`.
    pub logql: Permission,
}

/// Whether something may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// A policy that asks it does not load.
    #[default]
    Refuse,
    /// It may.
    Allow,
}

impl Allowed {
    /// Both.
    pub const ALL: Self = Allowed {
        promql: Permission::Allow,
        logql: Permission::Allow,
    };

    /// Why a builtin may not be called, where it may not.
    pub(crate) fn refusal(self, name: &str) -> Option<String> {
        let (key, permission) = match name {
            "taffrail.promql" => ("promql", self.promql),
            "taffrail.logql" => ("logql", self.logql),
            _ => return None,
        };
        (permission == Permission::Refuse).then(|| {
            format!("{name} asks the data, which is not allowed: set admission.data.{key} to allow")
        })
    }
}

/// In what language a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// `taffrail.promql`.
    Promql,
    /// `taffrail.logql`.
    Logql,
}

impl Language {
    /// The language as records and series name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Promql => "promql",
            Language::Logql => "logql",
        }
    }
}

/// What a rule asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// In what language.
    pub language: Language,
    /// The expression.
    pub query: String,
    /// The options, as JSON.
    pub options: String,
    /// The instant it is about, or the end of the range, in milliseconds since the epoch.
    pub at_millis: i64,
    /// How far back it looks, where it is about a range.
    pub since: Option<Duration>,
    /// From one instant of the range to the next, where it has any.
    pub step: Option<Duration>,
    /// How many lines are enough.
    pub limit: usize,
}

/// What an answer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// When nobody waits for it any more.
    pub deadline: Instant,
    /// How many series, or lines, it may have.
    pub series_max: usize,
    /// How long it may be.
    pub bytes_max: usize,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// Nobody is there to ask.
    #[error("the data is not at hand here")]
    NoSource,
    /// The source cannot be reached, or gave up.
    #[error("{0}")]
    Unanswered(String),
    /// The answer is too large.
    #[error("the answer is larger than admission.data.{0} allows: ask for less, or raise it")]
    TooLarge(&'static str),
    /// There are too many questions.
    #[error("more than {0} questions in one review: raise admission.data.questions_max")]
    TooMany(usize),
    /// A replay, and it was not asked when the decision was made.
    #[error("it is not among the recorded answers")]
    NotRecorded,
}

impl DataError {
    /// The kind of it, as series name it.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            DataError::NoSource => "no_source",
            DataError::Unanswered(_) => "unanswered",
            DataError::TooLarge(_) => "too_large",
            DataError::TooMany(_) => "too_many",
            DataError::NotRecorded => "not_recorded",
        }
    }
}

/// Who answers questions. Called off the async threads, on the way of an answer to the API server: it must
/// give up at the deadline.
pub trait DataSource: Send + Sync + 'static {
    /// The answer to a question.
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError>;
}

/// A question and what came of it, as the record of a decision keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// In what language.
    pub language: Language,
    /// The expression.
    pub query: String,
    /// The options, as the rule gave them.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub options: Value,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Why nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_empty(options: &Value) -> bool {
    options.as_object().is_none_or(serde_json::Map::is_empty)
}

/// What all questions of a review may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataLimits {
    /// How many series, or lines, an answer may have.
    pub series_max: usize,
    /// How long all answers of a review may be together.
    pub bytes_max: usize,
    /// How many questions there may be.
    pub questions_max: usize,
}

impl Default for DataLimits {
    fn default() -> Self {
        DataLimits {
            series_max: 1000,
            bytes_max: 32 << 10,
            questions_max: 16,
        }
    }
}

/// The questions and answers of one review.
pub(crate) struct Session {
    source: Arc<dyn DataSource>,
    limits: DataLimits,
    deadline: Instant,
    now_millis: i64,
    bytes: usize,
    known: BTreeMap<(Language, String, String), usize>,
    asked: Vec<Asked>,
    metrics: Option<DataMetrics>,
}

impl Session {
    /// For a review that is judged now.
    pub(crate) fn new(
        source: Arc<dyn DataSource>,
        limits: DataLimits,
        deadline: Instant,
        now_millis: i64,
    ) -> Self {
        Session {
            source,
            limits,
            deadline,
            now_millis,
            bytes: 0,
            known: BTreeMap::new(),
            asked: Vec::new(),
            metrics: None,
        }
    }

    /// With somebody who counts the questions.
    #[must_use]
    pub(crate) fn counted(mut self, metrics: Option<DataMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// The answer to a question: the one that was given before, or a new one.
    fn answer(
        &mut self,
        language: Language,
        query: &str,
        options: &Value,
    ) -> Result<Value, String> {
        let key = (language, query.to_string(), options.to_string());
        let index = if let Some(index) = self.known.get(&key) {
            *index
        } else {
            let found = self.ask(language, query, options);
            let (answer, error) = match found {
                Ok(answer) => (Some(answer), None),
                Err(problem) => (None, Some(problem)),
            };
            // What is one question too many is not kept either.
            if self.asked.len() >= self.limits.questions_max {
                return Err(error.unwrap_or_default());
            }
            self.asked.push(Asked {
                language,
                query: query.to_string(),
                options: options.clone(),
                answer,
                error,
            });
            self.known.insert(key, self.asked.len() - 1);
            self.asked.len() - 1
        };
        match self.asked.get(index) {
            Some(Asked {
                answer: Some(answer),
                ..
            }) => Ok(answer.clone()),
            Some(Asked {
                error: Some(error), ..
            }) => Err(error.clone()),
            _ => Err(DataError::NoSource.to_string()),
        }
    }

    fn ask(&mut self, language: Language, query: &str, options: &Value) -> Result<Value, String> {
        let limits = self.limits;
        let question = builtins::question(language, query, options, self.now_millis)?;
        let bounds = Bounds {
            deadline: self.deadline,
            series_max: limits.series_max,
            bytes_max: limits.bytes_max.saturating_sub(self.bytes),
        };
        let begun = Instant::now();
        let found = if self.asked.len() >= limits.questions_max {
            Err(DataError::TooMany(limits.questions_max))
        } else {
            let found = self.source.ask(&question, bounds);
            found.and_then(|answer| answer.bounded(bounds))
        };
        if let Some(metrics) = &self.metrics {
            let result = found.as_ref().map(|_| ());
            metrics.observe(language, result, begun.elapsed());
        }
        let value = found.map_err(|error| error.to_string())?;
        self.bytes += value.to_string().len();
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
