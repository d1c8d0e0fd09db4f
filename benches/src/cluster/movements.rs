//! How the values of a cluster move: counters in steps of what they count in, gauges around where they
//! come back to, ratios with all their digits, and histograms whose buckets belong together.

use model::sample::stale_nan;

use crate::random::Random;

/// What is the same for all series of a target.
pub(super) struct Ticks<'a> {
    /// The load at each scrape, around 1.
    pub(super) load: &'a [f64],
    /// Between two scrapes.
    pub(super) step_seconds: f64,
    /// The scrape at which the target is away, and after which it begins anew.
    pub(super) restart: Option<usize>,
}

/// A counter that grows by `rate` a second, counted in whole numbers of `unit`.
pub(super) fn counter(random: &mut Random, ticks: &Ticks<'_>, rate: f64, unit: f64) -> Vec<f64> {
    // It has been counting for a while.
    let mut count = (rate / unit * random.magnitude(3_600.0, 1e6)).round();
    each(ticks, |load, restarted| {
        if restarted {
            count = 0.0;
        }
        let mean = rate / unit * load * ticks.step_seconds;
        count += if mean < 1e6 {
            random.poisson(mean) as f64
        } else {
            (mean * f64::exp(0.2 * random.normal())).round()
        };
        // Divided where that is exact in decimals, as exporters do.
        if unit < 1.0 {
            count / (1.0 / unit).round()
        } else {
            count * unit
        }
    })
}

/// A gauge around `mean`, in whole numbers of `unit`; every second scrape finds it where it was.
pub(super) fn gauge(random: &mut Random, ticks: &Ticks<'_>, mean: f64, unit: f64) -> Vec<f64> {
    let home = mean / unit;
    let mut now = home;
    each(ticks, |_, restarted| {
        if restarted {
            now = home / 2.0;
        }
        if random.unit() < 0.5 {
            now += (home - now) * 0.02 + home * 0.01 * random.normal();
        }
        now.round().max(0.0) * unit
    })
}

/// A float with all its digits around `mean`.
pub(super) fn ratio(random: &mut Random, ticks: &Ticks<'_>, mean: f64) -> Vec<f64> {
    each(ticks, |load, _| {
        mean * load * f64::exp(0.05 * random.normal())
    })
}

/// The series of a histogram.
pub(super) struct Histogram {
    /// How many were at most as long as each bound.
    pub(super) buckets: Vec<Vec<f64>>,
    /// How long all were.
    pub(super) sum: Vec<f64>,
    /// How many there were.
    pub(super) count: Vec<f64>,
}

/// Events that are drawn one by one between two scrapes; of more, each stands for several.
const DRAWN_MAX: u64 = 16;

/// A histogram of `rate` events a second over so many buckets, most of them around the fourth.
pub(super) fn histogram(
    random: &mut Random,
    ticks: &Ticks<'_>,
    rate: f64,
    buckets: usize,
) -> Histogram {
    let mut counts = vec![0_u64; buckets];
    let mut sum = 0.0;
    let mut found = Histogram {
        buckets: vec![Vec::new(); buckets],
        sum: Vec::new(),
        count: Vec::new(),
    };
    let reached = each(ticks, |load, restarted| {
        if restarted {
            counts.fill(0);
            sum = 0.0;
        }
        let events = random.poisson(rate * load * ticks.step_seconds);
        let drawn = events.min(DRAWN_MAX);
        for draw in 0..drawn {
            let share = events / drawn + u64::from(draw < events % drawn);
            let place = (3.5 + 1.8 * random.normal()).clamp(0.0, buckets as f64 - 1.0);
            for count in counts.iter_mut().skip(place as usize) {
                *count += share;
            }
            sum += 0.004 * f64::exp2(place) * share as f64;
        }
        for (values, count) in found.buckets.iter_mut().zip(&counts) {
            values.push(*count as f64);
        }
        found.sum.push(sum);
        0.0
    });
    // Where the target is away nothing was pushed, and all series have a marker.
    if let Some(at) = reached.iter().position(|value| value.is_nan()) {
        for values in found.buckets.iter_mut().chain([&mut found.sum]) {
            values.insert(at, stale_nan());
        }
    }
    found.count = found.buckets.last().cloned().unwrap_or_default();
    found
}

/// A value for each scrape, given the load and whether the target has just begun anew.
fn each(ticks: &Ticks<'_>, mut step: impl FnMut(f64, bool) -> f64) -> Vec<f64> {
    let mut restarted = false;
    let mut values = Vec::with_capacity(ticks.load.len());
    for (scrape, load) in ticks.load.iter().enumerate() {
        if ticks.restart == Some(scrape) {
            restarted = true;
            values.push(stale_nan());
        } else {
            values.push(step(*load, std::mem::take(&mut restarted)));
        }
    }
    values
}
