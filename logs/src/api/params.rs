//! The parameters of a request, from its query string and its form alike.
//!
//! Loki reads a time as nanoseconds, as seconds (up to ten digits, or with a point) or as RFC 3339, and
//! a duration as seconds or as `1h30m`; a missing end is now, a missing start lies `since` before the end.

use std::time::Duration;

use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::Method;
use model::matcher::Matcher;
use model::time::{TimestampNs, parse_duration};

use super::error::ApiError;
use crate::query::{Direction, parse_selector};
use crate::store::Span;

/// How far a range query reaches back by default.
const SINCE_NS: i64 = 3_600_000_000_000;
/// How far a question about labels reaches back by default.
const LABELS_SINCE_NS: i64 = 6 * SINCE_NS;
/// How many lines or series are answered by default.
const LIMIT: usize = 100;
/// How many steps a range has by default, at most.
const STEPS: i64 = 250;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    now: TimestampNs,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let wrong = |what: String| ApiError::Parameter(what);
        let Query(mut pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|rejection| wrong(rejection.body_text()))?;
        let has_form = request
            .headers()
            .contains_key(axum::http::header::CONTENT_TYPE);
        if request.method() == Method::POST && has_form {
            let Form(form) = Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(|rejection| wrong(rejection.body_text()))?;
            pairs.extend(form);
        }
        Ok(Self {
            pairs,
            now: TimestampNs::default(),
        })
    }
}

impl Params {
    /// The parameters as of an instant.
    pub(super) fn at(mut self, now: TimestampNs) -> Self {
        self.now = now;
        self
    }

    /// A parameter; the empty text where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a parameter.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.pairs.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The instant of an instant query.
    pub(super) fn time(&self) -> Result<TimestampNs, ApiError> {
        Ok(self.instant("time")?.unwrap_or(self.now))
    }

    /// The range of a range query.
    pub(super) fn range(&self) -> Result<Span, ApiError> {
        self.span(SINCE_NS)
    }

    /// The range of a question about labels.
    pub(super) fn labels_range(&self) -> Result<Span, ApiError> {
        self.span(LABELS_SINCE_NS)
    }

    fn span(&self, since_default_ns: i64) -> Result<Span, ApiError> {
        let since = match self.text("since") {
            "" => since_default_ns,
            text => {
                let millis = parse_duration(text).map_err(|error| {
                    ApiError::Parameter(format!("could not parse 'since' parameter: {error}"))
                })?;
                millis.saturating_mul(1_000_000)
            }
        };
        let end = self.instant("end")?;
        // A range that ends in the future still starts `since` before now.
        let end_or_now = end.unwrap_or(self.now).min(self.now);
        let start = self.instant("start")?;
        Ok(Span {
            start: start.unwrap_or(TimestampNs(end_or_now.0.saturating_sub(since))),
            end: end.unwrap_or(self.now),
        })
    }

    fn instant(&self, name: &str) -> Result<Option<TimestampNs>, ApiError> {
        match self.text(name) {
            "" => Ok(None),
            text => parse_time(text).map(Some).ok_or_else(|| {
                ApiError::Parameter(format!(
                    "could not parse '{name}' parameter: {text:?} is neither nanoseconds nor seconds nor RFC 3339"
                ))
            }),
        }
    }

    /// The step of a range query over `range`.
    pub(super) fn step(&self, range: Span) -> Result<Duration, ApiError> {
        if let Some(step) = self.duration("step")? {
            return Ok(step);
        }
        let seconds = range.end.0.saturating_sub(range.start.0) / 1_000_000_000;
        let step = u64::try_from(seconds / STEPS).unwrap_or_default();
        Ok(Duration::from_secs(step.max(1)))
    }

    /// The least time between two lines of an answer.
    pub(super) fn interval(&self) -> Result<Duration, ApiError> {
        Ok(self.duration("interval")?.unwrap_or_default())
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        let seconds = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
        let duration = match seconds {
            Some(duration) => duration.ok(),
            None => parse_duration(text)
                .ok()
                .and_then(|millis| u64::try_from(millis).ok())
                .map(Duration::from_millis),
        };
        duration.map(Some).ok_or_else(|| {
            ApiError::Parameter(format!(
                "cannot parse {text:?} to a valid duration for '{name}'"
            ))
        })
    }

