//! Names of OTLP to names of Prometheus: underscores for what they may not have, units spelled out,
//! and the suffixes that types ask for.
//!
//! Source: the OpenTelemetry specification "Prometheus and OpenMetrics compatibility", and Prometheus'
//! default, `UnderscoreEscapingWithSuffixes`.

/// What a metric's type does to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// `_total`
    Counter,
    /// `_ratio` where the unit is 1.
    Gauge,
    /// Nothing.
    Other,
}

const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];
const UNITS_PER: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The name of a metric; none where nothing of it can be kept.
pub(super) fn metric_name(name: &str, unit: &str, kind: NameKind) -> Option<String> {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut words: Vec<String> = name
        .split(|c| !is_kept(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let (main, per) = match unit.split_once('/') {
        Some((main, per)) => (main, unit_word(per, &UNITS_PER)),
        None => (unit, String::new()),
    };
    let main = match main.trim() {
        "1" => String::new(),
        main => unit_word(main, &UNITS),
    };
    let mut main = words_of(&main);
    let mut per = if per.is_empty() {
        per
    } else {
        words_of(&format!("per_{per}"))
    };
    if words.contains(&main) {
        main.clear();
    }
    let trimmed = per.trim_end_matches('_');
    if trimmed == "per" || words.iter().any(|word| word == trimmed) {
        per.clear();
    } else {
        per.truncate(trimmed.len());
    }
    if !per.is_empty() {
        main.truncate(main.trim_end_matches('_').len());
    }
    words.extend([main, per].into_iter().filter(|word| !word.is_empty()));
    let suffix = match kind {
        NameKind::Counter => Some("total"),
        NameKind::Gauge if unit == "1" => Some("ratio"),
        NameKind::Gauge | NameKind::Other => None,
    };
    if let Some(suffix) = suffix {
        words.retain(|word| word != suffix);
        words.push(suffix.to_owned());
    }
    let mut made = words.join("_");
    if made.starts_with(|c: char| c.is_ascii_digit()) {
        made.insert(0, '_');
    }
    let says_something = made == name || made.chars().any(|c| c != '_');
    (says_something && !made.is_empty()).then_some(made)
}

/// A part of a unit in full; what stands in braces is no unit.
fn unit_word(unit: &str, known: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    let word = known.iter().find(|(short, _)| *short == unit);
    word.map_or(unit, |(_, word)| word).to_owned()
}

/// A unit as a part of a name: one underscore for any run of what a name may not have.
fn words_of(unit: &str) -> String {
    let mut made = String::with_capacity(unit.len());
    for character in unit.chars() {
        if character.is_ascii_alphanumeric() || character == ':' {
            made.push(character);
        } else if !made.ends_with('_') {
            made.push('_');
        }
    }
    made.strip_prefix('_').unwrap_or(&made).to_owned()
}

/// The name of a label; none where nothing of it can be kept.
pub(super) fn label_name(name: &str) -> Option<String> {
    let valid = |c: char| {
        if c.is_ascii_alphanumeric() { c } else { '_' }
    };
    let mut made: String = name.chars().map(valid).collect();
    if made.starts_with(|c: char| c.is_ascii_digit()) {
        made.insert_str(0, "key_");
    } else if made.starts_with('_') && !made.starts_with("__") {
        made.insert_str(0, "key");
    }
    let says_something = made == name || made.chars().any(|c| c != '_');
    (says_something && !made.is_empty()).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_named_as_upstream_names_them() {
        use NameKind::{Counter, Gauge, Other};
        for (name, unit, kind, expected) in [
            (
                "http.server.duration",
                "s",
                Other,
                "http_server_duration_seconds",
            ),
            ("requests.count", "1", Counter, "requests_count_total"),
            ("memory.usage", "By", Gauge, "memory_usage_bytes"),
            ("memory.usage.bytes", "By", Gauge, "memory_usage_bytes"),
            ("load", "1", Gauge, "load_ratio"),
            (
                "cpu.total.time",
                "ms",
                Counter,
                "cpu_time_milliseconds_total",
            ),
            ("speed", "m/s", Gauge, "speed_meters_per_second"),
            ("io", "By/{op}", Gauge, "io_bytes"),
            ("rate", "{packets}/s", Gauge, "rate_per_second"),
            ("items", "{item}", Counter, "items_total"),
            ("a..b__c", "widgets", Other, "a_b_c_widgets"),
            ("2xx", "", Gauge, "_2xx"),
            ("a:b", "%", Gauge, "a:b_percent"),
            ("x", "foo bar", Other, "x_foo_bar"),
        ] {
            let found = metric_name(name, unit, kind);
            assert_eq!(found.as_deref(), Some(expected), "{name} {unit}");
        }
        assert_eq!(metric_name("☺", "", Other), None);
    }

    #[test]
    fn labels_are_named_as_upstream_names_them() {
        for (name, expected) in [
            ("http.method", Some("http_method")),
            ("a..b", Some("a__b")),
            ("2nd", Some("key_2nd")),
            ("_x", Some("key_x")),
            ("__x__", Some("__x__")),
            ("grün", Some("gr_n")),
            ("", None),
            ("☺☺", None),
        ] {
            assert_eq!(label_name(name).as_deref(), expected, "{name}");
        }
    }
}
