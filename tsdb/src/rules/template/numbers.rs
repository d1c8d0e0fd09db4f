//! Numbers for people: `humanize` and its kin. Source: Prometheus' `template/template.go`.

/// A float as Go's `%.4g` writes it: four significant digits.
pub(super) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return model::vector::format_general(value);
    }
    let scientific = format!("{value:.3e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-4..4).contains(&exponent) {
        let decimals = usize::try_from(3 - exponent).unwrap_or_default();
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let digits = exponent.unsigned_abs();
    format!("{}e{sign}{digits:02}", trimmed(mantissa))
}

const ABOVE_ONE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BELOW_ONE: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

/// Divided by `unit` until it is below it, and the prefix that says how often.
fn divided(mut value: f64, unit: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < unit {
            break;
        }
        prefix = next;
        value /= unit;
    }
    (value, prefix)
}

/// Multiplied by 1000 until it is above one, and the prefix that says how often.
fn multiplied(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in BELOW_ONE {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

/// `1234567` → `1.235M`
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return significant(value);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        divided(value, 1000.0, ABOVE_ONE)
    } else {
        multiplied(value)
    };
    format!("{}{prefix}", significant(value))
}

/// `1048576` → `1Mi`
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return significant(value);
    }
    let (value, prefix) = divided(value, 1024.0, BINARY);
    format!("{}{prefix}", significant(value))
}

/// `0.5` → `50%`
pub(super) fn humanize_percentage(value: f64) -> String {
    format!("{}%", significant(value * 100.0))
}

/// `3661` → `1h 1m 1s`
pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return significant(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = multiplied(value);
        return format!("{}{prefix}s", significant(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as u64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86400);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", significant(value))
    }
}
