//! Instants in templates: `toTime`, and the methods that Go's `time.Time` has.
//!
//! The library's values have no such type, so an instant is a map with one key that no template can
//! write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use gotmpl::Value;
use jiff::tz::TimeZone;

use super::print::go_text;
use super::{Outcome, failed};

const KEY: &str = "\0time";

/// An instant by its milliseconds.
pub(super) fn value(millis: i64) -> Value {
    let pairs: BTreeMap<Arc<str>, Value> = [(KEY.into(), Value::Int(millis))].into();
    Value::Map(Arc::new(pairs))
}

/// Whether a value is an instant.
pub(super) fn is_time(value: &Value) -> bool {
    millis(value).is_some()
}

fn millis(value: &Value) -> Option<i64> {
    match value {
        Value::Map(pairs) => pairs.get(KEY).and_then(Value::as_int),
        _ => None,
    }
}

/// The milliseconds of seconds since the epoch.
pub(super) fn from_seconds(seconds: f64) -> Result<i64, String> {
    let nanos = seconds * 1e9;
    if nanos.abs() > i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            go_text(&Value::Float(seconds))
        ));
    }
    Ok((nanos as i64).div_euclid(1_000_000))
}

fn zoned(millis: i64) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(at.to_zoned(TimeZone::UTC))
}

/// An instant as Go prints it: `2006-01-02 15:04:05.123 +0000 UTC`.
pub(super) fn text(value: &Value) -> Option<String> {
    millis(value).map(of_millis)
}

/// The same, by its milliseconds.
pub(super) fn of_millis(millis: i64) -> String {
    let Some(at) = zoned(millis) else {
        return millis.to_string();
    };
    let mut out = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let rest = millis.rem_euclid(1000);
    if rest > 0 {
        let digits = format!("{rest:03}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    out.push_str(" +0000 UTC");
    out
}

/// A method of an instant.
pub(super) fn method(value: &Value, name: &str, arguments: &[Value]) -> Outcome {
    let (Some(millis), Some(at)) = (millis(value), millis(value).and_then(zoned)) else {
        return Err(failed("the instant is out of range"));
    };
    Ok(match (name, arguments) {
        ("UTC" | "Local", []) => value.clone(),
        ("Unix", []) => Value::Int(millis.div_euclid(1000)),
        ("UnixMilli", []) => Value::Int(millis),
        ("Year", []) => Value::Int(at.year().into()),
        ("Month", []) => Value::String(at.strftime("%B").to_string().into()),
        ("Weekday", []) => Value::String(at.strftime("%A").to_string().into()),
        ("Day", []) => Value::Int(at.day().into()),
        ("YearDay", []) => Value::Int(at.day_of_year().into()),
        ("Hour", []) => Value::Int(at.hour().into()),
        ("Minute", []) => Value::Int(at.minute().into()),
        ("Second", []) => Value::Int(at.second().into()),
        ("String", []) => Value::String(of_millis(millis).into()),
        ("Format", [Value::String(layout)]) => Value::String(format(&at, layout).into()),
        _ => {
            return Err(failed(format!(
                "can't evaluate field {name} in type *time.Time"
            )));
        }
    })
}

/// Parts of Go's reference time and what they stand for; of two that begin alike the longer comes
/// first.
const LAYOUT: [(&str, &str); 31] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("2006", "%Y"),
    ("-07:00:00", "+00:00:00"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("-07", "+00"),
    ("Z07:00", "Z"),
    ("Z0700", "Z"),
    (".000000000", ".%9f"),
    (".000000", ".%6f"),
    (".000", ".%3f"),
    (".999999999", "%.f"),
    (".999999", "%.f"),
    (".999", "%.f"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
];

fn format(at: &jiff::Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let part = LAYOUT.iter().find(|(part, _)| rest.starts_with(part));
        if let Some((part, code)) = part {
            out.push_str(&at.strftime(code).to_string());
            rest = rest.get(part.len()..).unwrap_or_default();
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}
