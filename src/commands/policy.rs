//! `taffrail policy check`: manifests against the webhook's own bundle.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use admission::AdmissionConfig;
use admission::check::{CheckResult, CheckVerdict, Checker};
use admission::pod_security::{Level, Version};
use anyhow::Context as _;

use super::policy_reports::{junit, object_of, sarif};
use crate::cli::{PolicyCheckArgs, PolicyOutput};
use crate::config;

/// What became of the manifests.
pub(crate) struct Judged {
    /// What to print.
    pub(crate) text: String,
    /// Whether one is refused, or could not be judged.
    pub(crate) refused: bool,
}

/// Judges every file; a broken one does not hide the others.
pub(crate) fn check(args: &PolicyCheckArgs) -> anyhow::Result<Judged> {
    let admission = configured(
        args.config.as_deref(),
        args.policies.as_deref(),
        args.level,
        args.version,
    )?;
    let checker = Checker::new(&admission)?;
    let mut results = Vec::new();
    for path in &args.files {
        let text = read(path)?;
        results.extend(checker.check(&path.display().to_string(), &text));
    }
    let refuses = |verdict| matches!(verdict, CheckVerdict::Fail | CheckVerdict::Error);
    Ok(Judged {
        refused: results.iter().any(|result| refuses(result.verdict)),
        text: match args.output {
            PolicyOutput::Json => format!("{}\n", serde_json::to_string_pretty(&results)?),
            PolicyOutput::Table => render(&results),
            PolicyOutput::Sarif => format!("{}\n", serde_json::to_string_pretty(&sarif(&results))?),
            PolicyOutput::Junit => junit(&results),
        },
    })
}

/// The admission section of a configuration, with what the command line says.
pub(super) fn configured(
    file: Option<&Path>,
    policies: Option<&Path>,
    level: Option<Level>,
    version: Option<Version>,
) -> anyhow::Result<AdmissionConfig> {
    let mut admission = match file {
        Some(path) => config::read(path)?.admission,
        None => AdmissionConfig::default(),
    };
    if let Some(folder) = policies {
        admission.gatekeeper.directory = Some(folder.to_path_buf());
    }
    let pod_security = &mut admission.pod_security;
    pod_security.enforce = level.unwrap_or(pod_security.enforce);
    pod_security.enforce_version = version.unwrap_or(pod_security.enforce_version);
    Ok(admission)
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A line an object, its reasons below it, and a count at the end.
fn render(results: &[CheckResult]) -> String {
    let mut out = String::new();
    for result in results {
        let word = match result.verdict {
            CheckVerdict::Pass => "pass",
            CheckVerdict::Fail => "FAIL",
            CheckVerdict::Skip => "skip",
            CheckVerdict::Error => "ERROR",
        };
        let object = object_of(result);
        let _ = writeln!(out, "{word:<5} {}: {object}", result.file);
        for message in &result.messages {
            let _ = writeln!(out, "      {message}");
        }
        for warning in &result.warnings {
            let _ = writeln!(out, "      warning: {warning}");
        }
    }
    let count = |wanted| {
        results
            .iter()
            .filter(|result| result.verdict == wanted)
            .count()
    };
    let _ = writeln!(
        out,
        "{} passed, {} failed, {} skipped, {} unreadable",
        count(CheckVerdict::Pass),
        count(CheckVerdict::Fail),
        count(CheckVerdict::Skip),
        count(CheckVerdict::Error),
    );
    out
}
