//! How long the API server will wait, as it says in the request's address.

use std::time::Duration;

/// The `timeout` of a query, in Go's notation (`10s`, `1m30s`, `2.5s`); None where there is
/// none or it cannot be read.
pub(super) fn of_query(query: &str) -> Option<Duration> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(go_duration)
}

/// One or more of number and unit. See <https://pkg.go.dev/time#ParseDuration>; signs are not
/// taken, for nobody waits a negative time.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected_milliseconds: Option<u64>) {
        let expected = expected_milliseconds.map(Duration::from_millis);
        assert_eq!(of_query(query), expected, "{query}");
    }

    #[test]
    fn timeouts_are_go_durations() {
        check("timeout=10s", Some(10_000));
        check("a=b&timeout=2.5s", Some(2_500));
        check("timeout=1m30s", Some(90_000));
        check("timeout=500ms", Some(500));
        for query in [
            "",
            "timeout=",
            "timeout=10",
            "timeout=s",
            "timeout=-1s",
            "timeout=0s",
            "timeout=1.2.3s",
            "timeout=1d",
            "timeout=1e300h",
            "xtimeout=1s",
        ] {
            check(query, None);
        }
    }
}
