//! Merges give way: to the disk, by writing no faster than they are told, and to queries, by pausing while
//! one runs.
//!
//! They never stop: a merge that waited for queries for a while goes on for a piece, so that a store that is
//! always read still becomes smaller. Nor do they hold up a store that is being closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::part::writer::Pace;

/// How long a merge waits for queries before it writes the next piece all the same.
const GIVE_WAY: Duration = Duration::from_millis(100);
/// How often it looks whether they are done.
const LOOK: Duration = Duration::from_millis(5);

/// How fast merges go.
pub(super) struct MergePace {
    clock: Arc<dyn Clock>,
    bytes_per_second: Option<u64>,
    readers: AtomicUsize,
    /// The store is being closed.
    hurry: AtomicBool,
    /// When, in microseconds of the clock, everything so far may have been written.
    due_us: Mutex<i64>,
}

impl MergePace {
    pub(super) fn new(clock: Arc<dyn Clock>, bytes_per_second: Option<u64>) -> Self {
        Self {
            clock,
            bytes_per_second,
            readers: AtomicUsize::new(0),
            hurry: AtomicBool::new(false),
            due_us: Mutex::new(i64::MIN),
        }
    }

    /// Ends all waiting, for good.
    pub(super) fn hurry(&self) {
        self.hurry.store(true, Ordering::Release);
    }

    fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Acquire)
    }

    fn wait_for_readers(&self) {
        let mut waited = Duration::ZERO;
        while waited < GIVE_WAY && self.readers.load(Ordering::Relaxed) > 0 && !self.is_hurried() {
            self.clock.wait(LOOK);
            waited += LOOK;
        }
    }

    fn wait_for_disk(&self, bytes: u64) {
        let Some(bytes_per_second) = self.bytes_per_second else {
            return;
        };
        let now_us = self.clock.now().millis().saturating_mul(1_000);
        let takes_us = bytes.saturating_mul(1_000_000) / bytes_per_second.max(1);
        let ahead_us = {
            let mut due_us = self.due_us.lock();
            let takes_us = i64::try_from(takes_us).unwrap_or(i64::MAX);
            *due_us = (*due_us).max(now_us).saturating_add(takes_us);
            u64::try_from(due_us.saturating_sub(now_us)).unwrap_or(0)
        };
        let ahead = Duration::from_micros(ahead_us);
        // The clock counts milliseconds; what is less adds up.
        if ahead >= Duration::from_millis(1) {
            self.clock.wait(ahead.min(Duration::from_secs(1)));
        }
    }
}

impl Pace for MergePace {
    fn pass(&self, bytes: u64) {
        self.wait_for_readers();
        if !self.is_hurried() {
            self.wait_for_disk(bytes);
        }
    }
}

/// A query that runs; merges give way until it is dropped.
pub struct Reading(Arc<MergePace>);

impl Reading {
    pub(super) fn new(pace: &Arc<MergePace>) -> Self {
        pace.readers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(pace))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use model::time::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    /// How many milliseconds pass while `bytes` are written in pieces.
    fn takes_ms(pace: &Arc<MergePace>, clock: &ManualClock, bytes: u64, piece: u64) -> i64 {
        let start = clock.now().millis();
        for _ in 0..bytes / piece {
            pace.pass(piece);
        }
        clock.now().millis() - start
    }

    fn pace(bytes_per_second: Option<u64>) -> (Arc<MergePace>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        (Arc::new(MergePace::new(shared, bytes_per_second)), clock)
    }

    #[test]
    fn merges_write_as_fast_as_they_may_and_no_faster() {
        for piece in [100, 1_000, 50_000, 500_000] {
            let (pace, clock) = pace(Some(1_000_000));
            let takes = takes_ms(&pace, &clock, 10_000_000, piece);
            assert!(
                (9_990..=10_000).contains(&takes),
                "{takes} ms in pieces of {piece}"
            );
            // A pause earns nothing.
            clock.set(Timestamp(1_000_000));
            let takes = takes_ms(&pace, &clock, 1_000_000, piece);
            assert!(
                (990..=1_000).contains(&takes),
                "{takes} ms in pieces of {piece}"
            );
        }
        let (pace, clock) = pace(None);
        assert_eq!(takes_ms(&pace, &clock, 1 << 40, 1 << 30), 0);
    }

    #[test]
    fn merges_give_way_to_queries_for_a_while() {
        let (pace, clock) = pace(None);
        let query = Reading::new(&pace);
        let other = Reading::new(&pace);
        assert_eq!(takes_ms(&pace, &clock, 3, 1), 300);
        drop(query);
        assert_eq!(takes_ms(&pace, &clock, 1, 1), 100);
        drop(other);
        assert_eq!(takes_ms(&pace, &clock, 1, 1), 0);
    }

    #[test]
    fn a_store_that_is_being_closed_waits_for_nothing() {
        let (pace, clock) = pace(Some(1));
        let _query = Reading::new(&pace);
        pace.hurry();
        assert_eq!(takes_ms(&pace, &clock, 1_000, 1), 0);
    }
}
