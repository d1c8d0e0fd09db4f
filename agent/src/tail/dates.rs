//! The times of lines that carry none, so that a line that is read again gets the time it had.
//!
//! The store keeps one copy of an entry that comes twice with one time. So what a crash makes the
//! agent read again must be dated as it was: the time of a line follows from its offset and from
//! the first line of its run ([`Dated`]), and the runs are on disk before the lines are anywhere
//! else. One nanosecond a byte is strictly monotone, needs no counting, and can be begun at any
//! line: what is read again may begin within a run.
//!
//! Pure. A run is kept until its last line is acknowledged; most generations have none or one.

use model::time::TimestampNs;
use serde::{Deserialize, Serialize};

/// The most runs that are kept of one generation. There are many only where lines without a time
/// stand in a container's log behind a partial line that does not end: the oldest are let go then,
/// and may be repeated under a new time.
const RUNS_MAX: usize = 64;
/// The furthest that an offset may put a line ahead of the one before it: a hole in a file or
/// other lines between the two must not date it into the future.
const STEP_NANOS_MAX: i64 = 1 << 20;

/// Lines of one file that were dated one after another, by their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dated {
    /// Where the first line begins.
    pub from: u64,
    /// Where the last line begins.
    pub last: u64,
    /// The time of the first line, in nanoseconds since the epoch.
    pub timestamp: i64,
}

impl Dated {
    /// The time of the line at `offset`, by this run.
    fn at(&self, offset: u64) -> i64 {
        let bytes = i64::try_from(offset.saturating_sub(self.from)).unwrap_or(i64::MAX);
        self.timestamp.saturating_add(bytes)
    }

    fn contains(&self, offset: u64) -> bool {
        (self.from..=self.last).contains(&offset)
    }
}

/// The runs of one generation that are not acknowledged.
#[derive(Debug, Default)]
pub struct Dates {
    runs: Vec<Dated>,
    /// The moment the last run was begun at; only at that moment it goes on.
    begun: Option<TimestampNs>,
}

/// A time for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date {
    /// It was given now.
    New(i64),
    /// The line had it before.
    Again(i64),
}

impl Dates {
    /// The runs the checkpoint kept.
    pub fn restored(runs: &[Dated]) -> Self {
        Self {
            runs: runs.to_vec(),
            begun: None,
        }
    }

    /// What the checkpoint keeps.
    pub fn saved(&self) -> Vec<Dated> {
        self.runs.clone()
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Dates the line that begins at `offset`: as before, or else by `now`, and later than `last`,
    /// the latest time given in the log, which it moves.
    pub fn date(&mut self, offset: u64, last: &mut i64, now: TimestampNs) -> Date {
        if let Some(run) = self.runs.iter().rev().find(|run| run.contains(offset)) {
            let timestamp = run.at(offset);
            *last = timestamp.max(*last);
            return Date::Again(timestamp);
        }
        let steady = self.begun == Some(now);
        if let Some(run) = self
            .runs
            .last_mut()
            .filter(|run| steady && run.last < offset)
        {
            let timestamp = run.at(offset);
            let step = timestamp.saturating_sub(*last);
            if (1..=STEP_NANOS_MAX).contains(&step) {
                run.last = offset;
                *last = timestamp;
                return Date::New(timestamp);
            }
        }
        *last = now.nanos().max(last.saturating_add(1));
        if self.runs.len() >= RUNS_MAX {
            self.runs.remove(0);
        }
        self.runs.push(Dated {
            from: offset,
            last: offset,
            timestamp: *last,
        });
        self.begun = Some(now);
        Date::New(*last)
    }

    /// Forgets what will not be read again: everything before `offset`.
    pub fn acknowledge(&mut self, offset: u64) {
        self.runs.retain(|run| run.last >= offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampNs = TimestampNs(1000);

    #[test]
    fn a_run_goes_on_by_offset_and_is_repeated_from_any_line() {
        let (mut dates, mut last) = (Dates::default(), 0);
        let first: Vec<Date> = [10, 15, 30]
            .map(|offset| dates.date(offset, &mut last, NOW))
            .to_vec();
        assert_eq!(first, [1000, 1005, 1020].map(Date::New));
        let mut dates = Dates::restored(&dates.saved());
        let later = TimestampNs(500);
        assert_eq!(dates.date(15, &mut last, later), Date::Again(1005));
        assert_eq!(dates.date(30, &mut last, later), Date::Again(1020));
        assert_eq!(dates.date(31, &mut last, later), Date::New(1021));
    }

    #[test]
    fn generations_that_take_turns_never_share_a_time() {
        let (mut old, mut new, mut last) = (Dates::default(), Dates::default(), 0);
        let mut times = Vec::new();
        for offset in [0, 7, 9, 300] {
            for dates in [&mut old, &mut new] {
                dates.date(offset, &mut last, NOW);
                times.push(last);
            }
        }
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        for (dates, first) in [(&old, 0), (&new, 1)] {
            let mut again = Dates::restored(&dates.saved());
            let want = times.iter().skip(first).step_by(2);
            for (offset, want) in [0, 7, 9, 300].into_iter().zip(want) {
                assert_eq!(again.date(offset, &mut last, NOW), Date::Again(*want));
            }
        }
    }

    #[test]
    fn a_hole_dates_nothing_into_the_future() {
        let (mut dates, mut last) = (Dates::default(), 0);
        dates.date(0, &mut last, NOW);
        assert_eq!(dates.date(u64::MAX, &mut last, NOW), Date::New(1001));
    }

    #[test]
    fn runs_are_kept_until_their_last_line_is_acknowledged_and_are_bounded() {
        let (mut dates, mut last) = (Dates::default(), 0);
        dates.date(0, &mut last, NOW);
        dates.date(5, &mut last, NOW);
        dates.acknowledge(5);
        assert!(!dates.is_empty());
        dates.acknowledge(6);
        assert!(dates.is_empty());
        for moment in 0..200 {
            dates.date(moment * 10, &mut last, TimestampNs(moment as i64));
        }
        assert_eq!(dates.saved().len(), RUNS_MAX);
    }
}
