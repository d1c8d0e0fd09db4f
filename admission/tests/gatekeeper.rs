//! The suites beside this file, which `gator verify` passes too.

use std::path::Path;

use admission::gatekeeper::suite::{Filter, report, run_path};

#[test]
fn every_suite_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gatekeeper");
    let results = run_path(&folder, &Filter::default()).unwrap();
    assert!(results.len() >= 8, "{} suites", results.len());
    let failed = results
        .iter()
        .any(admission::gatekeeper::suite::SuiteResult::failed);
    assert!(!failed, "{}", report::render(&results));
}
