//! Scraping: a target's exposition becomes samples with the target's labels, as Prometheus does it.
//!
//! A scrape is all or nothing. A body that cannot be fetched, parsed or kept within its limits
//! leaves only the report series behind, with `up` 0, and everything the target showed before is
//! marked stale at that moment. What a later body no longer shows is marked stale too, unless its
//! samples carried their own timestamps: then only the target knows when they end.
//!
//! - [`target`]: what is scraped: a URL, or a body made in this process.
//! - [`fetch`]: the body, over HTTP.
//! - [`series`]: a body into samples; what was there before.
//! - [`report`]: what a scrape says about itself.
//! - [`schedule`]: when, and the task of one target.
//! - [`status`]: what became of the last scrape of each.

pub mod fetch;
pub mod report;
pub mod schedule;
pub mod series;
pub mod status;
pub mod target;

use model::wire::exposition::ParseError;

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The target took longer than the timeout.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// The target answered with something else than 200.
    #[error("server returned HTTP status {0}")]
    Status(reqwest::StatusCode),
    /// The body is longer than allowed.
    #[error("body size limit of {0} bytes exceeded")]
    BodySize(usize),
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 at byte {0}")]
    Encoding(usize),
    /// The body is no exposition.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// A series has a label twice.
    #[error("series {series}: label {label:?} is there twice")]
    LabelTwice {
        /// As it is written.
        series: String,
        /// The label.
        label: String,
    },
    /// More samples than allowed.
    #[error("sample limit of {0} exceeded")]
    SampleLimit(usize),
    /// A collector of this process failed.
    #[error("{0}")]
    Collector(String),
}
