//! Numbers that look random and are the same in every run: SplitMix64, in a page.
//!
//! A crate of random numbers may change its streams between versions, and with them every figure
//! that was quoted; these streams are a part of the data.

/// A stream of numbers, given by its seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`; `stream` tells apart the streams of one seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self {
            state: seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        random.next_u64();
        random
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// Between `low` and `high`, each magnitude as likely as another.
    pub fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// Mean 0, deviation 1: the sum of twelve, which needs no logarithm.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// How many of independent events happen where `mean` are expected.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_are_what_they_were() {
        let mut random = Random::new(1, 2);
        let first = random.next_u64();
        assert_eq!(first, Random::new(1, 2).next_u64());
        assert_ne!(first, Random::new(1, 3).next_u64());
        assert_ne!(first, Random::new(2, 2).next_u64());
    }

    #[test]
    fn means_are_what_was_asked_for() {
        let mut random = Random::new(7, 0);
        for mean in [0.5, 5.0, 500.0] {
            let sum: u64 = (0..10_000).map(|_| random.poisson(mean)).sum();
            let found = sum as f64 / 10_000.0;
            assert!((found / mean - 1.0).abs() < 0.05, "{found} for {mean}");
        }
    }
}
