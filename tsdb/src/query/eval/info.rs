//! `info`: adds the labels of info metrics to the series they describe.
//!
//! Info series and described series share `instance` and `job`. Where two info series of one metric
//! describe a series at one instant, the one with the newer sample wins. The second argument names
//! labels to add, and what they must match; a series no info series describes is kept only if all
//! those matchers take an absent label.

use std::collections::{HashMap, HashSet};

use model::labels::{Labels, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};

use super::column::SERIES_BYTES;
use super::finish::OutputSeries;
use super::pass::Origin;
use super::select::{Cursor, Found};
use super::{EvalError, Evaluator, Grid, Purpose, Result, Sample, Series, Value};
use crate::query::ast::{Call, Expr, TimeShift};
use crate::query::giving_up::let_go;
use crate::query::order::sort_by;
use crate::query::source::Guard;

/// The labels that say what a series is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric where none is named.
const TARGET_INFO: &str = "target_info";

/// A longer expression takes long to compile; the info series of whoever has the label are asked instead, of which
/// those that describe nothing are left out in any case.
const PATTERN_BYTES_MAX: usize = 64 << 10;
const ANY: &str = ".+";

/// The info metrics where only those are named that are not meant.
const ANY_INFO: &str = ".+_info";

/// An info series: whom it describes, and when it was last seen at each instant.
struct InfoSeries {
    labels: Labels,
    seen: Vec<Option<i64>>,
}

/// What the second argument asks for.
struct Wanted {
    /// Which info metrics.
    names: Vec<Matcher>,
    /// Which labels, and what of them.
    data: Vec<Matcher>,
}

impl Evaluator<'_> {
    pub(super) fn info(&mut self, call: &Call, grid: Grid) -> Result<Value> {
        let base = self.argument(call, 0, grid)?;
        let wanted = Wanted::of(call.args.get(1));
        let is_info = |series: &Series| wanted.is_info(series.labels.metric_name());
        let mut described: Vec<&Series> = Vec::new();
        for (at, series) in base.iter().enumerate() {
            self.guard.check_at(at)?;
            if !is_info(series) {
                described.push(series);
            }
        }
        let references = call.args.first().map_or_else(Vec::new, |arg| {
            let mut shifts = Vec::new();
            first_shifts(arg, &mut shifts);
            Self::shifted(&shifts, grid)
        });
        let infos = match info_matchers(&described, &wanted, self.guard)? {
            None => Vec::new(),
            Some(matchers) => {
                let first = references.iter().min().copied().unwrap_or_default();
                let last = references.iter().max().copied().unwrap_or_default();
                let oldest = first.saturating_sub(self.lookback_millis).saturating_add(1);
                let origin = self.selected(&matchers, (oldest, last), Purpose::default(), false)?;
                self.info_series(&origin, &references)?
            }
        };
        let mut by_identity: HashMap<Labels, Vec<&InfoSeries>> = HashMap::new();
        for (at, info) in infos.iter().enumerate() {
            self.guard.check_at(at)?;
            by_identity
                .entry(identity(&info.labels))
                .or_default()
                .push(info);
        }
        let mut output = OutputSeries::new(grid.len, self.guard);
        for series in &base {
            self.guard.check()?;
            if is_info(series) {
                pass(series, &mut output, grid)?;
                continue;
            }
            let none = Vec::new();
            let infos = by_identity.get(&identity(&series.labels)).unwrap_or(&none);
            enrich(series, infos, &wanted, &mut output, grid)?;
        }
        drop(by_identity);
        let_go(infos, self.guard)?;
        let_go(base, self.guard)?;
        Ok(Value::Vector(output.finish()?))
    }

    fn info_series(&mut self, origin: &Origin, references: &[i64]) -> Result<Vec<InfoSeries>> {
        let lookback = self.lookback_millis;
        self.each_series(origin, |worker, series| {
            worker.read(series)?;
            worker.room(SERIES_BYTES + references.len() * size_of::<Option<i64>>())?;
            let (labels, _) = origin.labels(series);
            let mut cursor = Cursor::default();
            let mut seen = Vec::with_capacity(references.len());
            for at in references {
                seen.push(match cursor.latest(&worker.samples, *at, lookback) {
                    None => None,
                    Some(Found {
                        sample: Sample::Float(_),
                        at,
                        ..
                    }) => Some(at),
                    Some(_) => {
                        return Err(EvalError::Message(format!(
                            "this should be an info metric, with float samples: {labels}"
                        )));
                    }
                });
            }
            Ok(Some(InfoSeries { labels, seen }))
        })
    }
}

impl Wanted {
    fn of(arg: Option<&Expr>) -> Self {
        match arg {
            Some(Expr::Selector(selector)) => {
                let (names, data) = selector
                    .matchers
                    .iter()
                    .cloned()
                    .partition(|matcher| matcher.name() == METRIC_NAME);
                Self { names, data }
            }
            _ => Self {
                names: vec![Matcher::equal(METRIC_NAME, TARGET_INFO)],
                data: Vec::new(),
            },
        }
    }

    /// Whether a metric is among the info metrics asked for.
    fn is_info(&self, metric: &str) -> bool {
        self.names_some() && self.names.iter().all(|matcher| matcher.matches(metric))
    }

    /// Whether info metrics are named, and not only some that are not meant.
    fn names_some(&self) -> bool {
        self.names.iter().any(|matcher| !matcher.op().is_negative())
    }

