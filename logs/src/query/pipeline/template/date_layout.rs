//! Go's date layouts: an instant is described by how one certain moment would be written,
//! `Mon Jan 2 15:04:05 MST 2006`. Source: the documentation of Go's `time` package.

use std::fmt::Write as _;

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// One element of a layout.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part<'l> {
    Text(&'l str),
    Year,
    ShortYear,
    MonthName,
    MonthShort,
    Month {
        pad: bool,
    },
    WeekdayName,
    WeekdayShort,
    Day {
        pad: Option<char>,
    },
    Hour,
    Hour12 {
        pad: bool,
    },
    Minute {
        pad: bool,
    },
    Second {
        pad: bool,
    },
    HalfDay {
        upper: bool,
    },
    /// Digits behind the second; those that trail as zeros go where they may.
    Fraction {
        digits: usize,
        trim: bool,
    },
    /// The offset: whether `Z` may stand for zero, whether it has a colon, whether minutes.
    Offset {
        zulu: bool,
        colon: bool,
        minutes: bool,
    },
    ZoneName,
}

/// The elements as they are written, longer ones before those they begin with.
const PARTS: [(&str, Part<'static>); 27] = [
    ("January", Part::MonthName),
    ("Jan", Part::MonthShort),
    ("Monday", Part::WeekdayName),
    ("Mon", Part::WeekdayShort),
    ("MST", Part::ZoneName),
    ("2006", Part::Year),
    (
        "-07:00",
        Part::Offset {
            zulu: false,
            colon: true,
            minutes: true,
        },
    ),
    (
        "-0700",
        Part::Offset {
            zulu: false,
            colon: false,
            minutes: true,
        },
    ),
    (
        "-07",
        Part::Offset {
            zulu: false,
            colon: false,
            minutes: false,
        },
    ),
    (
        "Z07:00",
        Part::Offset {
            zulu: true,
            colon: true,
            minutes: true,
        },
    ),
    (
        "Z0700",
        Part::Offset {
            zulu: true,
            colon: false,
            minutes: true,
        },
    ),
    (
        "Z07",
        Part::Offset {
            zulu: true,
            colon: false,
            minutes: false,
        },
    ),
    ("01", Part::Month { pad: true }),
    ("02", Part::Day { pad: Some('0') }),
    ("03", Part::Hour12 { pad: true }),
    ("04", Part::Minute { pad: true }),
    ("05", Part::Second { pad: true }),
    ("06", Part::ShortYear),
    ("_2", Part::Day { pad: Some(' ') }),
    ("15", Part::Hour),
    ("PM", Part::HalfDay { upper: true }),
    ("pm", Part::HalfDay { upper: false }),
    ("1", Part::Month { pad: false }),
    ("2", Part::Day { pad: None }),
    ("3", Part::Hour12 { pad: false }),
    ("4", Part::Minute { pad: false }),
    ("5", Part::Second { pad: false }),
];

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if matches!(first, '.' | ',') {
            let digits = rest.get(1..).unwrap_or_default();
            let kind = digits.chars().next().unwrap_or(' ');
            let count = digits.len() - digits.trim_start_matches(kind).len();
            let ends = !digits
                .get(count..)
                .is_some_and(|s| s.starts_with(|c: char| c.is_ascii_digit()));
            if matches!(kind, '0' | '9') && ends {
                parts.push(Part::Fraction {
                    digits: count,
                    trim: kind == '9',
                });
                rest = rest.get(count + 1..).unwrap_or_default();
                continue;
            }
        }
        let known = PARTS.iter().find(|(text, _)| rest.starts_with(text));
        let length = known.map_or(first.len_utf8(), |(text, _)| text.len());
        let (text, after) = rest.split_at(length);
        parts.push(known.map_or(Part::Text(text), |(_, part)| *part));
        rest = after;
    }
    parts
}

/// Writes an instant as a layout has it.
pub(super) fn format(layout: &str, at: &Zoned) -> String {
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
        Part::ZoneName => match at.time_zone().iana_name() {
            _ if at.offset() == Offset::UTC => out.write_str("UTC"),
            _ => write_offset(out, at.offset(), false, false, true),
        },
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

/// What has been read of an instant so far.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    afternoon: Option<bool>,
    offset_seconds: Option<i32>,
}

