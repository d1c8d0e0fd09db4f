//! Where windows lie among the timestamps of a series.
//!
//! Series of one scrape have the same timestamps, so the places among them are kept and used
//! again; comparing timestamps costs far less than finding places.

use model::sample::stale_nan;

use crate::query::source::Run;

/// Where windows lie in time: all of one length, each behind an instant that never goes back.
#[derive(Clone, Debug)]
pub struct Ranges<I> {
    /// The instants they end at; these belong to them.
    pub ends: I,
    /// Their length.
    pub range_millis: i64,
}

/// Timestamps of which the places are known at once. Series come in the order of labels, in which
/// those of one target need not be neighbours.
const PLACEMENTS_MAX: usize = 16;

/// What is kept from series to series: where the windows lie, and room to work in.
#[derive(Debug, Default)]
pub struct Scratch {
    placements: Vec<Placement>,
    /// The placement in use.
    current: usize,
    /// The one that makes room next.
    oldest: usize,
    pub(super) best: Vec<(u32, f64)>,
    pub(super) positions: Vec<u32>,
    pub(super) prefix: Vec<i64>,
}

/// Where windows lie among timestamps.
#[derive(Debug, Default)]
pub(super) struct Placement {
    times: Run<i64>,
    /// Where the windows begin and end among the samples.
    pub windows: Vec<(u32, u32)>,
    longest: usize,
    /// What rates need to know of each window.
    pub stretches: Vec<Stretch>,
    pub range_seconds: f64,
}

/// What a rate needs to know of the timestamps of a window, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    /// From the first sample to the last; 0 where there are not two.
    pub covered: f64,
    /// How far to extrapolate to the start, unless the counter was zero before that.
    pub to_start: f64,
    /// How far to extrapolate to the end.
    pub to_end: f64,
}

impl Scratch {
    /// Finds the windows among `times`. The ranges must be the same for one scratch.
    pub fn place(&mut self, times: &Run<i64>, ranges: Ranges<impl Iterator<Item = i64>>) {
        let known = |placement: &Placement| placement.times.is_same(times);
        if let Some(known) = self.placements.iter().position(known) {
            self.current = known;
            return;
        }
        if self.placements.len() < PLACEMENTS_MAX {
            self.current = self.placements.len();
            self.placements.push(Placement::default());
        } else {
            self.current = self.oldest;
            self.oldest = (self.oldest + 1) % PLACEMENTS_MAX;
        }
        if let Some(placement) = self.placements.get_mut(self.current) {
            placement.find(times, ranges);
        }
    }

    /// The most samples of a window.
    pub fn longest(&self) -> usize {
        self.placed().map_or(0, |placement| placement.longest)
    }

    pub(super) fn placed(&self) -> Option<&Placement> {
        self.placements.get(self.current)
    }

    pub(super) fn windows(&self) -> &[(u32, u32)] {
        self.placed().map_or(&[], |placement| &placement.windows)
    }

    /// The timestamps among which the windows lie.
    pub(super) fn times(&self) -> &[i64] {
        self.placed().map_or(&[], |placement| &placement.times)
    }

    /// A value for each window that has samples, between the first and the one behind the last.
    pub(super) fn each(&self, of: impl Fn((usize, usize)) -> f64) -> Vec<f64> {
        let value = |(low, high): &(u32, u32)| {
            if low == high {
                stale_nan()
            } else {
                of((*low as usize, *high as usize))
            }
        };
        self.windows().iter().map(value).collect()
    }

    /// The time of a sample of each window that has some, in seconds.
    pub(super) fn each_time(&self, of: impl Fn((usize, usize)) -> usize) -> Vec<f64> {
        let times = self.placed().map(|placement| &placement.times);
        self.each(|window| {
            let at = times.and_then(|times| times.get(of(window)).copied());
            at.unwrap_or_default() as f64 / 1000.0
        })
    }
}

impl Placement {
    fn find(&mut self, times: &Run<i64>, ranges: Ranges<impl Iterator<Item = i64>>) {
        self.times.clone_from(times);
        self.windows.clear();
        self.stretches.clear();
        self.longest = 0;
        self.range_seconds = ranges.range_millis as f64 / 1000.0;
        let times: &[i64] = times;
        let (mut low, mut high) = (0_usize, 0_usize);
        for end in ranges.ends {
            let start = end.saturating_sub(ranges.range_millis);
            while times.get(high).is_some_and(|at| *at <= end) {
                high += 1;
            }
            while low < high && times.get(low).is_some_and(|at| *at <= start) {
                low += 1;
            }
            self.longest = self.longest.max(high - low);
            self.windows.push((low as u32, high as u32));
            let window = times.get(low..high).unwrap_or_default();
            self.stretches.push(Stretch::of(window, start, end));
        }
    }
}

impl Stretch {
    /// As [`rate`](crate::query::functions::rate) measures a window, operation by operation.
    fn of(times: &[i64], start: i64, end: i64) -> Self {
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return Self::default();
        };
        if times.len() < 2 {
            return Self::default();
        }
        let covered = last.saturating_sub(*first) as f64 / 1000.0;
        let mean_distance = covered / (times.len() as f64 - 1.0);
        let threshold = mean_distance * 1.1;
        let within = |gap: f64| {
            if gap >= threshold {
                mean_distance / 2.0
            } else {
                gap
            }
        };
        Self {
            covered,
            to_start: within(first.saturating_sub(start) as f64 / 1000.0),
            to_end: within(end.saturating_sub(*last) as f64 / 1000.0),
        }
    }
}
