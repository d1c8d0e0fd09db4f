//! What `policy explain` is told.

use std::path::PathBuf;

use admission::pod_security::{Level, Version};
use clap::Args;

use super::Output;

/// What `policy explain` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
For each object: every policy in force, and what it says. Where it speaks: the message, the Rego rule with its file and \
line, and what of the input that rests on, path by path. Where it does not: which criterion does not match, who is \
exempt, or that no rule of it holds. For reviews and decisions levels are those of the namespace's labels as far as \
they were recorded.

EXIT STATUS: as of `policy check`: 1 if an object is refused or cannot be judged, else 0.")]
pub(crate) struct PolicyExplainArgs {
    /// Manifests and AdmissionReviews (YAML or JSON, several documents a file), or recorded decisions (JSON, one a line);
    /// `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Pod Security level to hold them to: privileged, baseline or restricted [default: as configured, baseline]
    #[arg(long)]
    pub(crate) level: Option<Level>,
    /// Version of the level: latest, or v1.MINOR [default: as configured, latest]
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// Configuration file whose admission section applies
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of Gatekeeper's templates and constraints to hold them to as well [default: as configured, none]
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}