    /// Whether a label is to be added.
    fn adds(&self, name: &str) -> bool {
        self.data.is_empty() || self.data.iter().any(|matcher| matcher.name() == name)
    }
}

/// The matchers of info series that may describe anything; none where nothing can be described.
fn info_matchers(
    described: &[&Series],
    wanted: &Wanted,
    guard: &Guard,
) -> Result<Option<Vec<Matcher>>> {
    let mut matchers = Vec::new();
    for name in IDENTIFYING {
        let mut values: HashSet<&str> = HashSet::new();
        for (at, series) in described.iter().enumerate() {
            guard.check_at(at)?;
            values.extend(series.labels.get(name));
        }
        if values.is_empty() {
            continue;
        }
        let mut values: Vec<&str> = values.into_iter().collect();
        sort_by(&mut values, guard, Ord::cmp)?;
        let mut pattern = String::new();
        for (at, value) in values.into_iter().enumerate() {
            guard.check_at(at)?;
            if at > 0 {
                pattern.push('|');
            }
            escape_regex(value, &mut pattern);
            if pattern.len() > PATTERN_BYTES_MAX {
                ANY.clone_into(&mut pattern);
                break;
            }
        }
        let matcher = Matcher::new(MatchOp::Regex, name, pattern);
        matchers.push(matcher.map_err(|error| EvalError::Message(error.to_string()))?);
    }
    if matchers.is_empty() {
        return Ok(None);
    }
    if wanted.names.is_empty() {
        matchers.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
    }
    if !wanted.names.is_empty() && !wanted.names_some() {
        let matcher = Matcher::new(MatchOp::Regex, METRIC_NAME, ANY_INFO);
        matchers.push(matcher.map_err(|error| EvalError::Message(error.to_string()))?);
    }
    matchers.extend(wanted.names.iter().chain(&wanted.data).cloned());
    Ok(Some(matchers))
}

fn identity(labels: &Labels) -> Labels {
    labels.filtered(|name| IDENTIFYING.contains(&name))
}

fn pass(series: &Series, output: &mut OutputSeries, grid: Grid) -> Result<()> {
    let place = output.place(series.labels.clone(), series.drops_name)?;
    for index in 0..grid.len {
        if let Some(sample) = series.column.get(index) {
            output.set(place, index, sample)?;
        }
    }
    Ok(())
}

fn enrich(
    series: &Series,
    infos: &[&InfoSeries],
    wanted: &Wanted,
    output: &mut OutputSeries,
    grid: Grid,
) -> Result<()> {
    for index in 0..grid.len {
        let Some(sample) = series.column.get(index) else {
            continue;
        };
        let current = current_infos(infos, index)?;
        if current.is_empty() && wanted.data.iter().any(|m| !m.matches_empty()) {
            continue;
        }
        let mut labels = series.labels.to_builder();
        let mut added = Labels::empty().to_builder();
        for info in current {
            for (name, value) in &info.labels {
                if name == METRIC_NAME || !wanted.adds(name) {
                    continue;
                }
                if added.get(name).is_some_and(|known| known != value) {
                    return Err(EvalError::Message(format!("conflicting label: {name}")));
                }
                if series.labels.get(name).is_none() {
                    added.set(name, value);
                    labels.set(name, value);
                }
            }
        }
        let place = output.place(labels.build(), series.drops_name)?;
        output.set(place, index, sample)?;
    }
    Ok(())
}

/// The newest info series of each metric at an instant.
fn current_infos<'i>(infos: &[&'i InfoSeries], index: usize) -> Result<Vec<&'i InfoSeries>> {
    let mut current: Vec<(&InfoSeries, i64)> = Vec::new();
    for info in infos {
        let Some(seen) = info.seen.get(index).copied().flatten() else {
            continue;
        };
        match current
            .iter_mut()
            .find(|(known, _)| known.labels.metric_name() == info.labels.metric_name())
        {
            None => current.push((info, seen)),
            Some(known) if known.1 < seen => *known = (info, seen),
            Some(known) if known.1 > seen => {}
            Some((known, at)) => {
                return Err(EvalError::Message(format!(
                    "found duplicate series for info metric: existing {} @ {at}, new {} @ {seen}",
                    known.labels, info.labels
                )));
            }
        }
    }
    Ok(current.into_iter().map(|(info, _)| info).collect())
}

/// The time shifts on the way to the first selector, from outside in. False where there is none.
fn first_shifts<'e>(expr: &'e Expr, shifts: &mut Vec<&'e TimeShift>) -> bool {
    let before = shifts.len();
    match expr {
        Expr::Number(_) | Expr::Text(_) => false,
        Expr::Selector(node) => {
            shifts.push(&node.shift);
            true
        }
        Expr::Range(node) => {
            shifts.push(&node.selector.shift);
            true
        }
        Expr::Subquery(node) => {
            shifts.push(&node.shift);
            let found = first_shifts(&node.expr, shifts);
            if !found {
                shifts.truncate(before);
            }
            found
        }
        Expr::Call(node) => node.args.iter().any(|arg| first_shifts(arg, shifts)),
        Expr::Aggregate(node) => first_shifts(&node.expr, shifts),
        Expr::Binary(node) => first_shifts(&node.lhs, shifts) || first_shifts(&node.rhs, shifts),
        Expr::Unary(node) => first_shifts(&node.expr, shifts),
        Expr::Paren(node) => first_shifts(&node.expr, shifts),
    }
}

/// A text as an expression that matches it alone.
fn escape_regex(text: &str, escaped: &mut String) {
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' && c != ' ' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
}
