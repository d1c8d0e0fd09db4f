//! `taffrail check rules`: rule files, as the server would read them. Output and exit status are promtool's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use tsdb::rules::file::GroupSpec;
use tsdb::rules::manager::{read_file, read_files};

/// What became of the files.
pub(crate) struct Checked {
    /// What to print.
    pub(crate) text: String,
    /// Whether something is wrong.
    pub(crate) failed: bool,
}

/// Checks every file; a broken one does not hide the others.
pub(crate) fn check(files: &[PathBuf]) -> Checked {
    let mut checked = Checked {
        text: String::new(),
        failed: false,
    };
    for path in files {
        let out = &mut checked.text;
        let _ = writeln!(out, "Checking {}", path.display());
        match read(path) {
            Ok(groups) => {
                let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
                let duplicates = duplicates(&groups);
                if duplicates.is_empty() {
                    let _ = writeln!(out, "  SUCCESS: {rules} rules found");
                } else {
                    checked.failed = true;
                    let count = duplicates.len();
                    let _ = writeln!(out, "  FAILED:\n{count} duplicate rule(s) found.");
                    for duplicate in duplicates {
                        out.push_str(&duplicate);
                    }
                    out.push_str("Might cause inconsistency while recording expressions\n");
                }
            }
            Err(errors) => {
                checked.failed = true;
                out.push_str("  FAILED:\n");
                for error in errors {
                    let _ = writeln!(out, "{error}");
                }
            }
        }
        out.push('\n');
    }
    checked
}

/// The rule files that a configuration names: every mistake in them.
pub(crate) fn configured(files: &[String]) -> anyhow::Result<()> {
    let read = read_files(files, &promql);
    read.map(|_| ()).map_err(|error| anyhow!("rules: {error}"))
}

/// The normal form of an expression, or why it is none.
fn promql(expr: &str) -> Result<String, String> {
    let expr = tsdb::query::parse(expr);
    expr.map(|expr| expr.to_string())
        .map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Vec<GroupSpec>, Vec<String>> {
    read_file(path, &promql)
}

/// Whether it is an alert, its name and its labels.
type Identity<'a> = (bool, &'a str, Vec<(&'a str, &'a str)>);

/// Rules of a name and labels that are there already: one of them overwrites the other.
fn duplicates(groups: &[GroupSpec]) -> Vec<String> {
    let mut seen: BTreeMap<Identity<'_>, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let labels: Vec<(&str, &str)> = (rule.labels.iter())
            .map(|(name, value)| (name.as_str(), value.text()))
            .collect();
        let is_alert = matches!(rule.kind, tsdb::rules::file::RuleKind::Alerting(_));
        let key = (is_alert, rule.name.as_str(), labels.clone());
        let Some(was_told) = seen.get_mut(&key) else {
            seen.insert(key, false);
            continue;
        };
        if std::mem::replace(was_told, true) {
            continue;
        }
        let mut text = format!("Metric: {}\n", rule.name);
        if !labels.is_empty() {
            text.push_str("Label(s):\n");
            for (name, value) in labels {
                let _ = writeln!(text, "\t{name}: {value}");
            }
        }
        found.push(text);
    }
    found
}
