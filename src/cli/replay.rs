//! What `policy replay` is told.

use std::path::PathBuf;

use admission::pod_security::{Level, Version};
use clap::Args;

use super::ClientArgs;

/// What `policy replay` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
The candidate is tried on every recorded decision. What it brings takes the place of what was in force: a constraint that of its kind, Rego \
modules and --level that of Pod Security's checks, --config all of it; what other rules said then is kept. What cannot be \
known (a request that was not recorded, a template that asks for other objects, a verdict that hangs on a redacted value) is counted as not \
replayed, with the reason.

EXIT STATUS: 0 if nothing would change, 1 if something would, 2 where it could not be asked.")]
pub(crate) struct PolicyReplayArgs {
    /// The candidate: Rego modules, or ConstraintTemplates with their Constraints; a folder is all of them below it
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Replay the decisions from this long ago until now
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    pub(crate) since: String,
    /// Enforce this Pod Security level in namespaces that choose none
    #[arg(long)]
    pub(crate) level: Option<Level>,
    /// At this version [default: as configured, latest]
    #[arg(long, requires = "level")]
    pub(crate) version: Option<Version>,
    /// A configuration whose whole admission section is the candidate
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Decisions from a file with a line for each, as `taffrail logs` has them; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "since"])]
    pub(crate) records: Option<PathBuf>,
    /// Decisions from a data folder that no server has open
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
