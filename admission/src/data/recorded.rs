//! Answers that were recorded: for a replay, and for tests of policies.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Answer, Asked, Bounds, DataError, DataSource, Language, Question};

/// Answers by language, expression and options; those of a test are given whatever the options are.
#[derive(Debug, Clone, Default)]
pub struct Recorded(BTreeMap<(Language, String, Option<String>), Asked>);

/// Why a file holds no recorded answers.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no list of answers.
    #[error("{path}: {problem}: write a list of {{promql or logql: QUERY, answer or error}}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// An answer as it is written beside a test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    promql: Option<String>,
    logql: Option<String>,
    answer: Option<serde_json::Value>,
    error: Option<String>,
}

impl Recorded {
    /// Those of a record.
    pub fn new(asked: &[Asked]) -> Self {
        let key = |asked: &Asked| {
            let options = if asked.options.is_null() {
                "{}".to_string()
            } else {
                asked.options.to_string()
            };
            (asked.language, asked.query.clone(), Some(options))
        };
        Recorded(asked.iter().map(|it| (key(it), it.clone())).collect())
    }

    /// Those of a file of tests.
    pub fn read(path: &Path) -> Result<Self, RecordedError> {
        let called = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| RecordedError::Read {
            path: called.clone(),
            source,
        })?;
        let parse = |problem: String| RecordedError::Parse {
            path: called.clone(),
            problem,
        };
        let written: Vec<Written> =
            serde_yaml_ng::from_str(&text).map_err(|error| parse(error.to_string()))?;
        let mut recorded = BTreeMap::new();
        for it in written {
            let (language, query) = match (it.promql, it.logql) {
                (Some(query), None) => (Language::Promql, query),
                (None, Some(query)) => (Language::Logql, query),
                _ => return Err(parse("one of promql and logql must be given".to_string())),
            };
            if it.answer.is_some() == it.error.is_some() {
                return Err(parse(format!(
                    "{query}: one of answer and error must be given"
                )));
            }
            let asked = Asked {
                language,
                query: query.clone(),
                options: serde_json::Value::Null,
                answer: it.answer,
                error: it.error,
            };
            recorded.insert((language, query, None), asked);
        }
        Ok(Recorded(recorded))
    }
}

impl DataSource for Recorded {
    fn ask(&self, question: &Question, _: Bounds) -> Result<Answer, DataError> {
        let key = |options| (question.language, question.query.clone(), options);
        let found = self.0.get(&key(Some(question.options.clone())));
        match found.or_else(|| self.0.get(&key(None))) {
            None => Err(DataError::NotRecorded),
            Some(Asked {
                answer: Some(answer),
                ..
            }) => Ok(Answer::Recorded(answer.clone())),
            Some(asked) => Err(DataError::Unanswered(
                asked.error.clone().unwrap_or_default(),
            )),
        }
    }
}
