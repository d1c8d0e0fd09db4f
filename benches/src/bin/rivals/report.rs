//! The table and the JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::RowName;
use crate::system::{Bench, SYSTEMS, System};

/// What a figure is a figure of; decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    BytesPerSample,
    BytesPerSeries,
    SamplesPerCpuSecond,
    SamplesPerSecond,
    Mebibytes,
    Seconds,
    Milliseconds,
    CpuMilliseconds,
    Samples,
    Queries,
    QueriesPerSecond,
    Times,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::BytesPerSample => "B/sample",
            Self::BytesPerSeries => "B/series",
            Self::SamplesPerCpuSecond => "M samples/CPU-s",
            Self::SamplesPerSecond => "M samples/s",
            Self::Mebibytes => "MiB",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::CpuMilliseconds => "CPU ms",
            Self::Samples => "samples",
            Self::Queries => "queries",
            Self::QueriesPerSecond => "queries/s",
            Self::Times => "x",
        }
    }

    fn write(self, value: f64) -> String {
        match self {
            Self::BytesPerSample | Self::SamplesPerCpuSecond | Self::SamplesPerSecond => {
                format!("{value:.3}")
            }
            Self::Seconds | Self::Times | Self::CpuMilliseconds => format!("{value:.2}"),
            Self::Milliseconds | Self::QueriesPerSecond => format!("{value:.1}"),
            Self::BytesPerSeries | Self::Mebibytes | Self::Samples | Self::Queries => {
                format!("{value:.0}")
            }
        }
    }
}

/// What is asked of Taffrail's figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Nothing; it is there to compare.
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(goal) => Some(value <= goal),
            Self::AtLeast(goal) => Some(value >= goal),
        }
    }

    fn write(self, unit: Unit) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(goal) => format!("<= {}", unit.write(goal)),
            Self::AtLeast(goal) => format!(">= {}", unit.write(goal)),
        }
    }
}

