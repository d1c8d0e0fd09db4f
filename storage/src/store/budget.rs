//! What memtables may take together, and waiting for it.
//!
//! Whoever wants to write takes room first, so that memory never grows past the budget because many
//! write at once. Where there is none the writer waits for a flush, for a time: a short pile-up costs
//! the sender a pause, and only a flush that stays behind costs a refusal.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// How much memory memtables take, and may take.
pub(super) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
    /// Somebody found no room since some was made.
    is_short: AtomicBool,
    /// Held for a moment by whoever makes room, so that no waiter misses it between a look and its wait.
    waiting: Mutex<()>,
    room: Condvar,
}

impl Budget {
    /// A budget of `bytes_max`, of which `used` are taken.
    pub(super) fn new(bytes_max: usize, used: usize) -> Self {
        Self {
            bytes_max,
            used: AtomicUsize::new(used),
            is_short: AtomicBool::new(false),
            waiting: Mutex::new(()),
            room: Condvar::new(),
        }
    }

    /// What is taken.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes room. Returns whether there was enough.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok();
        if !taken {
            self.is_short.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// Whether somebody found no room since some was made.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// Says that what was taken as `from` bytes turned out to be `to`.
    pub(super) fn correct(&self, from: usize, to: usize) {
        if from < to {
            self.used.fetch_add(to - from, Ordering::Relaxed);
        } else if to < from {
            self.give_back(from - to);
        }
    }

    /// Gives room back, and wakes those who wait for it.
    pub(super) fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.is_short.store(false, Ordering::Relaxed);
        drop(self.waiting.lock());
        self.room.notify_all();
    }

    /// Lets everybody who waits look again, whatever for.
    pub(super) fn wake_all(&self) {
        drop(self.waiting.lock());
        self.room.notify_all();
    }

    /// Waits until there may be room for `bytes`, or `is_over` says that waiting is in vain. Returns
    /// false where `deadline` came first.
    pub(super) fn wait(&self, bytes: usize, deadline: Instant, is_over: impl Fn() -> bool) -> bool {
        let mut waiting = self.waiting.lock();
        loop {
            if is_over() || self.used().saturating_add(bytes) <= self.bytes_max {
                return true;
            }
            if self.room.wait_until(&mut waiting, deadline).timed_out() {
                return is_over();
            }
        }
    }
}

/// When somebody who waits from now on gives up.
pub(super) fn deadline(wait_ms: u64) -> Instant {
    let now = Instant::now();
    // A time that does not fit a clock is a time nobody lives to see: a year does as well.
    now.checked_add(Duration::from_millis(wait_ms))
        .unwrap_or_else(|| now + Duration::from_hours(365 * 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_up_to_the_budget_and_no_further() {
        let budget = Budget::new(100, 30);
        assert!(budget.take(70));
        assert!(!budget.take(1));
        assert!(!budget.take(usize::MAX));
        budget.correct(70, 50);
        assert_eq!(budget.used(), 80);
        budget.correct(50, 60);
        assert_eq!(budget.used(), 90);
        budget.give_back(90);
        assert!(budget.take(100));
    }

    #[test]
    fn waiting_ends_with_room_with_an_end_and_with_time() {
        let budget = Budget::new(100, 100);
        assert!(!budget.wait(1, deadline(0), || false), "no time");
        assert!(budget.wait(1, deadline(0), || true), "in vain");
        budget.give_back(1);
        assert!(budget.wait(1, deadline(0), || false), "room");
    }
}