    /// The most lines or series wanted.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        match self.text("limit") {
            "" => Ok(LIMIT),
            text => match text.parse::<i64>() {
                Ok(limit) if limit > 0 => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
                Ok(_) => Err(ApiError::Parameter(
                    "limit must be a positive value".to_owned(),
                )),
                Err(_) => Err(ApiError::Parameter(format!(
                    "cannot parse {text:?} to a number"
                ))),
            },
        }
    }

    /// Which end of the range comes first.
    pub(super) fn direction(&self) -> Result<Direction, ApiError> {
        let text = self.text("direction");
        if text.is_empty() || text.eq_ignore_ascii_case("backward") {
            return Ok(Direction::Backward);
        }
        if text.eq_ignore_ascii_case("forward") {
            return Ok(Direction::Forward);
        }
        Err(ApiError::Parameter(format!("invalid direction '{text}'")))
    }

    /// The selector that narrows a question about labels; everything where there is none.
    pub(super) fn selector(&self) -> Result<Vec<Matcher>, ApiError> {
        match self.text("query") {
            "" => Ok(Vec::new()),
            text => Ok(parse_selector(text)?),
        }
    }

    /// The selectors of `match[]`; everything where there is none.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let texts = self.all("match[]").chain(self.all("match"));
        let mut selectors = Vec::new();
        for text in texts {
            selectors.push(parse_selector(text)?);
        }
        if selectors.is_empty() {
            selectors.push(Vec::new());
        }
        Ok(selectors)
    }
}

/// A time as Loki reads it.
fn parse_time(text: &str) -> Option<TimestampNs> {
    if let Ok(number) = text.parse::<i64>() {
        let seconds = text.len() <= 10;
        return if seconds {
            number.checked_mul(1_000_000_000)
        } else {
            Some(number)
        }
        .map(TimestampNs);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return nanos_of_seconds(seconds).map(TimestampNs);
    }
    let instant: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(TimestampNs)
}

/// Nanoseconds of float seconds, to the millisecond: a float holds no more at today's dates.
fn nanos_of_seconds(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    let fits = millis.is_finite() && millis.abs() < 9.2e12;
    fits.then(|| millis as i64 * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampNs = TimestampNs(1_700_000_000_000_000_000);

    fn params(pairs: &[(&str, &str)]) -> Params {
        let pairs = pairs.iter();
        Params {
            pairs: pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            now: NOW,
        }
    }

    #[test]
    fn times_are_read_as_loki_reads_them() {
        for (text, nanos) in [
            ("1700000000", Some(NOW.0)),
            ("1700000000000000001", Some(NOW.0 + 1)),
            ("1700000000.5", Some(NOW.0 + 500_000_000)),
            ("1.7e9", Some(NOW.0)),
            ("2023-11-14T22:13:20Z", Some(NOW.0)),
            ("2023-11-14T23:13:20.000000007+01:00", Some(NOW.0 + 7)),
            ("0", Some(0)),
            ("-1", Some(-1_000_000_000)),
            ("yesterday", None),
            ("NaN", None),
            ("1e300", None),
        ] {
            assert_eq!(parse_time(text), nanos.map(TimestampNs), "{text}");
        }
    }

    #[test]
    fn ranges_have_defaults() {
        let hour = 3_600_000_000_000;
        let check = |pairs: &[(&str, &str)], start: i64, end: i64| {
            let range = params(pairs).range().expect("a range");
            let expected = Span {
                start: TimestampNs(start),
                end: TimestampNs(end),
            };
            assert_eq!(range, expected, "{pairs:?}");
        };
        check(&[], NOW.0 - hour, NOW.0);
        check(&[("since", "2h")], NOW.0 - 2 * hour, NOW.0);
        check(
            &[("end", "1600000000")],
            1_600_000_000_000_000_000 - hour,
            1_600_000_000_000_000_000,
        );
        check(
            &[("start", "1"), ("end", "2")],
            1_000_000_000,
            2_000_000_000,
        );
        check(
            &[("end", "1800000000")],
            NOW.0 - hour,
            1_800_000_000_000_000_000,
        );
        assert!(params(&[("since", "soon")]).range().is_err());
        assert!(params(&[("start", "soon")]).range().is_err());
    }

    #[test]
    fn steps_limits_and_directions_are_checked() {
        let range = params(&[]).range().expect("a range");
        let step = |text| params(&[("step", text)]).step(range).ok();
        assert_eq!(step(""), Some(Duration::from_secs(14)));
        assert_eq!(step("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(step("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!((step("-1"), step("x")), (None, None));
        let limit = |text| params(&[("limit", text)]).limit().ok();
        assert_eq!(
            (limit(""), limit("7"), limit("0"), limit("x")),
            (Some(100), Some(7), None, None)
        );
        let direction = |text| params(&[("direction", text)]).direction().ok();
        assert_eq!(direction("FORWARD"), Some(Direction::Forward));
        assert_eq!(direction(""), Some(Direction::Backward));
        assert_eq!(direction("up"), None);
    }
}