/// What stands in a system's column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A figure.
    Measured(f64),
    /// Why there is none by intent.
    Skipped(&'static str),
    /// Why there is none.
    Failed(String),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) cells: BTreeMap<System, Cell>,
    /// What belongs to the figures.
    pub(crate) notes: Vec<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: Unit, goal: Goal) -> Self {
        Self {
            what: what.into(),
            unit,
            goal,
            cells: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// A system's figure.
    pub(crate) fn set(&mut self, system: System, value: f64) {
        self.cells.insert(system, Cell::Measured(value));
    }

    /// A system's figure, if there is one.
    pub(crate) fn get(&self, system: System) -> Option<f64> {
        match self.cells.get(&system) {
            Some(Cell::Measured(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Notes that a system's measurement failed in every row that it was to fill.
pub(crate) fn failed(rows: &mut [Row], system: System, error: &anyhow::Error) {
    eprintln!("{}: {error:#}", system.name());
    for row in rows {
        let text = format!("{error:#}");
        row.cells.entry(system).or_insert(Cell::Failed(text));
    }
}

/// Everything that was measured.
pub(crate) struct Report {
    rows: Vec<Row>,
    /// Rows that could not be measured at all.
    errors: Vec<String>,
    machine: Value,
    programs: Value,
    quick: bool,
    absent: Vec<System>,
}

impl Report {
    pub(crate) fn new(bench: &Bench<'_>) -> Self {
        let programs = bench.programs.iter().map(|(system, path, version)| {
            json!({"system": system.name(), "path": path, "version": version})
        });
        let absent = SYSTEMS.into_iter().filter(|system| !bench.has(*system));
        Self {
            rows: Vec::new(),
            errors: Vec::new(),
            machine: machine(),
            programs: programs.collect(),
            quick: bench.arguments.quick,
            absent: absent.collect(),
        }
    }

    pub(crate) fn add(&mut self, name: RowName, found: anyhow::Result<Vec<Row>>) {
        match found {
            Ok(rows) => self.rows.extend(rows),
            Err(error) => self.errors.push(format!("{name:?}: {error:#}")),
        }
    }

    /// Whether something could not be measured.
    pub(crate) fn has_failed(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| row.cells.values());
        !self.errors.is_empty() || cells.any(|cell| matches!(cell, Cell::Failed(_)))
    }

    fn cell(&self, row: &Row, system: System) -> String {
        match row.cells.get(&system) {
            Some(Cell::Measured(value)) => row.unit.write(*value),
            Some(Cell::Skipped(why)) => (*why).to_owned(),
            Some(Cell::Failed(_)) => "failed".to_owned(),
            None if self.absent.contains(&system) => "absent".to_owned(),
            None => "-".to_owned(),
        }
    }

    /// The table, for people.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            [
                "what",
                "unit",
                "goal",
                "taffrail",
                "",
                "prometheus",
                "victoria-metrics",
                "ratio",
            ]
            .map(str::to_owned),
        ];
        for row in &self.rows {
            let ours = row.get(System::Taffrail);
            let verdict = match ours.and_then(|ours| row.goal.is_met(ours)) {
                Some(true) => "met",
                Some(false) => "missed",
                None => "",
            };
            // How many times better or worse than the better known rival in this field.
            let ratio = ours.zip(row.get(System::VictoriaMetrics));
            lines.push([
                row.what.clone(),
                row.unit.name().to_owned(),
                row.goal.write(row.unit),
                self.cell(row, System::Taffrail),
                verdict.to_owned(),
                self.cell(row, System::Prometheus),
                self.cell(row, System::VictoriaMetrics),
                ratio.map_or(String::new(), |(ours, theirs)| {
                    format!("{:.2}", ours / theirs)
                }),
            ]);
        }
        let mut out = aligned(&lines);
        let _ = writeln!(out, "\nratio: taffrail / victoria-metrics");
        if self.quick {
            let _ = writeln!(
                out,
                "--quick: sizes are small; these figures say only that it works"
            );
        }
        for row in &self.rows {
            for note in &row.notes {
                let _ = writeln!(out, "{}: {note}", row.what);
            }
            for (system, cell) in &row.cells {
                if let Cell::Failed(why) = cell {
                    let _ = writeln!(out, "{}: {}: {why}", row.what, system.name());
                }
            }
        }
        for system in &self.absent {
            let _ = writeln!(out, "{} is absent: {}", system.name(), system.advice());
        }
        for error in &self.errors {
            let _ = writeln!(out, "failed: {error}");
        }
        let _ = writeln!(out, "machine: {}", self.machine);
        out
    }

    /// The same, for programs.
    pub(crate) fn write_json(&self, path: &Path) -> std::io::Result<()> {
        let rows = self.rows.iter().map(|row| {
            let cells: serde_json::Map<String, Value> = row
                .cells
                .iter()
                .map(|(system, cell)| {
                    let value = match cell {
                        Cell::Measured(value) => json!(value),
                        Cell::Skipped(why) => json!({"skipped": why}),
                        Cell::Failed(why) => json!({"failed": why}),
                    };
                    (system.name().to_owned(), value)
                })
                .collect();
            let ours = row.get(System::Taffrail);
            json!({
                "what": row.what,
                "unit": row.unit.name(),
                "goal": row.goal.write(row.unit),
                "met": ours.and_then(|ours| row.goal.is_met(ours)),
                "systems": cells,
                "notes": row.notes,
            })
        });
        let json = json!({
            "date": jiff::Timestamp::now().to_string(),
            "quick": self.quick,
            "machine": self.machine,
            "programs": self.programs,
            "rows": rows.collect::<Vec<_>>(),
            "errors": self.errors,
        });
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, format!("{json:#}\n"))
    }
}

fn aligned(lines: &[[String; 8]]) -> String {
    let mut out = String::new();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for line in lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = width(column);
            // Texts to the left, figures to the right.
            let _ = match column {
                3 | 5.. => write!(text, "{cell:>width$}  "),
                _ => write!(text, "{cell:<width$}  "),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}

/// What the figures were measured on.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let load = read("/proc/loadavg");
    json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        // Other work on the machine makes every figure worse.
        "load_at_start": load.split(' ').next(),
    })
}
