//! The one place where storage waits for futures.
//!
//! Storage is synchronous and the clients of object stores are not: their futures run on a thread of
//! their own, and whoever wants an answer waits for it, at most as long as a limit. The thread
//! belongs to the tier and ends with it.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// None came within the limit.
    Late,
    /// The thread has ended.
    Stopped,
}

/// The thread that drives futures.
pub(super) struct Courier {
    handle: Handle,
    /// Dropped to stop the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Courier {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("tier-file")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("tier".to_owned())
            .spawn(move || {
                // An error says that the other end was dropped, which is the signal.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Waits for what `future` gives, at most for `limit`. The future is dropped where it is late.
    pub(super) fn wait<R: Send + 'static>(
        &self,
        limit: Duration,
        future: impl Future<Output = R> + Send + 'static,
    ) -> Result<R, NoAnswer> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // Nobody is left to tell where the other end is gone.
            let _ = answer.send(tokio::time::timeout(limit, future).await);
        });
        match answered.recv() {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(NoAnswer::Late),
            Err(_) => Err(NoAnswer::Stopped),
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the tier's thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_and_late_ones_do_not() {
        let courier = Courier::start().expect("starts");
        let limit = Duration::from_secs(45);
        assert_eq!(courier.wait(limit, async { 7 }), Ok(7));
        let never = std::future::pending::<()>();
        assert_eq!(courier.wait(Duration::ZERO, never), Err(NoAnswer::Late));
        let panicked = courier.wait(limit, async { panic!("of a client") });
        assert_eq!(panicked, Err::<(), _>(NoAnswer::Stopped));
        assert_eq!(courier.wait(limit, async { 8 }), Ok(8));
    }
}
