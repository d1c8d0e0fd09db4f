//! Whom rules ask beside the object: the stores of this process, or a server over HTTP.
//!
//! Called off the async threads, on the way of an answer to the API server: each question ends at the deadline of
//! its review, whatever it costs to answer.

use std::time::{Duration, Instant};

use admission::data::{Answer, Bounds, DataError, DataSource, LabelMap, Language, Question};
use agent::access::Access;
use anyhow::Context as _;
use logs::query::{
    Direction, Engine as LogEngine, EngineOptions, Limits, QueryResult, ResultStream,
};
use model::labels::Labels;
use model::time::{Timestamp, TimestampNs};
use model::vector::{QueryValue, SampleValue};
use serde_json::Value;
use tokio::runtime::Handle;
use tsdb::query::QueryOptions;

use crate::wiring::Stores;

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

/// A server that has the stores.
pub(crate) struct RemoteData {
    server: String,
    access: Access,
    client: reqwest::Client,
    runtime: Handle,
}

impl RemoteData {
    /// Asks `server`, from threads that are not the runtime's.
    pub(crate) fn new(server: &str, access: Access) -> anyhow::Result<Self> {
        let client = access.client()?.build();
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            client: client.context("cannot make a client for the server")?,
            access,
            runtime: Handle::current(),
        })
    }

    async fn fetch(&self, question: &Question, bounds: Bounds) -> Result<Value, DataError> {
        let at = question.at_millis;
        let since = question.since.map(millis);
        let (path, form) = match question.language {
            Language::Promql => {
                let seconds = |millis: i64| (millis as f64 / 1e3).to_string();
                match (since, question.step) {
                    (Some(since), Some(step)) => (
                        "/api/v1/query_range",
                        vec![
                            ("start", seconds(at.saturating_sub(since))),
                            ("end", seconds(at)),
                            ("step", step.as_secs_f64().to_string()),
                        ],
                    ),
                    _ => ("/api/v1/query", vec![("time", seconds(at))]),
                }
            }
            Language::Logql => {
                let nanos = |millis: i64| millis.saturating_mul(1_000_000).to_string();
                let limit = ("limit", question.limit.to_string());
                let is_log = matches!(
                    logs::query::parse(&question.query),
                    Ok(logs::query::ast::Expr::Log(_))
                );
                if since.is_none() && !is_log {
                    ("/loki/api/v1/query", vec![("time", nanos(at))])
                } else {
                    let since = since.unwrap_or(millis(LINES_SINCE));
                    let step = question
                        .step
                        .map_or(since as f64 / 1e3, |s| s.as_secs_f64());
                    let form = vec![
                        ("start", nanos(at.saturating_sub(since))),
                        ("end", nanos(at)),
                        ("step", step.to_string()),
                        ("direction", "backward".to_owned()),
                        limit,
                    ];
                    ("/loki/api/v1/query_range", form)
                }
            }
        };
        let server = &self.server;
        let unreachable = |error: reqwest::Error| {
            let why = anyhow::Error::new(error);
            DataError::Unanswered(format!("{server} cannot be asked: {why:#}"))
        };
        let request = self.client.post(format!("{server}{path}"));
        let request = self.access.authorize(request).await.map_err(unanswered)?;
        let request = request.form(&[("query", question.query.as_str())]);
        let request = request.query(&form);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        // JSON takes more room than what it says; that is looked at again.
        let bytes_max = bounds.bytes_max.saturating_mul(4).saturating_add(16 << 10);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > bytes_max {
                return Err(DataError::TooLarge("bytes_max"));
            }
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            let said: String = said.trim().chars().take(300).collect();
            return Err(DataError::Unanswered(format!(
                "{server} answers {status}: {said}"
            )));
        }
        serde_json::from_slice(&body)
            .map_err(|_| DataError::Unanswered(format!("{server}{path} does not answer in JSON")))
    }
}

