//! The load that a target is under, which its counters and gauges follow.

use std::f64::consts::TAU;

use crate::random::Random;

/// The load at each scrape, around 1: the hour of the day, and a slow noise.
pub(crate) fn load(random: &mut Random, scrapes: usize, step_seconds: f64) -> Vec<f64> {
    let (phase, mut drift) = (random.unit(), 0.0);
    (0..scrapes)
        .map(|scrape| {
            drift = drift * 0.98 + random.normal() * 0.04;
            let hour = scrape as f64 * step_seconds / 86_400.0 + phase;
            ((hour * TAU).sin() * 0.5 + 1.0) * f64::exp(drift)
        })
        .collect()
}
