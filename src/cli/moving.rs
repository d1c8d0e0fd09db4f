//! The command line of what moves data: import and export.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::access::AccessArgs;

/// What `import` is told.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Formats are told apart by content:\n\n  jsonl        {\"metric\":{…},\"values\":[…],\"timestamps\":[ms…]}, one object a line, as `taffrail export` and VictoriaMetrics write it. \
  A value is a number, or \"NaN\", \"stale\", \"+Inf\", \"-Inf\", or 64 bits such as \"0x7ff8000000000001\"; null is NaN.\n  \
  openmetrics  OpenMetrics: timestamps in seconds, \"# EOF\" at the end\n  \
  text         Prometheus' text: timestamps in milliseconds\n  \
  (a folder)   a block of Prometheus (a folder with meta.json), or a folder that holds such blocks: its data folder, or a snapshot. \
  Its write-ahead log is not read: take a snapshot to have the newest hours too\n\n\
A file may be compressed with gzip, zstd or xz; - is standard input. An import that was interrupted goes on where it was when the same \
command is given again: how far it got is in DIR/import.json, or in ./taffrail-import.json with --url. Importing the same twice \
changes nothing.\n\nSamples outside of what the store accepts are refused: older than metrics.retention of the configuration (--config), or more than ten \
minutes ahead of the clock. By default the first that is refused, like the first line that cannot be read, stops the import."
)]
pub(crate) struct ImportArgs {
    /// Files or folders to import; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// What the files are [default: by their content]
    #[arg(long, value_enum)]
    pub(crate) format: Option<ImportFormat>,
    /// What to do with what cannot be read or stored
    #[arg(long, value_enum, default_value_t)]
    pub(crate) on_error: OnError,
    /// Import everything, also what an interrupted import has done
    #[arg(long)]
    pub(crate) restart: bool,
    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Data folder of a store that no server has open [default: as configured, ./taffrail-data]
    #[arg(
        long,
        value_name = "DIR",
        env = "TAFFRAIL_DATA",
        conflicts_with = "url"
    )]
    pub(crate) data: Option<PathBuf>,
    /// A running server, such as http://127.0.0.1:9440
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// Configuration file: where the data folder is, and how long samples are kept
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// A format that is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// JSON lines
    Jsonl,
    /// OpenMetrics
    Openmetrics,
    /// Prometheus' text
    Text,
}

/// What to do with what cannot be read or stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// End there
    #[default]
    Stop,
    /// Leave it out, and say how much that was
    Skip,
}

/// What `snapshot` is told.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// The server to ask
    #[arg(
        long,
        value_name = "URL",
        env = "TAFFRAIL_SERVER",
        default_value = "http://127.0.0.1:9440"
    )]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `export` is told.
#[derive(Debug, Args)]
#[command(
    after_long_help = "jsonl is lossless: a line is {\"metric\":{…},\"values\":[…],\"timestamps\":[ms…]}, and what JSON's numbers cannot say is a text: \
  \"NaN\", \"stale\" (the staleness marker), \"+Inf\", \"-Inf\", or 64 bits such as \"0x7ff8000000000000\" for any other NaN. Native \
  histograms stand in \"histograms\" and \"histogram_timestamps\". openmetrics cannot say native histograms, staleness markers and the \
  payloads of NaNs; how many were left out is said at the end."
)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Which series; may be repeated, and a series needs to pass one
    #[arg(
        long = "match",
        value_name = "SELECTOR",
        default_value = r#"{__name__!=""}"#
    )]
    pub(crate) selectors: Vec<String>,
    /// First instant: now-1h, RFC 3339 or Unix seconds [default: the oldest]
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Last instant [default: the newest]
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ExportFormat,
    /// Where to write it; - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A format that is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// JSON lines, lossless
    #[default]
    Jsonl,
    /// OpenMetrics
    Openmetrics,
}
