//! Samples to what is told of each stretch of them.
//!
//! Staleness markers are no samples. Where one is the last thing that was written in a stretch, `end`
//! keeps it, so that a series that has ended stays ended. A counter's increase in a stretch counts from
//! the sample before the stretch, wherever that lies, so that the increases of neighbouring stretches
//! add up to the increase of both.

use model::sample::is_stale_nan;

/// What is told of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// How many samples there are.
    Count,
    /// Their sum, in the order of time.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The first.
    First,
    /// The last.
    Last,
    /// A staleness marker, where that came last of all.
    End,
    /// By how much a counter grew, resets taken out.
    Increase,
    /// The series has native histograms, of which nothing is told.
    Native,
}

impl Aspect {
    /// All that are told of floats.
    pub const OF_FLOATS: [Self; 8] = [
        Self::Count,
        Self::Sum,
        Self::Min,
        Self::Max,
        Self::First,
        Self::Last,
        Self::End,
        Self::Increase,
    ];

    /// The label that names the aspect.
    pub const LABEL: &'static str = "__rollup__";

    /// The value of that label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::End => "end",
            Self::Increase => "increase",
            Self::Native => "native",
        }
    }
}

/// What is told of one stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// The instant it ends with, in milliseconds: it holds what comes after the end before, up to it.
    pub end: i64,
    /// How many samples, staleness markers left out; 0 where it holds but a marker.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least that is a number.
    pub min: f64,
    /// The greatest that is a number.
    pub max: f64,
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
    /// The staleness marker behind it, if one is there.
    pub marker: Option<f64>,
    /// By how much a counter grew.
    pub increase: f64,
}

impl Stretch {
    /// One aspect of it; nothing where there is no sample to tell of.
    pub fn aspect(&self, aspect: Aspect) -> Option<f64> {
        match aspect {
            Aspect::End => self.marker,
            _ if self.count == 0 => None,
            Aspect::Count => Some(self.count as f64),
            Aspect::Sum => Some(self.sum),
            Aspect::Min => Some(self.min),
            Aspect::Max => Some(self.max),
            Aspect::First => Some(self.first),
            Aspect::Last => Some(self.last),
            Aspect::Increase => Some(self.increase),
            Aspect::Native => None,
        }
    }
}

/// The stretches of a series that end after `after` and not after `until`, both of which are ends of
/// stretches. `samples`, in the order of time, may begin earlier: the value before the first
/// stretch is what its increase counts from.
pub fn roll_up(
    samples: impl Iterator<Item = (i64, f64)>,
    resolution_ms: i64,
    after: i64,
    until: i64,
) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut before: Option<f64> = None;
    for (at, value) in samples {
        if at > until {
            break;
        }
        let stale = is_stale_nan(value);
        if at <= after {
            before = if stale { before } else { Some(value) };
            continue;
        }
        // Rounded up: the end belongs to the stretch.
        let end = at
            .saturating_sub(1)
            .div_euclid(resolution_ms)
            .saturating_add(1)
            .saturating_mul(resolution_ms);
        if stretches.last().is_none_or(|stretch| stretch.end != end) {
            stretches.push(Stretch {
                end,
                count: 0,
                sum: 0.0,
                min: f64::NAN,
                max: f64::NAN,
                first: value,
                last: value,
                marker: None,
                increase: 0.0,
            });
        }
        let Some(stretch) = stretches.last_mut() else {
            continue;
        };
        if stale {
            stretch.marker = Some(value);
            continue;
        }
        stretch.marker = None;
        stretch.last = value;
        if stretch.count == 0 {
            stretch.first = value;
        }
        stretch.count += 1;
        stretch.sum += value;
        // As in a window: a NaN gives way to any number.
        if value < stretch.min || stretch.min.is_nan() {
            stretch.min = value;
        }
        if value > stretch.max || stretch.max.is_nan() {
            stretch.max = value;
        }
        stretch.increase += match before {
            Some(before) if value >= before => value - before,
            // A counter that fell has begun again at 0.
            Some(_) => value,
            None => 0.0,
        };
        before = Some(value);
    }
    stretches
}

#[cfg(test)]
mod tests {
    use model::sample::STALE_NAN_BITS;

    use super::*;

    #[test]
    fn a_stretch_is_open_at_its_start_and_closed_at_its_end() {
        let samples = [
            (0, 9.0),
            (1, 1.0),
            (10, 2.0),
            (11, 3.0),
            (20, 1.0),
            (21, 8.0),
        ];
        let stretches = roll_up(samples.into_iter(), 10, 0, 20);
        let brief: Vec<_> = stretches
            .iter()
            .map(|s| {
                (
                    s.end, s.count, s.sum, s.min, s.max, s.first, s.last, s.increase,
                )
            })
            .collect();
        assert_eq!(
            brief,
            [
                // 9 fell to 1: begun again, and one more.
                (10, 2, 3.0, 1.0, 2.0, 1.0, 2.0, 2.0),
                (20, 2, 4.0, 1.0, 3.0, 3.0, 1.0, 2.0),
            ]
        );
    }

    #[test]
    fn a_staleness_marker_is_an_end_and_nothing_else() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let samples = [(1, 5.0), (2, stale), (12, stale), (23, 7.0)];
        let stretches = roll_up(samples.into_iter(), 10, 0, 30);
        let ends: Vec<i64> = stretches.iter().map(|stretch| stretch.end).collect();
        assert_eq!(ends, [10, 20, 30]);
        let [first, second, third] = stretches.as_slice() else {
            panic!("three stretches");
        };
        assert_eq!((first.count, first.max, first.last), (1, 5.0, 5.0));
        assert!(first.aspect(Aspect::End).is_some_and(is_stale_nan));
        assert!(second.aspect(Aspect::End).is_some_and(is_stale_nan));
        assert_eq!(second.aspect(Aspect::Last), None);
        assert_eq!((third.increase, third.last, third.marker), (2.0, 7.0, None));
    }
}
