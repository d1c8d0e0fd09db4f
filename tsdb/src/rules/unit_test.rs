//! Unit tests of rules, in promtool's format.
//!
//! Each group of tests gets a store of its own, a real one on a disk in memory, at a clock that the tests
//! set: series are written as time goes on, rules are evaluated at every interval as a server would,
//! and what fires, and what expressions give, is held against what was expected. So a test says what
//! the server will do, staleness, limits and restrictions of names included.
//!
//! - `file`: the format.
//! - `notation`: series as tests write them.

mod compare;
mod file;
mod notation;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use model::labels::Labels;
use model::sample::{HistogramSample, Sample, SeriesSamples};
use model::time::{Timestamp, format_duration};
use storage::clock::ManualClock;
use storage::disk::sim::SimDisk;
use storage::store::StoreOptions;

use self::compare::{Floats, samples_agree, samples_text};
use self::file::{AlertTest, TestFile, TestGroup};
use self::notation::Point;
use super::alerts::AlertState;
use super::counters::RuleCounters;
use super::evaluator::Evaluator as _;
use super::file::{GroupSpec, RuleKind};
use super::group::{Bench, Group, GroupSettings, Health};
use super::manager::read_file;
use crate::database::{Tsdb, TsdbOptions};
use crate::query::EngineOptions;

/// Runs a file of tests. `text` is what it says, `path` where it lies, as rule files are named relative to it.
/// Returns what went wrong, each as promtool says it; nothing if everything is as expected.
pub fn run(path: &Path, text: &str) -> Vec<String> {
    let file = match TestFile::parse(text) {
        Ok(file) => file,
        Err(error) => return vec![format!("{}:{}: {error}", path.display(), error.line)],
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let groups = match rule_groups(&file, folder) {
        Ok(groups) => groups,
        Err(errors) => return errors,
    };
    let tests = file.tests.iter();
    tests
        .flat_map(|test| match Suite::open(&file, test, &groups) {
            Ok(suite) => suite.run(),
            Err(error) => vec![error],
        })
        .collect()
}

type FileGroup = (Arc<str>, GroupSpec);

/// The groups of the rule files, in the order they are evaluated in.
fn rule_groups(file: &TestFile, folder: &Path) -> Result<Vec<FileGroup>, Vec<String>> {
    let mut paths = BTreeSet::new();
    for pattern in &file.rule_files {
        let pattern = folder.join(pattern);
        let pattern = pattern.to_string_lossy();
        let found = glob::glob(&pattern).map_err(|error| vec![format!("{pattern}: {error}")])?;
        let before = paths.len();
        paths.extend(found.filter_map(Result::ok));
        if paths.len() == before {
            return Err(vec![format!("{pattern}: no file matches")]);
        }
    }
    let check = |expr: &str| {
        let expr = crate::query::parse(expr);
        expr.map(|expr| expr.to_string())
            .map_err(|error| error.to_string())
    };
    let mut groups: Vec<FileGroup> = Vec::new();
    for path in paths {
        let name: Arc<str> = path.to_string_lossy().into();
        let specs = read_file(&path, &check)?;
        groups.extend(specs.into_iter().map(|spec| (Arc::clone(&name), spec)));
    }
    let place = |name: &str| {
        let mut order = file.group_eval_order.iter();
        order.position(|one| one == name).unwrap_or_default()
    };
    groups.sort_by_key(|(_, spec)| place(&spec.name));
    Ok(groups)
}

/// A group of tests under way.
struct Suite<'t> {
    test: &'t TestGroup,
    floats: Floats,
    evaluation_interval_ms: i64,
    tsdb: Tsdb,
    clock: Arc<ManualClock>,
    groups: Vec<Group>,
    bench: Bench,
    /// Instants of the input that are written.
    written: usize,
}

impl<'t> Suite<'t> {
    fn open(file: &TestFile, test: &'t TestGroup, groups: &[FileGroup]) -> Result<Self, String> {
        let clock = Arc::new(ManualClock::new(test.start));
        let default = TsdbOptions::default();
        let options = TsdbOptions {
            store: StoreOptions {
                shards: 1,
                retention_ms: None,
                ..default.store
            },
            query: EngineOptions {
                subquery_step_millis: file.evaluation_interval_ms,
                ..default.query
            },
            ..default
        };
        let of_store = Arc::<ManualClock>::clone(&clock);
        let disk = Arc::new(SimDisk::new(0));
        let opened = Tsdb::open(disk, of_store, Path::new("/test"), options);
        let (tsdb, _) = opened.map_err(|error| error.to_string())?;
        let groups = groups.iter().map(|(path, spec)| {
            let settings = GroupSettings {
                interval_ms: spec.interval_ms.unwrap_or(test.interval_ms),
                query_offset_ms: spec.query_offset_ms.unwrap_or_default(),
                external_labels: test.external_labels.clone(),
                external_url: test.external_url.as_str().into(),
            };
            Group::new(spec.clone(), Arc::clone(path), settings, false)
        });
        let bench = Bench {
            evaluator: Arc::new(tsdb.clone()),
            store: Arc::new(tsdb.clone()),
            sender: Arc::new(|_| ()),
            counters: Arc::new(RuleCounters::default()),
            resend_delay_ms: 0,
            outage_tolerance_ms: 0,
            grace_period_ms: 0,
        };
        Ok(Self {
            test,
            floats: if file.is_fuzzy {
                Floats::Fuzzy
            } else {
                Floats::Exact
            },
            evaluation_interval_ms: file.evaluation_interval_ms,
            groups: groups.collect(),
            tsdb,
            clock,
            bench,
            written: 0,
        })
    }

