//! What scalars are is told by the cases of `tests/rego/cases.jsonl`, which OPA answered; here is what a text is in all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

fn problem(text: &str) -> String {
    document(text).unwrap_err().to_string()
}

#[test]
fn documents_come_one_by_one_until_one_cannot_be_read() {
    let all = |text| documents(text).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(all(""), [] as [Value; 0]);
    assert_eq!(all("# nothing\n"), [] as [Value; 0]);
    assert_eq!(all("a: 1\n"), [json!({"a": 1})]);
    assert_eq!(
        all("---\na: 1\n---\n---\nb: 2\n...\n"),
        [json!({"a": 1}), Value::Null, json!({"b": 2})]
    );
    let broken: Vec<_> = documents("a: 1\n---\nb: [\n---\nc: 3\n").collect();
    assert!(matches!(&*broken, [Ok(_), Err(_)]), "{broken:?}");
}

#[test]
fn a_letter_is_a_text_in_manifests() {
    let text = "{y: n, a: yes, b: Off, c: !!bool y}";
    let read = |letters| Documents::new(text, letters).next().unwrap();
    let e = json!({"true": false, "a": true, "b": false, "c": true});
    assert_eq!(read(Letters::Booleans), Ok(e));
    assert!(read(Letters::Texts).is_err());
    let e = json!({"y": "n", "a": true, "N": "Y"});
    let read = documents("{y: n, a: yes, N: Y}").next().unwrap();
    assert_eq!(read, Ok(e));
}

#[test]
fn what_is_json_is_read_as_json() {
    let all = |text| documents(text).collect::<Result<Vec<_>, _>>();
    let text = r#"{"a": "\ud83d\ude00 \/"}
        {"b": 1e2}"#;
    assert_eq!(
        all(text),
        Ok(vec![json!({"a": "😀 /"}), json!({"b": 100.0})])
    );
    assert_eq!(all("{a: yes}\n"), Ok(vec![json!({"a": true})]));
    assert!(all("{\"a\": 1").is_err());
}

#[test]
fn an_error_says_where() {
    assert_eq!(
        problem("a:\n  b: .inf\n"),
        "JSON has no .inf: put it in quotes at line 2 column 6"
    );
    assert_eq!(
        problem("a: {<<: 1}"),
        "<< takes in a mapping, or a sequence of mappings at line 1 column 9"
    );
    assert_eq!(problem("a: !!int x"), "\"x\" is no int at line 1 column 4");
    assert_eq!(
        problem("? [a]\n: b"),
        "a key is a text, not a sequence or a mapping at line 1 column 3"
    );
    assert_eq!(
        problem("a: &a [*a]"),
        "an alias stands within what it names at line 1 column 8"
    );
    assert!(
        problem("a: *b").contains("line 1 column 4"),
        "{}",
        problem("a: *b")
    );
}

#[test]
fn an_anchor_is_of_one_document() {
    assert!(documents("a: &x 1\n---\nb: *x\n").last().unwrap().is_err());
    let text = "a: &x {b: &y 1}\nc: *x\nd: *y\n&z e: *z\n";
    let e = json!({"a": {"b": 1}, "c": {"b": 1}, "d": 1, "e": "e"});
    assert_eq!(document(text), Ok(e));
}

#[test]
fn neither_depth_nor_aliases_are_without_bound() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(document(&nested(DEPTH_MAX)).is_ok());
    assert!(
        problem(&nested(DEPTH_MAX + 2)).starts_with("the document nests deeper than 128 levels")
    );
    assert!(document(&nested(1 << 20)).is_err());
    assert!(document(&"- ".repeat(1 << 20)).is_err());

    // Each is twice as deep as the one before.
    let half = DEPTH_MAX / 2 - 1;
    let (open, close) = ("[".repeat(half), "]".repeat(half));
    let twice = format!("- &a {open}{close}\n- &b {open}*a{close}\n");
    assert!(document(&twice).is_ok());
    let thrice = format!("{twice}- {open}*b{close}\n");
    assert!(problem(&thrice).starts_with("the document nests deeper"));

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    let began = Instant::now();
    assert!(problem(&bomb).starts_with("aliases repeat more than 400000 values"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_merge_within_a_merge_is_taken_in() {
    let text = "a: &a {x: 1}\nb: &b {<<: *a, v: 2}\nc: {<<: *b, z: 3}\n";
    let c = json!({"x": 1, "v": 2, "z": 3});
    assert_eq!(document(text).unwrap().get("c"), Some(&c));
}
