//! Functions on instants.
//!
//! Local time is UTC: an answer must not depend on the machine that computes it.
//!
//! The template library has no value for an instant, so one travels as the text Go prints for it
//! (`2006-01-02 15:04:05.999999999 -0700 MST`), which is also what `{{ __timestamp__ }}` shows.

use std::sync::Arc;

use gotmpl::{FuncMap, TemplateError, Value};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::date_layout::{format, parse};
use super::{Outcome, int_argument, text_argument};

/// The layout an instant travels in.
const GO_TIME: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// An instant of a log entry, in UTC.
pub(super) fn from_nanos(nanos: i64) -> Value {
    let timestamp = Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH);
    to_value(&timestamp.to_zoned(TimeZone::UTC))
}

pub(super) fn register(functions: &mut FuncMap) {
    let mut add = |name: &str, function: fn(&[Value]) -> Outcome| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
    add("now", |_| {
        Ok(to_value(&Timestamp::now().to_zoned(TimeZone::UTC)))
    });
    add("date", |arguments| {
        let layout = text_argument("date", arguments, 0)?;
        let zoned = instant("date", arguments, 1)?;
        Ok(Value::String(format(&layout, &zoned).into()))
    });
    add("toDate", |arguments| {
        let layout = text_argument("toDate", arguments, 0)?;
        let text = text_argument("toDate", arguments, 1)?;
        read(&layout, &text, &TimeZone::UTC)
    });
    add("toDateInZone", |arguments| {
        let layout = text_argument("toDateInZone", arguments, 0)?;
        let zone = text_argument("toDateInZone", arguments, 1)?;
        let text = text_argument("toDateInZone", arguments, 2)?;
        let zone = match zone.as_str() {
            "" | "UTC" | "Local" => TimeZone::UTC,
            name => TimeZone::get(name)
                .map_err(|_| TemplateError::Exec(format!("unknown time zone {name}")))?,
        };
        read(&layout, &text, &zone)
    });
    add("unixEpoch", |arguments| {
        let zoned = instant("unixEpoch", arguments, 0)?;
        Ok(whole(
            zoned.timestamp().as_nanosecond().div_euclid(1_000_000_000),
        ))
    });
    add("unixEpochMillis", |arguments| {
        let zoned = instant("unixEpochMillis", arguments, 0)?;
        Ok(whole(
            zoned.timestamp().as_nanosecond().div_euclid(1_000_000),
        ))
    });
    add("unixEpochNanos", |arguments| {
        let zoned = instant("unixEpochNanos", arguments, 0)?;
        Ok(whole(zoned.timestamp().as_nanosecond()))
    });
    add("unixToTime", unix_to_time);
}

/// Epochs are shown as texts, as upstream shows them.
fn whole(value: i128) -> Value {
    Value::String(value.to_string().into())
}

fn to_value(zoned: &Zoned) -> Value {
    Value::String(format(GO_TIME, zoned).into())
}

fn instant(function: &str, arguments: &[Value], at: usize) -> Result<Zoned, TemplateError> {
    let text = text_argument(function, arguments, at)?;
    parse(GO_TIME, &text, &TimeZone::UTC)
        .ok_or_else(|| TemplateError::Exec(format!("{function}: {text:?} is not a date")))
}

fn read(layout: &str, text: &str, zone: &TimeZone) -> Outcome {
    parse(layout, text, zone)
        .map(|zoned| to_value(&zoned))
        .ok_or_else(|| {
            TemplateError::Exec(format!("parsing time {text:?} as {layout:?}: cannot parse"))
        })
}

/// The unit of an epoch is told by its length: days, seconds, milli-, micro- or nanoseconds.
fn unix_to_time(arguments: &[Value]) -> Outcome {
    let text = text_argument("unixToTime", arguments, 0)?;
    let epoch = int_argument("unixToTime", arguments, 0)?;
    let scale: i128 = match text.trim_start_matches('-').len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1000,
        19 => 1,
        _ => {
            return Err(TemplateError::Exec(format!(
                "unable to parse time '{text}': it must have 5, 10, 13, 16 or 19 digits"
            )));
        }
    };
    Timestamp::from_nanosecond(i128::from(epoch) * scale)
        .map(|timestamp| to_value(&timestamp.to_zoned(Offset::UTC.to_time_zone())))
        .map_err(|error| TemplateError::Exec(error.to_string()))
}
