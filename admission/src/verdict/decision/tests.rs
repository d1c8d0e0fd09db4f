//! Lines: bounded, readable again, and honest about what they lack.

use serde_json::json;

use super::*;
use crate::config::DecisionsConfig;
use crate::verdict::{Denial, Hit};

/// A decision on an update of an object with `bytes` of data and `hits` rules against it.
fn decision(bytes: usize, hits: usize, config: &DecisionsConfig) -> Decision {
    let object = json!({"kind": "Thing", "spec": "x".repeat(bytes)});
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "UPDATE", "kind": {"kind": "Thing"}, "namespace": "shop",
            "userInfo": {"username": "é".repeat(bytes / 2), "groups": vec!["g"; 100]},
            "resource": {"group": "example.com", "version": "v1", "resource": "things"},
            "object": object, "oldObject": object,
        },
    });
    let review = Review::read(body.to_string().as_bytes()).unwrap();
    let hit = Hit {
        mode: Mode::Enforce,
        rule: "Kind/name".to_string(),
        message: "\u{1}".repeat(bytes),
        paths: vec!["object".to_string(); 100],
    };
    let verdict = match hits {
        0 => Verdict::not_judged(),
        _ => Verdict::Denied(Denial::constrained(vec![hit; hits], true)),
    };
    let trace = Trace {
        times: vec![("Kind/name".to_string(), Duration::from_micros(7)); hits],
        ..Trace::default()
    };
    let took = Duration::from_millis(1);
    Decision::new(
        &review,
        &verdict,
        Outcome::Deny,
        Timestamp::UNIX_EPOCH,
        took,
    )
    .with_trace(trace, "digest")
    .with_review(&review, &config.validate().unwrap())
}

#[test]
fn a_line_is_bounded_and_says_what_it_lacks() {
    let config = DecisionsConfig::default();
    let without = DecisionsConfig {
        review: false,
        ..DecisionsConfig::default()
    };
    let all = ["user", "message", "groups", "rules"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    for (bytes, hits, config, cut) in [
        (10, 1, &config, vec!["rules", "groups"]),
        (10, 0, &config, vec!["groups"]),
        (10, 0, &without, vec!["groups"]),
        (30_000, 1, &config, with(&[])),
        (40_000, 1, &config, with(&["review.oldObject"])),
        (200_000, 1, &config, with(&["review"])),
        (200_000, 1, &without, with(&[])),
        (200_000, 2_000, &config, with(&["times", "review"])),
        (200_000, 2_000, &without, with(&["times"])),
    ] {
        let decision = decision(bytes, hits, config);
        let line = decision.line().unwrap();
        let mut told = decision.cut.clone();
        let mut cut: Vec<_> = cut.iter().map(ToString::to_string).collect();
        told.sort();
        cut.sort();
        assert_eq!(told, cut, "{bytes} {hits}");
        let lost = cut.iter().any(|what| what == "review");
        assert_eq!(decision.review.is_some(), config.review && !lost);
        assert!(line.len() <= config.line_bytes_max, "{}", line.len());
        let read: Decision = serde_json::from_str(&line).unwrap();
        let mut same = decision;
        same.review = None;
        assert_eq!(read, same);
    }
}
