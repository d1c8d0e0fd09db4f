//! The queue of one Alertmanager and the thread that empties it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Alertmanager, BATCH_ALERTS_MAX, Deliver};

/// How often a batch is tried before it is given up.
const ATTEMPTS_MAX: u32 = 6;
/// How long to wait after the first failure; twice as long after each other.
const BACKOFF: Duration = Duration::from_secs(1);

/// What was counted of an Alertmanager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutletCounts {
    /// Its address.
    pub url: String,
    /// Alerts it took.
    pub sent: u64,
    /// Alerts that a failure befell.
    pub errors: u64,
    /// Alerts that were given up.
    pub dropped: u64,
    /// Alerts that wait.
    pub waiting: usize,
}

/// The queue of an Alertmanager.
pub(super) struct Outlet {
    pub(super) to: Alertmanager,
    alerts_max: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
    sent: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    alerts: VecDeque<Arc<str>>,
    ending: Ending,
}

/// Whether the thread is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    No,
    /// When everything is sent, or something fails.
    WhenSent,
    /// Now.
    Now,
}

impl Outlet {
    pub(super) fn new(to: Alertmanager, alerts_max: usize) -> Self {
        Self {
            to,
            alerts_max,
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            thread: Mutex::new(None),
            sent: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn start(self: &Arc<Self>, deliver: &Arc<dyn Deliver>) -> io::Result<()> {
        let (outlet, deliver) = (Arc::clone(self), Arc::clone(deliver));
        let thread = std::thread::Builder::new().name("alerts-send".to_owned());
        *self.thread.lock() = Some(thread.spawn(move || outlet.run(deliver.as_ref()))?);
        Ok(())
    }

    pub(super) fn finish(&self) {
        self.end(Ending::WhenSent);
    }

    /// Ends without sending: nobody is there any more.
    pub(super) fn abandon(&self) {
        self.end(Ending::Now);
    }

    fn end(&self, ending: Ending) {
        self.queue.lock().ending = ending;
        self.changed.notify_all();
    }

    pub(super) fn join(&self) {
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(
                url = self.to.url,
                "the thread that sends alerts had panicked"
            );
        }
    }

    pub(super) fn push(&self, alerts: &[Arc<str>]) {
        let mut queue = self.queue.lock();
        queue.alerts.extend(alerts.iter().cloned());
        let over = queue.alerts.len().saturating_sub(self.alerts_max);
        queue.alerts.drain(..over);
        drop(queue);
        self.changed.notify_all();
        if over > 0 {
            self.dropped.fetch_add(over as u64, Ordering::Relaxed);
            tracing::warn!(
                url = self.to.url,
                over,
                "alerts were dropped: the queue is full"
            );
        }
    }

    pub(super) fn counts(&self) -> OutletCounts {
        OutletCounts {
            url: self.to.url.clone(),
            sent: self.sent.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: self.queue.lock().alerts.len(),
        }
    }

    /// The oldest alerts, as many as fit in a request.
    fn take(queue: &mut Queue) -> Vec<Arc<str>> {
        let count = queue.alerts.len().min(BATCH_ALERTS_MAX);
        queue.alerts.drain(..count).collect()
    }

    pub(super) fn send_one_batch(&self, deliver: &dyn Deliver) -> bool {
        let batch = Self::take(&mut self.queue.lock());
        if batch.is_empty() {
            return false;
        }
        self.send(deliver, &batch);
        true
    }

    fn run(&self, deliver: &dyn Deliver) {
        loop {
            let batch = {
                let mut queue = self.queue.lock();
                loop {
                    match queue.ending {
                        Ending::Now => return,
                        Ending::WhenSent if queue.alerts.is_empty() => return,
                        _ if queue.alerts.is_empty() => self.changed.wait(&mut queue),
                        _ => break,
                    }
                }
                Self::take(&mut queue)
            };
            let sent = self.send(deliver, &batch);
            if !sent && self.queue.lock().ending != Ending::No {
                return;
            }
        }
    }

    /// Sends a batch, trying again where that may help. Whether it was taken.
    fn send(&self, deliver: &dyn Deliver, batch: &[Arc<str>]) -> bool {
        let alerts = batch.len() as u64;
        let body = format!("[{}]", batch.join(","));
        let mut wait = BACKOFF;
        for attempt in 1..=ATTEMPTS_MAX {
            let error = match deliver.post(&self.to, body.clone()) {
                Ok(()) => {
                    self.sent.fetch_add(alerts, Ordering::Relaxed);
                    return true;
                }
                Err(error) => error,
            };
            self.errors.fetch_add(alerts, Ordering::Relaxed);
            let url = &self.to.url;
            tracing::warn!(url, alerts, attempt, %error, "alerts could not be sent");
            if !error.is_retryable || attempt == ATTEMPTS_MAX || !self.wait(wait) {
                break;
            }
            wait = wait.saturating_mul(2);
        }
        self.dropped.fetch_add(alerts, Ordering::Relaxed);
        false
    }

    /// Waits, unless the thread is to end. Nobody waits where there is no thread.
    fn wait(&self, duration: Duration) -> bool {
        if self.thread.lock().is_none() {
            return true;
        }
        let mut queue = self.queue.lock();
        let until = std::time::Instant::now() + duration;
        while queue.ending == Ending::No {
            if self.changed.wait_until(&mut queue, until).timed_out() {
                return true;
            }
        }
        false
    }
}
