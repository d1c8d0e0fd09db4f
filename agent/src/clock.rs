//! The time of day, injected so that a test decides what it is.
//!
//! Waiting is tokio's affair (its tests pause time by themselves); this clock only says what is
//! written into samples and lines.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::time::{Timestamp, TimestampNs};

/// Says what time it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> TimestampNs + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
            };
            TimestampNs(nanos)
        })
    }

    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> TimestampNs + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time in nanoseconds, as lines carry it.
    pub fn now_ns(&self) -> TimestampNs {
        (self.0)()
    }

    /// The time in milliseconds, as samples carry it.
    pub fn now(&self) -> Timestamp {
        self.now_ns().floor_millis()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
