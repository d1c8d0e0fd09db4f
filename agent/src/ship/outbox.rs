//! The bounded queue between those who scrape and the one task that ships samples.
//!
//! A scrape must not wait for a server, or its successor would be late; so when the queue is full
//! the newest batch is dropped and counted. Nothing else in the agent may drop samples.

use std::sync::Arc;

use model::sample::{Metadata, SeriesSamples};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Backoff, Sink, deliver};
use crate::metrics::AgentMetrics;

/// What one scrape yields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesBatch {
    /// The samples.
    pub series: Vec<SeriesSamples>,
    /// What is new of the families.
    pub metadata: Vec<Metadata>,
}

/// The end of the queue that scrapes write to.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<SeriesBatch>,
    metrics: Arc<AgentMetrics>,
}

impl Outbox {
    /// Queues a batch, or drops it where the queue is full.
    pub fn send(&self, batch: SeriesBatch) {
        let samples = batch.series.len() as u64;
        match self.sender.try_send(batch) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let before = self.metrics.samples_dropped.inc_by(samples);
                if before == 0 {
                    tracing::warn!(
                        samples,
                        "the outbox is full: samples are dropped and counted"
                    );
                }
            }
            // The shipper ends only after every sender is gone, or at the deadline of a shutdown.
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.metrics.samples_dropped.inc_by(samples);
            }
        }
    }
}

/// A queue of at most `batches_max` batches, and the task that empties it until every [`Outbox`] is
/// gone or `abort` is cancelled.
pub fn outbox(
    batches_max: usize,
    sink: Arc<dyn Sink>,
    metrics: Arc<AgentMetrics>,
    abort: CancellationToken,
) -> (Outbox, impl Future<Output = ()> + Send + 'static) {
    let (sender, mut receiver) = mpsc::channel::<SeriesBatch>(batches_max.max(1));
    let outbox = Outbox {
        sender,
        metrics: Arc::clone(&metrics),
    };
    let task = async move {
        let mut shipped: u64 = 0;
        while let Some(batch) = receiver.recv().await {
            shipped += 1;
            let attempt = || sink.write_series(batch.series.clone(), batch.metadata.clone());
            deliver(attempt, Backoff::new(shipped), &metrics.series, &abort).await;
            if abort.is_cancelled() {
                break;
            }
        }
    };
    (outbox, task)
}
