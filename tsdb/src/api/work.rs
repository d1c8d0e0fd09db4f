//! CPU work off the async threads: bounded in number, in time, and stopped when nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::response::{ApiError, ErrorType};
use crate::query::{Guard, OnInterrupt};

const QUEUED_TOO_LONG: &str = "query timed out in query queue: as many queries as are allowed run already; try again later, or raise the limit of queries at once";

/// Raises the flag when the handler that holds it is dropped: the client has gone, or the work is
/// done and nobody looks any more.
pub(super) struct CancelOnDrop(Arc<AtomicBool>);

impl CancelOnDrop {
    /// The holder, and the flag.
    pub(super) fn new() -> (Self, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&flag)), flag)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A query's turn. It ends when nothing more is computed for the query; memory is given back afterwards.
struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    /// What ends it.
    fn ends(&self) -> OnInterrupt {
        let turn = Arc::clone(&self.0);
        OnInterrupt::new(move || drop(turn.lock().take()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

impl Api {
    /// Runs a query on a blocking thread once it is its turn. `timeout` can only shorten the
    /// configured one.
    pub(super) async fn run_query<R: Send + 'static>(
        &self,
        timeout: Option<Duration>,
        work: impl FnOnce(&Self, &Guard) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        self.run_query_timed(timeout, |api, guard, _| work(api, guard))
            .await
    }

    /// The same, of work that wants to know how long it waited for its turn.
    pub(super) async fn run_query_timed<R: Send + 'static>(
        &self,
        timeout: Option<Duration>,
        work: impl FnOnce(&Self, &Guard, Duration) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let counters = self.tsdb.counters();
        counters.queries.fetch_add(1, Ordering::Relaxed);
        let result = self.run_query_uncounted(timeout, work).await;
        if result.is_err() {
            counters.query_errors.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn run_query_uncounted<R: Send + 'static>(
        &self,
        timeout: Option<Duration>,
        work: impl FnOnce(&Self, &Guard, Duration) -> Result<R, ApiError> + Send + 'static,
    ) -> Result<R, ApiError> {
        let longest = self.tsdb.options().query.timeout;
        let timeout = timeout.map_or(longest, |timeout| timeout.min(longest));
        let arrived = Instant::now();
        let deadline = arrived + timeout;
        let turn = Arc::clone(&self.queries).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(timeout, turn).await else {
            return Err(ApiError::new(ErrorType::Timeout, QUEUED_TOO_LONG));
        };
        let (_cancel, is_canceled) = CancelOnDrop::new();
        let guard = Guard {
            deadline: Some(deadline),
            cancel: Some(is_canceled),
            samples_max: self.tsdb.options().query.samples_max,
            series_max: self.tsdb.options().query.series_max,
            memory: self.tsdb.engine().memory().allotment(),
            on_interrupt: OnInterrupt::default(),
        };
        let turn = Turn(Arc::new(Mutex::new(Some(turn))));
        let guard = Guard {
            on_interrupt: turn.ends(),
            ..guard
        };
        let api = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with the client.
            let _turn = turn;
            work(&api, &guard, arrived.elapsed())
        });
        joined(task.await)
    }

    /// Runs a write on a blocking thread once it is its turn.
    pub(super) async fn run_write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let turn = acquire(&self.writes).await?;
        let api = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            Ok(work(&api))
        });
        joined(task.await)
    }
}

async fn acquire(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let turn = Arc::clone(turns).acquire_owned().await;
    turn.map_err(|_| ApiError::new(ErrorType::Unavailable, "the server is stopping"))
}

fn joined<R>(result: Result<Result<R, ApiError>, tokio::task::JoinError>) -> Result<R, ApiError> {
    result.unwrap_or_else(|error| {
        tracing::error!(%error, "a request ended in a panic; this is a defect of the program");
        Err(ApiError::new(
            ErrorType::Internal,
            "internal error; the server's log says more",
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::time::Timestamp;
    use storage::clock::ManualClock;
    use storage::disk::sim::SimDisk;
    use tokio::sync::oneshot;

    use super::*;
    use crate::database::{Tsdb, TsdbOptions};
    use crate::query::Interrupted;

    fn api() -> Api {
        let mut options = TsdbOptions::default();
        options.api.queries_max = 1;
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let disk = Arc::new(SimDisk::new(1));
        let (tsdb, _) = Tsdb::open(disk, clock, Path::new("/data"), options).expect("opens");
        Api {
            tsdb,
            queries: Arc::new(Semaphore::new(1)),
            writes: Arc::new(Semaphore::new(1)),
            exports: Arc::new(Semaphore::new(1)),
            reads: Arc::new(Semaphore::new(1)),
            write_places: Arc::new(Semaphore::new(1)),
            query_log: None,
        }
    }

    #[tokio::test]
    async fn a_query_whose_client_has_gone_is_stopped_and_keeps_its_turn_until_then() {
        let api = api();
        let (started, has_started) = oneshot::channel();
        let (stopped, has_stopped) = oneshot::channel();
        let (give_back, gives_back) = std::sync::mpsc::channel();
        let query = api.run_query(None, move |_, guard| {
            started.send(()).expect("somebody looks");
            let reason = loop {
                if let Err(reason) = guard.check() {
                    break reason;
                }
                std::thread::yield_now();
            };
            stopped.send(reason).expect("somebody looks");
            // What it holds is given back, which takes as long as it takes.
            gives_back.recv().expect("somebody says so");
            Ok(())
        });
        let mut query = Box::pin(query);
        tokio::select! {
            biased;
            _ = &mut query => panic!("nobody has stopped it"),
            started = has_started => started.expect("it runs"),
        }
        let second = api.run_query(Some(Duration::ZERO), |_, _| Ok(())).await;
        assert_eq!(
            second.expect_err("there is one turn").message,
            QUEUED_TOO_LONG
        );
        drop(query);
        assert_eq!(has_stopped.await, Ok(Interrupted::Canceled));
        let third = api.run_query(None, |_, _| Ok(7)).await;
        assert_eq!(third, Ok(7));
        give_back.send(()).expect("it waits");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_one_request() {
        let api = api();
        let result = api.run_query(None, |_, _| -> Result<(), ApiError> { panic!("a defect") });
        let error = result.await.expect_err("it panics");
        assert_eq!(error.kind, ErrorType::Internal);
        assert_eq!(api.run_query(None, |_, _| Ok(7)).await, Ok(7));
    }
}
