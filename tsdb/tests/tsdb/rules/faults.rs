//! Crashes while rules are evaluated, and files and templates that nobody would write.

use std::sync::Arc;

use ::model::labels::Labels;
use ::model::time::Timestamp;
use ::model::vector::SampleValue;
use proptest::prelude::*;
use storage::disk::sim::{Fault, SimDisk};
use tsdb::rules::group::Health;
use tsdb::rules::template::{Template, TemplateContext};

use super::{ALERTING, RECORDING, Server};

#[test]
fn what_was_recorded_is_there_after_a_crash_at_any_operation() {
    const MINUTES: i64 = 8;
    let text = "groups:\n- name: g\n  rules:\n  - record: ticks\n    expr: vector(1)\n";
    // Lets minutes pass, with a flush now and then; the minutes that were acknowledged.
    let live = |disk: &SimDisk| -> Vec<i64> {
        let server = Server::start(disk, 0, text);
        let mut acknowledged = Vec::new();
        for minute in 0..MINUTES {
            server.minutes(minute, 1, |_| None);
            let state = server.rules.groups()[0].state();
            if state.rules[0].health == Health::Good {
                acknowledged.push(minute);
            }
            if minute % 3 == 2 {
                let _ = server.tsdb.store().flush();
            }
        }
        acknowledged
    };
    let disk = SimDisk::new(0);
    drop(Server::start(&disk, 0, text));
    let opened = disk.operations();
    let whole = SimDisk::new(0);
    assert_eq!(live(&whole).len() as i64, MINUTES);
    assert!(whole.operations() > opened + 20, "{}", whole.operations());
    for at in opened..whole.operations() {
        let disk = SimDisk::new(at);
        disk.inject(Fault::Crash(at));
        let acknowledged = live(&disk);
        assert!(disk.has_crashed(), "operation {at} was not reached");
        let server = Server::start(&disk.after_kill(), MINUTES, text);
        let found = server.samples("ticks");
        let found: Vec<i64> = found
            .iter()
            .flat_map(|(_, samples)| samples)
            .map(|sample| sample.trim_start_matches("1@").parse().expect("a minute"))
            .collect();
        let lost: Vec<&i64> = acknowledged.iter().filter(|m| !found.contains(m)).collect();
        assert!(lost.is_empty(), "crash at {at}: {lost:?} of {found:?}");
        assert!(
            found.len() <= acknowledged.len() + 1,
            "crash at {at}: {found:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_rule_file_and_no_template_panics(
        cuts in prop::collection::vec((0..2000_usize, 0..40_usize, "[ -~\n]{0,12}"), 1..6),
        pieces in prop::collection::vec(0..PIECES.len(), 0..14),
    ) {
        let mut text: Vec<char> = format!("{RECORDING}{ALERTING}").chars().collect();
        for (at, length, other) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, other.chars());
        }
        let text: String = text.into_iter().collect();
        let promql = |expr: &str| {
            let expr = tsdb::query::parse(expr).map_err(|error| error.to_string())?;
            Ok(expr.to_string())
        };
        let _ = tsdb::rules::file::parse(&text, &promql);

        let template: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        if let Ok(template) = Template::parse("A", &template) {
            let context = TemplateContext {
                external_labels: Labels::empty(),
                external_url: "http://here".into(),
                query: Arc::new(|_| Ok(Vec::new())),
                now: Timestamp(0),
            };
            let labels = Labels::from_pairs([("a", "b")]);
            let _ = template.with(&context).expand(&labels, &SampleValue::Float(1.5));
        }
    }
}

/// What templates are thrown together from.
const PIECES: [&str; 24] = [
    "{{",
    "}}",
    " ",
    "{{- ",
    " -}}",
    "$labels",
    ".a",
    "$value",
    " | ",
    "humanize",
    "printf \"%v\"",
    "\"x\"",
    "if ",
    "else ",
    "end",
    "range ",
    "with ",
    "define \"t\"",
    "template \"t\"",
    "tmpl \"t\" .",
    "query \"x\"",
    "(",
    ")",
    ".",
];
