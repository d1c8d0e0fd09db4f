//! `time.parse_duration_ns`: a duration as Go writes it. That of regorus panics at units that are not ASCII.

use regorus::Value;

use super::{Builtin, arguments, text};

pub(super) const BUILTINS: &[Builtin] = &[Builtin {
    name: "time.parse_duration_ns",
    arity: 1,
    run: parse,
}];

fn parse(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    let of = text(of)?;
    nanoseconds(of)
        .map(Value::from)
        .ok_or_else(|| format!("{of:?} is not a duration such as 1h30m"))
}

/// A sign, then numbers with a unit each; zero needs none.
fn nanoseconds(text: &str) -> Option<i64> {
    let is_negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = unit_of(unit)?;
        let whole = match whole {
            "" => 0,
            whole => whole.parse::<u64>().ok()?,
        };
        let part = (whole.checked_mul(unit)?).checked_add(part_of(fraction, unit))?;
        total = total.checked_add(part)?;
        if total > 1 << 63 {
            return None;
        }
        rest = after;
    }
    if is_negative {
        return 0_i64.checked_sub_unsigned(total);
    }
    i64::try_from(total).ok()
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// What the digits behind the point are of a unit, cut off to whole nanoseconds. Those that no number of 63 bits holds are left out.
fn part_of(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let next = value * 10 + u64::from(digit - b'0');
        if value > (1 << 63) / 10 || next > 1 << 63 {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn unit_of(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        // OPA's own, which Go has not: a year has 365 days.
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        "y" => 31_536_000_000_000_000,
        _ => return None,
    })
}
