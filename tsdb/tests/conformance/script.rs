//! The files, line by line: commands, and the indented lines below them.

use model::labels::Labels;
use tsdb::query::parse_series_selector;

use super::points::{self, Point};

/// A file of cases.
pub struct Script {
    /// The file's name.
    pub name: String,
    /// Commands with their lines.
    pub commands: Vec<(usize, Command)>,
}

/// A command.
pub enum Command {
    /// Forgets everything loaded.
    Clear,
    /// Loads series.
    Load(Load),
    /// A case.
    Eval(Box<Case>),
}

/// Series to load.
pub struct Load {
    /// The distance of points.
    pub step: i64,
    /// Whether classic histograms are loaded as native ones, too.
    pub with_nhcb: bool,
    /// Series and their points.
    pub series: Vec<(Labels, Vec<Point>)>,
    /// Series and the start times of their points, relative to the points.
    pub starts: Vec<(Labels, Vec<Option<i64>>)>,
}

/// The instants a case asks for.
#[derive(Clone, Copy, PartialEq)]
pub enum When {
    /// One instant.
    Instant(i64),
    /// Start, end and step.
    Range(i64, i64, i64),
}

/// A message that is expected.
pub enum Message {
    /// Any.
    Any,
    /// This one.
    Exact(String),
    /// One that matches.
    Regex(regex::Regex),
}

impl Message {
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => text == exact,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A query and what is expected of it.
pub struct Case {
    pub query: String,
    pub when: When,
    pub fails: Option<Message>,
    pub warnings: Vec<Message>,
    pub no_warning: bool,
    pub infos: Vec<Message>,
    pub no_info: bool,
    pub ordered: bool,
    pub scalar: Option<f64>,
    pub text: Option<String>,
    /// The instants of an expected range vector.
    pub range_vector: Option<(i64, i64, i64)>,
    pub series: Vec<(Labels, Vec<Point>)>,
}

/// Milliseconds of a duration or of a number of seconds.
pub fn duration(text: &str) -> i64 {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds * 1000.0).round() as i64;
    }
    model::time::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Script {
    pub fn parse(name: &str, text: &str) -> Self {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .map(|line| if line.starts_with('#') { "" } else { line })
            .collect();
        let mut commands = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let line = at + 1;
            let head = lines[at];
            at += 1;
            if head.is_empty() {
                continue;
            }
            let below = lines[at..]
                .iter()
                .take_while(|line| !line.is_empty())
                .count();
            let body = &lines[at..at + below];
            let word = head.split_whitespace().next().unwrap_or_default();
            let command = match word.to_lowercase().as_str() {
                "clear" => Command::Clear,
                "load" | "load_with_nhcb" => {
                    at += below;
                    Command::Load(load(head, body))
                }
                _ if word.starts_with("eval") => {
                    at += below;
                    Command::Eval(Box::new(case(head, body)))
                }
                _ => panic!("{name}:{line}: unknown command {head:?}"),
            };
            commands.push((line, command));
        }
        Self {
            name: name.to_owned(),
            commands,
        }
    }
}

/// A series and the rest of its line.
fn series(line: &str) -> (Labels, &str) {
    let mut quoted = false;
    let mut braces = 0;
    let mut previous = ' ';
    let end = line
        .char_indices()
        .find(|(_, c)| {
            match c {
                '"' if previous != '\\' => quoted = !quoted,
                '{' if !quoted => braces += 1,
                '}' if !quoted => braces -= 1,
                _ => {}
            }
            previous = *c;
            braces == 0 && !quoted && (c.is_whitespace() || *c == '@')
        })
        .map_or(line.len(), |(at, _)| at);
    // A blank may stand between the name and the braces.
    let rest = line[end..].trim_start();
    if rest.starts_with('{') && !rest.starts_with("{{") && !line[..end].contains('{') {
        let (labels, after) = series(rest);
        let mut builder = labels.to_builder();
        builder.set("__name__", &line[..end]);
        return (builder.build(), after);
    }
    (labels(&line[..end]), &line[end..])
}

