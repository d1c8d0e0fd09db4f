//! Rego that other people wrote, meant for OPA, run by regorus.
//!
//! A template was tested with OPA and decides about clusters, so here it must decide as it does
//! there. Where regorus reads or evaluates the language otherwise, the text is mended before it
//! is loaded ([`source`] for what its parser would read otherwise, [`normalise`] for what it would
//! evaluate otherwise, [`heads`] for rules whose head has no value), or a builtin is replaced by one of ours ([`builtins`]); what neither can
//! mend is refused at load with its line ([`check`]). A [`Program`] is the result: it answers one
//! rule, within a limit on time, and one on what it builds (`bounds`). Which of its rules said so, and what of
//! the input that rests on, is told by `trace`.
//!
//! In OPA a builtin that fails makes its expression undefined, and a template relies on that;
//! here it does the same, but what was swallowed is told beside the answer. An error that OPA
//! does not swallow, as two values of one rule, is an error of the evaluation.
//!
//! Lines are kept: whatever is inserted is inserted within a line, so that an error names the
//! line of the text as its author knows it.

pub(crate) mod bounds;
pub mod builtins;
pub mod check;
mod edit;
pub(crate) mod elements;
mod extent;
pub(crate) mod heads;
pub mod names;
pub mod normalise;
pub(crate) mod plan;
pub(crate) mod prepare;
pub mod program;
pub mod source;
pub(crate) mod trace;
mod walk;

pub use program::{Answer, Program, ProgramError};

use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::{Engine, PolicyLengthConfig};

use crate::data;
use plan::Function;

/// Which edition of the language a module is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// Before OPA 1.0: rules without `if` and `contains`.
    V0,
    /// Since OPA 1.0.
    V1,
}

/// A module as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What errors call it.
    pub name: String,
    /// What it says.
    pub rego: String,
    /// How to read it.
    pub edition: Edition,
}

/// What becomes of the error of a builtin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    /// It fails the evaluation.
    Told,
    /// It makes the call undefined, as in OPA, and is remembered.
    Swallowed,
}

/// Puts what a text calls into an engine, in the place of what regorus has of these names: builtins of ours, guards of others, those
/// that ask the data.
pub(crate) fn install(engine: &mut Engine, text: &str, errors: Errors) {
    builtins::install(engine, text, errors);
    bounds::install(engine, text, errors);
    if data::NAMES.iter().any(|name| text.contains(name)) {
        data::install(engine);
    }
}

/// A builtin that answers from its arguments alone, as a plan calls it.
pub(crate) fn function(name: &str, errors: Errors) -> Option<Function> {
    builtins::function(name, errors).or_else(|| bounds::function(name, errors))
}

/// Why a module is refused. `name` is the module, `line` counts from 1; 0 where regorus names none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {problem}")]
pub struct Refusal {
    /// The module.
    pub name: String,
    /// The line.
    pub line: u32,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl Refusal {
    /// From what regorus says: ` --> NAME:LINE:COLUMN`, the source, `error: WHAT`.
    pub(crate) fn from_regorus(name: &str, error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        let line = text
            .split("--> ")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .and_then(|place| place.rsplit(':').nth(1))
            .and_then(|line| line.parse().ok());
        Refusal {
            name: name.to_string(),
            line: line.unwrap_or(0),
            problem: message(&text),
        }
    }
}

/// What `of` gives, unless it panics: what a user sends must not end what judges others. The panic itself is logged by its hook.
pub(crate) fn or_panicked<T>(of: impl FnOnce() -> T) -> Result<T, &'static str> {
    catch_unwind(AssertUnwindSafe(of)).map_err(|_| PANICKED)
}

/// What is told of it.
const PANICKED: &str = "the evaluation panicked, which is a bug of this program: please report it";

/// The last word of a regorus error, without the source it quotes.
pub(crate) fn message(text: &str) -> String {
    let problem = text
        .lines()
        .rev()
        .find_map(|line| line.split_once("error: "))
        .map_or(text, |(_, problem)| problem);
    problem.trim().replace('\n', " ")
}

/// Lines grow by what is inserted, and what people write is wider than regorus expects.
pub(crate) const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: NonZeroU32::new(1 << 16).unwrap(),
    max_file_bytes: NonZeroUsize::new(4 << 20).unwrap(),
    max_lines: NonZeroUsize::new(50_000).unwrap(),
};

#[cfg(test)]
mod tests;
