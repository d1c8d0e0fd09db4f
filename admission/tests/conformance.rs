//! The Pod Security runner: upstream's own fixtures against the embedded policies.
//!
//! Reads `pod-security/LEVEL/vX.Y/{pass,fail}/*.yaml` below `TAFFRAIL_CONFORMANCE` or
//! `../shared/conformance` beside the project, and skips, saying so, where there is none. A pod
//! under `pass` must be allowed; one under `fail` must be refused, and by the check its file is
//! named after, so that a pod refused for another reason does not count. What is answered, of the pod and of a
//! Deployment of it, is held against upstream's words too ([`answers`]). The score may only
//! rise above `conformance/floor.txt`, and the latest version must pass whole.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test may fail the test"
)]

#[path = "conformance/answers.rs"]
mod answers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use admission::bundle::Bundle;
use admission::pod_security::{LATEST_MINOR, Level, LevelVersion, Version};
use admission::review::Target;
use admission::review::pod::Pod;

const FLOOR: &str = include_str!("conformance/floor.txt");
const FAILURES_SHOWN: usize = 20;
const THREADS: usize = 2;

/// One fixture and what is expected of it.
struct Case {
    path: PathBuf,
    folder: String,
    policy: LevelVersion,
    allowed: bool,
}

fn root() -> PathBuf {
    std::env::var_os("TAFFRAIL_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"),
        PathBuf::from,
    )
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for level_path in entries(root) {
        let level: Level = name(&level_path).parse().unwrap();
        let mut versions: Vec<(Version, PathBuf)> = entries(&level_path)
            .into_iter()
            .map(|path| (name(&path).parse().unwrap(), path))
            .collect();
        versions.sort_by_key(|(version, _)| version.judged_as());
        for (version, version_path) in versions {
            for outcome_path in entries(&version_path) {
                let allowed = name(&outcome_path) == "pass";
                cases.extend(entries(&outcome_path).into_iter().map(|path| Case {
                    path,
                    folder: format!("{level}/{version}"),
                    policy: LevelVersion { level, version },
                    allowed,
                }));
            }
        }
    }
    cases
}

/// The check a fixture is named after, without its level's suffix and its number.
fn check_of(path: &Path) -> String {
    let stem = name(path);
    let stem = stem.trim_end_matches(".yaml");
    let check = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    check.split('_').next().unwrap().to_string()
}

fn judge(bundle: &Bundle, case: &Case) -> Result<(), String> {
    let text = fs::read_to_string(&case.path).map_err(|error| error.to_string())?;
    let object = serde_yaml_ng::from_str(&text).map_err(|error| error.to_string())?;
    answers::judge(bundle, case, &object)?;
    let pod = Pod::of(Target::Pod, &object)
        .map_err(|error| error.to_string())?
        .ok_or("no pod")?;
    let found = bundle
        .pod_violations(pod.input, case.policy, Duration::from_mins(1))
        .map_err(|error| error.to_string())?;
    let got: Vec<_> = found.iter().map(|v| format!("{}: {v}", v.rule())).collect();
    if case.allowed {
        return if got.is_empty() {
            Ok(())
        } else {
            Err(format!("expected no violations, got {got:?}"))
        };
    }
    let check = check_of(&case.path);
    let named = found.iter().any(|violation| {
        let rule = violation.rule().to_ascii_lowercase();
        rule.starts_with(&check) || (check == "hostpathvolumes" && rule == "restrictedvolumes")
    });
    if named {
        Ok(())
    } else {
        Err(format!("expected a violation of {check}, got {got:?}"))
    }
}

#[test]
fn pod_security_fixtures() {
    let root = root().join("pod-security");
    if !root.is_dir() {
        println!(
            "conformance pod-security: skipped, {} is absent",
            root.display()
        );
        return;
    }
    let bundle = Bundle::embedded().unwrap();
    let cases = cases(&root);
    let chunk = cases.len().div_ceil(THREADS).max(1);
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let bundle = &bundle;
        let workers: Vec<_> = cases
            .chunks(chunk)
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .map(|case| judge(bundle, case))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });

    let mut folders: Vec<(&str, usize, usize)> = Vec::new();
    for (case, result) in cases.iter().zip(&results) {
        if folders
            .last()
            .is_none_or(|(folder, ..)| *folder != case.folder)
        {
            folders.push((&case.folder, 0, 0));
        }
        let (_, passed, total) = folders.last_mut().unwrap();
        *passed += usize::from(result.is_ok());
        *total += 1;
    }
    for (folder, passed, total) in &folders {
        println!("  {folder}: {passed} of {total}");
    }
    let failures: Vec<_> = cases
        .iter()
        .zip(&results)
        .filter_map(|(case, result)| result.as_ref().err().map(|problem| (case, problem)))
        .collect();
    for (case, problem) in failures.iter().take(FAILURES_SHOWN) {
        let path = case.path.strip_prefix(&root).unwrap();
        println!("{}: {problem}", path.display());
    }
    let passed = cases.len() - failures.len();
    println!("\nconformance pod-security: {passed} of {}", cases.len());

    let floor: usize = FLOOR.trim().parse().unwrap();
    assert!(
        passed >= floor.min(cases.len()),
        "{passed} passed, fewer than the floor of {floor}"
    );
    let latest: Vec<_> = failures
        .iter()
        .filter(|(case, _)| case.policy.version.judged_as() == LATEST_MINOR)
        .map(|(case, _)| &case.path)
        .collect();
    assert!(
        latest.is_empty(),
        "the latest version must pass whole: {latest:?}"
    );
}