fn labels(text: &str) -> Labels {
    if text == "{}" {
        return Labels::empty();
    }
    let matchers = parse_series_selector(text)
        .or_else(|_| parse_series_selector(&format!("{}, x!=\"\"}}", text.trim_end_matches('}'))))
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let pairs = matchers
        .iter()
        .filter(|matcher| !matcher.op().is_negative());
    Labels::from_pairs(pairs.map(|matcher| (matcher.name(), matcher.value())))
}

fn load(head: &str, body: &[&str]) -> Load {
    let (word, step) = head.split_once(char::is_whitespace).expect("a step");
    let mut load = Load {
        step: duration(step.trim()),
        with_nhcb: word == "load_with_nhcb",
        series: Vec::new(),
        starts: Vec::new(),
    };
    for line in body {
        let (labels, rest) = series(line);
        match rest.strip_prefix("@st") {
            Some(rest) => load.starts.push((labels, points::start_times(rest))),
            None => load.series.push((labels, points::points(rest))),
        }
    }
    load
}

fn case(head: &str, body: &[&str]) -> Case {
    let (word, rest) = head.split_once(char::is_whitespace).expect("eval of what");
    let mut words = Words(rest);
    let kind = words.next();
    let when = if kind == "instant" {
        if words.0.trim_start().starts_with("at ") {
            words.next();
            When::Instant(duration(words.next()))
        } else {
            When::Instant(0)
        }
    } else {
        words.next();
        let start = duration(words.next());
        words.next();
        let end = duration(words.next());
        words.next();
        When::Range(start, end, duration(words.next()))
    };
    let mut case = Case {
        query: words.0.trim().to_owned(),
        when,
        fails: (word == "eval_fail").then_some(Message::Any),
        warnings: Vec::new(),
        no_warning: false,
        infos: Vec::new(),
        no_info: false,
        ordered: word == "eval_ordered",
        scalar: None,
        text: None,
        range_vector: None,
        series: Vec::new(),
    };
    if word == "eval_warn" {
        case.warnings.push(Message::Any);
    }
    if word == "eval_info" {
        case.infos.push(Message::Any);
    }
    for line in body {
        if let Some(expectation) = line.strip_prefix("expect ") {
            expect(&mut case, expectation.trim());
        } else if let Some(value) = number(line) {
            case.scalar = Some(value);
        } else {
            let (labels, rest) = series(line);
            case.series.push((labels, points::points(rest)));
        }
    }
    case
}

/// A line that is a number alone.
fn number(line: &str) -> Option<f64> {
    (!line.contains(char::is_whitespace))
        .then(|| points::float(line))
        .flatten()
}

fn expect(case: &mut Case, expectation: &str) {
    let mut words = Words(expectation);
    let word = words.next();
    let rest = words.0.trim();
    let message = || {
        if let Some(exact) = rest.strip_prefix("msg:") {
            Message::Exact(exact.trim().to_owned())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Message::Regex(regex::Regex::new(pattern.trim()).expect("a regular expression"))
        } else {
            Message::Any
        }
    };
    match word {
        "fail" => case.fails = Some(message()),
        "warn" => case.warnings.push(message()),
        "info" => case.infos.push(message()),
        "no_warn" => case.no_warning = true,
        "no_info" => case.no_info = true,
        "ordered" => case.ordered = true,
        "string" => {
            let parsed = tsdb::query::parse(rest).expect("a string literal");
            let tsdb::query::Expr::Text(text) = parsed else {
                panic!("{rest} is no string literal");
            };
            case.text = Some(text.value);
        }
        "range" => {
            let mut words = Words(rest);
            let times: Vec<&str> = (0..7).map(|_| words.next()).collect();
            case.range_vector = Some((duration(times[2]), duration(times[4]), duration(times[6])));
        }
        _ => panic!("unknown expectation {expectation:?}"),
    }
}

/// Takes words off the front of a text.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        self.0 = &text[end..];
        &text[..end]
    }
}
