//! Which format some text is, from its beginning.

use model::wire::exposition;

/// How much of a text is looked at.
pub const HEAD_BYTES: usize = 64 << 10;
/// Timestamps of this size are milliseconds; as seconds they would lie in the year 5138.
const MILLIS_MIN: f64 = 1e11;

/// A text of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// [`super::json_lines`]
    JsonLines,
    /// [`super::open_metrics`], in either grammar.
    Exposition(exposition::Format),
}

/// The format of a text that begins with `head`; nothing where it is none of them.
///
/// OpenMetrics differs from Prometheus' text in the unit of its timestamps, seconds instead of
/// milliseconds, and that decides where no word does that only one of them knows.
pub fn detect(head: &[u8]) -> Option<TextFormat> {
    // The last line may be cut anywhere.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') && !text.trim_start().starts_with("{\"metric\"") {
        // A series without a bare name begins with a brace as well; an object's key ends with a colon.
        let quoted = text.trim_start().trim_start_matches('{').trim_start();
        let key = quoted
            .strip_prefix('"')
            .and_then(|rest| rest.split_once('"'));
        if key.is_some_and(|(_, after)| after.trim_start().starts_with(':')) {
            return Some(TextFormat::JsonLines);
        }
    } else if text.trim_start().starts_with('{') {
        return Some(TextFormat::JsonLines);
    }
    let mut is_exposition = false;
    for line in text.lines() {
        let line = line.trim();
        if line == "# EOF" || line.starts_with("# UNIT ") || line.contains("} # {") {
            return Some(TextFormat::Exposition(exposition::Format::OpenMetrics));
        }
        if line.starts_with("# TYPE ") || line.starts_with("# HELP ") {
            is_exposition = true;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(format) = format_of_sample(line) {
            return Some(TextFormat::Exposition(format));
        }
    }
    is_exposition.then_some(TextFormat::Exposition(exposition::Format::Text))
}

/// The format that a line with a sample is in, by its timestamp.
fn format_of_sample(line: &str) -> Option<exposition::Format> {
    let behind = line.rsplit_once('}').map_or(line, |(_, behind)| behind);
    let mut words = behind.split_ascii_whitespace();
    if behind.len() == line.len() {
        words.next();
    }
    let _value: f64 = words.next()?.parse().ok()?;
    let timestamp = words.next()?;
    let number: f64 = timestamp.parse().ok()?;
    let is_millis = number.abs() >= MILLIS_MIN && !timestamp.contains('.');
    Some(if is_millis {
        exposition::Format::Text
    } else {
        exposition::Format::OpenMetrics
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let text = Some(TextFormat::Exposition(exposition::Format::Text));
        let open = Some(TextFormat::Exposition(exposition::Format::OpenMetrics));
        for (head, expected) in [
            (
                "{\"metric\":{\"__name__\":\"up\"",
                Some(TextFormat::JsonLines),
            ),
            ("\n{ \"values\" : [1]", Some(TextFormat::JsonLines)),
            ("{\"a name\",x=\"1\"} 1 1700000000\n", open),
            ("up 1 1700000000\n", open),
            ("up{a=\"b\"} 1 1700000000.123\n", open),
            ("up{a=\"} 5\"} 1 1700000000123\n", text),
            ("# TYPE up gauge\nup 1 1700000000123\n", text),
            ("# TYPE up gauge\nup 1\n# EOF\n", open),
            ("# TYPE up gauge\nup 1\n", text),
            ("", None),
            ("PK\u{3}\u{4}", None),
            ("hello world\n", None),
        ] {
            assert_eq!(detect(head.as_bytes()), expected, "{head:?}");
        }
        assert_eq!(detect(&[0xff, 0xfe, 0, 1]), None);
        assert_eq!(
            detect("up{a=\"ü".as_bytes().split_last().expect("long").1),
            None
        );
    }
}
