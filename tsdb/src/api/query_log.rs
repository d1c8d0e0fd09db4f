//! A note of every query, with what it took: who asks for what is found out here.
//!
//! A line of JSON each, with upstream's fields. The file is opened for each line, so that whoever rotates
//! it need tell nobody. A file that cannot be written costs its lines and no query; that is said once,
//! and once more when it can be written again.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use model::time::Timestamp;
use serde_json::{Value, json};

use super::stats::{Stats, Told};
use super::targets::time;

/// The file.
#[derive(Debug)]
pub(super) struct QueryLog {
    path: PathBuf,
    is_failing: AtomicBool,
}

/// A query that ended.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// When.
    pub(super) at: Timestamp,
    /// What was asked.
    pub(super) query: &'a str,
    /// The first instant.
    pub(super) start: Timestamp,
    /// The last instant.
    pub(super) end: Timestamp,
    /// From one instant to the next, in milliseconds; 0 where there is one.
    pub(super) step_ms: i64,
    /// What it took.
    pub(super) stats: &'a Stats,
    /// How it was asked.
    pub(super) method: &'a str,
    /// Where it was asked.
    pub(super) path: &'a str,
    /// Why there is no answer.
    pub(super) error: Option<String>,
}

impl QueryLog {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            is_failing: AtomicBool::new(false),
        }
    }

    /// Notes a query.
    pub(super) fn note(&self, entry: &Entry<'_>) {
        let mut line = line(entry).to_string();
        line.push('\n');
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        let path = self.path.display();
        match written {
            Ok(()) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(%path, "the query log can be written again");
                }
            }
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%path, %error, "the query log cannot be written; queries go on without");
                }
            }
        }
    }
}

fn line(entry: &Entry<'_>) -> Value {
    let mut line = json!({
        "ts": time(entry.at),
        "params": {
            "query": entry.query,
            "start": time(entry.start),
            "end": time(entry.end),
            "step": entry.step_ms as f64 / 1000.0,
        },
        "stats": entry.stats.to_json(Told::Totals),
        "httpRequest": {"method": entry.method, "path": entry.path},
    });
    if let (Some(error), Some(fields)) = (&entry.error, line.as_object_mut()) {
        fields.insert("error".to_owned(), error.as_str().into());
    }
    line
}
