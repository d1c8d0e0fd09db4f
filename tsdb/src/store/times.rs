//! Timestamps that series share.
//!
//! All series of a scrape have its timestamps, less those they were absent for. So a body of
//! timestamps is written once, and a block that has some consecutive ones of it refers to them: the
//! number of the body, and how many to skip. Where a series has more samples than a block holds, its
//! blocks are cut where the bodies it can share end.

use std::collections::HashMap;

use super::codec::BLOCK_SAMPLES_MAX;

/// Timestamps that are kept to be shared, at most.
const KEPT_TIMESTAMPS_MAX: usize = 1 << 20;
/// Bodies that a block which is found nowhere else is looked for in.
const SEARCHED_MAX: usize = 64;
/// A block is cut to share timestamps if it shares as many.
const SHARED_MIN: usize = 256;

/// Where timestamps are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// The number of the body.
    pub(super) body: u32,
    /// Timestamps of the body before them.
    pub(super) skip: usize,
    /// How many of those asked for are there.
    pub(super) count: usize,
}

/// The bodies that later series may share.
#[derive(Debug, Default)]
pub(super) struct SharedTimes {
    /// By age; the numbers of the bodies are consecutive.
    bodies: Vec<Vec<i64>>,
    /// The number of the first of `bodies`.
    first: u32,
    kept: usize,
    /// Where blocks with this first timestamp, last timestamp and count were found.
    found: HashMap<(i64, i64, usize), Shared>,
    /// Bodies in which something was found lately, the latest last.
    lately: Vec<u32>,
}

impl SharedTimes {
    /// Where the next block of a series with these timestamps is, or its beginning.
    pub(super) fn find(&mut self, times: &[i64]) -> Option<Shared> {
        let block = times.get(..BLOCK_SAMPLES_MAX).unwrap_or(times);
        let key = key_of(block)?;
        if let Some(found) = self.found.get(&key).copied()
            && self.common(found.body, found.skip, block) == block.len()
        {
            return Some(found);
        }
        let mut best: Option<Shared> = None;
        for body in self.lately.iter().rev().copied() {
            let Some(timestamps) = self.body(body) else {
                continue;
            };
            let Ok(skip) = timestamps.binary_search(&key.0) else {
                continue;
            };
            let count = self.common(body, skip, block);
            if best.is_none_or(|best| best.count < count) {
                best = Some(Shared { body, skip, count });
            }
            if count == block.len() {
                break;
            }
        }
        let best = best?;
        // The beginning only where more follows, so that a series of one block keeps it.
        let is_whole = best.count == block.len();
        if !is_whole && (best.count < SHARED_MIN || times.len() <= BLOCK_SAMPLES_MAX) {
            return None;
        }
        if is_whole {
            self.found.insert(key, best);
        }
        self.mark(best.body);
        Some(best)
    }

    /// Remembers the next body.
    pub(super) fn push(&mut self, times: &[i64]) -> u32 {
        if self.kept + times.len() > KEPT_TIMESTAMPS_MAX {
            self.first += self.bodies.len() as u32;
            self.bodies.clear();
            self.found.clear();
            self.lately.clear();
            self.kept = 0;
        }
        let body = self.first + self.bodies.len() as u32;
        self.kept += times.len();
        self.bodies.push(times.to_vec());
        self.mark(body);
        if let Some(key) = key_of(times) {
            let count = times.len();
            self.found.insert(
                key,
                Shared {
                    body,
                    skip: 0,
                    count,
                },
            );
        }
        body
    }

    fn body(&self, number: u32) -> Option<&[i64]> {
        let body = self.bodies.get(number.checked_sub(self.first)? as usize);
        body.map(Vec::as_slice)
    }

    /// How many timestamps of a block the body has, from `skip` on.
    fn common(&self, body: u32, skip: usize, block: &[i64]) -> usize {
        let body = self.body(body).and_then(|body| body.get(skip..));
        let pairs = body.unwrap_or_default().iter().zip(block);
        pairs.take_while(|(a, b)| a == b).count()
    }

    fn mark(&mut self, body: u32) {
        if self.lately.last() == Some(&body) {
            return;
        }
        self.lately.retain(|other| *other != body);
        if self.lately.len() >= SEARCHED_MAX {
            self.lately.remove(0);
        }
        self.lately.push(body);
    }
}

fn key_of(block: &[i64]) -> Option<(i64, i64, usize)> {
    Some((*block.first()?, *block.last()?, block.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scrape each 10 ms, of which no two are equally late.
    fn scrapes(range: std::ops::Range<i64>) -> Vec<i64> {
        range.map(|i| i * 10 + i * i % 7).collect()
    }

    #[test]
    fn what_started_later_or_ended_earlier_shares_the_timestamps() {
        let mut shared = SharedTimes::default();
        assert_eq!(shared.find(&scrapes(0..1000)), None);
        assert_eq!(shared.push(&scrapes(0..1000)), 0);
        for (range, skip) in [(0..1000, 0), (0..3, 0), (600..1000, 600), (500..501, 500)] {
            let count = range.end as usize - skip;
            let expected = Shared {
                body: 0,
                skip,
                count,
            };
            // The second time by its key.
            for _ in 0..2 {
                assert_eq!(shared.find(&scrapes(range.clone())), Some(expected));
            }
        }
        let mut with_gap = scrapes(0..1000);
        with_gap.remove(500);
        assert_eq!(shared.find(&with_gap), None);
        assert_eq!(shared.push(&with_gap), 1);
        assert_eq!(shared.find(&with_gap).map(|found| found.body), Some(1));
        assert_eq!(
            shared.find(&scrapes(0..1000)).map(|found| found.body),
            Some(0)
        );
    }

    #[test]
    fn blocks_of_long_series_are_cut_where_they_can_share() {
        let most = BLOCK_SAMPLES_MAX;
        let mut shared = SharedTimes::default();
        let all = scrapes(0..30_000);
        for block in all.chunks(most) {
            shared.push(block);
        }
        // A series that started later.
        let mut rest = &all[3000..];
        let mut bodies = Vec::new();
        while !rest.is_empty() {
            let found = shared.find(rest).expect("all are there");
            bodies.push((found.body, found.skip));
            rest = &rest[found.count..];
        }
        assert_eq!(bodies, [(0, 3000), (1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn bodies_are_forgotten_before_they_are_too_many() {
        let mut shared = SharedTimes::default();
        let bodies = 2 * KEPT_TIMESTAMPS_MAX as i64 / 1000;
        for number in 0..bodies {
            let start = number * 10_000;
            assert_eq!(shared.push(&scrapes(start..start + 1000)), number as u32);
            assert!(shared.kept <= KEPT_TIMESTAMPS_MAX);
        }
        assert_eq!(shared.find(&scrapes(0..1000)), None);
    }
}
