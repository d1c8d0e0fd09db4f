//! `status/tsdb`.

use std::fmt::Write as _;

use axum::extract::State;
use model::time::Timestamp;
use model::vector::{write_list, write_text};

use super::Api;
use super::params::Params;
use super::response::{ApiError, Success};
use crate::store::read::cardinality::{Cardinality, Count};

/// Entries of a list where nothing else is asked.
const LIMIT: usize = 10;
/// The most entries of a list.
const LIMIT_MAX: usize = 10_000;

/// `status/tsdb`: upstream's fields, of the newest partition and memory, and `churn` and
/// `seriesCountByPartition` besides. `match[]` narrows it to some series.
pub(super) async fn tsdb(State(api): State<Api>, params: Params) -> Result<Success, ApiError> {
    let limit = limit(params.get("limit"))?;
    api.run_query(None, move |api, guard| {
        let matchers = params.matchers(guard)?;
        let report = api.tsdb.reader().cardinality(&matchers, limit, guard)?;
        Ok(Success::new(written(&report)))
    })
    .await
}

fn limit(text: &str) -> Result<usize, ApiError> {
    if text.is_empty() {
        return Ok(LIMIT);
    }
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?;
    if limit > LIMIT_MAX {
        let reason = format!("limit must not exceed {LIMIT_MAX}");
        return Err(ApiError::bad_data(reason));
    }
    Ok(limit)
}

fn written(report: &Cardinality) -> String {
    let (min, max) = report.range.map_or((i64::MAX, i64::MIN), |range| {
        (range.start.millis(), range.end.millis())
    });
    let mut data = format!(
        "{{\"headStats\":{{\"numSeries\":{},\"numLabelPairs\":{},\"chunkCount\":{},\"minTime\":{min},\"maxTime\":{max}}}",
        report.series, report.label_pairs, report.chunks
    );
    for (name, counts) in [
        ("seriesCountByMetricName", &report.series_by_metric),
        ("labelValueCountByLabelName", &report.values_by_label),
        ("memoryInBytesByLabelName", &report.bytes_by_label),
        ("seriesCountByLabelValuePair", &report.series_by_pair),
    ] {
        put_name(&mut data, name);
        write_list(&mut data, counts, write_count);
    }
    for (name, counts) in [
        ("churn", &report.new_series_by_hour),
        ("seriesCountByPartition", &report.series_by_partition),
    ] {
        put_name(&mut data, name);
        write_list(&mut data, counts, write_instant);
    }
    data.push('}');
    data
}

fn put_name(out: &mut String, name: &str) {
    out.push(',');
    write_text(out, name);
    out.push(':');
}

fn write_count(out: &mut String, (name, value): &Count) {
    out.push_str("{\"name\":");
    write_text(out, name);
    let _ = write!(out, ",\"value\":{value}}}");
}

fn write_instant(out: &mut String, (at, series): &(Timestamp, u64)) {
    let _ = write!(out, "{{\"time\":{},\"series\":{series}}}", at.millis());
}
