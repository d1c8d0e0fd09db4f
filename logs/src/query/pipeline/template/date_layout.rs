//! Go's date layouts: an instant is described by how one certain moment would be written,
//! `Mon Jan 2 15:04:05 MST 2006`. Source: the documentation of Go's `time` package.
//!
//! A layout is cut into [`Part`]s here; [`write`] and [`read`] go over the same parts.

mod read;
mod write;

pub(super) use read::parse;
pub(super) use write::format;

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
