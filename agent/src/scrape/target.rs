//! What is scraped, and the labels its series get.
//!
//! A target has `job` and `instance`, as in Prometheus. For a URL given on the command line the job
//! is `scrape` unless configured (Prometheus has no default: a job there is a section of the file)
//! and the instance is its `HOST:PORT`, with the port the scheme implies where none is written.

use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::wire::exposition::Format;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

/// A body made in this process, or why there is none. It may block: it runs beside the async
/// threads.
pub type Exposer = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Where a body comes from.
#[derive(Clone)]
pub enum Source {
    /// Over HTTP.
    Http(Url),
    /// From this process, in the format named.
    Process(Exposer, Format),
}

/// One target.
#[derive(Clone)]
pub struct Target {
    /// Where the body comes from.
    pub source: Source,
    /// `job`, `instance` and whatever else every series of the target gets.
    pub labels: Labels,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// What it may deliver.
    pub limits: Limits,
    /// Who wins where the target exposes a label it is given.
    pub conflicts: Conflicts,
}

/// What one scrape may deliver.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest body, decompressed.
    pub body_bytes_max: usize,
    /// The most samples; 0 for no limit.
    pub samples_max: usize,
}

/// Who wins where a target exposes a label that it is also given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// The exposed label becomes `exported_…`: `honor_labels: false`.
    Rename,
    /// The exposed label stays: `honor_labels: true`.
    Honor,
}

impl Target {
    /// The name for messages: the URL without its credentials, or the job.
    pub fn name(&self) -> String {
        match &self.source {
            Source::Http(url) => {
                let mut shown = url.clone();
                // Neither fails on a URL with a host, and without one there are no credentials.
                let _ = shown.set_username("");
                let _ = shown.set_password(None);
                shown.into()
            }
            Source::Process(..) => self.labels.get("job").unwrap_or_default().to_owned(),
        }
    }

    /// How far into each interval this target is scraped: targets with one interval must not all be
    /// asked at one moment, and one target always at the same.
    pub fn offset(&self) -> Duration {
        let mut identity = self.labels.as_encoded().to_owned();
        identity.push_str(&self.name());
        let nanos = self.interval.as_nanos().max(1) as u64;
        Duration::from_nanos(xxh3_64(identity.as_bytes()) % nanos)
    }
}

/// The `instance` of a URL: host and port, the port also where the scheme implies it.
pub fn instance_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_no_secret() {
        let target = Target {
            source: Source::Http(Url::parse("http://user:secret@host:1/m?x=y").expect("a URL")),
            labels: Labels::empty(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            limits: Limits {
                body_bytes_max: 1,
                samples_max: 0,
            },
            conflicts: Conflicts::Rename,
        };
        assert_eq!(target.name(), "http://host:1/m?x=y");
    }

    #[test]
    fn an_instance_has_its_port() {
        for (url, want) in [
            ("http://localhost:9100/metrics", "localhost:9100"),
            ("http://localhost/metrics", "localhost:80"),
            ("https://[::1]/metrics", "[::1]:443"),
        ] {
            assert_eq!(instance_of(&Url::parse(url).expect("a URL")), want);
        }
    }
}
