//! Tests of policies: Gatekeeper's Suites, and folders of objects beside policies of one's own.
//!
//! A Suite (`test.gatekeeper.sh`) names templates, constraints and cases, as `gator verify` reads
//! it. Where a folder holds policies and beside them `allow/` or `deny/`, every object in those is a
//! case: nothing may speak against the one, and something must deny the other.

pub mod beside;
pub mod report;
pub mod run;

use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;

use super::documents::{self, DocumentError};
use crate::rego::builtins::compile_pattern;

pub use report::{CaseResult, Outcome, SuiteResult, TestResult};

/// A suite, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suite {
    /// The file.
    #[serde(skip)]
    pub path: PathBuf,
    #[serde(default)]
    tests: Vec<Test>,
    #[serde(default)]
    skip: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Test {
    #[serde(default)]
    name: String,
    #[serde(default)]
    template: String,
    #[serde(default)]
    constraint: String,
    #[serde(default)]
    expansion: String,
    #[serde(default)]
    cases: Vec<Case>,
    #[serde(default)]
    invalid: bool,
    #[serde(default)]
    skip: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(default)]
    name: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    inventory: Vec<String>,
    #[serde(default)]
    assertions: Vec<Assertion>,
    #[serde(default)]
    skip: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Assertion {
    #[serde(default)]
    violations: Option<Count>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Count {
    Number(i64),
    /// `yes` and `no`, without quotes.
    Bool(bool),
    Word(String),
}

impl Assertion {
    /// Why the messages are not what is asserted, if they are not.
    fn check(&self, messages: &[String]) -> Result<(), String> {
        let matching = match &self.message {
            None => messages.len(),
            Some(pattern) => {
                let regex = compile_pattern(pattern)?;
                messages
                    .iter()
                    .filter(|message| regex.is_match(message))
                    .count()
            }
        };
        let (holds, wanted) = match &self.violations {
            None | Some(Count::Bool(true)) => (matching > 0, "at least 1".to_string()),
            Some(Count::Bool(false)) => (matching == 0, "none".to_string()),
            Some(Count::Word(word)) if word == "yes" => (matching > 0, "at least 1".to_string()),
            Some(Count::Word(word)) if word == "no" => (matching == 0, "none".to_string()),
            Some(Count::Number(number)) if *number >= 0 => (
                i64::try_from(matching) == Ok(*number),
                format!("exactly {number}"),
            ),
            Some(Count::Word(_) | Count::Number(_)) => {
                return Err("violations must be a number, \"yes\" or \"no\"".to_string());
            }
        };
        if holds {
            return Ok(());
        }
        let containing = match &self.message {
            Some(pattern) => format!(" matching {pattern:?}"),
            None => String::new(),
        };
        Err(format!(
            "{matching} violations{containing}, not {wanted}: {messages:?}"
        ))
    }
}

/// Which tests and cases are run: all, those whose name or whose test's name matches, or with
/// `TEST//CASE` those where both match.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    test: Option<Regex>,
    case: Option<Regex>,
}

impl Filter {
    /// From what follows `--run`.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = compile_pattern;
        match text.split("//").collect::<Vec<_>>().as_slice() {
            [""] => Ok(Filter::default()),
            [either] => Ok(Filter {
                test: Some(regex(either)?),
                case: None,
            }),
            [test, case] => Ok(Filter {
                test: Some(regex(test)?),
                case: Some(regex(case)?),
            }),
            _ => Err("a filter holds at most one //".to_string()),
        }
    }

    fn wants(&self, test: &str, case: &str) -> bool {
        match (&self.test, &self.case) {
            (None, _) => true,
            (Some(either), None) => either.is_match(test) || either.is_match(case),
            (Some(of_test), Some(of_case)) => of_test.is_match(test) && of_case.is_match(case),
        }
    }
}

/// Runs everything that a path holds: a suite, a folder and those below it, or with `...` the same.
pub fn run_path(path: &Path, filter: &Filter) -> Result<Vec<SuiteResult>, DocumentError> {
    let path = match path.file_name() {
        Some(name) if name == "..." => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        },
        _ => path,
    };
    let files = if path.is_dir() {
        documents::files(path)?
    } else {
        vec![path.to_path_buf()]
    };
    let mut results = Vec::new();
    for file in &files {
        match suite(file) {
            Ok(None) => {}
            Ok(Some(suite)) => results.push(run::suite(&suite, filter)),
            Err(error) if path.is_dir() && !mentions_suite(file) => {
                // Somebody else's file, such as a template of templates.
                tracing::debug!(%error, "passed over");
            }
            Err(error) => results.push(SuiteResult::broken(file, error.to_string())),
        }
    }
    results.extend(beside::run(path, &files, filter));
    Ok(results)
}

fn mentions_suite(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains("test.gatekeeper.sh"))
}

/// The suite that a file holds, if it is one.
fn suite(file: &Path) -> Result<Option<Suite>, DocumentError> {
    let documents = documents::read(file)?;
    let Some(document) = documents
        .into_iter()
        .find(|document| document.group_and_kind() == ("test.gatekeeper.sh", "Suite"))
    else {
        return Ok(None);
    };
    let mut suite: Suite =
        serde_json::from_value(document.object).map_err(|error| DocumentError::Parse {
            place: document.place,
            problem: error.to_string(),
        })?;
    suite.path = file.to_path_buf();
    Ok(Some(suite))
}

#[cfg(test)]
mod tests;
