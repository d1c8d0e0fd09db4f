//! `query`, `query_range` and `format_query`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use model::time::TimestampNs;

use super::Api;
use super::error::ApiError;
use super::params::Params;
use super::response::{self, Labelling};
use crate::query::{Direction, QueryOutput, QueryResult, ResultStream, parse};
use crate::store::Span;

/// Asks for three-part values: the line's labels by where they come from.
const ENCODING_FLAGS: &str = "x-loki-response-encoding-flags";

/// The value of a metric query at one instant.
pub(super) async fn instant(
    State(api): State<Api>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let text = params.text("query").to_owned();
    let (at, limit, direction) = (params.time()?, params.limit()?, params.direction()?);
    let labelling = labelling(&headers);
    let logs = api.logs.clone();
    let work = move |gone| {
        let started = Instant::now();
        let engine = logs.engine().cancelled_by(gone);
        let snapshot = logs.snapshot();
        let output = engine.instant(&snapshot, &text, at, limit, direction)?;
        Ok(response::query(
            &output,
            labelling,
            direction,
            started.elapsed(),
        ))
    };
    api.queries.run(work).await.map(response::json)
}

/// The lines of a log query, or the values of a metric query, over a range.
pub(super) async fn range(
    State(api): State<Api>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.at(api.now());
    let text = params.text("query").to_owned();
    let range = params.range()?;
    check_range(range)?;
    let (step, interval) = (params.step(range)?, params.interval()?);
    if step.is_zero() {
        return Err(ApiError::Parameter(
            "zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned(),
        ));
    }
    let (limit, direction) = (params.limit()?, params.direction()?);
    let labelling = labelling(&headers);
    let logs = api.logs.clone();
    let work = move |gone| {
        let started = Instant::now();
        let engine = logs.engine().cancelled_by(gone);
        let snapshot = logs.snapshot();
        // What the interval leaves out does not count against the limit.
        let fetched = if interval.is_zero() {
            limit
        } else {
            engine.limits().entries_max
        };
        let Span { start, end } = range;
        let mut output = engine.range(&snapshot, &text, start, end, step, fetched, direction)?;
        if !interval.is_zero() {
            thin_out(&mut output, interval, direction, limit);
        }
        Ok(response::query(
            &output,
            labelling,
            direction,
            started.elapsed(),
        ))
    };
    api.queries.run(work).await.map(response::json)
}

/// The query in one form, whatever form it came in.
pub(super) async fn format(params: Params) -> Result<Response, ApiError> {
    let expression = parse(params.text("query"))?;
    Ok(response::json(response::success_text(
        &expression.to_string(),
    )))
}

impl Api {
    pub(super) fn now(&self) -> TimestampNs {
        TimestampNs::from_millis(self.logs.clock().now())
    }
}

fn check_range(range: Span) -> Result<(), ApiError> {
    if range.end <= range.start {
        return Err(ApiError::Parameter(
            "end timestamp must not be before or equal to start time".to_owned(),
        ));
    }
    Ok(())
}

fn labelling(headers: &HeaderMap) -> Labelling {
    let flags = headers.get_all(ENCODING_FLAGS).iter();
    let mut flags = flags
        .filter_map(|flags| flags.to_str().ok())
        .flat_map(|flags| flags.split(','));
    if flags.any(|flag| flag.trim() == response::CATEGORIZE_LABELS) {
        Labelling::Categorized
    } else {
        Labelling::Flat
    }
}

/// Keeps of the lines those that are at least `interval` behind the one kept before, over all streams,
/// and of those the first `limit`.
fn thin_out(output: &mut QueryOutput, interval: Duration, direction: Direction, limit: usize) {
    let QueryResult::Streams(streams) = &mut output.value else {
        return;
    };
    let mut places: Vec<(TimestampNs, usize, usize)> = Vec::new();
    for (stream, ResultStream { entries, .. }) in streams.iter().enumerate() {
        let times = entries.iter().enumerate();
        places.extend(times.map(|(place, entry)| (entry.timestamp, stream, place)));
    }
    places.sort_by_key(|(at, _, _)| *at);
    if direction == Direction::Backward {
        places.reverse();
    }
    let interval = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
    let mut before: Option<TimestampNs> = None;
    places.retain(|(at, _, _)| {
        let far =
            before.is_none_or(|before| at.0.saturating_sub(before.0).saturating_abs() >= interval);
        if far {
            before = Some(*at);
        }
        far
    });
    places.truncate(limit);
    let kept: HashSet<(usize, usize)> = places
        .iter()
        .map(|(_, stream, place)| (*stream, *place))
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut place = 0;
        stream.entries.retain(|_| {
            place += 1;
            kept.contains(&(number, place - 1))
        });
    }
    streams.retain(|stream| !stream.entries.is_empty());
    output.stats.entries_returned = kept.len() as u64;
}
