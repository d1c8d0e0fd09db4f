//! Upstream's PromQL cases, run as they are.
//!
//! The cases lie outside the project (`TAFFRAIL_CONFORMANCE`, or `../shared/conformance` beside
//! it); where they are absent the test says so and passes. Each case is asked in up to three ways:
//! as it stands, as the middle of a range query, and with `@` pinned from other instants. The score
//! may not fall below `floor`.
//!
//! - [`script`]: the files, line by line.
//! - [`points`]: sequences of values, `1+2x3` and `{{schema:0 …}}`.
//! - [`storage`]: an in-memory source that keeps what is loaded as upstream's store returns it.
//! - [`classic`]: classic histograms as native ones with custom buckets.
//! - [`ask`]: the ways to ask a case.
//! - [`compare`]: what came against what was expected.

// A test may end at the first thing that is not as it should be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]
// The modules of a test binary have no outside.
#![allow(unreachable_pub)]

mod ask;
mod classic;
mod compare;
mod points;
mod script;
mod storage;

use std::path::PathBuf;

use script::{Command, Script};
use storage::Storage;
use tsdb::query::format::pretty::pretty;
use tsdb::query::parse;

/// Cases that must pass, all files together.
const FLOOR: &str = include_str!("floor");
/// Failures shown where nothing else is asked for.
const FAILURES_SHOWN: usize = 10;

fn cases() -> Option<PathBuf> {
    let root = std::env::var_os("TAFFRAIL_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"),
        PathBuf::from,
    );
    let folder = root.join("promql");
    folder.is_dir().then_some(folder)
}

/// Runs one file: how many cases passed, and what went wrong with the others.
fn run(script: &Script) -> (usize, Vec<String>) {
    let mut storage = Storage::default();
    let mut passed = 0;
    let mut failures = Vec::new();
    for (line, command) in &script.commands {
        match command {
            Command::Clear => storage = Storage::default(),
            Command::Load(load) => storage.load(load),
            Command::Eval(case) => match ask::ask(&storage, case) {
                Ok(()) => passed += 1,
                Err(reason) => failures.push(format!(
                    "{}:{line}: {}\n    {reason}",
                    script.name, case.query
                )),
            },
        }
    }
    (passed, failures)
}

/// The files in their order; none where there is no folder.
fn scripts() -> Vec<Script> {
    let Some(folder) = cases() else {
        println!("conformance promql: skipped, no cases found (set TAFFRAIL_CONFORMANCE)");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "test")
        })
        .collect();
    files.sort();
    let script = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Script::parse(&name, &text)
    };
    files.into_iter().map(script).collect()
}

#[test]
fn upstream_cases_pass() {
    let scripts = scripts();
    if scripts.is_empty() {
        return;
    }
    let mut totals = (0, 0);
    let mut failures = Vec::new();
    for script in &scripts {
        let (passed, failed) = run(script);
        println!("  {}: {passed} of {}", script.name, passed + failed.len());
        totals = (totals.0 + passed, totals.1 + passed + failed.len());
        failures.extend(failed);
    }
    let shown = std::env::var("TAFFRAIL_CONFORMANCE_SHOW");
    let shown = shown
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(FAILURES_SHOWN);
    for failure in failures.iter().take(shown) {
        println!("{failure}");
    }
    println!("conformance promql: {} of {}", totals.0, totals.1);
    let floor: usize = FLOOR.trim().parse().expect("a number in the floor file");
    assert!(totals.0 >= floor, "{} cases passed, {floor} must", totals.0);
}

#[test]
fn every_query_of_the_cases_formats_to_the_same_tree() {
    let scripts = scripts();
    let commands = scripts.iter().flat_map(|script| &script.commands);
    let mut count = 0;
    for (_, command) in commands {
        let Command::Eval(case) = command else {
            continue;
        };
        let query = &case.query;
        // Some cases are about texts that are no query.
        let Ok(tree) = parse(query) else { continue };
        let line = tree.to_string();
        for text in [&line, &pretty(&tree)] {
            let again = parse(text).unwrap_or_else(|error| panic!("{query}: {text}: {error}"));
            assert_eq!(again.to_string(), line, "{query}: {text}");
            // NaN equals nothing; of such trees the texts have to do.
            assert!(again == tree || line.contains("NaN"), "{query}: {text}");
        }
        count += 1;
    }
    println!("conformance promql formatted: {count}");
    assert!(count > 1000 || scripts.is_empty(), "{count} were parsed");
}
