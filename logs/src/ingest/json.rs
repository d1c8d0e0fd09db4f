//! A look at the fields of a JSON line that costs a pass over its bytes and no tree.
//!
//! Every line that looks like JSON is asked for its level as it arrives, most have one among the first
//! fields, and few are worth building a document for. A line that is no valid JSON yields what
//! was found before it stopped making sense.

use std::borrow::Cow;

/// The value of the first of the outermost object's fields that has one of `names` and is a text.
pub(super) fn first_text_field<'l>(line: &'l str, names: &[&str]) -> Option<Cow<'l, str>> {
    let mut rest = line.trim_start().strip_prefix('{')?;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        let (name, after) = text(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        if value.starts_with('"') {
            let (found, after) = text(value)?;
            if names.contains(&name) {
                return Some(unescaped(found));
            }
            rest = after;
        } else {
            rest = after_value(value)?;
        }
    }
}

/// A text's inside, as it stands, and what is behind it.
fn text(from: &str) -> Option<(&str, &str)> {
    let inside = from.strip_prefix('"')?;
    let mut searched = 0;
    loop {
        let tail = inside.as_bytes().get(searched..)?;
        let found = searched + memchr::memchr2(b'"', b'\\', tail)?;
        if inside.as_bytes().get(found) == Some(&b'"') {
            return Some((inside.get(..found)?, inside.get(found + 1..)?));
        }
        // Whatever is escaped is not the end.
        searched = found + 2;
    }
}

/// What is behind a value that is no text: behind the bracket that closes it, or at the comma.
fn after_value(value: &str) -> Option<&str> {
    let mut depth = 0usize;
    let mut rest = value;
    loop {
        let next = rest.find(['"', '{', '[', '}', ']', ','])?;
        let found = rest.get(next..)?;
        match found.as_bytes().first()? {
            b'"' => {
                rest = text(found)?.1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return Some(found),
            _ => {}
        }
        rest = found.get(1..)?;
    }
}

/// A text without its escapes.
fn unescaped(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let quoted = format!("\"{inside}\"");
    serde_json::from_str(&quoted).map_or(Cow::Borrowed(inside), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_outermost_fields_are_looked_at() {
        let check = |line: &str, expected: Option<&str>| {
            let found = first_text_field(line, &["level", "lvl"]);
            assert_eq!(found.as_deref(), expected, "{line}");
        };
        check(r#"{"level":"info"}"#, Some("info"));
        check(
            r#" { "a" : 1 , "b":[1,{"level":"x"}], "lvl" : "warn" }"#,
            Some("warn"),
        );
        check(r#"{"a":"level\":","level":"in\u0066o"}"#, Some("info"));
        check(r#"{"level":5,"lvl":"x"}"#, Some("x"));
        check(r#"{"a":{"level":"x"}}"#, None);
        check(r#"{"a":"\\","level":"y"}"#, Some("y"));
        check("{", None);
        check(r#"{"level":"unclosed"#, None);
        check(r#"{"a":}]"#, None);
        check("[]", None);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_a_panic(line in "[{}\\[\\]\",:\\\\alevel \u{e4}]{0,40}") {
            let _ = first_text_field(&line, &["level"]);
        }
    }
}
