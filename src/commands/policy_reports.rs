//! Judged manifests as other programs read them: SARIF 2.1.0, and JUnit's XML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use admission::check::{CheckResult, CheckVerdict};
use serde_json::{Value, json};

/// An object as a person calls it.
pub(super) fn object_of(result: &CheckResult) -> String {
    match (result.kind.as_str(), result.namespace.as_str()) {
        ("", _) => format!("document {}", result.document),
        (kind, "") => format!("{kind} {}", result.name),
        (kind, namespace) => format!("{kind} {namespace}/{}", result.name),
    }
}

/// A result for each message and warning; the place is the file, for a document knows no line.
pub(super) fn sarif(results: &[CheckResult]) -> Value {
    let mut found = Vec::new();
    let mut rules = BTreeSet::new();
    for result in results {
        let object = object_of(result);
        let messages = result.messages.iter().map(|message| ("error", message));
        let warnings = result.warnings.iter().map(|message| ("warning", message));
        // Rules stand in the order of messages, then of warnings.
        for (i, (level, message)) in messages.chain(warnings).enumerate() {
            let rule = result.rules.get(i).map_or("unreadable", String::as_str);
            rules.insert(rule.to_string());
            found.push(json!({
                "ruleId": rule,
                "level": level,
                "message": {"text": format!("{object}: {message}")},
                "locations": [{
                    "physicalLocation": {"artifactLocation": {"uri": result.file}},
                    "logicalLocations": [{"fullyQualifiedName": object, "kind": "object"}],
                }],
            }));
        }
    }
    let rules: Vec<_> = rules.into_iter().map(|id| json!({"id": id})).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "taffrail", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": found,
        }],
    })
}

/// A test case for each object.
pub(super) fn junit(results: &[CheckResult]) -> String {
    let count = |wanted: CheckVerdict| results.iter().filter(|r| r.verdict == wanted).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"taffrail policy check\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
        results.len(),
        count(CheckVerdict::Fail),
        count(CheckVerdict::Error),
        count(CheckVerdict::Skip),
    );
    for result in results {
        let _ = write!(
            out,
            "  <testcase classname=\"{}\" name=\"{}\">",
            escape(&result.file),
            escape(&object_of(result))
        );
        let element = match result.verdict {
            CheckVerdict::Fail => Some("failure"),
            CheckVerdict::Error => Some("error"),
            CheckVerdict::Skip => {
                out.push_str("<skipped/>");
                None
            }
            CheckVerdict::Pass => None,
        };
        if let Some(element) = element {
            let message = escape(&result.messages.join("\n"));
            let _ = write!(
                out,
                "<{element} message=\"{message}\">{message}</{element}>"
            );
        }
        if !result.warnings.is_empty() {
            let _ = write!(
                out,
                "<system-out>{}</system-out>",
                escape(&result.warnings.join("\n"))
            );
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}

/// XML's own characters, and those that XML cannot hold.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(verdict: CheckVerdict, messages: &[&str], warnings: &[&str]) -> CheckResult {
        CheckResult {
            file: "a&b.yaml".to_string(),
            document: 1,
            kind: "Pod".to_string(),
            namespace: String::new(),
            name: "p".to_string(),
            verdict,
            messages: messages.iter().map(ToString::to_string).collect(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            rules: vec!["A/a".to_string(), "B/b".to_string()],
            paths: Vec::new(),
        }
    }

    #[test]
    fn every_message_and_warning_is_told() {
        let results = [
            result(CheckVerdict::Fail, &["<no> \"x\"\u{1}"], &["hm"]),
            result(CheckVerdict::Pass, &[], &[]),
            result(CheckVerdict::Skip, &[], &[]),
        ];
        let sarif = sarif(&results);
        let found = sarif["runs"][0]["results"].as_array().unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|r| (r["ruleId"].as_str(), r["level"].as_str()))
            .collect();
        assert_eq!(
            told,
            [(Some("A/a"), Some("error")), (Some("B/b"), Some("warning"))]
        );
        let xml = junit(&results);
        for part in [
            "tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"",
            "classname=\"a&amp;b.yaml\" name=\"Pod p\"",
            "<failure message=\"&lt;no&gt; &quot;x&quot;\u{fffd}\">",
            "<system-out>hm</system-out>",
            "<skipped/>",
        ] {
            assert!(xml.contains(part), "{xml} lacks {part}");
        }
    }
}
