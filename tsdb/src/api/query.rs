//! `query`, `query_range`, `format_query`.

use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use model::time::Timestamp;
use model::vector::{QueryValue, write_text};

use super::Api;
use super::params::Params;
use super::query_log::Entry;
use super::response::{ApiError, ErrorType, Success};
use super::stats::{Stats, Told};
use super::text::Text;
use crate::query::format::pretty::pretty;
use crate::query::giving_up::let_go;
use crate::query::{Counting, Guard, QueryError, QueryOptions, QueryOutput, SelectError};

/// Points of one series that a range query may ask for: enough for a week by the minute.
const POINTS_MAX: i128 = 11_000;
const TRUNCATED: &str = "results truncated due to limit";

/// `query`
pub(super) async fn instant(
    State(api): State<Api>,
    method: Method,
    params: Params,
) -> Result<Success, ApiError> {
    let at = params.time_or("time", api.tsdb.clock().now())?;
    let asked = Asked::of(&params, method)?;
    api.run_query_timed(asked.timeout, move |api, guard, queued| {
        let source = api.tsdb.source();
        let options = asked.options(guard);
        let engine = api.tsdb.engine();
        let answer = engine.instant(&source, &asked.query, at, &options);
        asked.answer(api, guard, "/api/v1/query", (at, at, 0), queued, answer)
    })
    .await
}

/// `query_range`
pub(super) async fn range(
    State(api): State<Api>,
    method: Method,
    params: Params,
) -> Result<Success, ApiError> {
    let (start, end) = (params.time("start")?, params.time("end")?);
    if end < start {
        let reason = "end timestamp must not be before start time";
        return Err(ApiError::parameter("end", reason));
    }
    let step = params.duration("step")?;
    if step <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", reason));
    }
    let length = i128::from(end.millis()) - i128::from(start.millis());
    if length / i128::from(step) > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let step_ms = step;
    let step = Duration::from_millis(step.unsigned_abs());
    let asked = Asked::of(&params, method)?;
    api.run_query_timed(asked.timeout, move |api, guard, queued| {
        let source = api.tsdb.source();
        let options = asked.options(guard);
        let engine = api.tsdb.engine();
        let answer = engine.range(&source, &asked.query, start, end, step, &options);
        let times = (start, end, step_ms);
        asked.answer(api, guard, "/api/v1/query_range", times, queued, answer)
    })
    .await
}

/// `format_query`
pub(super) async fn format(State(api): State<Api>, params: Params) -> Result<Success, ApiError> {
    api.run_query(None, move |_, guard| {
        let mut data = String::new();
        write_text(&mut data, &pretty(&params.expression(guard)?));
        Ok(Success::new(data))
    })
    .await
}

/// What a query asks for beside its instants.
struct Asked {
    query: String,
    timeout: Option<Duration>,
    lookback: Option<Duration>,
    limit: Option<usize>,
    wants_stats: Option<Told>,
    method: Method,
}

impl Asked {
    fn of(params: &Params, method: Method) -> Result<Self, ApiError> {
        let positive = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let lookback = params.duration_or_none("lookback_delta").map_err(|error| {
            let reason = error
                .message
                .split_once(": ")
                .map_or("", |(_, reason)| reason);
            ApiError::bad_data(format!("error parsing lookback delta duration: {reason}"))
        })?;
        Ok(Self {
            query: params.get("query").to_owned(),
            timeout: params.duration_or_none("timeout")?.map(positive),
            lookback: lookback.map(positive),
            limit: params.limit()?,
            wants_stats: match params.get("stats") {
                "" => None,
                "all" => Some(Told::Steps),
                _ => Some(Told::Totals),
            },
            method,
        })
    }

    /// The evaluator's options: what is left of the time, and the flag that stops it.
    fn options(&self, guard: &Guard) -> QueryOptions {
        let now = std::time::Instant::now();
        QueryOptions {
            lookback: self.lookback,
            timeout: guard
                .deadline
                .map(|deadline| deadline.saturating_duration_since(now)),
            cancel: guard.cancel.clone(),
            on_interrupt: guard.on_interrupt.clone(),
            counting: match self.wants_stats {
                Some(_) => Counting::ByStep,
                None => Counting::None,
            },
        }
    }

    /// The answer, noted in the log. `times` are the first instant, the last one, and the step.
    fn answer(
        &self,
        api: &Api,
        guard: &Guard,
        path: &str,
        times: (Timestamp, Timestamp, i64),
        queued: Duration,
        output: Result<QueryOutput, QueryError>,
    ) -> Result<Success, ApiError> {
        let mut stats = Stats {
            queued,
            ..Stats::default()
        };
        if let Ok(output) = &output {
            stats.evaluation = output.stats;
            stats.samples_by_step.clone_from(&output.samples_by_step);
        }
        if let Some(log) = &api.query_log {
            let (start, end, step_ms) = times;
            log.note(&Entry {
                at: api.tsdb.clock().now(),
                query: &self.query,
                start,
                end,
                step_ms,
                stats: &stats,
                method: self.method.as_str(),
                path,
                error: output.as_ref().err().map(ToString::to_string),
            });
        }
        let mut output = output?;
        if let Some(limit) = self.limit
            && truncate(&mut output.value, limit, guard)?
        {
            output.warnings.push(TRUNCATED.to_owned());
        }
        let mut data = Text::of(&Guard {
            memory: output.memory,
            ..guard.clone()
        });
        data.write_value(output.value)?;
        if let Some(told) = self.wants_stats {
            data.push(",\"stats\":");
            data.push(&stats.to_json(told).to_string());
        }
        data.push("}");
        Ok(Success {
            data,
            warnings: output.warnings,
            infos: output.infos,
        })
    }
}

/// Keeps `limit` series. Returns whether any was left out.
fn truncate(value: &mut QueryValue, limit: usize, guard: &Guard) -> Result<bool, SelectError> {
    let rest = match value {
        QueryValue::Vector(series) if series.len() > limit => {
            let_go(series.split_off(limit), guard)
        }
        QueryValue::Matrix(series) if series.len() > limit => {
            let_go(series.split_off(limit), guard)
        }
        _ => return Ok(false),
    };
    rest?;
    Ok(true)
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match &error {
            QueryError::Parse(_) | QueryError::BadData(_) => {
                return Self::parameter("query", error);
            }
            QueryError::Execution(_) => ErrorType::Execution,
            QueryError::Timeout(_) => ErrorType::Timeout,
            QueryError::Canceled(_) => ErrorType::Canceled,
        };
        Self::new(kind, error.to_string())
    }
}
