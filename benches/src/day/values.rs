//! How each kind of series moves through the day.

use model::sample::stale_nan;

use super::{Kind, STEP_MS};
use crate::random::Random;

pub(super) const STEP_SECONDS: f64 = STEP_MS as f64 / 1000.0;
const PAGE_BYTES: f64 = 4096.0;
/// Sizes that are drawn for the events between two scrapes.
const DRAWN_MAX: u64 = 32;

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
    /// The median size of the thing that is counted, or where a gauge comes back to.
    size: f64,
    /// Which of its kind.
    nth: usize,
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
            Kind::NanosecondCpu => (2e5, 3e8),
            Kind::FloatSum => (0.000_5, 0.5),
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
            nth: series.nth,
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
            Kind::Memory => {
                state.count = random.magnitude(2_000.0, 500_000.0) as u64;
                state.size = state.count as f64;
            }
            Kind::SmallGauge => {
                state.count = random.magnitude(5.0, 100.0) as u64;
                state.size = state.count as f64;
            }
            Kind::Bytes => state.count = (rate * up_seconds * size) as u64,
            Kind::NanosecondCpu => state.sum = state.count as f64 / 1e9,
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
            Kind::IdleBucket => {
                self.count += random.poisson(mean);
                self.count as f64
            }
            Kind::Requests => {
                self.burst(random, mean);
                self.count as f64
            }
            Kind::Bytes => {
                // Of very many a few are drawn, each for its share of all.
                let events = random.poisson(mean);
                let drawn = events.min(DRAWN_MAX);
                for _ in 0..drawn {
                    let size = self.size * log_normal(random, 1.2);
                    self.count += (size.max(1.0) * events as f64 / drawn as f64) as u64;
                }
                self.count as f64
            }
            Kind::CentisecondCpu => {
                self.burst(random, mean);
                self.count as f64 / 100.0
            }
            Kind::NanosecondCpu => {
                self.count += (mean * log_normal(random, 0.5)) as u64;
                // cAdvisor looks at its own pace: a scrape may come upon the figure of the one before.
                if random.unit() >= 0.2 {
                    self.sum = self.count as f64 / 1e9;
                }
                self.sum
            }
            Kind::Memory if self.nth % 4 < 2 => self.working_set(random),
            Kind::Memory => self.resident(random, load),
            Kind::FloatSum => {
                for _ in 0..random.poisson(mean).min(64) {
                    self.sum += 0.02 * log_normal(random, 1.0);
                }
                self.sum
            }
            Kind::SmallGauge => {
                if random.unit() < 0.2 {
                    self.count = self.size as u64 + random.poisson(3.0);
                } else if random.unit() < 0.5 {
                    self.count = self.size as u64;
                }
                self.count as f64
            }
        }
    }

    /// What is asked of a pod comes in bursts.
    fn burst(&mut self, random: &mut Random, mean: f64) {
        let burst = log_normal(random, 0.3);
        self.count += random.poisson(mean * burst);
    }

    /// A process grows by some pages at a time, and now and then gives many back.
    fn resident(&mut self, random: &mut Random, load: f64) -> f64 {
        let moves = random.unit();
        if moves < 0.5 {
            let pages = 60.0 * load * log_normal(random, 1.0);
            self.count += random.poisson(pages);
        } else if moves < 0.502 {
            self.count -= random.below(self.count / 16 + 1);
        }
        self.count as f64 * PAGE_BYTES
    }

    /// The page cache comes and goes around what the container needs, mostly by a page or two.
    fn working_set(&mut self, random: &mut Random) -> f64 {
        if random.unit() < 0.5 {
            let pages = log_normal(random, 1.0).round() as u64;
            let above = self.count as f64 / self.size.max(1.0) - 1.0;
            if random.unit() < 0.5 + above {
                self.count -= pages.min(self.count / 2);
            } else {
                self.count += pages;
            }
        }
        self.count as f64 * PAGE_BYTES
    }
}

/// Around a median of 1, with the long tail that sizes and durations have.
fn log_normal(random: &mut Random, deviation: f64) -> f64 {
    f64::exp(deviation * random.normal())
}
