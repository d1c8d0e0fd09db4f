//! Hashing of numbers that nobody outside chooses: of groups, of places in the order, of where something is kept.
//!
//! The standard library's hash withstands who picks keys so that they collide, and takes most of the time of a look into a
//! small table. What a manifest says in words (names, labels, addresses) is never hashed with this one.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such numbers.
pub(super) type Quick<K, V> = HashMap<K, V, BuildHasherDefault<Multiplied>>;

/// A set of such numbers.
pub(super) type QuickSet<K> = HashSet<K, BuildHasherDefault<Multiplied>>;

/// An odd number without a pattern: the digits of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The numbers so far, each multiplied into what comes after it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Multiplied(u64);

impl Hasher for Multiplied {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    /// A product's high bits are the good ones, and tables look at both ends.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::Hash;

    use super::*;

    fn hashed(value: impl Hash) -> u64 {
        let mut hasher = Multiplied::default();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn numbers_that_follow_each_other_are_told_apart_at_both_ends() {
        // What tables look at: the last bits for where, the first seven for which.
        for step in [1, 8, 16, 48, 4096] {
            let hashes: Vec<u64> = (0..1024_u64).map(|i| hashed((i * step, 7_u32))).collect();
            let count = |of: fn(&u64) -> u64| hashes.iter().map(of).collect::<HashSet<_>>().len();
            assert_eq!(count(|hash| *hash), 1024, "{step}");
            assert!(count(|hash| hash & 1023) > 400, "{step}");
            assert!(count(|hash| hash >> 57) > 100, "{step}");
        }
    }
}
