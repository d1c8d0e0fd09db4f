//! The node agent: it reads what a machine and its targets show, and ships it to a [`ship::Sink`].
//!
//! Two flows meet the same end. Metrics: the agent's own collectors ([`cgroup`], [`node`]) and
//! targets over HTTP are all scraped by [`scrape`], which makes expositions into samples, marks
//! what vanished as stale and reports on itself. Logs: [`tail`] follows files across rotation from
//! a checkpoint. [`ship`] delivers both and acknowledges.
//!
//! What must stay true: nothing is forgotten before the sink acknowledged it while its source still
//! holds it (log files are their own write-ahead log); every queue is bounded; nothing that comes
//! from outside, file or body, can panic or grow the agent; what cannot be read is said once and
//! the rest goes on. The agent knows no store and no cluster API.
//!
//! Modules, in the order data flows:
//!
//! - [`config`]: what the agent is told.
//! - [`access`]: how others are reached.
//! - [`clock`]: the time of day, injected.
//! - [`expose`]: how the agent's own collectors write what they read.
//! - [`host`]: the machine's own files, below injected roots.
//! - [`cgroup`]: `container_*` and `machine_*`, under the kubelet's names.
//! - [`node`]: `node_*`, under node_exporter's names.
//! - [`scrape`]: targets into samples.
//! - [`tail`]: files into lines.
//! - [`ship`]: samples and lines to where they are kept.
//! - [`metrics`]: what the agent counts about itself.
//! - [`run`]: the tasks of all this, and how they stop.

pub mod access;
pub mod cgroup;
pub mod clock;
pub mod config;
pub mod expose;
pub mod host;
pub mod metrics;
pub mod node;
pub mod run;
pub mod scrape;
pub mod ship;
pub mod tail;

pub use clock::Clock;
pub use config::{AgentConfig, ConfigError, Roots};
pub use run::{Agent, AgentHandle, Exposer, StartError};
