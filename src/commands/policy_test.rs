//! `taffrail policy test`: the tests of policies.

use admission::gatekeeper::suite::{Filter, report, run_path};
use anyhow::{Context as _, anyhow, bail};

use super::check_rules::Checked;
use crate::cli::PolicyTestArgs;

/// Runs what every path holds; a path that holds no test is an error, for it was meant to.
pub(crate) fn test(args: &PolicyTestArgs) -> anyhow::Result<Checked> {
    let filter = Filter::new(&args.run).map_err(|problem| anyhow!("--run: {problem}"))?;
    let mut results = Vec::new();
    for path in &args.paths {
        let found = run_path(path, &filter).context("cannot run tests")?;
        if found.is_empty() {
            bail!(
                "{} holds no tests: give a Suite, or a folder with one, or policies with allow/ and deny/ beside them",
                path.display()
            );
        }
        results.extend(found);
    }
    Ok(Checked {
        failed: results
            .iter()
            .any(admission::gatekeeper::suite::SuiteResult::failed),
        text: report::render(&results),
    })
}
