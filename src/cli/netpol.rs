//! What `policy netpol` is told.

use std::path::PathBuf;

use admission::network_policy::Protocol;
use clap::Args;

use super::Output;

/// What `policy netpol` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
ENDS are NAMESPACE/POD, NAMESPACE/WORKLOAD (which stands for a pod of its template), an address, a CIDR, \
`internet` (all public addresses), and as --to a domain name. Of a CIDR and the internet it is asked whether any \
address of it is allowed.

EXIT STATUS: with --from and --to, 0 if the connection is allowed (on any port, if none is given), 1 if it is denied. \
With --before, 0 if nothing is different, 1 if something is. With neither, 0. Always 2 where \
something is wrong with a file or the command line.")]
pub(crate) struct PolicyNetpolArgs {
    /// Manifests: Namespaces, Pods, workloads, Nodes, NetworkPolicies, ClusterNetworkPolicies (YAML or JSON, several
    /// documents a file); a folder is all of them below it, `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The source; all of them if none is given
    #[arg(long, value_name = "END")]
    pub(crate) from: Option<String>,
    /// The destination; all of them if none is given
    #[arg(long, value_name = "END")]
    pub(crate) to: Option<String>,
    /// A port of the destination, by number or by the name its containers give it; all if none is given
    #[arg(long)]
    pub(crate) port: Option<String>,
    /// The protocol: TCP, UDP or SCTP [default: TCP with --port, else all]
    #[arg(long)]
    pub(crate) protocol: Option<Protocol>,
    /// The state before: prints what has become reachable and unreachable since
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) before: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, short, default_value = "default")]
    pub(crate) namespace: String,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}
