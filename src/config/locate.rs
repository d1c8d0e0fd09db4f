//! Where in a YAML text a key stands, for errors that are found after parsing.

/// The line (from 1) of a dotted key such as `agent.scrape.timeout` in a text of block mappings; the
/// line of the longest part of it that is there, and `None` where not even its first is.
pub(super) fn line_of(text: &str, dotted: &str) -> Option<usize> {
    let mut found = None;
    let mut wanted = dotted.split('.').peekable();
    let mut least_indent = 0;
    for (number, line) in text.lines().enumerate() {
        let Some(key) = wanted.peek() else {
            break;
        };
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if indent < least_indent {
            // The mapping that should have held the key has ended.
            break;
        }
        let is_key = content
            .strip_prefix(*key)
            .is_some_and(|rest| rest.trim_start().starts_with(':'));
        if is_key {
            found = Some(number + 1);
            least_indent = indent + 1;
            wanted.next();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "# head\na:\n  b: 1\n\n  c:\n    d: 2\ne:\n  b: 3\n";
        for (key, line) in [
            ("a", Some(2)),
            ("a.b", Some(3)),
            ("a.c.d", Some(6)),
            ("e.b", Some(8)),
            ("a.x", Some(2)),
            ("x", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
