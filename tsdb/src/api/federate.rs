//! `/federate`: the newest sample of each series that matches, in the text format, with its instant.
//!
//! A series whose newest sample marks its end, or is older than the lookback, is left out. Native
//! histograms have no place in the text format and are left out too, as upstream does. Names that a reader
//! of the older format could not read are written with underscores, unless the reader says that it
//! takes UTF-8.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use model::labels::{Labels, METRIC_NAME, is_legacy_label_name};
use model::matcher::Matcher;
use model::sample::is_stale_nan;
use model::time::{TimeRange, Timestamp};
use model::vector::format_general;

use super::Api;
use super::params::Params;
use super::response::ApiError;
use super::text::Text;
use super::write::text;
use crate::query::order::sort_by;
use crate::query::{Guard, Samples, SelectError, Source as _};

/// A label that every federated series has, if only empty.
const INSTANCE: &str = "instance";
const LEGACY: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
const UTF_8: &str = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";

/// How names are written that are not of the old format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Underscores,
    Utf8,
}

/// A series' newest sample.
struct Newest {
    labels: Labels,
    at: Timestamp,
    value: f64,
}

/// `/federate`
pub(super) async fn federate(
    State(api): State<Api>,
    headers: HeaderMap,
    params: Result<Params, ApiError>,
) -> Response {
    let answer = async {
        let params = params?;
        let accept = headers.get_all(header::ACCEPT).iter();
        let mut accept = accept.filter_map(|accept| accept.to_str().ok());
        let names = if accept.any(|accept| accept.contains("escaping=allow-utf-8")) {
            Names::Utf8
        } else {
            Names::Underscores
        };
        let end = api.tsdb.clock().now();
        let lookback = api.tsdb.options().query.lookback.as_millis();
        let lookback = i64::try_from(lookback).unwrap_or(i64::MAX);
        let range = TimeRange::new(Timestamp(end.0.saturating_sub(lookback)), end);
        let text = api.run_query(None, move |api, guard| {
            let found = newest(api, &params.matchers(guard)?, range, guard)?;
            Ok(written(found, names, guard)?)
        });
        Ok((names, text.await?))
    };
    match answer.await {
        Ok((names, text)) => {
            let kind = match names {
                Names::Underscores => LEGACY,
                Names::Utf8 => UTF_8,
            };
            let (body, _) = text.into_body("", "");
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => {
            let error: ApiError = error;
            text(error.status(), error.message)
        }
    }
}

fn newest(
    api: &Api,
    sets: &[Vec<Matcher>],
    range: TimeRange,
    guard: &Guard,
) -> Result<Vec<Newest>, SelectError> {
    let reader = api.tsdb.reader();
    let mut samples = Samples::default();
    let mut found = Vec::new();
    for (number, matchers) in sets.iter().enumerate() {
        let selection = reader.select(range, matchers, guard)?;
        let mut series = selection.reader();
        for (place, labels) in selection.labels().iter().enumerate() {
            let passes = |set: &Vec<Matcher>| set.iter().all(|m| m.matches_labels(labels));
            guard.check()?;
            if sets.iter().take(number).any(passes) {
                continue;
            }
            series.read(place, &mut samples)?;
            let last = samples.timestamps.last().zip(samples.values.last());
            let histogram = samples.histograms.last().map(|(at, _)| at.0);
            let Some((at, value)) = last.filter(|(at, _)| histogram < Some(**at)) else {
                continue;
            };
            if is_stale_nan(*value) || labels.metric_name().is_empty() {
                continue;
            }
            let bytes = size_of::<Newest>() + labels.as_encoded().len();
            guard.memory.take(bytes)?;
            found.push(Newest {
                labels: labels.clone(),
                at: Timestamp(*at),
                value: *value,
            });
            if found.len() > guard.samples_max {
                let limit = guard.samples_max;
                return Err(SelectError::TooManySamples { limit });
            }
        }
    }
    sort_by(&mut found, guard, |a, b| {
        a.labels.metric_name().cmp(b.labels.metric_name())
    })?;
    Ok(found)
}

fn written(found: Vec<Newest>, names: Names, guard: &Guard) -> Result<Text, SelectError> {
    let mut text = Text::of(guard);
    let mut family = None;
    for newest in found {
        text.write(2 * newest.labels.as_encoded().len(), |out| {
            write_sample(out, &newest, &mut family, names);
        })?;
    }
    Ok(text)
}

/// Writes a sample, and the head of its family where `family` is another one.
fn write_sample(out: &mut String, newest: &Newest, family: &mut Option<String>, names: Names) {
    let name = escaped(newest.labels.metric_name(), names, is_legacy_metric_name);
    if family.as_ref() != Some(&name) {
        out.push_str("# TYPE ");
        write_name(out, &name, is_legacy_metric_name);
        out.push_str(" untyped\n");
    }
    let is_plain = is_legacy_metric_name(&name);
    if is_plain {
        out.push_str(&name);
    }
    out.push('{');
    if !is_plain {
        write_quoted(out, &name);
        out.push(',');
    }
    *family = Some(name);
    let mut has_instance = false;
    for (label, value) in &newest.labels {
        if label == METRIC_NAME || value.is_empty() {
            continue;
        }
        has_instance |= label == INSTANCE;
        let label = escaped(label, names, is_legacy_label_name);
        write_name(out, &label, is_legacy_label_name);
        out.push('=');
        write_quoted(out, value);
        out.push(',');
    }
    if !has_instance {
        out.push_str("instance=\"\",");
    }
    // A label was written, so there is a comma behind the last.
    out.pop();
    let value = format_general(newest.value);
    let _ = writeln!(out, "}} {value} {}", newest.at.millis());
}

/// A name that may be written without quotes: colons besides what label names may have.
fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty() && is_legacy_label_name(&name.replace(':', "_"))
}

fn escaped(name: &str, names: Names, is_legacy: impl Fn(&str) -> bool) -> String {
    if names == Names::Utf8 || is_legacy(name) {
        return name.to_owned();
    }
    let mut out = String::new();
    for (place, character) in name.chars().enumerate() {
        let is_valid = character.is_ascii_alphabetic()
            || character == '_'
            || character == ':'
            || (character.is_ascii_digit() && place > 0);
        out.push(if is_valid { character } else { '_' });
    }
    out
}

fn write_name(out: &mut String, name: &str, is_legacy: impl Fn(&str) -> bool) {
    if is_legacy(name) {
        out.push_str(name);
    } else {
        write_quoted(out, name);
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
}