impl DataSource for RemoteData {
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError> {
        let left = bounds.deadline.saturating_duration_since(Instant::now());
        let asked = async {
            let gave_up = || format!("{} did not answer before the deadline", self.server);
            tokio::time::timeout(left, self.fetch(question, bounds))
                .await
                .unwrap_or_else(|_| Err(DataError::Unanswered(gave_up())))
        };
        let answer = self.runtime.block_on(asked)?;
        read(&answer).ok_or_else(|| {
            DataError::Unanswered(format!("{} answers in another shape", self.server))
        })
    }
}

/// The answer of either API.
fn read(answer: &Value) -> Option<Answer> {
    let data = answer.get("data")?;
    let result = data.get("result")?;
    let number = |value: &Value| -> Option<f64> { value.as_str()?.parse().ok() };
    let point = |point: &Value| Some((point.get(0)?.as_f64()?, number(point.get(1)?)?));
    let labels = |of: &Value, key: &str| -> LabelMap {
        let labels = of.get(key).and_then(Value::as_object).into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    };
    match data.get("resultType")?.as_str()? {
        "scalar" => Some(Answer::Vector(vec![(LabelMap::new(), point(result)?.1)])),
        "string" => {
            let text = result.get(1)?.as_str()?.to_owned();
            Some(Answer::Lines(vec![(
                LabelMap::new(),
                result.get(0)?.as_f64()?,
                text,
            )]))
        }
        "vector" => {
            let of = result.as_array()?.iter().map(|one| {
                let value = one
                    .get("value")
                    .map_or(Some(f64::NAN), |value| Some(point(value)?.1));
                Some((labels(one, "metric"), value?))
            });
            Some(Answer::Vector(of.collect::<Option<_>>()?))
        }
        "matrix" => {
            let of = result.as_array()?.iter().map(|one| {
                let points = one
                    .get("values")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                Some((
                    labels(one, "metric"),
                    points.map(point).collect::<Option<_>>()?,
                ))
            });
            Some(Answer::Matrix(of.collect::<Option<_>>()?))
        }
        "streams" => {
            let mut lines = Vec::new();
            for stream in result.as_array()? {
                let entries = stream.get("values").and_then(Value::as_array);
                for entry in entries.into_iter().flatten() {
                    let nanos: i64 = entry.get(0)?.as_str()?.parse().ok()?;
                    let line = entry.get(1)?.as_str()?.to_owned();
                    lines.push((labels(stream, "stream"), nanos as f64 / 1e9, line));
                }
            }
            lines.sort_by(|a, b| b.1.total_cmp(&a.1));
            Some(Answer::Lines(lines))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_either_api_answers_is_read() {
        let one = LabelMap::from([("a".to_owned(), "b".to_owned())]);
        let metric = json!({"a": "b"});
        for (data, expected) in [
            (
                json!({"resultType": "scalar", "result": [1.5, "2"]}),
                Some(Answer::Vector(vec![(LabelMap::new(), 2.0)])),
            ),
            (
                json!({"resultType": "vector", "result": [{"metric": metric, "value": [1, "+Inf"]}]}),
                Some(Answer::Vector(vec![(one.clone(), f64::INFINITY)])),
            ),
            (
                json!({"resultType": "matrix", "result": [{"metric": metric, "values": [[1, "2"], [3, "4"]]}]}),
                Some(Answer::Matrix(vec![(
                    one.clone(),
                    vec![(1.0, 2.0), (3.0, 4.0)],
                )])),
            ),
            (
                json!({"resultType": "streams", "result": [{"stream": metric,
                    "values": [["1000000000", "old"], ["2000000000", "new"]]}]}),
                Some(Answer::Lines(vec![
                    (one.clone(), 2.0, "new".to_owned()),
                    (one, 1.0, "old".to_owned()),
                ])),
            ),
            (
                json!({"resultType": "vector", "result": [{"value": [1, 2]}]}),
                None,
            ),
            (json!({"resultType": "other", "result": []}), None),
            (json!(null), None),
        ] {
            assert_eq!(read(&json!({"data": data})), expected, "{data}");
        }
    }
}
