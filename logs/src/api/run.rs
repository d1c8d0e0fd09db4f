//! Work that computes or waits for the disk, off the async threads.
//!
//! So many pieces run at a time, so many more wait, and the rest are refused at once: a queue that
//! only grows answers nobody. A client that goes away takes its work along: the flag that the
//! work looks at is set when the request is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::error::ApiError;
use crate::metrics::QueueMetrics;

/// How much runs and waits at a time.
pub(super) struct Slots {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    metrics: QueueMetrics,
}

impl Slots {
    /// So many at a time, so many more waiting.
    pub(super) fn new(at_once_max: usize, waiting_max: usize, metrics: QueueMetrics) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once_max.max(1))),
            waiting: Semaphore::new(at_once_max.max(1) + waiting_max),
            metrics,
        }
    }

    /// Runs `work` on a thread that may compute. The flag it gets is set when nobody waits for the
    /// result any more.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<AtomicBool>) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            self.metrics.refused.inc();
            return Err(ApiError::TooManyOutstanding);
        };
        let _in_flight = self.metrics.start();
        let permit = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| ApiError::Failed)?;
        let gone = Gone(Arc::default());
        let flag = Arc::clone(&gone.0);
        tokio::task::spawn_blocking(move || {
            // Held until the work is done, also where the client is gone before.
            let _permit = permit;
            work(flag)
        })
        .await
        .map_err(|_| ApiError::Failed)?
    }
}

/// Sets the flag when the request ends, one way or the other.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_dropped_request_raises_the_flag() {
        let slots = Arc::new(Slots::new(1, 0, QueueMetrics::default()));
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (saw_flag, flag_was_seen) = mpsc::channel();
        let first = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move {
                let work = move |flag: Arc<AtomicBool>| {
                    let _ = started.send(());
                    while !flag.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    let _ = saw_flag.send(());
                    Ok(())
                };
                slots.run(work).await
            }
        });
        has_started.await.expect("starts");
        let second = slots.run(|_| Ok(())).await;
        assert!(matches!(second, Err(ApiError::TooManyOutstanding)));
        first.abort();
        let seen = tokio::task::spawn_blocking(move || flag_was_seen.recv());
        seen.await.expect("joins").expect("the flag was raised");
    }
}
