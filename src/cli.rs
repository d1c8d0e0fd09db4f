//! The command line, as it is written: what clap parses and nothing more.
//!
//! Flags that change the program's own configuration are the same for every role; each can also
//! be an environment variable or a key of the configuration file. A flag wins over its variable, and both win over the
//! file.

pub(crate) mod access;
pub(crate) mod bench;
pub(crate) mod explain;
pub(crate) mod moving;
pub(crate) mod netpol;
pub(crate) mod replay;

use std::net::SocketAddr;
use std::path::PathBuf;

use access::AccessArgs;
use admission::pod_security::{Level, Version};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Metrics, logs and admission policy for a Kubernetes cluster, in one program.
#[derive(Debug, Parser)]
#[command(
    name = "taffrail",
    version,
    about,
    long_about = "Metrics, logs and admission policy for a Kubernetes cluster, in one program.\n\n\
                  Without a command it runs every role with no configuration: the node agent, the \
                  metrics and log stores with Prometheus' and Loki's HTTP APIs, and the admission webhook.",
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What `run` is told.
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every role in one process (the default)
    Run(RunArgs),
    /// Run the stores and their HTTP APIs only
    Server(RunArgs),
    /// Run the node agent only, shipping to a server
    Agent(RemoteArgs),
    /// Run the admission webhook only, sending its decisions to a server
    Admission(RemoteArgs),
    /// Ask PromQL
    Query(QueryArgs),
    /// Ask LogQL
    Logs(LogsArgs),
    /// Load samples into a store: JSON lines, OpenMetrics, Prometheus' blocks
    Import(moving::ImportArgs),
    /// Write out samples of a store, bit for bit
    Export(moving::ExportArgs),
    /// Have a server make a snapshot of all it stores; prints its name below DATA/snapshots
    Snapshot(moving::SnapshotArgs),
    /// Work with admission policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Validate a configuration file, or rule files
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Check {
        /// What to check beside a configuration
        #[command(subcommand)]
        what: Option<CheckCommand>,
        /// The configuration file (YAML)
        #[arg(required = true)]
        config: Option<PathBuf>,
    },
    /// Run unit tests
    #[command(subcommand)]
    Test(TestCommand),
    /// Print the version
    Version,
}

/// What to check.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Rule files, as Prometheus has them
    Rules {
        /// Rule files (YAML)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// What to test.
#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Rules: unit tests as promtool has them
    Rules {
        /// Files of unit tests (YAML), which name their rule files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Work with admission policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Judge manifests as the webhook would
    Check(PolicyCheckArgs),
    /// Say why: which rule, which line, what input; and of the others, why not
    Explain(explain::PolicyExplainArgs),
    /// Say who may reach whom by the network policies of manifests, and why
    Netpol(netpol::PolicyNetpolArgs),
    /// Measure what policies cost, rule by rule
    Bench(bench::PolicyBenchArgs),
    /// Try a candidate on the decisions of the last days, and say what would change
    Replay(replay::PolicyReplayArgs),
    /// Run tests of policies: Gatekeeper's suites, and allow/, deny/ and warn/ beside policies
    Test(PolicyTestArgs),
}

/// What a role is told.
#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// Configuration file (YAML); every key has a default
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the HTTP APIs [default: 127.0.0.1:9440]
    #[arg(long, value_name = "ADDR", env = "TAFFRAIL_HTTP")]
    pub(crate) http: Option<SocketAddr>,
    /// Address of the admission webhook (TLS) [default: 127.0.0.1:9443]
    #[arg(long, value_name = "ADDR", env = "TAFFRAIL_WEBHOOK")]
    pub(crate) webhook: Option<SocketAddr>,
    /// Make the kinds of constraints of the cluster's ConstraintTemplates, where no Gatekeeper does
    #[arg(long, env = "TAFFRAIL_GATEKEEPER_DEFINITIONS")]
    pub(crate) gatekeeper_definitions: bool,
    /// File that says how the HTTP port is protected (TLS, users), as Prometheus has it
    #[arg(
        long,
        alias = "web.config.file",
        value_name = "FILE",
        env = "TAFFRAIL_WEB_CONFIG_FILE"
    )]
    pub(crate) web_config_file: Option<PathBuf>,
    /// Folder that holds all data [default: ./taffrail-data]
    #[arg(long, value_name = "DIR", env = "TAFFRAIL_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Prometheus target to scrape, such as http://localhost:9100/metrics; may be repeated
    #[arg(
        long,
        value_name = "URL",
        env = "TAFFRAIL_SCRAPE",
        value_delimiter = ','
    )]
    pub(crate) scrape: Vec<String>,
    /// Name of this node in labels [default: the host's name]
    #[arg(long, value_name = "NAME", env = "TAFFRAIL_NODE_NAME")]
    pub(crate) node_name: Option<String>,
    /// Plain log files to tail; may be repeated [default: /var/log/*.log and below]
    #[arg(
        long,
        value_name = "GLOB",
        env = "TAFFRAIL_LOGS",
        value_delimiter = ','
    )]
    pub(crate) logs: Vec<String>,
}

/// What a role apart from the stores is told.
#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// The server to send to, such as http://taffrail:9440
    #[arg(long, value_name = "URL", env = "TAFFRAIL_SERVER")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Where to ask and how to print.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The server to ask
    #[arg(
        long,
        value_name = "URL",
        env = "TAFFRAIL_SERVER",
        default_value = "http://127.0.0.1:9440"
    )]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// How to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// A range of time and the step through it.
#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// Start of the range: now-1h, RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// End of the range [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// Step through the range [default: as fine as is readable, at least 1s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) step: Option<String>,
}

/// What `query` is told.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The expression
    pub(crate) expression: String,
    /// Instant to evaluate at: now, now-1h, RFC 3339 or Unix seconds [default: now]
    #[arg(long, conflicts_with_all = ["since", "start", "end", "step"])]
    pub(crate) time: Option<String>,
    /// Evaluate over the range from this long ago until now
    #[arg(long, value_name = "DURATION", conflicts_with = "start")]
    pub(crate) since: Option<String>,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What `logs` is told.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The query: `{job="varlogs"} |= "error"`, or a metric query
    pub(crate) query: String,
    /// Look back this far
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        conflicts_with = "start"
    )]
    pub(crate) since: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Most lines to print
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    /// Oldest lines first instead of newest
    #[arg(long)]
    pub(crate) forward: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// What `policy test` is told.
#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// Suites, or folders that are searched with all below them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only tests and cases whose name matches; TEST//CASE where both must
    #[arg(long, value_name = "REGEX", default_value = "")]
    pub(crate) run: String,
}

/// How judged manifests are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyOutput {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For what shows findings beside code
    Sarif,
    /// For what shows the results of tests
    Junit,
}

/// What `policy check` is told.
#[derive(Debug, Args)]
pub(crate) struct PolicyCheckArgs {
    /// Manifests (YAML or JSON, several documents a file); `-` is standard input
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
    pub(crate) output: PolicyOutput,
}
