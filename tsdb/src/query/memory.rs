//! Memory that queries hold, all of them together.
//!
//! There is one [`QueryMemory`] for a store, and every query has an [`Allotment`] of it. Whoever makes
//! something that grows with the data takes its bytes first and makes it then: label sets of a
//! selection, columns, states of groups, points and text of the answer. Sizes are estimates on the
//! high side; what is missed is small beside what is counted. An allotment gives everything back when
//! its last holder is dropped, so no path, an error's or a panic's, can forget it.
//!
//! A query that would exceed the limit is the one that is refused; those that hold memory already
//! go on. So that a few greedy ones cannot starve all others, the last quarter is for queries that
//! hold little: a [`SMALL_SHARE`]th of the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A query that holds no more than this part of the limit is small.
const SMALL_SHARE: usize = 64;

/// What all queries of a store may hold.
#[derive(Clone, Debug)]
pub struct QueryMemory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    bytes_max: usize,
    taken: AtomicUsize,
}

/// The query would have held more than is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the query would use too much memory: it holds {held} bytes and needs {wanted} more, of the {limit} bytes that all queries may hold together; ask for fewer series or points, or raise query.memory_bytes_max (now {limit})"
)]
pub struct MemoryExceeded {
    /// What the query holds.
    pub held: usize,
    /// What it needs beside that.
    pub wanted: usize,
    /// What all queries may hold together.
    pub limit: usize,
}

impl QueryMemory {
    /// As much for all queries together.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Pool {
            bytes_max,
            taken: AtomicUsize::new(0),
        }))
    }

    /// What is held at the moment.
    pub fn bytes_taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// An allotment of a query, with nothing in it.
    pub fn allotment(&self) -> Allotment {
        Allotment(Arc::new(Share {
            pool: Arc::clone(&self.0),
            taken: AtomicUsize::new(0),
        }))
    }
}

/// What one query holds. Clones are the same allotment.
#[derive(Clone, Debug)]
pub struct Allotment(Arc<Share>);

#[derive(Debug)]
struct Share {
    pool: Arc<Pool>,
    taken: AtomicUsize,
}

/// Of a query that nothing bounds.
impl Default for Allotment {
    fn default() -> Self {
        QueryMemory::new(usize::MAX).allotment()
    }
}

impl Allotment {
    /// Takes so many bytes more, or says that they are not to be had.
    pub fn take(&self, bytes: usize) -> Result<(), MemoryExceeded> {
        let (share, pool) = (&*self.0, &*self.0.pool);
        let held = share.taken.load(Ordering::Relaxed);
        let limit = pool.bytes_max;
        let is_small = held.saturating_add(bytes) <= limit / SMALL_SHARE;
        let most = if is_small { limit } else { limit - limit / 4 };
        let take = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= most);
        let taken = pool
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            return Err(MemoryExceeded {
                held,
                wanted: bytes,
                limit,
            });
        }
        share.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives bytes back; never more than were taken.
    pub fn give(&self, bytes: usize) {
        let mut given = 0;
        // The closure never declines.
        let _ = self
            .0
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                given = bytes.min(taken);
                Some(taken - given)
            });
        self.0.pool.taken.fetch_sub(given, Ordering::Relaxed);
    }

    /// Holds exactly so many bytes from now on.
    pub fn settle(&self, bytes: usize) -> Result<(), MemoryExceeded> {
        let held = self.bytes_taken();
        if bytes > held {
            return self.take(bytes - held);
        }
        self.give(held - bytes);
        Ok(())
    }

    /// What it holds.
    pub fn bytes_taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.pool
            .taken
            .fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_by_the_last_holder() {
        let memory = QueryMemory::new(1000);
        let one = memory.allotment();
        let same = one.clone();
        one.take(400).expect("there is room");
        same.take(100).expect("there is room");
        assert_eq!(memory.bytes_taken(), 500);
        same.give(50);
        assert_eq!(one.bytes_taken(), 450);
        drop(one);
        assert_eq!(memory.bytes_taken(), 450);
        same.settle(700).expect("there is room");
        same.settle(20).expect("it only gives");
        same.give(21);
        assert_eq!(memory.bytes_taken(), 0);
        same.take(7).expect("there is room");
        drop(same);
        assert_eq!(memory.bytes_taken(), 0);
    }

    #[test]
    fn who_would_exceed_is_refused_and_small_queries_pass_a_greedy_one() {
        let memory = QueryMemory::new(6400);
        let greedy = memory.allotment();
        greedy.take(4800).expect("three quarters are for anybody");
        let refusal = greedy.take(1).expect_err("the last quarter is not");
        let expected = MemoryExceeded {
            held: 4800,
            wanted: 1,
            limit: 6400,
        };
        assert_eq!(refusal, expected);
        assert!(
            refusal
                .to_string()
                .contains("raise query.memory_bytes_max (now 6400)")
        );
        let small: Vec<Allotment> = (0..16).map(|_| memory.allotment()).collect();
        for one in &small {
            assert_eq!(one.take(100), Ok(()));
            assert!(one.take(1).is_err(), "it is not small any more");
        }
        assert!(memory.allotment().take(1).is_err(), "nothing is left");
        drop(greedy);
        assert_eq!(small[0].take(1000), Ok(()));
    }
}
