//! Runs Loki's own LogQL cases (`*.logqltest`) against the evaluator.
//!
//! The cases are data that is not part of this project: they are read from the directory
//! `TAFFRAIL_CONFORMANCE` names, or from `../shared/conformance` beside the project, and without
//! either the test says that it skips. The score may only rise: `conformance/floor.txt` holds what was
//! reached.

// The runner prints its score, and asserts on its case files by unwrapping.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/log_queries.rs"]
mod log_queries;
#[path = "conformance/memory_source.rs"]
mod memory_source;
#[path = "conformance/script.rs"]
mod script;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use memory_source::MemorySource;
use script::{Command, Evaluation};

/// How many failures are shown.
const FAILURES_SHOWN: usize = 40;

fn cases_directory() -> Option<PathBuf> {
    let root = std::env::var_os("TAFFRAIL_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"),
        PathBuf::from,
    );
    let directory = root.join("logql");
    directory.is_dir().then_some(directory)
}

/// Passed, total, and what went wrong.
#[derive(Default)]
struct Score {
    passed: usize,
    total: usize,
    failures: Vec<String>,
}

fn run_file(path: &Path) -> Score {
    let text = std::fs::read_to_string(path).expect("a readable case file");
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut source = MemorySource::default();
    let mut score = Score::default();
    for command in script::parse(&text) {
        match command {
            Command::Clear => source = MemorySource::default(),
            Command::Load(entries) => source.load(entries),
            Command::Eval(evaluation) => {
                score.total += 1;
                match run(&source, &evaluation) {
                    Ok(()) => score.passed += 1,
                    Err(difference) => score.failures.push(format!(
                        "{name}:{}: {}\n{difference}",
                        evaluation.line, evaluation.query
                    )),
                }
            }
        }
    }
    score
}

fn run(source: &MemorySource, evaluation: &Evaluation) -> Result<(), String> {
    let got = evaluation.evaluate(source);
    compare::compare(evaluation, got)
}

#[test]
fn upstream_cases_score_at_least_the_floor() {
    let Some(directory) = cases_directory() else {
        println!("conformance logql: skipped, no cases found");
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("a readable directory")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "logqltest")
        })
        .collect();
    files.sort();
    let mut all = Score::default();
    let mut report = String::new();
    for file in files {
        let mut score = run_file(&file);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(report, "  {name}: {} of {}", score.passed, score.total);
        all.passed += score.passed;
        all.total += score.total;
        all.failures.append(&mut score.failures);
    }
    println!("\nconformance logql: {} of {}", all.passed, all.total);
    print!("{report}");
    for failure in all.failures.iter().take(FAILURES_SHOWN) {
        println!("{failure}");
    }
    let floor: usize = include_str!("conformance/floor.txt")
        .trim()
        .parse()
        .expect("a number");
    assert!(
        all.passed >= floor.min(all.total),
        "{} of {} cases pass, the floor is {floor}",
        all.passed,
        all.total
    );
}
