//! `taffrail policy replay`: a candidate over the decisions of the last days.

mod decisions;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use admission::AdmissionConfig;
use admission::pod_security::Version;
use admission::replay::{Candidate, Counts, Direction, Report, Scope};
use tokio::runtime::Runtime;

use super::table;
use crate::cli::Output;
use crate::cli::replay::PolicyReplayArgs;
use crate::config;

/// What a replay found.
pub(crate) struct Replayed {
    /// What to print.
    pub(crate) text: String,
    /// Whether something would change.
    pub(crate) changes: bool,
}

/// How many names of a list are printed.
const NAMES_SHOWN: usize = 10;

/// Replays.
pub(crate) fn replay(args: &PolicyReplayArgs, runtime: &Runtime) -> anyhow::Result<Replayed> {
    let mut admission = match &args.config {
        Some(path) => config::read(path)?.admission,
        None => AdmissionConfig::default(),
    };
    if let Some(level) = args.level {
        admission.pod_security.enforce = level;
        admission.pod_security.enforce_version = args.version.unwrap_or(Version::Latest);
    }
    let scope = match (&args.config, args.level) {
        (Some(_), _) => Scope::Whole,
        (None, Some(_)) => Scope::FilesAndLevel,
        (None, None) => Scope::Files,
    };
    let candidate = Candidate::new(&admission, &args.files, scope)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let report = candidate.replay_all(decisions::lines(args, runtime)?, workers)?;
    Ok(Replayed {
        changes: report.changes_anything(),
        text: match args.client.output {
            Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
            Output::Table => render(&report),
        },
    })
}

/// What a direction means, after a number.
fn meaning(direction: Direction) -> &'static str {
    match direction {
        Direction::Denied => "that were let through would be refused",
        Direction::Allowed => "that were refused would be let through",
        Direction::DeniedOtherwise => "would be refused by other rules",
        Direction::Warned => "would be warned about",
        Direction::NotWarned => "would not be warned about any more",
        Direction::Audited => "would be told otherwise to the audit log",
    }
}

/// A direction as a column's heading.
fn heading(direction: Direction) -> &'static str {
    match direction {
        Direction::Denied => "refused",
        Direction::Allowed => "let through",
        Direction::DeniedOtherwise => "otherwise",
        Direction::Warned => "warned",
        Direction::NotWarned => "not warned",
        Direction::Audited => "audited",
    }
}

fn render(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} of {} decisions replayed, {} to {}",
        report.replayed, report.records, report.first, report.last
    );
    if report.changes.is_empty() {
        let _ = writeln!(out, "  nothing would change");
    }
    for (direction, count) in &report.changes {
        let _ = writeln!(out, "  {count} {}", meaning(*direction));
    }
    if !report.gained.is_empty() || !report.lost.is_empty() {
        let mut rules: BTreeMap<&String, (u64, u64)> = BTreeMap::new();
        for (rule, count) in &report.gained {
            rules.entry(rule).or_default().0 = *count;
        }
        for (rule, count) in &report.lost {
            rules.entry(rule).or_default().1 = *count;
        }
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_by_key(|(_, (gained, lost))| std::cmp::Reverse(gained + lost));
        let rows: Vec<_> = (rules.iter().take(NAMES_SHOWN))
            .map(|(rule, (now, then))| vec![(*rule).clone(), now.to_string(), then.to_string()])
            .collect();
        let _ = writeln!(out);
        out.push_str(&table::render(&["rule", "only now", "only then"], &rows));
    }
    for (name, counts) in [
        ("namespace", &report.namespaces),
        ("user", &report.users),
        ("kind", &report.kinds),
    ] {
        if !counts.is_empty() {
            let _ = writeln!(out);
            out.push_str(&counted(name, counts, &report.changes));
        }
    }
    if !report.examples.is_empty() {
        let _ = writeln!(out, "\nfor example");
    }
    for change in report.examples.iter().take(NAMES_SHOWN) {
        let of = match change.namespace.as_str() {
            "" => change.name.clone(),
            namespace => format!("{namespace}/{}", change.name),
        };
        let _ = writeln!(
            out,
            "  {} {} {} {of} by {} ({}): {}",
            change.time,
            change.operation,
            change.kind,
            change.user,
            change.uid,
            heading(change.change),
        );
        if !change.message.is_empty() {
            let _ = writeln!(out, "    {}", change.message.replace('\n', "\n    "));
        }
    }
    let not: u64 = report.not_replayed.values().sum();
    if not > 0 {
        let _ = writeln!(out, "\n{not} could not be replayed");
    }
    let mut reasons: Vec<_> = report.not_replayed.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (reason, count) in reasons.into_iter().take(NAMES_SHOWN) {
        let _ = writeln!(out, "  {count} {reason}");
    }
    out
}

/// The names with the most changes.
fn counted(name: &str, counts: &BTreeMap<String, Counts>, all: &Counts) -> String {
    let directions: Vec<_> = all.keys().copied().collect();
    let mut names: Vec<_> = counts.iter().collect();
    names.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.values().sum::<u64>()));
    let mut headings = vec![name];
    headings.extend(directions.iter().map(|direction| heading(*direction)));
    let rows: Vec<Vec<String>> = (names.into_iter().take(NAMES_SHOWN))
        .map(|(name, counts)| {
            let mut row = vec![name.clone()];
            let of = |d: &Direction| counts.get(d).copied().unwrap_or_default().to_string();
            row.extend(directions.iter().map(of));
            row
        })
        .collect();
    table::render(&headings, &rows)
}
