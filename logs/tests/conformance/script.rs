//! The notation of the case files.
//!
//! A command begins in the first column, its arguments are the indented lines below it, and `#` in
//! either begins a comment. What follows the times of `eval` is the query, comments and all: the
//! language has the same.

use std::time::Duration;

use logs::query::{Direction, Engine, QueryError, QueryOutput};
use model::entry::Entry;
use model::labels::{Builder, Labels};
use model::time::{TimestampNs, parse_duration};

use crate::memory_source::MemorySource;

pub(crate) enum Command {
    Clear,
    Load(Vec<(Labels, Entry)>),
    Eval(Evaluation),
}

#[derive(Clone, Copy)]
pub(crate) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

pub(crate) struct Evaluation {
    pub(crate) line: usize,
    pub(crate) times: Times,
    pub(crate) query: String,
    pub(crate) expected: Expected,
}

#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) failure: Option<Failure>,
    pub(crate) ordered: bool,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<(Labels, Vec<Option<f64>>)>,
}

pub(crate) enum Failure {
    Any,
    Message(String),
    Regex(String),
}

impl Evaluation {
    pub(crate) fn evaluate(&self, source: &MemorySource) -> Result<QueryOutput, QueryError> {
        let engine = Engine::default();
        match self.times {
            Times::Instant(at) => engine.instant(
                source,
                &self.query,
                TimestampNs(at),
                100,
                Direction::Forward,
            ),
            Times::Range { start, end, step } => engine.range(
                source,
                &self.query,
                TimestampNs(start),
                TimestampNs(end),
                Duration::from_nanos(step.unsigned_abs()),
                100,
                Direction::Forward,
            ),
        }
    }
}

/// Nanoseconds of `60s`, `1300ms`.
fn nanos(text: &str) -> i64 {
    parse_duration(text).expect(text) * 1_000_000
}

pub(crate) fn parse(text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            match commands.last_mut() {
                Some(Command::Load(entries)) => entries.extend(load_line(line.trim())),
                Some(Command::Eval(evaluation)) => expect_line(line.trim(), evaluation),
                _ => panic!("line {}: an argument without a command", at + 1),
            }
            continue;
        }
        commands.push(match line.split_whitespace().next() {
            Some("clear") => Command::Clear,
            Some("load") => Command::Load(Vec::new()),
            Some("eval") => Command::Eval(eval_line(line, at + 1)),
            _ => panic!("line {}: unknown command {line}", at + 1),
        });
    }
    commands
}

/// `eval instant at T Q` or `eval range from A to B step S Q`.
fn eval_line(line: &str, number: usize) -> Evaluation {
    let words: Vec<&str> = line.split_whitespace().collect();
    let query_behind = |count: usize| {
        let mut rest = line;
        for _ in 0..count {
            rest = rest.trim_start();
            rest = &rest[rest.find(char::is_whitespace).unwrap_or(rest.len())..];
        }
        rest.trim().to_owned()
    };
    let (times, query) = match words[1] {
        "instant" => (Times::Instant(nanos(words[3])), query_behind(4)),
        _ => (
            Times::Range {
                start: nanos(words[3]),
                end: nanos(words[5]),
                step: nanos(words[7]),
            },
            query_behind(8),
        ),
    };
    Evaluation {
        line: number,
        times,
        query,
        expected: Expected::default(),
    }
}

fn expect_line(line: &str, evaluation: &mut Evaluation) {
    let expected = &mut evaluation.expected;
    if let Some(expectation) = line.strip_prefix("expect ") {
        let expectation = expectation.trim();
        if let Some(failure) = expectation.strip_prefix("fail") {
            expected.failure = Some(match failure.trim().split_once(':') {
                Some(("msg", message)) => Failure::Message(message.trim().to_owned()),
                Some(("regex", regex)) => Failure::Regex(regex.trim().to_owned()),
                _ => Failure::Any,
            });
        } else if expectation == "ordered" {
            expected.ordered = true;
        } else {
            assert_eq!(expectation, "empty", "line {}", evaluation.line);
        }
        return;
    }
    // What is skipped concerns sharding, which does not exist here.
    if line.starts_with("skip ") {
        return;
    }
    if !line.starts_with('{') {
        expected.scalar = Some(float(line.split_whitespace().next().unwrap_or_default()));
        return;
    }
    let (labels, rest) = labels(line, true);
    let values = rest
        .split_whitespace()
        .take_while(|word| !word.starts_with('#'))
        .map(|word| (word != "_").then(|| float(word)))
        .collect();
    expected.series.push((labels, values));
}

fn float(text: &str) -> f64 {
    text.parse().expect(text)
}

/// A label set in braces, without escapes, and what follows it.
fn labels(text: &str, keep_empty: bool) -> (Labels, &str) {
    let mut rest = text.strip_prefix('{').expect("a label set");
    let mut labels = Builder::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return (labels.build(), after);
        }
        rest = pair(rest, keep_empty, &mut labels);
    }
}

/// One `name="value"`, and what follows it.
fn pair<'t>(text: &'t str, keep_empty: bool, labels: &mut Builder) -> &'t str {
    let (name, rest) = text.split_once("=\"").expect(text);
    let (value, rest) = rest.split_once('"').expect(text);
    if keep_empty {
        labels.set_keeping_empty(name.trim(), value);
    } else {
        labels.set(name.trim(), value);
    }
    rest
}

/// `{selector} "line" @ START [repeat every STEP for N] [metadata k="v" …]`
fn load_line(text: &str) -> Vec<(Labels, Entry)> {
    let (stream, rest) = labels(text, false);
    let rest = rest.trim_start();
    let quote = rest.chars().next().expect("a quoted line");
    let (line, rest) = rest[1..].split_once(quote).expect("a closing quote");
    let rest = rest
        .trim_start()
        .strip_prefix('@')
        .expect("a time")
        .trim_start();
    let (start, mut rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let start = nanos(start);
    let (mut step, mut count) = (0, 1);
    let mut metadata = Builder::new();
    while let Some((clause, after)) = rest
        .trim_start()
        .strip_prefix('[')
        .and_then(|clause| clause.split_once(']'))
    {
        rest = after;
        let words: Vec<&str> = clause.split_whitespace().collect();
        if words[0] == "repeat" {
            step = nanos(words[2]);
            count = words[4].parse().expect("a count");
            continue;
        }
        let mut pairs = clause.strip_prefix("metadata").expect("metadata").trim();
        while !pairs.is_empty() {
            pairs = pair(pairs, true, &mut metadata).trim();
        }
    }
    let metadata = metadata.build();
    (0..count)
        .map(|index: i64| {
            let entry = Entry {
                timestamp: TimestampNs(start + step * index),
                line: line.replace("{{.i}}", &index.to_string()),
                metadata: metadata.clone(),
            };
            (stream.clone(), entry)
        })
        .collect()
}
