//! Objects beside policies: `allow/` holds what must pass, `deny/` what must not, `warn/` what must pass with
//! a warning. What policies ask of metrics and logs is answered from a file of recorded answers: `NAME.data.yaml`
//! beside `NAME.yaml`, or `data.yaml` in the folder of the policies.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::Filter;
use super::report::{CaseResult, Outcome, SuiteResult, TestResult};
use super::run::{CASE_LIMIT, judge};
use crate::data::{Allowed, DataLimits, DataSource, Recorded, Session, with_session};
use crate::gatekeeper::Inventory;
use crate::gatekeeper::constraint::Action;
use crate::gatekeeper::documents::{self, Document};
use crate::gatekeeper::policies::Policies;

/// What a folder's objects must become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Allow,
    Deny,
    Warn,
}

/// What the objects of a folder are held against.
struct Held {
    policies: Policies,
    inventory: Inventory,
    data: PathBuf,
}

/// Runs every folder among `files` that has `allow/`, `deny/` or `warn/` in it. The policies are what lies
/// in the folder itself; objects in `inventory/` are what templates know beside the object.
pub(super) fn run(root: &Path, files: &[PathBuf], filter: &Filter) -> Vec<SuiteResult> {
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter_map(|file| file.parent())
        .filter(|folder| {
            ["allow", "deny", "warn"]
                .iter()
                .any(|name| folder.ends_with(name))
        })
        .filter_map(Path::parent)
        .filter(|folder| folder.starts_with(root))
        .collect();
    folders
        .into_iter()
        .filter_map(|folder| folder_of(folder, files, filter))
        .collect()
}

fn folder_of(folder: &Path, files: &[PathBuf], filter: &Filter) -> Option<SuiteResult> {
    let within = |folder: &Path| -> Vec<&PathBuf> {
        files
            .iter()
            .filter(|file| file.parent() == Some(folder) && !is_data(file))
            .collect()
    };
    let mut own = Vec::new();
    for file in within(folder) {
        match documents::read(file) {
            Ok(documents) => own.extend(documents),
            Err(error) => return Some(SuiteResult::broken(file, error.to_string())),
        }
    }
    let policies = match Policies::read_allowing(&own, Allowed::ALL) {
        // Somebody else's folder of that name.
        Ok(policies) if policies.is_empty() => return None,
        Ok(policies) => policies,
        Err(error) => return Some(SuiteResult::broken(folder, error.to_string())),
    };
    let mut inventory = Vec::new();
    for file in within(&folder.join("inventory")) {
        match documents::read(file) {
            Ok(documents) => inventory.extend(documents.into_iter().map(|d| d.object)),
            Err(error) => return Some(SuiteResult::broken(file, error.to_string())),
        }
    }
    let held = Held {
        policies,
        inventory: Inventory::new(&inventory),
        data: folder.join("data.yaml"),
    };
    let all = [
        ("allow", Wanted::Allow),
        ("deny", Wanted::Deny),
        ("warn", Wanted::Warn),
    ];
    let tests = all.map(|(name, wanted)| {
        let mut test = TestResult::new(name);
        for file in within(&folder.join(name)) {
            test.cases
                .extend(file_of(file, name, wanted, &held, filter));
        }
        test
    });
    Some(SuiteResult {
        path: folder.to_path_buf(),
        problem: None,
        tests: tests
            .into_iter()
            .filter(|test| !test.cases.is_empty())
            .collect(),
    })
}

fn file_of(
    file: &Path,
    test: &str,
    wanted: Wanted,
    held: &Held,
    filter: &Filter,
) -> Vec<CaseResult> {
    let broken = |problem: String| {
        let mut result = CaseResult::new(&file.display().to_string());
        result.outcome = Outcome::Fail(problem);
        vec![result]
    };
    let documents = match documents::read(file) {
        Ok(documents) => documents,
        Err(error) => return broken(error.to_string()),
    };
    let own = file.with_extension("data.yaml");
    let data = if own.is_file() { &own } else { &held.data };
    let recorded = match Recorded::read(data) {
        Ok(recorded) => recorded,
        Err(_) if !data.is_file() => Recorded::default(),
        Err(error) => return broken(error.to_string()),
    };
    let recorded: Arc<dyn DataSource> = Arc::new(recorded);
    let run = |Document { place, object }: Document| {
        let name = Path::new(&place)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let mut result = CaseResult::new(&name);
        if !filter.wants(test, &name) {
            result.outcome = Outcome::Skip;
            return result;
        }
        let begun = Instant::now();
        let deadline = begun + CASE_LIMIT;
        let session = Session::new(recorded.clone(), DataLimits::default(), deadline, 0);
        let (judged, _) = with_session(Some(session), || {
            judge(&held.policies, &object, &held.inventory)
        });
        result.outcome = match judged {
            Err(problem) => Outcome::Fail(problem),
            Ok(findings) => {
                result.printed = findings.printed;
                result.swallowed = findings.swallowed;
                let said = |wanted: Action| -> Vec<String> {
                    let found = findings.findings.iter();
                    found
                        .filter(|finding| finding.actions.contains(&wanted))
                        .map(|finding| format!("[{}] {}", finding.constraint, finding.message))
                        .collect()
                };
                let (denied, warned) = (said(Action::Deny), said(Action::Warn));
                match wanted {
                    Wanted::Allow | Wanted::Warn if !denied.is_empty() => {
                        Outcome::Fail(format!("it is denied: {}", denied.join("; ")))
                    }
                    Wanted::Allow if !warned.is_empty() => {
                        Outcome::Fail(format!("it is warned about: {}", warned.join("; ")))
                    }
                    Wanted::Deny if denied.is_empty() => {
                        Outcome::Fail("nothing denies it".to_string())
                    }
                    Wanted::Warn if warned.is_empty() => {
                        Outcome::Fail("nothing warns about it".to_string())
                    }
                    _ => Outcome::Pass,
                }
            }
        };
        result.took = begun.elapsed();
        result
    };
    documents.into_iter().map(run).collect()
}

fn is_data(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name == "data.yaml" || name.ends_with(".data.yaml")
}
