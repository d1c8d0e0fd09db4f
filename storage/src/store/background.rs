//! The threads that keep a store in shape: one syncs the log, one flushes and expires, one merges, one moves old parts to a bucket.
//! Each has a name and is joined when the store is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{MaintainError, Store};
use crate::table::Table;
use crate::wal::sync::FsyncPolicy;

/// How often maintenance looks whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// How long the tier is left alone after an error.
const TIER_REST: Duration = Duration::from_secs(30);

/// How long a thread whose errors go on keeps silent about them.
const SAID_AGAIN: Duration = Duration::from_mins(1);

/// A store's running threads.
pub struct Background<T: Table> {
    store: Arc<Store<T>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Table> Background<T> {
    /// Starts the threads.
    pub fn start(store: Arc<Store<T>>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: fn(&Store<T>, &AtomicBool)| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            let thread = std::thread::Builder::new()
                .name(format!("{}-{name}", T::NAME))
                .spawn(move || run(&store, &stop))?;
            threads.push(thread);
            Ok::<(), std::io::Error>(())
        };
        spawn("flush", flush_and_expire)?;
        spawn("merge", merge)?;
        if store.tier().is_some() {
            spawn("tier", tier)?;
        }
        if matches!(store.options().fsync, FsyncPolicy::Interval(_)) {
            spawn("sync", sync)?;
        }
        Ok(Self {
            store,
            stop,
            threads,
        })
    }

    /// Stops the threads, then flushes and closes the store.
    pub fn stop(self) -> Result<(), MaintainError> {
        self.stop.store(true, Ordering::Release);
        if let Some(tier) = self.store.tier() {
            tier.stop_uploads();
        }
        self.store.wake();
        for thread in self.threads {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(table = T::NAME, "a thread of the store had panicked");
            }
        }
        self.store.close()
    }
}

fn sync<T: Table>(store: &Store<T>, stop: &AtomicBool) {
    let FsyncPolicy::Interval(interval_ms) = store.options().fsync else {
        return;
    };
    let mut report = Report::default();
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(interval_ms.max(1)));
        let failed_before = store.sync_has_failed();
        if let Err(error) = store.sync()
            && !failed_before
        {
            count_error(store);
            tracing::error!(table = T::NAME, %error, "the log could not be synced; its rows are flushed to a part");
            // A part is synced as a whole: the rows become durable that way.
            report.of(store, store.flush());
        }
    }
}

fn flush_and_expire<T: Table>(store: &Store<T>, stop: &AtomicBool) {
    let mut report = Report::default();
    while !stop.load(Ordering::Acquire) {
        {
            let mut due = store.wake.due.lock();
            if !*due {
                store.wake.condition.wait_for(&mut due, TICK);
            }
            *due = false;
        }
        if store.flush_is_due() {
            report.of(store, store.flush());
        }
        report.of(store, store.expire());
    }
}

fn merge<T: Table>(store: &Store<T>, stop: &AtomicBool) {
    let mut report = Report::default();
    while !stop.load(Ordering::Acquire) {
        if !report.of(store, store.merge_once()).unwrap_or(false) {
            std::thread::park_timeout(TICK);
        }
    }
}

fn tier<T: Table>(store: &Store<T>, stop: &AtomicBool) {
    let mut report = Report::default();
    while !stop.load(Ordering::Acquire) {
        match report.of(store, store.tier_once()) {
            Some(true) => {}
            Some(false) => std::thread::park_timeout(TICK),
            None => std::thread::park_timeout(TIER_REST),
        }
    }
}

fn count_error<T: Table>(store: &Store<T>) {
    let errors = &store.counters.maintenance_errors;
    errors.fetch_add(1, Ordering::Relaxed);
}

/// What a thread says of its errors: the first at once, and while they go on one of them a minute.
#[derive(Default)]
struct Report {
    said: Option<Instant>,
}

impl Report {
    fn of<T: Table, R>(&mut self, store: &Store<T>, result: Result<R, MaintainError>) -> Option<R> {
        result
            .inspect_err(|error| {
                count_error(store);
                if self.said.is_none_or(|said| said.elapsed() >= SAID_AGAIN) {
                    self.said = Some(Instant::now());
                    tracing::error!(table = T::NAME, %error, "maintenance failed; it is tried again");
                }
            })
            .ok()
    }
}
