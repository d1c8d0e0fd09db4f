//! How many series there are, altogether and of each target, and how many there may be.
//!
//! A target that puts a user's name into a label makes a series for each of them, and each costs memory
//! until it is idle. The limits here turn such a series away by name, before it costs anything; those
//! that are known go on being written.
//!
//! The registries of the store enrol what they take in and strike it out again when they are dropped.
//! Two writes at once may each see room for the same last series, so a limit can be overrun by what
//! is under way at the moment, and by no more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use model::labels::{Labels, decode_pair, split_pair};
use parking_lot::Mutex;

use super::refusal::Refusal;

/// The series that are known, and what they may be.
#[derive(Debug, Default)]
pub struct Census {
    series_max: Option<u64>,
    per_target_max: Option<u64>,
    active: AtomicU64,
    /// Kept only where it is limited.
    targets: Mutex<HashMap<Target, u64>>,
}

/// Series that a write brought in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnedAway {
    /// Because there are too many altogether.
    pub total: u64,
    /// Because their target has too many.
    pub per_target: u64,
}

/// Who exposes a series: its `job` and its `instance`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    job: Box<str>,
    instance: Box<str>,
}

impl Target {
    /// The target of the series with these labels, in their durable form.
    pub(crate) fn of(labels: &str) -> Self {
        let (mut job, mut instance) = ("", "");
        let mut rest = labels;
        while let Some((pair, after)) = split_pair(rest) {
            rest = after;
            match decode_pair(pair) {
                Some(("job", value)) => job = value,
                Some(("instance", value)) => instance = value,
                _ => {}
            }
        }
        Self {
            job: job.into(),
            instance: instance.into(),
        }
    }
}

/// What a write is about to add.
#[derive(Debug, Default)]
pub(crate) struct Applicants {
    series: u64,
    targets: HashMap<Target, u64>,
    pub(crate) turned_away: TurnedAway,
}

impl Census {
    /// A census with these limits; none is no limit.
    pub fn new(series_max: Option<u64>, per_target_max: Option<u64>) -> Self {
        Self {
            series_max,
            per_target_max,
            ..Self::default()
        }
    }

    /// Series that are known.
    pub fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether a new series with these labels may be taken in beside the others of the write.
    pub(crate) fn admit(&self, labels: &str, beside: &mut Applicants) -> Result<(), Refusal> {
        let labels_of = || Labels::from_encoded(labels).unwrap_or_default();
        if let Some(limit) = self.series_max
            && self.active() + beside.series >= limit
        {
            beside.turned_away.total += 1;
            let labels = labels_of();
            return Err(Refusal::TooManySeries { labels, limit });
        }
        if let Some(limit) = self.per_target_max {
            let target = Target::of(labels);
            let known = self.targets.lock().get(&target).copied().unwrap_or(0);
            let new = beside.targets.entry(target.clone()).or_default();
            if known + *new >= limit {
                beside.turned_away.per_target += 1;
                return Err(Refusal::TooManySeriesOfTarget {
                    labels: labels_of(),
                    job: target.job.into(),
                    instance: target.instance.into(),
                    limit,
                });
            }
            *new += 1;
        }
        beside.series += 1;
        Ok(())
    }

    /// Whether series are counted by target.
    const fn counts_targets(&self) -> bool {
        self.per_target_max.is_some()
    }
}

/// What one registry has enrolled.
#[derive(Debug)]
pub(crate) struct Enrolment {
    census: std::sync::Arc<Census>,
    series: u64,
    targets: HashMap<Target, u64>,
}

impl Enrolment {
    pub(crate) fn new(census: std::sync::Arc<Census>) -> Self {
        Self {
            census,
            series: 0,
            targets: HashMap::new(),
        }
    }

    /// Enrols a series; its labels, in their durable form, are asked for where they matter.
    pub(crate) fn add(&mut self, labels: impl FnOnce() -> String) {
        self.series += 1;
        self.census.active.fetch_add(1, Ordering::Relaxed);
        if self.census.counts_targets() {
            let target = Target::of(&labels());
            *self.targets.entry(target.clone()).or_default() += 1;
            *self.census.targets.lock().entry(target).or_default() += 1;
        }
    }
}

/// Strikes out what was enrolled.
impl Drop for Enrolment {
    fn drop(&mut self) {
        self.census.active.fetch_sub(self.series, Ordering::Relaxed);
        if self.targets.is_empty() {
            return;
        }
        let mut targets = self.census.targets.lock();
        for (target, series) in self.targets.drain() {
            if let Some(known) = targets.get_mut(&target) {
                *known = known.saturating_sub(series);
                if *known == 0 {
                    targets.remove(&target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn labels(name: &str, job: &str) -> Labels {
        Labels::from_pairs([("__name__", name), ("job", job), ("instance", "h:1")])
    }

    #[test]
    fn what_is_struck_out_makes_room() {
        let census = Arc::new(Census::new(Some(3), Some(2)));
        let mut enrolment = Enrolment::new(Arc::clone(&census));
        let admit = |name: &str, job: &str, beside: &mut Applicants| {
            let admitted = census.admit(labels(name, job).as_encoded(), beside);
            admitted.map_err(|refusal| refusal.to_string())
        };
        enrolment.add(|| labels("a", "x").as_encoded().to_owned());
        let mut beside = Applicants::default();
        assert_eq!(admit("b", "x", &mut beside), Ok(()));
        let refused = admit("c", "x", &mut beside).expect_err("the target is full");
        assert!(
            refused.contains(r#"target job="x", instance="h:1" has 2 series"#),
            "{refused}"
        );
        assert_eq!(admit("c", "y", &mut beside), Ok(()));
        let refused = admit("d", "y", &mut beside).expect_err("all is full");
        assert!(refused.contains("there are 3 active series"), "{refused}");
        drop(enrolment);
        assert_eq!(census.active(), 0);
        assert_eq!(admit("c", "x", &mut Applicants::default()), Ok(()));
    }
}