    fn run(mut self) -> Vec<String> {
        let mut errors = Vec::new();
        let mut alert_tests: Vec<&AlertTest> = self.test.alert_tests.iter().collect();
        alert_tests.sort_by_key(|test| test.eval_time_ms);
        let of_alerts = alert_tests.iter().map(|test| test.eval_time_ms);
        let of_exprs = self.test.expr_tests.iter().map(|test| test.eval_time_ms);
        let last = of_alerts.chain(of_exprs).max().unwrap_or_default();
        let mut due = alert_tests.into_iter().peekable();
        let mut since = 0_i64;
        while since <= last {
            let at = self.test.start.saturating_add(since);
            self.clock.set(at);
            if let Err(error) = self.write_until(since, at) {
                errors.push(error);
                return errors;
            }
            let failed = self.evaluate(at, since);
            if !failed.is_empty() {
                errors.extend(failed);
                return errors;
            }
            let next = since.saturating_add(self.evaluation_interval_ms);
            while let Some(test) = due.next_if(|test| test.eval_time_ms < next) {
                errors.extend(self.check_alerts(test));
            }
            since = next;
        }
        errors.extend(self.check_exprs());
        errors
    }

    /// Writes what the input has up to an instant.
    fn write_until(&mut self, since: i64, until: Timestamp) -> Result<(), String> {
        let interval = self.test.interval_ms.max(1);
        let wanted = usize::try_from(since.div_euclid(interval)).unwrap_or_default() + 1;
        let mut all = Vec::new();
        for (labels, points) in &self.test.input {
            let mut series = SeriesSamples {
                labels: labels.clone(),
                ..SeriesSamples::default()
            };
            let from = self.written;
            for (index, point) in points.iter().enumerate().take(wanted).skip(from) {
                let since = (index as i64).saturating_mul(interval);
                let timestamp = self.test.start.saturating_add(since);
                match point {
                    Point::Absent => {}
                    Point::Float(value) => series.samples.push(Sample {
                        timestamp,
                        value: *value,
                    }),
                    Point::Histogram(histogram) => series.histograms.push(HistogramSample {
                        timestamp,
                        histogram: histogram.as_ref().clone(),
                    }),
                }
            }
            if !series.samples.is_empty() || !series.histograms.is_empty() {
                all.push(series);
            }
        }
        self.written = wanted;
        if all.is_empty() {
            return Ok(());
        }
        let failed = |error: String| format!("    input until {}: {error}", until.seconds());
        super::evaluator::Store::append(&self.tsdb, &all).map_err(failed)
    }

    /// Evaluates every group once; the rules that failed.
    fn evaluate(&self, at: Timestamp, since: i64) -> Vec<String> {
        let mut failed = Vec::new();
        for group in &self.groups {
            group.evaluate(&self.bench, at);
            let state = group.state();
            for (rule, state) in group.spec.rules.iter().zip(state.rules) {
                if let Health::Bad(error) = state.health {
                    let (name, time) = (&rule.name, format_duration(since));
                    failed.push(format!("    rule: {name}, time: {time}, err: {error}"));
                }
            }
        }
        failed
    }

    fn check_alerts(&self, test: &AlertTest) -> Option<String> {
        let mut got: Vec<(Labels, Vec<(String, String)>)> = Vec::new();
        for group in &self.groups {
            for (rule, state) in group.spec.rules.iter().zip(group.state().rules) {
                if !matches!(rule.kind, RuleKind::Alerting(_)) || rule.name != test.alert {
                    continue;
                }
                let firing = state.alerts.active();
                let firing = firing.filter(|alert| alert.state == AlertState::Firing);
                got.extend(firing.map(|alert| (alert.labels.clone(), alert.annotations.clone())));
            }
        }
        got.sort();
        let mut expected = test.expected.clone();
        expected.sort();
        if got == expected {
            return None;
        }
        let (alert, time) = (&test.alert, format_duration(test.eval_time_ms));
        let mut text = String::new();
        if !self.test.name.is_empty() {
            let _ = writeln!(text, "    name: {},", self.test.name);
        }
        let (expected, got) = (alerts_text(&expected), alerts_text(&got));
        let _ = write!(
            text,
            "    alertname: {alert}, time: {time}, \n        exp:{expected}, \n        got:{got}"
        );
        Some(text)
    }

    fn check_exprs(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for test in &self.test.expr_tests {
            let at = self.test.start.saturating_add(test.eval_time_ms);
            let time = format_duration(test.eval_time_ms);
            match self.tsdb.instant(&test.expr, at) {
                Err(error) => {
                    let expr = &test.expr;
                    errors.push(format!("    expr: {expr:?}, time: {time}, err: {error}"));
                }
                Ok(got) if samples_agree(&test.expected, &got, self.floats) => {}
                Ok(got) => {
                    let (expected, got) = samples_text(&test.expected, &got);
                    let expr = &test.expr;
                    errors.push(format!(
                        "    expr: {expr:?}, time: {time},\n        exp: {expected}\n        got: {got}"
                    ));
                }
            }
        }
        errors
    }
}

/// Alerts as promtool shows them.
fn alerts_text(alerts: &[(Labels, Vec<(String, String)>)]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut out = String::from("[");
    for (index, (labels, annotations)) in alerts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let annotations: Vec<String> = annotations
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let _ = write!(
            out,
            "{comma}\n            {index}:\n              Labels:{labels}\n              Annotations:{{{}}}",
            annotations.join(", ")
        );
    }
    out.push_str("\n            ]");
    out
}

#[cfg(test)]
mod tests;
