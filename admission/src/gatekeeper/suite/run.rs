//! Running a Suite.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::report::{CaseResult, Outcome, SuiteResult, TestResult};
use super::{Case, Filter, Suite, Test};
use crate::config::FailMode;
use crate::gatekeeper::constraint::ConstraintError;
use crate::gatekeeper::documents::{self, Document};
use crate::gatekeeper::matching::Origin;
use crate::gatekeeper::policies::{Findings, Policies, PoliciesError};
use crate::gatekeeper::{EnforcementPoint, Inventory, Request};

/// No case takes longer.
pub(super) const CASE_LIMIT: Duration = Duration::from_secs(30);

/// Runs a suite.
pub fn suite(suite: &Suite, filter: &Filter) -> SuiteResult {
    let directory = suite.path.parent().unwrap_or(Path::new("."));
    let tests = suite.tests.iter().map(|it| {
        let wanted = it.cases.is_empty() && filter.wants(&it.name, "")
            || it
                .cases
                .iter()
                .any(|case| filter.wants(&it.name, &case.name));
        let mut result = TestResult::new(&it.name);
        if suite.skip || it.skip || !wanted {
            result.outcome = Outcome::Skip;
            return result;
        }
        match test(directory, it, filter) {
            Ok(cases) => result.cases = cases,
            Err(problem) => result.outcome = Outcome::Fail(problem),
        }
        result
    });
    SuiteResult {
        path: suite.path.clone(),
        problem: None,
        tests: tests.collect(),
    }
}

fn test(directory: &Path, test: &Test, filter: &Filter) -> Result<Vec<CaseResult>, String> {
    let mut wanted = vec![
        ("template", &test.template),
        ("constraint", &test.constraint),
    ];
    if !test.expansion.is_empty() {
        wanted.push(("expansion", &test.expansion));
    }
    let mut all = Vec::new();
    for (what, path) in wanted {
        if path.is_empty() {
            return Err(format!("the test names no {what}"));
        }
        all.extend(read(directory, path)?);
    }
    let policies = match (Policies::read(&all), test.invalid) {
        (Ok(policies), false) => policies,
        (
            Err(PoliciesError::Constraint {
                source: ConstraintError::Schema { .. },
                ..
            }),
            true,
        ) => {
            return Ok(Vec::new());
        }
        (Ok(_), true) => return Err("the constraint is valid, and should not be".to_string()),
        (Err(error), _) => return Err(error.to_string()),
    };
    if policies.is_empty() {
        return Err(format!("{} holds no constraint", test.constraint));
    }
    let run = |it: &Case| {
        let mut result = CaseResult::new(&it.name);
        if it.skip || !filter.wants(&test.name, &it.name) {
            result.outcome = Outcome::Skip;
            return result;
        }
        let begun = Instant::now();
        match case(directory, &policies, it) {
            Ok((findings, outcome)) => {
                result.printed = findings.printed;
                result.swallowed = findings.swallowed;
                result.outcome = outcome;
            }
            Err(problem) => result.outcome = Outcome::Fail(problem),
        }
        result.took = begun.elapsed();
        result
    };
    Ok(test.cases.iter().map(run).collect())
}

fn read(directory: &Path, path: &str) -> Result<Vec<Document>, String> {
    documents::read(&directory.join(path)).map_err(|error| error.to_string())
}

fn case(directory: &Path, policies: &Policies, case: &Case) -> Result<(Findings, Outcome), String> {
    if case.object.is_empty() {
        return Err("the case names no object".to_string());
    }
    if case.assertions.is_empty() {
        return Err("the case asserts nothing".to_string());
    }
    let object = match read(directory, &case.object)?.as_slice() {
        [one] => one.object.clone(),
        several => {
            return Err(format!(
                "{} holds {} objects, not one",
                case.object,
                several.len()
            ));
        }
    };
    let mut inventory = Vec::new();
    for path in &case.inventory {
        inventory.extend(
            read(directory, path)?
                .into_iter()
                .map(|document| document.object),
        );
    }
    let findings = judge(policies, &object, &Inventory::new(&inventory))?;
    let messages: Vec<_> = findings
        .findings
        .iter()
        .map(|f| f.message.clone())
        .collect();
    let failed = case
        .assertions
        .iter()
        .find_map(|assertion| assertion.check(&messages).err());
    let outcome = failed.map_or(Outcome::Pass, Outcome::Fail);
    Ok((findings, outcome))
}

/// What policies say of an object, or of the request of an AdmissionReview.
pub(super) fn judge(
    policies: &Policies,
    object: &Value,
    inventory: &Inventory,
) -> Result<Findings, String> {
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let version = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_review = kind == "AdmissionReview" && version.starts_with("admission.k8s.io/");
    let request = if is_review {
        match object.get("request") {
            Some(Value::Object(request)) => Request::of_request(request.clone(), Origin::Original),
            _ => return Err("the AdmissionReview holds no request".to_string()),
        }
    } else {
        Request::of_object(object, Origin::Original)
    };
    let request = request.map_err(|error| error.to_string())?;
    let deadline = Instant::now() + CASE_LIMIT;
    let point = EnforcementPoint::Gator;
    if is_review {
        return Ok(policies.review(&request, inventory, point, FailMode::Closed, deadline));
    }
    policies
        .review_expanded(&request, inventory, point, FailMode::Closed, deadline)
        .map_err(|error| error.to_string())
}
