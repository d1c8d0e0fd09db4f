//! Instants read by a layout: what the layout does not name stays at its least value.

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::{MONTHS, Part, WEEKDAYS, parts};

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
pub(crate) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Zoned> {
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
