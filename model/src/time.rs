//! Instants, ranges and durations.
//!
//! Metrics live in milliseconds and logs in nanoseconds, as in Prometheus and Loki. The two are
//! different types so that one cannot be passed for the other. Ranges are closed at both ends:
//! that is how both systems select.

use std::fmt;

/// Milliseconds since the Unix epoch: the time of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest representable instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable instant.
    pub const MAX: Self = Self(i64::MAX);

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, as PromQL's `time()` counts them.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This instant moved by `millis`, held at the ends of the representable range.
    #[must_use]
    pub const fn saturating_add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This instant moved back by `millis`, held at the ends of the representable range.
    #[must_use]
    pub const fn saturating_sub(self, millis: i64) -> Self {
        Self(self.0.saturating_sub(millis))
    }
}

/// Nanoseconds since the Unix epoch: the time of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampNs(pub i64);

impl TimestampNs {
    /// The earliest representable instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable instant.
    pub const MAX: Self = Self(i64::MAX);

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The millisecond this instant lies in (rounded towards the past).
    pub const fn floor_millis(self) -> Timestamp {
        Timestamp(self.0.div_euclid(1_000_000))
    }

    /// The first nanosecond of a millisecond, held at the ends of the representable range.
    pub const fn from_millis(at: Timestamp) -> Self {
        Self(at.0.saturating_mul(1_000_000))
    }
}

/// A closed range of milliseconds: both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant of the range.
    pub start: Timestamp,
    /// Last instant of the range.
    pub end: Timestamp,
}

impl TimeRange {
    /// Every instant there is.
    pub const ALL: Self = Self {
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };

    /// The range from `start` to `end`, both included. It is empty when `end` is before `start`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `at` lies in the range.
    pub const fn contains(&self, at: Timestamp) -> bool {
        self.start.0 <= at.0 && at.0 <= self.end.0
    }

    /// Whether the two ranges share an instant.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start.0 <= other.end.0 && other.start.0 <= self.end.0
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// The text does not follow `1h30m`.
    #[error("not a valid duration string: {0:?}")]
    Malformed(String),
    /// The duration does not fit in milliseconds.
    #[error("duration out of range: {0:?}")]
    OutOfRange(String),
}

/// Units of a Prometheus duration with their milliseconds, largest first, as they must appear.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a Prometheus duration such as `5m`, `1h30m` or `250ms` into milliseconds.
///
/// Units go from large to small, each at most once; `0` needs no unit. A year is 365 days.
/// Source: `model.ParseDuration` of Prometheus' `common`.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let out_of_range = || DurationError::OutOfRange(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(malformed)?;
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(malformed());
        }
        let unit_len = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let position = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .filter(|position| *position >= next_unit)
            .ok_or_else(malformed)?;
        let millis = UNITS.get(position).map_or(1, |(_, millis)| *millis);
        let count: i64 = number.parse().map_err(|_| out_of_range())?;
        total = count
            .checked_mul(millis)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(out_of_range)?;
        next_unit = position + 1;
        rest = after;
    }
    Ok(total)
}

/// Writes milliseconds as Prometheus does: `1h30m`, `250ms`, `0s`.
///
/// Years, weeks and days are used only where they divide the whole, so that `90d` stays `90d`.
/// Source: `model.Duration.String` of Prometheus' `common`.
pub fn format_duration(millis: i64) -> String {
    DurationDisplay(millis).to_string()
}

struct DurationDisplay(i64);

impl fmt::Display for DurationDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, millis) in UNITS {
            let millis = millis.unsigned_abs();
            let exact_only = matches!(unit, "y" | "w" | "d");
            if exact_only && !rest.is_multiple_of(millis) {
                continue;
            }
            let count = rest / millis;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest -= count * millis;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_as_prometheus_does() {
        for (text, millis, back) in [
            ("0", 0, "0s"),
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90d", 7_776_000_000, "90d"),
            ("14d", 1_209_600_000, "2w"),
            ("1y", 31_536_000_000, "1y"),
            ("1m250ms", 60_250, "1m250ms"),
            ("25h", 90_000_000, "25h"),
        ] {
            assert_eq!(parse_duration(text), Ok(millis), "{text}");
            assert_eq!(format_duration(millis), back, "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5m1h",
            "1m1m",
            "-5m",
            "5 m",
            "1.5h",
            "999999999999y",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
