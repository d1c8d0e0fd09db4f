//! Instants written by a layout.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::tz::Offset;

use super::{MONTHS, Part, WEEKDAYS, parts};

/// Writes an instant as a layout has it.
pub(crate) fn format(layout: &str, at: &Zoned) -> String {
    let mut out = String::new();
    for part in parts(layout) {
        write_part(&mut out, part, at);
    }
    out
}

fn write_part(out: &mut String, part: Part<'_>, at: &Zoned) {
    let month = MONTHS
        .get(at.month() as usize - 1)
        .copied()
        .unwrap_or_default();
    let weekday = at.weekday().to_monday_zero_offset() as usize;
    let weekday = WEEKDAYS.get(weekday).copied().unwrap_or_default();
    let hour12 = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    // Writing to a string cannot fail.
    let _ = match part {
        Part::Text(text) => out.write_str(text),
        Part::Year => write!(out, "{:04}", at.year()),
        Part::ShortYear => write!(out, "{:02}", at.year().rem_euclid(100)),
        Part::MonthName => out.write_str(month),
        Part::MonthShort => out.write_str(month.get(..3).unwrap_or_default()),
        Part::WeekdayName => out.write_str(weekday),
        Part::WeekdayShort => out.write_str(weekday.get(..3).unwrap_or_default()),
        Part::Month { pad } => write_number(out, at.month(), pad),
        Part::Day { pad: Some(' ') } => write!(out, "{:2}", at.day()),
        Part::Day { pad } => write_number(out, at.day(), pad.is_some()),
        Part::Hour => write_number(out, at.hour(), true),
        Part::Hour12 { pad } => write_number(out, hour12, pad),
        Part::Minute { pad } => write_number(out, at.minute(), pad),
        Part::Second { pad } => write_number(out, at.second(), pad),
        Part::HalfDay { upper } => out.write_str(match (at.hour() < 12, upper) {
            (true, true) => "AM",
            (true, false) => "am",
            (false, true) => "PM",
            (false, false) => "pm",
        }),
        Part::Fraction { digits, trim } => {
            let nanos = format!("{:09}", at.subsec_nanosecond());
            let shown = nanos.get(..digits.min(9)).unwrap_or_default();
            let shown = if trim {
                shown.trim_end_matches('0')
            } else {
                shown
            };
            if shown.is_empty() {
                Ok(())
            } else {
                write!(out, ".{shown}")
            }
        }
        Part::Offset {
            zulu,
            colon,
            minutes,
        } => write_offset(out, at.offset(), zulu, colon, minutes),
        Part::ZoneName => write!(out, "{}", at.strftime("%Z")),
    };
}

fn write_number(out: &mut String, value: i8, pad: bool) -> std::fmt::Result {
    if pad {
        write!(out, "{value:02}")
    } else {
        write!(out, "{value}")
    }
}

fn write_offset(
    out: &mut String,
    offset: Offset,
    zulu: bool,
    colon: bool,
    minutes: bool,
) -> std::fmt::Result {
    let seconds = offset.seconds();
    if zulu && seconds == 0 {
        return out.write_str("Z");
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs() / 60;
    write!(out, "{sign}{:02}", total / 60)?;
    match (minutes, colon) {
        (true, true) => write!(out, ":{:02}", total % 60),
        (true, false) => write!(out, "{:02}", total % 60),
        (false, _) => Ok(()),
    }
}
