//! What the metrics API tells of the program: how it was told to run, when and where it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use model::time::format_duration;
use storage::clock::{Clock as _, SystemClock};
use tsdb::api::program::Program;

use crate::config::Config;
use crate::config::shown::{shown, shown_url};
use crate::run::Role;

/// What there is to tell. The port may have been left to the system, so its address is handed in.
pub(crate) fn of(config: &Config, role: &Role, http: SocketAddr) -> Program {
    let agent = config.agent_of(role);
    let targets: Vec<String> = (agent.scrape.targets.iter())
        .map(|target| shown_url(target))
        .collect();
    let flags = BTreeMap::from([
        ("http", http.to_string()),
        ("webhook", config.admission.listen.to_string()),
        ("data", config.data.display().to_string()),
        ("scrape", targets.join(",")),
        ("logs", agent.tail.globs.join(",")),
    ]);
    let directory = std::env::current_dir().unwrap_or_default();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut retention = Vec::new();
    retention.extend(config.metrics_retention_ms.map(format_duration));
    let bytes = config.metrics_retention_bytes;
    retention.extend(bytes.map(|bytes| format!("{bytes}B")));
    Program {
        started: SystemClock.now(),
        config: shown(&config.source),
        flags: flags
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        working_directory: directory.display().to_string(),
        hostname: hostname.trim().to_owned(),
        storage_retention: retention.join(" or "),
        admin_api: config.admin_api,
    }
}
