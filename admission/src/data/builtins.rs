//! The builtins, and how a session reaches them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use regorus::{Engine, Value as Rego};
use serde_json::Value;

use super::{Asked, DataError, Language, Question, Session};
use crate::gatekeeper::request::to_rego;
use crate::rego::plan::{Function, NoAnswer};

/// What they are called.
pub(crate) const NAMES: [&str; 2] = ["taffrail.promql", "taffrail.logql"];

/// What each of them asks in.
const LANGUAGES: [Language; 2] = [Language::Promql, Language::Logql];

/// The query and the options.
const ARITY: u8 = 2;

/// The lines that are enough where a rule does not say.
const LINES: usize = 100;

/// The lines that a rule may ask for.
const LINES_MAX: usize = 1000;

thread_local! {
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// How many arguments a builtin of these takes.
pub(crate) fn arity(name: &str) -> Option<usize> {
    NAMES.contains(&name).then_some(usize::from(ARITY))
}

/// The first question that failed since this was last asked.
pub(crate) fn failure() -> Option<String> {
    FAILURE.with_borrow_mut(Option::take)
}

/// Runs an evaluation whose questions `session` answers, and gives back what was asked.
pub(crate) fn with_session<T>(
    session: Option<Session>,
    evaluate: impl FnOnce() -> T,
) -> (T, Vec<Asked>) {
    /// A panic must not leave a session to the thread's next review.
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            SESSION.with_borrow_mut(|session| *session = None);
            FAILURE.with_borrow_mut(|failure| *failure = None);
        }
    }
    SESSION.with_borrow_mut(|current| *current = session);
    let clear = Clear;
    let value = evaluate();
    let asked = SESSION.with_borrow_mut(Option::take);
    drop(clear);
    (
        value,
        asked.map(|session| session.asked).unwrap_or_default(),
    )
}

/// Puts both into an engine. An engine that has them already keeps them.
pub(crate) fn install(engine: &mut Engine) {
    for (name, language) in NAMES.into_iter().zip(LANGUAGES) {
        let run = move |arguments: Vec<Rego>| {
            Ok(ask(name, language, &arguments).map_err(std::io::Error::other)?)
        };
        // Its only error is that there is one of this name.
        let _ = engine.add_extension(name.to_string(), ARITY, Box::new(run));
    }
}

/// One of them, as a plan calls it.
pub(crate) fn function(name: &str) -> Option<Function> {
    let known = NAMES.into_iter().zip(LANGUAGES);
    let (name, language) = known.into_iter().find(|(known, _)| *known == name)?;
    Some(Arc::new(move |arguments: &[Rego]| {
        ask(name, language, arguments).map_err(|_| NoAnswer)
    }))
}

/// Asks, and remembers a failure.
fn ask(name: &str, language: Language, arguments: &[Rego]) -> Result<Rego, String> {
    call(language, arguments).map_err(|problem| {
        let problem = format!("{name}: {problem}");
        FAILURE.with_borrow_mut(|first| {
            first.get_or_insert_with(|| problem.clone());
        });
        problem
    })
}

fn call(language: Language, arguments: &[Rego]) -> Result<Rego, String> {
    let [Rego::String(query), options @ Rego::Object(_)] = arguments else {
        return Err("takes a text and an object of options".to_string());
    };
    let options = serde_json::to_value(options).map_err(|error| error.to_string())?;
    SESSION.with_borrow_mut(|session| match session {
        Some(session) => session
            .answer(language, query, &options)
            .map(|answer| to_rego(&answer))
            .map_err(|problem| format!("{problem} ({query})")),
        None => Err(DataError::NoSource.to_string()),
    })
}

/// What a call means.
pub(super) fn question(
    language: Language,
    query: &str,
    options: &Value,
    now_millis: i64,
) -> Result<Question, String> {
    let mut question = Question {
        language,
        query: query.to_string(),
        options: options.to_string(),
        at_millis: now_millis,
        since: None,
        step: None,
        limit: LINES,
    };
    for (name, value) in options.as_object().into_iter().flatten() {
        let time = || {
            let text = value.as_str().unwrap_or_default();
            duration(text)
                .ok_or_else(|| format!("{name} {value} is no duration: write \"7d\" or \"1h30m\""))
        };
        match name.as_str() {
            "offset" => {
                let back = i64::try_from(time()?.as_millis()).unwrap_or(i64::MAX);
                question.at_millis = now_millis.saturating_sub(back);
            }
            "since" => question.since = Some(time()?),
            "step" => question.step = Some(time()?),
            "limit" => {
                let limit = value.as_u64().and_then(|limit| usize::try_from(limit).ok());
                question.limit = limit
                    .filter(|limit| (1..=LINES_MAX).contains(limit))
                    .ok_or_else(|| format!("limit {value} must be from 1 to {LINES_MAX}"))?;
            }
            _ => {
                return Err(format!(
                    "unknown option {name:?}: expected offset, since, step or limit"
                ));
            }
        }
    }
    if question.step.is_some_and(|step| step.is_zero()) {
        return Err("step must not be 0".to_string());
    }
    if question.step.is_some() && question.since.is_none() {
        return Err("step needs since".to_string());
    }
    if language == Language::Promql && question.since.is_some() && question.step.is_none() {
        return Err("since needs step".to_string());
    }
    Ok(question)
}

/// `7d`, `1h30m`: the greater units first, each once.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    let mut rest = text;
    let mut millis = 0_u64;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.len()
            - tail
                .trim_start_matches(|c: char| c.is_ascii_lowercase())
                .len();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        if unit >= last {
            return None;
        }
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        (last, rest) = (unit, tail);
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}
