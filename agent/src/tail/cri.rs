//! Lines of the container runtime interface: `RFC3339Nano stdout|stderr P|F message`. Pure.

use super::decoder::Stream;

/// A line without its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// When, in nanoseconds since the epoch.
    pub timestamp: i64,
    /// Which of the container's outputs.
    pub stream: Stream,
    /// Whether the message goes on in the next line of this stream.
    pub partial: bool,
    /// The message.
    pub message: &'a [u8],
}

/// Takes a line apart; nothing where it does not follow the format.
pub fn parse(line: &[u8]) -> Option<Framed<'_>> {
    let (time, rest) = split_blank(line)?;
    let (stream, rest) = split_blank(rest)?;
    // An empty message may come without the blank before it.
    let (tags, message) = split_blank(rest).unwrap_or((rest, b""));
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Tags are separated by colons, and only the first has a meaning.
    let partial = match tags.split(|b| *b == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Framed {
        timestamp: parse_rfc3339(time)?,
        stream,
        partial,
        message,
    })
}

fn split_blank(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Nanoseconds since the epoch of `2026-11-21T12:00:00.123456789Z`, also with an offset.
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let (
        [
            y0,
            y1,
            y2,
            y3,
            b'-',
            mo0,
            mo1,
            b'-',
            d0,
            d1,
            b'T' | b't',
            h0,
            h1,
            b':',
            mi0,
            mi1,
            b':',
            s0,
            s1,
        ],
        rest,
    ) = text.split_first_chunk::<19>().map(|(a, b)| (*a, b))?
    else {
        return None;
    };
    let year = digits(&[y0, y1, y2, y3])?;
    let (month, day) = (digits(&[mo0, mo1])?, digits(&[d0, d1])?);
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[mi0, mi1])?, digits(&[s0, s1])?);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    (seconds - offset(zone)?)
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// `.123` and what follows; digits beyond nanoseconds are cut off.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (shown, zone) = rest.split_at_checked(count)?;
    let nanos = shown
        .iter()
        .chain(std::iter::repeat(&b'0'))
        .take(9)
        .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    (count > 0).then_some((nanos, zone))
}

/// `Z` or `+02:00`, in seconds.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let seconds = digits(&[h0, h1])? * 3600 + digits(&[m0, m1])? * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March, so that the leap
/// day is the last. Source: Hinnant, "chrono-compatible low-level date algorithms".
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_a_calendar() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2016-10-06T00:17:09.669794202Z",
            "2024-02-29T23:59:59.5+02:00",
            "2000-03-01T00:00:00.000000001-11:30",
            "2100-02-28T12:00:00Z",
            "1969-12-31T23:59:59.999999999Z",
        ] {
            let want: jiff::Timestamp = text.parse().expect("a time");
            assert_eq!(
                parse_rfc3339(text.as_bytes()).map(i128::from),
                Some(want.as_nanosecond()),
                "{text}"
            );
        }
        for text in [
            "",
            "2016-10-06",
            "2016-13-06T00:17:09Z",
            "2016-10-06T00:17:09",
            "2016-10-06T00:17:09.Z",
            "2016-10-06 00:17:09Z",
            "2016-10-06T00:17:09+0200",
            "2016-10-06T0x:17:09Z",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn frames_are_taken_off() {
        for (line, want) in [
            ("stdout F a b", Some((Stream::Stdout, false, "a b"))),
            ("stderr P  a", Some((Stream::Stderr, true, " a"))),
            ("stdout F:x a", Some((Stream::Stdout, false, "a"))),
            ("stdout F ", Some((Stream::Stdout, false, ""))),
            ("stdout F", Some((Stream::Stdout, false, ""))),
            ("stdin F a", None),
            ("stdout X a", None),
            ("stdout", None),
        ] {
            let want = want.map(|(stream, partial, message)| Framed {
                timestamp: 1_000_000_000,
                stream,
                partial,
                message: message.as_bytes(),
            });
            let line = format!("1970-01-01T00:00:01Z {line}");
            assert_eq!(parse(line.as_bytes()), want, "{line}");
        }
        assert_eq!(parse(b"now stdout F a"), None);
        assert_eq!(parse(b""), None);
    }
}
