//! `taffrail policy bench`: what policies cost, rule by rule.

use std::fmt::Write as _;

use admission::AdmissionConfig;
use admission::cost::{Costs, RuleCost, review_of};
use admission::gatekeeper::documents;
use anyhow::{Context as _, bail};
use serde_json::json;

use super::{policy, table};
use crate::cli::Output;
use crate::cli::bench::PolicyBenchArgs;
use crate::config;

/// Measures, and returns what to print.
pub(crate) fn bench(args: &PolicyBenchArgs) -> anyhow::Result<String> {
    let mut admission = match &args.config {
        Some(path) => config::read(path)?.admission,
        None => AdmissionConfig::default(),
    };
    if let Some(folder) = &args.policies {
        admission.gatekeeper.directory = Some(folder.clone());
    }
    let mut reviews = Vec::new();
    for path in &args.files {
        let place = path.display().to_string();
        for document in documents::parse(&place, &policy::read(path)?)? {
            let review = review_of(&document.object);
            reviews.push(review.with_context(|| document.place.clone())?);
        }
    }
    if reviews.is_empty() {
        bail!("the files hold nothing to judge: give manifests or AdmissionReviews");
    }
    let before = resident_bytes();
    let costs = Costs::new(&admission)?;
    let found = costs.measure(&reviews, args.rounds as usize);
    let bytes = resident_bytes().saturating_sub(before);
    Ok(match args.output {
        Output::Json => {
            let report = json!({"reviews": reviews.len(), "rounds": args.rounds, "rules": found, "memoryBytes": bytes});
            format!("{}\n", serde_json::to_string_pretty(&report)?)
        }
        Output::Table => render(reviews.len(), args.rounds, &found, bytes),
    })
}

fn render(reviews: usize, rounds: u32, found: &[RuleCost], bytes: u64) -> String {
    let row = |cost: &RuleCost| {
        let micros = |micros: u64| format!("{micros} µs");
        vec![
            cost.rule.clone(),
            cost.asked.to_string(),
            micros(cost.p50_microseconds),
            micros(cost.p99_microseconds),
            format!("{:.1} ms", cost.total_microseconds as f64 / 1e3),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    let mut out = table::render(&["rule", "asked", "p50", "p99", "total"], &rows);
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    let _ = writeln!(
        out,
        "{reviews} reviews, {rounds} rounds; {mebibytes:.1} MiB more resident than without policies"
    );
    out
}

/// What the process has resident; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or_default().saturating_mul(1024)
}
