//! Whom rules ask beside the object: the stores of this process, or a server over HTTP.
//!
//! Called off the async threads, on the way of an answer to the API server: each question ends at its deadline, whatever
//! it costs to answer. Here are the stores of this process; [`remote`] asks a server, and [`read`] understands it.

mod read;
mod remote;

use std::time::{Duration, Instant};

use admission::data::{Answer, Bounds, DataError, DataSource, LabelMap, Language, Question};
use logs::query::{
    Direction, Engine as LogEngine, EngineOptions, Limits, QueryResult, ResultStream,
};
use model::labels::Labels;
use model::time::{Timestamp, TimestampNs};
use model::vector::{QueryValue, SampleValue};
use tsdb::query::QueryOptions;

use crate::wiring::Stores;
pub(crate) use remote::RemoteData;

/// How far back a log query looks where its rule does not say.
const LINES_SINCE: Duration = Duration::from_hours(1);

impl DataSource for Stores {
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError> {
        let left = bounds.deadline.saturating_duration_since(Instant::now());
        match question.language {
            Language::Promql => self.promql(question, left),
            Language::Logql => self.logql(question, left, bounds),
        }
    }
}

impl Stores {
    fn promql(&self, question: &Question, left: Duration) -> Result<Answer, DataError> {
        let options = QueryOptions {
            timeout: Some(left),
            ..QueryOptions::default()
        };
        let (engine, source) = (self.tsdb.engine(), self.tsdb.source());
        let end = Timestamp(question.at_millis);
        let found = match (question.since, question.step) {
            (Some(since), Some(step)) => {
                let start = Timestamp(question.at_millis.saturating_sub(millis(since)));
                engine.range(&source, &question.query, start, end, step, &options)
            }
            _ => engine.instant(&source, &question.query, end, &options),
        };
        let output = found.map_err(unanswered)?;
        Ok(answer_of(output.value))
    }

    fn logql(
        &self,
        question: &Question,
        left: Duration,
        bounds: Bounds,
    ) -> Result<Answer, DataError> {
        let engine = LogEngine::new(EngineOptions {
            limits: Limits {
                series_max: bounds.series_max,
                timeout: Some(left),
                ..self.logs.options().query.clone()
            },
        });
        let source = self.logs.snapshot();
        let end = TimestampNs(question.at_millis.saturating_mul(1_000_000));
        let is_instant = question.since.is_none()
            && matches!(
                logs::query::parse(&question.query),
                Ok(logs::query::ast::Expr::Metric(_))
            );
        let found = if is_instant {
            engine.instant(&source, &question.query, end, 0, Direction::Backward)
        } else {
            let since = millis(question.since.unwrap_or(LINES_SINCE)).saturating_mul(1_000_000);
            let start = TimestampNs(end.0.saturating_sub(since));
            // A metric query without a step has one value in its range.
            let step = question.step.or(question.since).unwrap_or(LINES_SINCE);
            let (query, limit) = (&question.query, question.limit);
            engine.range(&source, query, start, end, step, limit, Direction::Backward)
        };
        match found.map_err(unanswered)?.value {
            QueryResult::Metric(value) => Ok(answer_of(value)),
            QueryResult::Streams(streams) => Ok(lines_of(streams)),
        }
    }
}

fn unanswered(error: impl std::fmt::Display) -> DataError {
    DataError::Unanswered(error.to_string())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn labels_of(labels: &Labels) -> LabelMap {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    labels.iter().map(owned).collect()
}

fn answer_of(value: QueryValue) -> Answer {
    match value {
        QueryValue::Scalar(_, value) => Answer::Vector(vec![(LabelMap::new(), value)]),
        QueryValue::String(at, text) => Answer::Lines(vec![(LabelMap::new(), at.seconds(), text)]),
        QueryValue::Vector(samples) => {
            let float = |value: &SampleValue| match value {
                SampleValue::Float(value) => *value,
                // What a rule compares is a number; a histogram is none.
                SampleValue::Histogram(_) => f64::NAN,
            };
            let of = samples.iter();
            Answer::Vector(
                of.map(|s| (labels_of(&s.labels), float(&s.value)))
                    .collect(),
            )
        }
        QueryValue::Matrix(series) => {
            let of = series.iter().map(|one| {
                let points = one.floats.iter().map(|(at, value)| (at.seconds(), *value));
                (labels_of(&one.labels), points.collect())
            });
            Answer::Matrix(of.collect())
        }
    }
}

/// Lines of all streams, newest first.
fn lines_of(streams: Vec<ResultStream>) -> Answer {
    let mut lines = Vec::new();
    for stream in streams {
        let labels = labels_of(&stream.labels);
        for entry in stream.entries {
            lines.push((labels.clone(), entry.timestamp.0 as f64 / 1e9, entry.line));
        }
    }
    lines.sort_by(|a, b| b.1.total_cmp(&a.1));
    Answer::Lines(lines)
}
