//! Objects beside policies: `allow/` holds what must pass, `deny/` what must not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Filter;
use super::report::{CaseResult, Outcome, SuiteResult, TestResult};
use super::run::judge;
use crate::gatekeeper::Inventory;
use crate::gatekeeper::constraint::Action;
use crate::gatekeeper::documents::{self, Document};
use crate::gatekeeper::policies::Policies;

/// What a folder's objects must become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Allow,
    Deny,
}

/// Runs every folder among `files` that has `allow/` or `deny/` in it. The policies are what lies
/// in the folder itself; objects in `inventory/` are what templates know beside the object.
pub(super) fn run(root: &Path, files: &[PathBuf], filter: &Filter) -> Vec<SuiteResult> {
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter_map(|file| file.parent())
        .filter(|folder| folder.ends_with("allow") || folder.ends_with("deny"))
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
            .filter(|file| file.parent() == Some(folder))
            .collect()
    };
    let mut own = Vec::new();
    for file in within(folder) {
        match documents::read(file) {
            Ok(documents) => own.extend(documents),
            Err(error) => return Some(SuiteResult::broken(file, error.to_string())),
        }
    }
    let policies = match Policies::read(&own) {
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
    let inventory = Inventory::new(&inventory);
    let tests = [("allow", Wanted::Allow), ("deny", Wanted::Deny)].map(|(name, wanted)| {
        let mut test = TestResult::new(name);
        for file in within(&folder.join(name)) {
            test.cases
                .extend(file_of(file, name, wanted, &policies, &inventory, filter));
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
    policies: &Policies,
    inventory: &Inventory,
    filter: &Filter,
) -> Vec<CaseResult> {
    let documents = match documents::read(file) {
        Ok(documents) => documents,
        Err(error) => {
            let mut result = CaseResult::new(&file.display().to_string());
            result.outcome = Outcome::Fail(error.to_string());
            return vec![result];
        }
    };
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
        result.outcome = match judge(policies, &object, inventory) {
            Err(problem) => Outcome::Fail(problem),
            Ok(findings) => {
                result.printed = findings.printed;
                result.swallowed = findings.swallowed;
                let denied: Vec<_> = findings
                    .findings
                    .iter()
                    .filter(|finding| finding.actions.contains(&Action::Deny))
                    .map(|finding| format!("[{}] {}", finding.constraint, finding.message))
                    .collect();
                match (wanted, denied.is_empty()) {
                    (Wanted::Allow, true) | (Wanted::Deny, false) => Outcome::Pass,
                    (Wanted::Allow, false) => {
                        Outcome::Fail(format!("it is denied: {}", denied.join("; ")))
                    }
                    (Wanted::Deny, true) => Outcome::Fail("nothing denies it".to_string()),
                }
            }
        };
        result.took = begun.elapsed();
        result
    };
    documents.into_iter().map(run).collect()
}
