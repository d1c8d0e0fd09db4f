//! What `policy bench` is told.

use std::path::PathBuf;

use clap::Args;

use super::Output;

/// What `policy bench` is told.
#[derive(Debug, Args)]
pub(crate) struct PolicyBenchArgs {
    /// Manifests or AdmissionReviews (YAML or JSON, several documents a file); `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Configuration file whose admission section applies
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of Gatekeeper's templates and constraints to hold them to as well [default: as configured, none]
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// How often each is judged
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}
