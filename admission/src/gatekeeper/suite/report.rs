//! What became of tests, and how it is printed: as `go test` does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What became of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteResult {
    /// The suite's file, or the folder.
    pub path: PathBuf,
    /// Why nothing of it could be run, where it is so.
    pub problem: Option<String>,
    /// Its tests.
    pub tests: Vec<TestResult>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// What became of it as a whole; its cases may still have failed.
    pub outcome: Outcome,
    /// Its cases.
    pub cases: Vec<CaseResult>,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What the template printed.
    pub printed: Vec<String>,
    /// Errors of builtins that the template swallowed.
    pub swallowed: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// An outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As asserted.
    Pass,
    /// Not run.
    Skip,
    /// Not as asserted, and why.
    Fail(String),
}

impl SuiteResult {
    /// A suite that could not be run.
    pub fn broken(path: &Path, problem: String) -> Self {
        SuiteResult {
            path: path.to_path_buf(),
            problem: Some(problem),
            tests: Vec::new(),
        }
    }

    /// Whether anything failed.
    pub fn failed(&self) -> bool {
        self.problem.is_some() || self.tests.iter().any(TestResult::failed)
    }
}

impl TestResult {
    /// One that passed, until something else is said.
    pub fn new(name: &str) -> Self {
        TestResult {
            name: name.to_string(),
            outcome: Outcome::Pass,
            cases: Vec::new(),
        }
    }

    /// Whether it or one of its cases failed.
    pub fn failed(&self) -> bool {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Fail(_));
        failed(&self.outcome) || self.cases.iter().any(|case| failed(&case.outcome))
    }
}

impl CaseResult {
    /// One that passed, until something else is said.
    pub fn new(name: &str) -> Self {
        CaseResult {
            name: name.to_string(),
            outcome: Outcome::Pass,
            printed: Vec::new(),
            swallowed: Vec::new(),
            took: Duration::ZERO,
        }
    }
}

/// A line a case, its problem below it, and counts at the end.
pub fn render(suites: &[SuiteResult]) -> String {
    let mut out = String::new();
    let (mut passed, mut failed, mut skipped) = (0_usize, 0_usize, 0_usize);
    for suite in suites {
        for test in &suite.tests {
            let word = match (&test.outcome, test.failed()) {
                (Outcome::Skip, _) => "SKIP",
                (_, true) => "FAIL",
                (_, false) => "PASS",
            };
            let _ = writeln!(out, "--- {word}: {}", test.name);
            if let Outcome::Fail(problem) = &test.outcome {
                let _ = writeln!(out, "    {problem}");
                failed += 1;
            } else if test.cases.is_empty() && test.outcome == Outcome::Pass {
                passed += 1;
            }
            for case in &test.cases {
                let word = match &case.outcome {
                    Outcome::Pass => {
                        passed += 1;
                        "PASS"
                    }
                    Outcome::Skip => {
                        skipped += 1;
                        "SKIP"
                    }
                    Outcome::Fail(_) => {
                        failed += 1;
                        "FAIL"
                    }
                };
                let milliseconds = case.took.as_secs_f64() * 1e3;
                let _ = writeln!(out, "    --- {word}: {} ({milliseconds:.1}ms)", case.name);
                if let Outcome::Fail(problem) = &case.outcome {
                    let _ = writeln!(out, "        {problem}");
                }
                for printed in &case.printed {
                    let _ = writeln!(out, "        printed: {printed}");
                }
                for swallowed in &case.swallowed {
                    let _ = writeln!(out, "        swallowed: {swallowed}");
                }
            }
        }
        let word = if suite.failed() { "FAIL" } else { "ok" };
        let _ = writeln!(out, "{word}\t{}", suite.path.display());
        if let Some(problem) = &suite.problem {
            let _ = writeln!(out, "    {problem}");
            failed += 1;
        }
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped");
    out
}
