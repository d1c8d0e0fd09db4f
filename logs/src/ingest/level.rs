//! `detected_level`: how serious a line is, as structured metadata.
//!
//! Loki looks, in this order, at the stream's labels, the entry's structured metadata, a level field of a
//! JSON or logfmt line, and last at words in the line. So do we; for the last step the first
//! word that is the name of a level decides, among the line's first bytes, where a level stands if the
//! line has one.

use std::collections::HashMap;

use model::entry::Entry;
use model::labels::Labels;

use super::json;

/// The structured metadata that is derived.
pub const DETECTED_LEVEL: &str = "detected_level";
/// Its value where nothing says anything.
pub const UNKNOWN_LEVEL: &str = "unknown";

/// Fields that hold a level, as Loki's documentation lists them.
const LEVEL_FIELDS: [&str; 11] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
];

/// How far into a line a word may say its level.
const SEARCHED_BYTES_MAX: usize = 512;

/// Detects the levels of one stream's entries.
pub struct LevelDetector {
    /// What the stream's labels say, for all its entries.
    stream_level: Option<String>,
    /// Metadata that is nothing but a level: entries share it.
    alone: HashMap<String, Labels>,
}

impl LevelDetector {
    /// A detector for the entries of a stream.
    pub fn new(stream: &Labels) -> Self {
        Self {
            stream_level: said_level(stream),
            alone: HashMap::new(),
        }
    }

    /// Adds `detected_level` to an entry that has none.
    pub fn detect(&mut self, entry: &mut Entry) {
        if entry.metadata.get(DETECTED_LEVEL).is_some() {
            return;
        }
        let level = self
            .stream_level
            .clone()
            .or_else(|| said_level(&entry.metadata))
            .unwrap_or_else(|| line_level(&entry.line).to_owned());
        entry.metadata = if entry.metadata.is_empty() {
            let alone = self.alone.entry(level);
            let made =
                alone.or_insert_with_key(|level| Labels::from_pairs([(DETECTED_LEVEL, level)]));
            made.clone()
        } else {
            let mut metadata = entry.metadata.to_builder();
            metadata.set(DETECTED_LEVEL, &level).build()
        };
    }
}

/// What a label says holds, also where it is no level we know.
fn said_level(labels: &Labels) -> Option<String> {
    let said = LEVEL_FIELDS.iter().find_map(|field| labels.get(field))?;
    Some(known_level(said).map_or_else(|| said.to_lowercase(), str::to_owned))
}

fn line_level(line: &str) -> &'static str {
    let field = if line.trim_start().starts_with('{') {
        json::first_text_field(line, &LEVEL_FIELDS).and_then(|value| known_level(&value))
    } else {
        logfmt_level(line)
    };
    field.or_else(|| level_word(line)).unwrap_or(UNKNOWN_LEVEL)
}

/// The level a text names, whatever its case and its spelling.
fn known_level(text: &str) -> Option<&'static str> {
    const SPELLINGS: [(&str, &str); 16] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("critical", "critical"),
        ("fatal", "fatal"),
        ("panic", "fatal"),
        ("emerg", "critical"),
    ];
    // Most words of a line are too long or too short to be any of them.
    if !(3..=11).contains(&text.len()) {
        return None;
    }
    SPELLINGS
        .iter()
        .find(|(spelling, _)| spelling.eq_ignore_ascii_case(text))
        .map(|(_, level)| *level)
}

/// The value of a level field in `key=value` pairs.
fn logfmt_level(line: &str) -> Option<&'static str> {
    let pairs = line
        .split_ascii_whitespace()
        .filter_map(|word| word.split_once('='));
    pairs
        .filter(|(key, _)| LEVEL_FIELDS.contains(key))
        .find_map(|(_, value)| known_level(value.trim_matches('"')))
}

/// The first word that names a level.
fn level_word(line: &str) -> Option<&'static str> {
    let mut end = line.len().min(SEARCHED_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.get(..end)?
        .split(|c: char| !c.is_ascii_alphabetic())
        .find_map(known_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_found_where_it_stands() {
        let check =
            |stream: &[(&str, &str)], metadata: &[(&str, &str)], line: &str, level: &str| {
                let mut entry = Entry {
                    line: line.to_owned(),
                    metadata: Labels::from_pairs(metadata.iter().copied()),
                    ..Entry::default()
                };
                let stream = Labels::from_pairs(stream.iter().copied());
                LevelDetector::new(&stream).detect(&mut entry);
                assert_eq!(
                    entry.metadata.get(DETECTED_LEVEL),
                    Some(level),
                    "{stream:?} {metadata:?} {line}"
                );
            };
        check(&[], &[], "nothing to see", "unknown");
        check(&[], &[], "", "unknown");
        check(&[("level", "WARNING")], &[], "error", "warn");
        check(&[("level", "Odd")], &[], "error", "odd");
        check(&[], &[("severity", "ERR")], "info", "error");
        check(&[], &[("detected_level", "mine")], "info", "mine");
        check(&[], &[], r#"{"msg":"an error","level":"info"}"#, "info");
        check(
            &[],
            &[],
            r#"{"msg":"level","severity":"Critical"}"#,
            "critical",
        );
        check(
            &[],
            &[],
            r#"{"inner":{"level":"debug"},"lvl":"warn"}"#,
            "warn",
        );
        check(&[], &[], r#"{"msg":"it is fatal"}"#, "fatal");
        check(&[], &[], r#"ts=1 level=debug msg="an error""#, "debug");
        check(&[], &[], r#"msg=x lvl="WARN""#, "warn");
        check(&[], &[], "2024-01-01 [ERROR] x", "error");
        check(&[], &[], "W: warning: y", "warn");
        check(&[], &[], "terrorist informs", "unknown");
        check(&[], &[], "INFO an error was handled", "info");
        check(&[], &[], &format!("{}error", "ä".repeat(300)), "unknown");
    }
}