/// Reads an instant as a layout has it; `zone` counts where the text names no offset.
pub(super) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Zoned> {
    let mut fields = Fields {
        year: 0,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        offset_seconds: None,
    };
    let mut rest = text;
    for part in parts(layout) {
        rest = read_part(part, rest, &mut fields)?;
        // Go takes a fraction behind the seconds even where the layout has none.
        if matches!(part, Part::Second { .. }) && !layout.contains(['.', ',']) {
            rest = read_fraction(rest, &mut fields);
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let hour = match fields.afternoon {
        Some(afternoon) => fields.hour % 12 + if afternoon { 12 } else { 0 },
        None => fields.hour,
    };
    let civil = DateTime::new(
        fields.year,
        fields.month,
        fields.day,
        hour,
        fields.minute,
        fields.second,
        fields.nanos,
    )
    .ok()?;
    let zone = match fields.offset_seconds {
        Some(seconds) => Offset::from_seconds(seconds).ok()?.to_time_zone(),
        None => zone.clone(),
    };
    civil.to_zoned(zone).ok()
}

fn read_part<'t>(part: Part<'_>, text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    match part {
        Part::Text(expected) => text.strip_prefix(expected),
        Part::Year => read_number(text, 4, 4, &mut fields.year),
        Part::ShortYear => {
            let rest = read_number(text, 2, 2, &mut fields.year)?;
            fields.year += if fields.year >= 69 { 1900 } else { 2000 };
            Some(rest)
        }
        Part::MonthName => read_name(text, &MONTHS, usize::MAX).map(|(at, rest)| {
            fields.month = at as i8 + 1;
            rest
        }),
        Part::MonthShort => read_name(text, &MONTHS, 3).map(|(at, rest)| {
            fields.month = at as i8 + 1;
            rest
        }),
        Part::WeekdayName => read_name(text, &WEEKDAYS, usize::MAX).map(|(_, rest)| rest),
        Part::WeekdayShort => read_name(text, &WEEKDAYS, 3).map(|(_, rest)| rest),
        Part::Month { pad } => read_number(text, if pad { 2 } else { 1 }, 2, &mut fields.month),
        Part::Day { pad } => {
            let least = if pad == Some('0') { 2 } else { 1 };
            read_number(text.trim_start_matches(' '), least, 2, &mut fields.day)
        }
        Part::Hour => read_number(text, 1, 2, &mut fields.hour),
        Part::Hour12 { pad } => read_number(text, if pad { 2 } else { 1 }, 2, &mut fields.hour),
        Part::Minute { pad } => read_number(text, if pad { 2 } else { 1 }, 2, &mut fields.minute),
        Part::Second { pad } => read_number(text, if pad { 2 } else { 1 }, 2, &mut fields.second),
        Part::HalfDay { .. } => {
            let (half, rest) = text.split_at_checked(2)?;
            fields.afternoon = Some(match half {
                "AM" | "am" => false,
                "PM" | "pm" => true,
                _ => return None,
            });
            Some(rest)
        }
        Part::Fraction { .. } => Some(read_fraction(text, fields)),
        Part::Offset {
            zulu,
            colon,
            minutes,
        } => read_offset(text, zulu, colon, minutes, fields),
        Part::ZoneName => {
            let end = text
                .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-')))
                .unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            if name == "UTC" {
                fields.offset_seconds = Some(0);
            }
            (!name.is_empty()).then_some(rest)
        }
    }
}

fn read_number<'t, N: std::str::FromStr>(
    text: &'t str,
    least: usize,
    most: usize,
    out: &mut N,
) -> Option<&'t str> {
    let digits = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if digits < least {
        return None;
    }
    let (number, rest) = text.split_at(digits);
    *out = number.parse().ok()?;
    Some(rest)
}

fn read_name<'t>(text: &'t str, names: &[&str], length: usize) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = name.get(..length).unwrap_or(name);
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name)
            .then(|| (at, text.get(name.len()..).unwrap_or_default()))
    })
}

fn read_fraction<'t>(text: &'t str, fields: &mut Fields) -> &'t str {
    let Some(digits) = text.strip_prefix(['.', ',']) else {
        return text;
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, rest) = digits.split_at(length);
    fields.nanos = format!("{fraction:0<9}")
        .get(..9)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    rest
}

fn read_offset<'t>(
    text: &'t str,
    zulu: bool,
    colon: bool,
    minutes: bool,
    fields: &mut Fields,
) -> Option<&'t str> {
    if zulu && let Some(rest) = text.strip_prefix('Z') {
        fields.offset_seconds = Some(0);
        return Some(rest);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let mut rest = text.strip_prefix(['+', '-'])?;
    let (mut hours, mut minute) = (0_i32, 0_i32);
    rest = read_number(rest, 2, 2, &mut hours)?;
    if minutes {
        if colon {
            rest = rest.strip_prefix(':')?;
        }
        rest = read_number(rest, 2, 2, &mut minute)?;
    }
    fields.offset_seconds = Some(sign * (hours * 3600 + minute * 60));
    Some(rest)
}
