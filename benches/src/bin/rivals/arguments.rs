//! What is measured, how large, and where the programs are.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::system::System;

/// Measures Taffrail beside Prometheus and VictoriaMetrics, on the same data.
#[derive(Debug, Parser)]
#[command(name = "rivals", max_term_width = 100)]
pub(crate) struct Arguments {
    /// The taffrail binary; build it with `cargo build --release`
    #[arg(long, value_name = "PATH", default_value = "target/release/taffrail")]
    pub(crate) taffrail: PathBuf,
    /// Prometheus [default: `prometheus` on PATH]
    #[arg(long, value_name = "PATH", default_value = "prometheus")]
    pub(crate) prometheus: PathBuf,
    /// VictoriaMetrics [default: `victoria-metrics` on PATH]
    #[arg(long, value_name = "PATH", default_value = "victoria-metrics")]
    pub(crate) victoria_metrics: PathBuf,
    /// Rows to measure [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<RowName>,
    /// Systems to measure [default: all that are installed]
    #[arg(long, value_enum, value_delimiter = ',')]
    systems: Vec<System>,
    /// Small sizes: says that everything works, in under a minute; its figures mean nothing
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,
    /// Rivals also where loading them takes very long
    #[arg(long)]
    pub(crate) full: bool,
    /// Fail where a rival is absent
    #[arg(long)]
    pub(crate) require_rivals: bool,
    /// A recording as `VictoriaMetrics` exports it, JSON lines in xz
    #[arg(
        long,
        value_name = "FILE",
        default_value = "../shared/data/node-1s.jsonl.xz"
    )]
    pub(crate) recording: PathBuf,
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE", default_value = "target/rivals.json")]
    pub(crate) json: PathBuf,
    /// Folder for the systems' data, removed afterwards [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
}

/// A row, or rows that share their load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowName {
    /// Bytes a sample of the recording
    Recording,
    /// Bytes a sample of the generated day, and range queries over it
    Day,
    /// What dashboards ask of a day and of thirty days
    Dashboard,
    /// What dashboards ask of 100,000 series
    Crowd,
    /// Remote write
    Ingest,
    /// Memory of many active series, and the start after kill -9
    Resident,
    /// Bytes of index for a new series
    Churn,
    /// Label values among many series
    Labels,
}

impl Arguments {
    /// The rows in their order.
    pub(crate) fn rows(&self) -> Vec<RowName> {
        let all = RowName::value_variants();
        all.iter()
            .copied()
            .filter(|row| self.rows.is_empty() || self.rows.contains(row))
            .collect()
    }

    /// Whether a system is to be measured.
    pub(crate) fn wants(&self, system: System) -> bool {
        self.systems.is_empty() || self.systems.contains(&system)
    }

    /// `full` where sizes are full, `quick` where the run is quick.
    pub(crate) const fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
