//! Where windows lie among the timestamps of a series.
//!
//! Series of one scrape have the same timestamps, so the places are kept and used again for as
//! long as the timestamps do not change; comparing them costs far less than finding them.

use model::sample::stale_nan;

/// Where windows lie in time: all of one length, each behind an instant that never goes back.
#[derive(Clone, Debug)]
pub struct Ranges<I> {
    /// The instants they end at; these belong to them.
    pub ends: I,
    /// Their length.
    pub range_millis: i64,
}

/// What is kept from series to series: where the windows lie, and room to work in.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The timestamps of which the places are known.
    times: Vec<i64>,
    is_placed: bool,
    /// Where the windows begin and end among the samples.
    windows: Vec<(u32, u32)>,
    longest: usize,
    pub(super) extrapolation: Extrapolation,
    pub(super) best: Vec<(u32, f64)>,
    pub(super) positions: Vec<u32>,
    pub(super) prefix: Vec<i64>,
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

/// The stretches of all windows, and the length of the windows.
#[derive(Debug, Default)]
pub(super) struct Extrapolation {
    pub stretches: Vec<Stretch>,
    pub range_seconds: f64,
}

impl Scratch {
    /// Finds the windows among `times`. The ranges must be the same for one scratch.
    pub fn place(&mut self, times: &[i64], ranges: Ranges<impl Iterator<Item = i64>>) {
        if self.is_placed && self.times == times {
            return;
        }
        self.is_placed = true;
        self.times.clear();
        self.times.extend_from_slice(times);
        self.windows.clear();
        self.longest = 0;
        self.extrapolation.stretches.clear();
        self.extrapolation.range_seconds = ranges.range_millis as f64 / 1000.0;
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
            let stretch = Stretch::of(window, start, end);
            self.extrapolation.stretches.push(stretch);
        }
    }

    /// The most samples of a window.
    pub const fn longest(&self) -> usize {
        self.longest
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
        self.windows.iter().map(value).collect()
    }

    /// The time of a sample of each window that has some, in seconds.
    pub(super) fn each_time(&self, of: impl Fn((usize, usize)) -> usize) -> Vec<f64> {
        self.each(|window| {
            let at = self.times.get(of(window)).copied().unwrap_or_default();
            at as f64 / 1000.0
        })
    }

    pub(super) fn windows(&self) -> &[(u32, u32)] {
        &self.windows
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
