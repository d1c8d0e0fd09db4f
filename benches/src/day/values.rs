//! How each kind of series moves through the day.

use std::f64::consts::TAU;

use model::sample::stale_nan;

use super::{Kind, STEP_MS};
use crate::random::Random;

const STEP_SECONDS: f64 = STEP_MS as f64 / 1000.0;
const PAGE_BYTES: f64 = 4096.0;

/// The load of a pod at each scrape, around 1: the hour of the day, and a slow noise.
pub(super) fn load(random: &mut Random, scrapes: usize) -> Vec<f64> {
    let (phase, mut drift) = (random.unit(), 0.0);
    (0..scrapes)
        .map(|scrape| {
            drift = drift * 0.98 + random.normal() * 0.04;
            let hour = scrape as f64 * STEP_SECONDS / 86_400.0 + phase;
            ((hour * TAU).sin() * 0.5 + 1.0) * f64::exp(drift)
        })
        .collect()
}

/// One series of a pod.
pub(super) struct Movement {
    pub(super) kind: Kind,
    /// Which of its kind.
    pub(super) nth: usize,
    /// The scrape at which the pod is away, and after which it begins anew.
    pub(super) restart: Option<usize>,
}

impl Movement {
    /// The values at each scrape.
    pub(super) fn values(&self, mut random: Random, load: &[f64]) -> Vec<f64> {
        let mut state = State::new(self, &mut random);
        load.iter()
            .enumerate()
            .map(|(scrape, load)| {
                if self.restart == Some(scrape) && self.kind != Kind::Constant {
                    state.restart();
                    return stale_nan();
                }
                state.step(&mut random, *load)
            })
            .collect()
    }
}

/// Where a series is.
struct State {
    kind: Kind,
    /// What a unit of load makes of it in a second.
    rate: f64,
    /// Counts in the kind's own unit: requests, bytes, centiseconds, nanoseconds, pages.
    count: u64,
    /// The sum that is not a whole number of anything.
    sum: f64,
    /// The size of the thing that is counted, on average.
    size: f64,
}

impl State {
    fn new(series: &Movement, random: &mut Random) -> Self {
        let kind = series.kind;
        let (low, high) = match kind {
            Kind::Constant | Kind::Memory | Kind::SmallGauge => (1.0, 1.0 + f64::EPSILON),
            Kind::IdleBucket => (0.000_002, 0.000_2),
            Kind::Requests => (0.02, 50.0),
            Kind::Bytes => (0.1, 50.0),
            Kind::CentisecondCpu => (0.2, 60.0),
            Kind::NanosecondCpu => (2e6, 6e8),
            Kind::FloatSum => (0.05, 20.0),
        };
        let rate = random.magnitude(low, high);
        let size = random.magnitude(200.0, 20_000.0);
        // A pod has been up for a while when the day begins.
        let up_seconds = random.magnitude(3_600.0, 3e6).floor();
        let mut state = Self {
            kind,
            rate,
            count: (rate * up_seconds) as u64,
            sum: 0.0,
            size,
        };
        match kind {
            Kind::Constant => {
                state.sum = match series.nth % 4 {
                    0 => (1 + random.below(16)) as f64 * 134_217_728.0,
                    3 => {
                        1_749_000_000.0
                            + random.below(900_000) as f64
                            + random.below(100) as f64 / 100.0
                    }
                    _ => random.below(2) as f64,
                };
            }
            Kind::Memory => state.count = random.magnitude(2_000.0, 500_000.0) as u64,
            Kind::SmallGauge => state.count = random.magnitude(5.0, 500.0) as u64,
            Kind::Bytes => state.count = (rate * up_seconds * size) as u64,
            Kind::FloatSum => state.sum = rate * up_seconds * 0.083_7,
            _ => {}
        }
        state
    }

    /// A process that starts has counted nothing; its memory is what it needs at once.
    fn restart(&mut self) {
        match self.kind {
            Kind::Constant => {}
            Kind::Memory | Kind::SmallGauge => self.count = self.count / 2 + 1,
            _ => (self.count, self.sum) = (0, 0.0),
        }
    }

    fn step(&mut self, random: &mut Random, load: f64) -> f64 {
        let mean = self.rate * load * STEP_SECONDS;
        match self.kind {
            Kind::Constant => self.sum,
            Kind::IdleBucket | Kind::Requests => {
                self.count += random.poisson(mean);
                self.count as f64
            }
            Kind::Bytes => {
                for _ in 0..random.poisson(mean).min(8) {
                    let size = self.size * (0.3 + 1.4 * random.unit());
                    self.count += (size * (mean / 8.0).max(1.0)) as u64;
                }
                self.count as f64
            }
            Kind::CentisecondCpu => {
                self.count += random.poisson(mean);
                self.count as f64 / 100.0
            }
            Kind::NanosecondCpu => {
                let used = mean * (1.0 + 0.08 * random.normal());
                self.count += used.max(0.0) as u64;
                self.count as f64 / 1e9
            }
            Kind::Memory => self.memory(random, load),
            Kind::FloatSum => {
                for _ in 0..random.poisson(mean).min(64) {
                    self.sum += 0.002 + 0.3 * random.unit() * random.unit();
                }
                self.sum
            }
            Kind::SmallGauge => {
                if random.unit() < 0.4 {
                    let change = random.poisson(1.5) as i64 - random.poisson(1.5) as i64;
                    self.count = self.count.saturating_add_signed(change).max(1);
                }
                self.count as f64
            }
        }
    }

    /// Pages come a few at a time, and go many at a time.
    fn memory(&mut self, random: &mut Random, load: f64) -> f64 {
        let moves = random.unit();
        if moves < 0.35 {
            self.count += random.poisson(6.0 * load);
        } else if moves < 0.355 {
            self.count -= random.below(self.count / 16 + 1);
        }
        self.count as f64 * PAGE_BYTES
    }
}
