//! Ranges of remote parts that were read lately, a bounded number of bytes of them.
//!
//! A part is cut into ranges of [`RANGE_BYTES`]; the one used longest ago makes room. Who misses a
//! range fetches it together with the missing neighbours that are wanted too, in one request; who wants
//! it meanwhile waits for that request. A request that fails fails for the one who made it; those
//! who waited try for themselves.
//!
//! Beside its bound the cache takes what is being fetched: at most [`RANGES_AT_ONCE`] ranges for
//! each reader that waits.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::manifest::PartId;

/// Length of a range.
pub(super) const RANGE_BYTES: u64 = 256 << 10;
/// Most ranges that are fetched by one request.
pub(super) const RANGES_AT_ONCE: u64 = 16;

/// Ranges of parts.
pub(super) struct RangeCache {
    bytes_max: usize,
    range_bytes: u64,
    state: Mutex<State>,
    /// Told when a request has ended.
    ended: Condvar,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct State {
    ranges: HashMap<RangeId, Slot>,
    /// The held ranges by the time of their last use.
    by_use: BTreeMap<u64, RangeId>,
    bytes: usize,
    /// Counts uses.
    now: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RangeId {
    part: PartId,
    number: u64,
}

enum Slot {
    Held { bytes: Arc<[u8]>, used: u64 },
    Fetched,
}

impl RangeCache {
    /// A cache of ranges of `range_bytes` each.
    pub(super) fn new(bytes_max: usize, range_bytes: u64) -> Self {
        Self {
            bytes_max,
            range_bytes,
            state: Mutex::default(),
            ended: Condvar::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The range `number` of a part. Where it must be fetched, so are the missing ones behind it
    /// that are below `end`: `fetch` is asked for a run of ranges and gives their bytes.
    pub(super) fn range<E>(
        &self,
        part: PartId,
        number: u64,
        end: u64,
        fetch: impl Fn(Range<u64>) -> Result<Vec<Arc<[u8]>>, E>,
    ) -> Result<Arc<[u8]>, E> {
        let id = RangeId { part, number };
        let run = {
            let mut state = self.state.lock();
            loop {
                match state.ranges.get(&id) {
                    Some(Slot::Held { bytes, .. }) => {
                        let bytes = Arc::clone(bytes);
                        state.touch(id);
                        self.hits.fetch_add(1, Ordering::Relaxed);
                        return Ok(bytes);
                    }
                    Some(Slot::Fetched) => self.ended.wait(&mut state),
                    None => {
                        // No more than the cache can hold.
                        let held_max = self.bytes_max as u64 / self.range_bytes;
                        let run_max = held_max.clamp(1, RANGES_AT_ONCE);
                        break state.claim(id, end.min(number.saturating_add(run_max)));
                    }
                }
            }
        };
        // Gives the claim back where the fetch fails or panics.
        let claim = Claim {
            cache: self,
            part,
            run: run.clone(),
        };
        let fetched = fetch(run)?;
        self.misses
            .fetch_add(fetched.len() as u64, Ordering::Relaxed);
        let wanted = fetched.first().map_or_else(|| Arc::from([]), Arc::clone);
        claim.keep(fetched);
        Ok(wanted)
    }

    /// Drops what is held of a part's ranges.
    pub(super) fn forget(&self, part: PartId, numbers: Range<u64>) {
        let mut state = self.state.lock();
        for number in numbers {
            let id = RangeId { part, number };
            if let Some(Slot::Held { .. }) = state.ranges.get(&id) {
                state.take(id);
            }
        }
    }

    /// Most ranges that are read ahead of what is wanted: some readers shall find room beside each
    /// other.
    pub(super) fn ahead_max(&self) -> u64 {
        (self.bytes_max as u64 / (4 * self.range_bytes)).min(RANGES_AT_ONCE)
    }

    /// Ranges that were there when they were wanted.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Ranges that were fetched.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// What is held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    /// Marks a range, and the missing ones behind it, as being fetched.
    fn claim(&mut self, first: RangeId, end: u64) -> Range<u64> {
        let mut next = first;
        loop {
            self.ranges.insert(next, Slot::Fetched);
            next.number += 1;
            if next.number >= end || self.ranges.contains_key(&next) {
                return first.number..next.number;
            }
        }
    }

    fn touch(&mut self, id: RangeId) {
        self.now += 1;
        if let Some(Slot::Held { used, .. }) = self.ranges.get_mut(&id) {
            self.by_use.remove(used);
            *used = self.now;
            self.by_use.insert(self.now, id);
        }
    }

    fn take(&mut self, id: RangeId) {
        if let Some(Slot::Held { bytes, used }) = self.ranges.remove(&id) {
            self.by_use.remove(&used);
            self.bytes -= bytes.len();
        }
    }

    fn hold(&mut self, id: RangeId, bytes: Arc<[u8]>, bytes_max: usize) {
        self.now += 1;
        self.bytes += bytes.len();
        let used = self.now;
        self.ranges.insert(id, Slot::Held { bytes, used });
        self.by_use.insert(used, id);
        while self.bytes > bytes_max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.take(oldest);
        }
    }
}

/// Ranges that one reader fetches.
struct Claim<'a> {
    cache: &'a RangeCache,
    part: PartId,
    run: Range<u64>,
}

impl Claim<'_> {
    fn keep(self, fetched: Vec<Arc<[u8]>>) {
        let mut state = self.cache.state.lock();
        // The last ones first, so that the one that is wanted now stays longest.
        let numbers = self.run.clone().zip(fetched);
        for (number, bytes) in numbers.collect::<Vec<_>>().into_iter().rev() {
            let id = RangeId {
                part: self.part,
                number,
            };
            state.hold(id, bytes, self.cache.bytes_max);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state.lock();
        for number in self.run.clone() {
            let id = RangeId {
                part: self.part,
                number,
            };
            if let Some(Slot::Fetched) = state.ranges.get(&id) {
                state.ranges.remove(&id);
            }
        }
        drop(state);
        self.cache.ended.notify_all();
    }
}

#[cfg(test)]
mod tests;
