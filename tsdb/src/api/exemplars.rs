//! `query_exemplars`: the exemplars of the series that the selectors of a query match.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::labels::Labels;
use model::matcher::Matcher;
use model::sample::Exemplar;
use model::time::{TimeRange, Timestamp};
use model::vector::{format_float, write_labels, write_list, write_text, write_time};

use super::Api;
use super::params::Params;
use super::response::{ApiError, Success};
use super::text::Text;
use crate::query::Expr;

/// What a series and its exemplars take as text, about.
const SERIES_BYTES: usize = 256;

/// `query_exemplars`
pub(super) async fn exemplars(
    State(api): State<Api>,
    params: Params,
) -> Result<Response, ApiError> {
    let start = params.time_or("start", Timestamp::MIN)?;
    let end = params.time_or("end", Timestamp::MAX)?;
    if end < start {
        return Err(ApiError::bad_data(
            "end timestamp must not be before start timestamp",
        ));
    }
    let found = api.run_query(None, move |api, guard| {
        let expr = params.expression(guard)?;
        let mut selectors = Vec::new();
        add_selectors(&expr, &mut selectors);
        if selectors.is_empty() {
            return Ok(None);
        }
        let reader = api.tsdb.reader();
        let range = TimeRange::new(start, end);
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for matchers in &selectors {
            found.extend(reader.exemplars(matchers, range, guard)?);
        }
        let mut data = Text::of(guard);
        data.write_list(&found, |data, series| {
            data.write(SERIES_BYTES, |out| write_series(out, series))
        })?;
        Ok(Some(Success::new(data)))
    });
    Ok(match found.await? {
        Some(success) => success.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn write_series(out: &mut String, (labels, exemplars): (&Labels, &Vec<Exemplar>)) {
    out.push_str("{\"seriesLabels\":");
    write_labels(out, labels);
    out.push_str(",\"exemplars\":");
    write_list(out, exemplars, |out, exemplar| {
        out.push_str("{\"labels\":");
        write_labels(out, &exemplar.labels);
        out.push_str(",\"value\":");
        write_text(out, &format_float(exemplar.value));
        out.push_str(",\"timestamp\":");
        write_time(out, exemplar.timestamp.unwrap_or_default());
        out.push('}');
    });
    out.push('}');
}

/// The matchers of every selector in a tree.
fn add_selectors(expr: &Expr, selectors: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number(_) | Expr::Text(_) => {}
        Expr::Selector(selector) => selectors.push(selector.matchers.clone()),
        Expr::Range(range) => selectors.push(range.selector.matchers.clone()),
        Expr::Subquery(subquery) => add_selectors(&subquery.expr, selectors),
        Expr::Call(call) => call
            .args
            .iter()
            .for_each(|argument| add_selectors(argument, selectors)),
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &aggregate.param {
                add_selectors(param, selectors);
            }
            add_selectors(&aggregate.expr, selectors);
        }
        Expr::Binary(binary) => {
            add_selectors(&binary.lhs, selectors);
            add_selectors(&binary.rhs, selectors);
        }
        Expr::Unary(unary) => add_selectors(&unary.expr, selectors),
        Expr::Paren(paren) => add_selectors(&paren.expr, selectors),
    }
}
