//! Where the agent's data goes: a [`Sink`] that acknowledges, and the patience to reach one.
//!
//! The agent knows nothing of stores. In one process the binary hands it a sink that writes into
//! the stores; across a network [`http::HttpSink`] speaks remote write and Loki push. An `Ok` is an
//! acknowledgement: the other side holds the data durably, and the agent may forget it (and move
//! its checkpoint). Anything else says whether trying again can help.
//!
//! Retrying lives here once ([`deliver`]), for every sink: a sink makes one attempt a call. What is
//! refused is counted and dropped, as Prometheus and promtail do, for it would block all that
//! follows for ever.

mod deliver;
pub mod http;
mod outbox;

use std::time::Duration;

use futures_util::future::BoxFuture;
use model::entry::StreamEntries;
use model::sample::{Metadata, SeriesSamples};

pub use deliver::{Backoff, Delivery, deliver};
pub use outbox::{Outbox, SeriesBatch, outbox};

/// The other side: stores in this process, or a server.
pub trait Sink: Send + Sync + 'static {
    /// Writes samples and what is known of their families; `Ok` acknowledges all of them.
    fn write_series(
        &self,
        series: Vec<SeriesSamples>,
        metadata: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>>;

    /// Writes log lines; `Ok` acknowledges all of them.
    fn write_streams(&self, streams: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>>;
}

/// Why a write was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipError {
    /// The same write may succeed later: no connection, a busy server, a full disk.
    #[error("{reason}; trying again")]
    Retryable {
        /// What happened.
        reason: String,
        /// How long the other side asked to be left alone.
        after: Option<Duration>,
    },
    /// The same write will be refused again.
    #[error("refused: {reason}")]
    Refused {
        /// What the other side said.
        reason: String,
    },
}

impl ShipError {
    /// A retryable error without a word on when.
    pub fn retryable(reason: impl Into<String>) -> Self {
        Self::Retryable {
            reason: reason.into(),
            after: None,
        }
    }

    /// An error that trying again does not heal.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }
}
