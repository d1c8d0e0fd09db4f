//! Whether reviews are judged where they arrive.
//!
//! A thread that judges serves no connection meanwhile. That is worth it for what takes no longer than handing it over would, and
//! how long something takes is known best from what came before it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a thread may be kept from its connections.
pub(super) const QUICK: Duration = Duration::from_millis(5);

/// How many reviews are judged elsewhere after one that was not quick.
const REVIEWS_ELSEWHERE: u32 = 100;

/// What the last reviews took.
#[derive(Debug, Default)]
pub(super) struct Pace {
    elsewhere: AtomicU32,
}

impl Pace {
    /// Whether the next one may be judged where it is.
    pub(super) fn is_quick(&self) -> bool {
        let left = |left: u32| left.checked_sub(1);
        (self.elsewhere)
            .try_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_err()
    }

    /// One took too long.
    pub(super) fn slow_down(&self) {
        self.elsewhere.store(REVIEWS_ELSEWHERE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_that_is_slow_others_are_judged_elsewhere_for_a_while() {
        let pace = Pace::default();
        assert!(pace.is_quick());
        pace.slow_down();
        for _ in 0..REVIEWS_ELSEWHERE {
            assert!(!pace.is_quick());
        }
        assert!(pace.is_quick());
    }
}
