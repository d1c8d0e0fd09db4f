//! Parameters of a request, in the URL or in a posted form, and what their texts mean.

use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::{Method, header};
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp, parse_duration};

use super::response::ApiError;
use crate::query::check::NO_MATCHER;
use crate::query::parser::{REGEXES_BYTES_MAX, too_many_regexes};
use crate::query::{Expr, Guard, SelectError, parse, parse_series_selector};

/// Upstream's earliest and latest instants as texts, which clients send for "any time".
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// The parameters; those of a form come before those of the URL.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let malformed = |error: &dyn std::fmt::Display| {
            ApiError::bad_data(format!("error parsing form values: {error}"))
        };
        let Query(in_url) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| malformed(&error.body_text()))?;
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| {
                kind.as_bytes()
                    .starts_with(b"application/x-www-form-urlencoded")
            });
        let mut pairs = Vec::new();
        if request.method() == Method::POST && is_form {
            let Form(in_form) = Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(|error| malformed(&error.body_text()))?;
            pairs = in_form;
        }
        pairs.extend(in_url);
        Ok(Self { pairs })
    }
}

impl Params {
    /// The first value of a parameter; an absent one is empty, as in upstream.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs
            .iter()
            .filter(move |(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    /// A required instant.
    pub(super) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.get(name)).map_err(|reason| ApiError::parameter(name, reason))
    }

    /// An optional instant.
    pub(super) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        if self.get(name).is_empty() {
            return Ok(default);
        }
        parse_time(self.get(name)).map_err(|reason| {
            let reason = format!("Invalid time value for '{name}': {reason}");
            ApiError::parameter(name, reason)
        })
    }

    /// The range of `start` and `end`, each of which may be left out.
    pub(super) fn range(&self) -> Result<TimeRange, ApiError> {
        Ok(TimeRange::new(
            self.time_or("start", Timestamp::MIN)?,
            self.time_or("end", Timestamp::MAX)?,
        ))
    }

    /// A required duration, in milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<i64, ApiError> {
        parse_seconds_or_duration(self.get(name))
            .map_err(|reason| ApiError::parameter(name, reason))
    }

    /// An optional duration, in milliseconds.
    pub(super) fn duration_or_none(&self, name: &str) -> Result<Option<i64>, ApiError> {
        if self.get(name).is_empty() {
            return Ok(None);
        }
        self.duration(name).map(Some)
    }

    /// How many results are wanted; none and 0 mean all.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit: i64 = text.parse().map_err(|_| {
            let reason = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            ApiError::parameter("limit", reason)
        })?;
        let limit = usize::try_from(limit)
            .map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))?;
        Ok((limit > 0).then_some(limit))
    }

    /// The expression in `query`, within what a query may take.
    pub(super) fn expression(&self, guard: &Guard) -> Result<Expr, ApiError> {
        let text = self.get("query");
        guard.allow_text(text).map_err(SelectError::from)?;
        parse(text).map_err(|error| ApiError::parameter("query", error))
    }

    /// The sets of matchers in `match[]`, within what a query may take.
    pub(super) fn matchers(&self, guard: &Guard) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut sets = Vec::new();
        let mut regex_bytes = 0_usize;
        for text in self.all("match[]") {
            guard.allow_text(text).map_err(SelectError::from)?;
            let set = parse_series_selector(text).map_err(|error| {
                if error.message == NO_MATCHER {
                    // Upstream looks for this one outside of its parser.
                    let reason = "match[] must contain at least one non-empty matcher";
                    return ApiError::parameter("match[]", reason);
                }
                ApiError::parameter("match[]", error)
            })?;
            regex_bytes += set.iter().map(Matcher::regex_bytes).sum::<usize>();
            if regex_bytes > REGEXES_BYTES_MAX {
                return Err(ApiError::parameter("match[]", too_many_regexes()));
            }
            sets.push(set);
        }
        Ok(sets)
    }
}

/// Seconds since the epoch as a float, or RFC 3339.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        // Whole seconds and the rest apart, as upstream rounds.
        let millis = seconds.trunc() as i64;
        let rest = (seconds.fract() * 1000.0).round() as i64;
        return Ok(Timestamp(millis.saturating_mul(1000).saturating_add(rest)));
    }
    match text {
        MIN_TIME => return Ok(Timestamp::MIN),
        MAX_TIME => return Ok(Timestamp::MAX),
        _ => {}
    }
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Seconds as a float, or a duration such as `1h30m`; in milliseconds.
fn parse_seconds_or_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Upstream counts nanoseconds in 64 bits.
        let nanos = seconds * 1e9;
        if nanos.is_nan() || nanos.abs() > i64::MAX as f64 {
            return Err(format!(
                "cannot parse {text:?} to a valid duration. It overflows int64"
            ));
        }
        return Ok((seconds * 1000.0) as i64);
    }
    parse_duration(text).map_err(|_| format!("cannot parse {text:?} to a valid duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("0", Some(0)),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("-1.5", Some(-1500)),
            ("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555)),
            ("2015-06-03T14:21:58.555+01:00", Some(1_433_337_718_555)),
            (MIN_TIME, Some(i64::MIN)),
            (MAX_TIME, Some(i64::MAX)),
            ("", None),
            ("30s", None),
            ("NaN", None),
            ("2015-06-03", None),
        ] {
            let parsed = parse_time(text).ok().map(Timestamp::millis);
            assert_eq!(parsed, millis, "{text:?}");
        }
    }

    #[test]
    fn steps_are_seconds_or_durations() {
        for (text, millis) in [
            ("1", Some(1000)),
            ("0.25", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("-1", Some(-1000)),
            ("", None),
            ("foo", None),
            ("Inf", None),
            ("1e300", None),
        ] {
            assert_eq!(parse_seconds_or_duration(text).ok(), millis, "{text:?}");
        }
    }
}
