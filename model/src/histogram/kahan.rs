//! A sum of floats that keeps what rounding takes away.
//!
//! Kahan's summation with Neumaier's swap, as PromQL sums: an infinite sum stays infinite instead
//! of becoming NaN through its compensation.

/// A running sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kahan {
    /// The rounded sum.
    pub sum: f64,
    /// What is missing from it.
    pub compensation: f64,
}

impl Kahan {
    /// A sum that starts at `value`.
    pub const fn new(value: f64) -> Self {
        Self {
            sum: value,
            compensation: 0.0,
        }
    }

    /// The sum with `term` added.
    #[must_use]
    pub fn plus(self, term: f64) -> Self {
        let sum = self.sum + term;
        let compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= term.abs() {
            self.compensation + ((self.sum - sum) + term)
        } else {
            self.compensation + ((term - sum) + self.sum)
        };
        Self { sum, compensation }
    }

    /// Adds `term`.
    pub fn add(&mut self, term: f64) {
        *self = self.plus(term);
    }

    /// Both parts multiplied.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            sum: self.sum * factor,
            compensation: self.compensation * factor,
        }
    }

    /// Both parts divided.
    #[must_use]
    pub fn divided(self, divisor: f64) -> Self {
        Self {
            sum: self.sum / divisor,
            compensation: self.compensation / divisor,
        }
    }

    /// The sum with its compensation.
    pub fn value(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.compensation
        }
    }
}

/// The arithmetic mean in PromQL's way: directly while the sum holds, incrementally from the term
/// on with which it would overflow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    total: Kahan,
    /// The mean itself, once the total would overflow.
    incremental: Option<Kahan>,
    count: f64,
}

impl Mean {
    /// Adds a term.
    pub fn add(&mut self, term: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.total = Kahan::new(term);
            return;
        }
        if self.incremental.is_none() {
            let total = self.total.plus(term);
            if !total.sum.is_infinite() {
                self.total = total;
                return;
            }
        }
        let mean = self
            .incremental
            .unwrap_or_else(|| self.total.divided(self.count - 1.0));
        let share = (self.count - 1.0) / self.count;
        self.incremental = Some(mean.scaled(share).plus(term / self.count));
    }

    /// The mean of the terms so far.
    pub fn value(&self) -> f64 {
        match self.incremental {
            Some(mean) => mean.sum + mean.compensation,
            None => self.total.sum / self.count + self.total.compensation / self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_terms_leave_the_small_ones() {
        let mut sum = Kahan::default();
        for term in [1.0, 1e100, 1.0, -1e100] {
            sum.add(term);
        }
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn infinity_stays() {
        let sum = Kahan::default().plus(f64::INFINITY).plus(1.0);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let mut mean = Mean::default();
        for term in [f64::MAX, f64::MAX, f64::MAX] {
            mean.add(term);
        }
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-12);
    }
}
