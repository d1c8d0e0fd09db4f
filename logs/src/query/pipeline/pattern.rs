//! Patterns of texts and captures: `<method> <_> <status>`.
//!
//! As a parser ([`Pattern`]) each capture takes what lies before the next text; where that text is
//! missing, the capture takes the rest and matching ends. As a line filter ([`LinePattern`]) the
//! whole line must be made of the texts in order, with anything where `<_>` stands.

use memchr::memmem;

use super::WorkingLabels;

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Capture(String),
    Skip,
}

/// Cuts a pattern into texts and captures. `<` that begins no capture is text.
fn parts(pattern: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let Some((name, after)) = capture(rest) else {
            text.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        if text.is_empty() && !parts.is_empty() {
            return Err(format!(
                "found consecutive capture '<{name}>': invalid expression"
            ));
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(if name == "_" {
            Part::Skip
        } else {
            Part::Capture(name.to_owned())
        });
        rest = after;
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// The name between `<` and `>` at the start, and what follows.
fn capture(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    let mut characters = name.chars();
    let first = characters.next()?;
    let valid = (first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then_some((name, after))
}

/// The parser.
pub(super) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let parts = parts(pattern)?;
        let mut names: Vec<&str> = Vec::new();
        for part in &parts {
            if let Part::Capture(name) = part {
                if names.contains(&name.as_str()) {
                    return Err(format!(
                        "duplicate capture name ({name}): invalid expression"
                    ));
                }
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err("at least one capture is required: invalid expression".to_owned());
        }
        Ok(Self { parts })
    }

    pub(super) fn process(&self, line: &str, labels: &mut WorkingLabels) {
        let mut rest = line;
        let mut parts = self.parts.iter();
        let mut part = parts.next();
        if let Some(Part::Text(text)) = part {
            let Some(after) = rest.strip_prefix(text.as_str()) else {
                return;
            };
            rest = after;
            part = parts.next();
        }
        while let Some(capture) = part {
            let (value, after) = match parts.next() {
                Some(Part::Text(text)) => match rest.split_once(text.as_str()) {
                    Some((value, after)) => (value, Some(after)),
                    None => (rest, None),
                },
                _ => (rest, None),
            };
            if let Part::Capture(name) = capture {
                labels.extract(name, value, &None);
            }
            let Some(after) = after else { return };
            rest = after;
            part = parts.next();
        }
    }
}

/// The line filter.
pub(super) struct LinePattern {
    texts: Vec<String>,
    open_start: bool,
    open_end: bool,
}

impl LinePattern {
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let parts = parts(pattern)?;
        let open_start = parts.first().is_none_or(|part| *part == Part::Skip);
        let open_end = parts.last().is_none_or(|part| *part == Part::Skip);
        let mut texts = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => texts.push(text),
                Part::Skip => {}
                Part::Capture(name) => {
                    return Err(format!(
                        "named captures are not allowed in a line filter, '<{name}>' is one; \
                         write '<_>'"
                    ));
                }
            }
        }
        Ok(Self {
            texts,
            open_start,
            open_end,
        })
    }

    pub(super) fn matches(&self, line: &str) -> bool {
        let mut rest = line.as_bytes();
        let mut texts = self.texts.as_slice();
        if !self.open_end
            && let Some((last, before)) = texts.split_last()
        {
            if before.is_empty() && !self.open_start {
                return rest == last.as_bytes();
            }
            let Some(head) = rest.strip_suffix(last.as_bytes()) else {
                return false;
            };
            rest = head;
            texts = before;
        }
        if !self.open_start
            && let Some((first, after)) = texts.split_first()
        {
            let Some(tail) = rest.strip_prefix(first.as_bytes()) else {
                return false;
            };
            rest = tail;
            texts = after;
        }
        for text in texts {
            let Some(at) = memmem::find(rest, text.as_bytes()) else {
                return false;
            };
            rest = rest.get(at + text.len()..).unwrap_or_default();
        }
        true
    }

    /// The texts every matching line holds.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// The texts every line that matches a line filter's pattern holds.
pub(in crate::query) fn required_texts(pattern: &str) -> Vec<String> {
    LinePattern::compile(pattern)
        .map(|pattern| pattern.texts().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_take_what_lies_before_the_next_text() {
        for (pattern, line, expected) in [
            ("<a> <_> <b>", "x y z w", r#"{a="x", b="z w"}"#),
            ("<a> <b>", "POST", r#"{a="POST"}"#),
            ("[<a>] <b>", "[1] 2", r#"{a="1", b="2"}"#),
            ("[<a>] <b>", "1] 2", "{}"),
            ("<a>; end", "1; end", r#"{a="1"}"#),
            ("a < b <c>", "a < b 1", r#"{c="1"}"#),
        ] {
            let mut labels = WorkingLabels::default();
            labels.begin_stream(&model::labels::Labels::empty());
            labels.begin_entry(&model::labels::Labels::empty());
            Pattern::compile(pattern)
                .expect("pattern")
                .process(line, &mut labels);
            assert_eq!(
                labels.to_labels(|_, _| true).to_string(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in ["", "none", "<_>", "<a><b>", "<a> <a>"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
        assert!(LinePattern::compile("<named>").is_err());
    }

    #[test]
    fn a_line_is_made_of_the_texts_in_order() {
        for (pattern, line, matches) in [
            ("a<_>b<_>c", "a1b2c", true),
            ("a<_>b<_>c", "a1c2b", false),
            ("<_>b", "aab", true),
            ("aa<_>aa", "aaa", false),
            ("<_>", "", true),
            ("x", "x", true),
            ("x", "xx", false),
        ] {
            let compiled = LinePattern::compile(pattern).expect("pattern");
            assert_eq!(compiled.matches(line), matches, "{pattern} {line}");
        }
    }
}
