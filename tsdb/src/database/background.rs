//! The threads of a metrics store: those of the store itself, and where there are roll-ups those of
//! their stores and one that makes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use storage::clock::Clock;
use storage::store::MaintainError;
use storage::store::background::Background;

use crate::rollup::Rollup;
use crate::store::{MetricStore, Metrics};

/// The running threads of a metrics store.
pub struct TsdbBackground {
    store: Background<Metrics>,
    rollups: Maker,
}

impl TsdbBackground {
    pub(super) fn start(
        store: &Arc<MetricStore>,
        rollups: &Arc<[Rollup]>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Self> {
        Ok(Self {
            rollups: Maker::start(store, rollups, clock)?,
            store: Background::start(Arc::clone(store))?,
        })
    }

    /// Stops the threads, then flushes and closes the store; the roll-ups first, which read it.
    pub fn stop(self) -> Result<(), MaintainError> {
        let rolled_up = self.rollups.stop();
        self.store.stop().and(rolled_up)
    }
}

/// The thread that makes roll-ups, and those that keep their stores in shape.
struct Maker {
    stores: Vec<Background<Metrics>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// How often the thread looks whether a partition is due.
const TICK: Duration = Duration::from_mins(1);

impl Maker {
    fn start(
        raw: &Arc<MetricStore>,
        rollups: &Arc<[Rollup]>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let mut maker = Self {
            stores: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
            thread: None,
        };
        if rollups.is_empty() {
            return Ok(maker);
        }
        for rollup in &**rollups {
            maker
                .stores
                .push(Background::start(Arc::clone(rollup.store()))?);
        }
        let (raw, rollups) = (Arc::clone(raw), Arc::clone(rollups));
        let (clock, stop) = (Arc::clone(clock), Arc::clone(&maker.stop));
        let run = move || {
            while !stop.load(Ordering::Acquire) {
                let busy = rollups.iter().any(|rollup| {
                    rollup.make_one(&raw, clock.now()).unwrap_or_else(|error| {
                        tracing::error!(resolution = rollup.options().resolution.as_str(), %error, "a roll-up could not be made; it is tried again");
                        false
                    })
                });
                if !busy {
                    std::thread::park_timeout(TICK);
                }
            }
        };
        let thread = std::thread::Builder::new().name("metrics-rollup".to_owned());
        maker.thread = Some(thread.spawn(run)?);
        Ok(maker)
    }

    fn stop(self) -> Result<(), MaintainError> {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that makes roll-ups had panicked");
            }
        }
        let stopped = self.stores.into_iter().map(Background::stop);
        stopped.fold(Ok(()), Result::and)
    }
}
