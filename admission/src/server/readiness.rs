//! Whether reviews should be sent to a webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Whether reviews should be sent to a webhook. It outlives the webhook, which is draining then, and keeps nothing of it: whoever
/// waits for the end of the webhook does not wait for who holds this.
#[derive(Debug, Clone)]
pub struct Readiness {
    draining: CancellationToken,
    ready: Arc<AtomicBool>,
    trusted: Arc<AtomicBool>,
}

impl Readiness {
    /// Of a webhook that knows its policies once `ready` is set, and whom the API server trusts once `trusted` is.
    pub(crate) fn new(ready: Arc<AtomicBool>, trusted: Arc<AtomicBool>) -> Self {
        Readiness {
            draining: CancellationToken::new(),
            ready,
            trusted,
        }
    }

    /// Cancelled when the webhook begins to drain.
    pub(super) fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Whether the cluster and its policies are known.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Why none should, if none should: what `/readyz` says.
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.draining.is_cancelled() {
            return Some("draining");
        }
        if !self.is_ready() {
            return Some("the cluster and its policies are not known yet");
        }
        if !self.trusted.load(Ordering::Acquire) {
            return Some("the webhook configuration does not hold our certificate authority yet");
        }
        None
    }
}
