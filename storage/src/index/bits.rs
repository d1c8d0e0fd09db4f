//! Numbers as bits: what many sets are united in, and what many sets are held against.
//!
//! A roaring bitmap is small and finds its way among containers for it, which tells where a hundred
//! thousand short runs are added or asked. Bits are as long as the greatest number needs; who fills them
//! has a limit of his own.

use roaring::RoaringBitmap;

use super::set::runs;

const WORD_BITS: u32 = u64::BITS;

/// Numbers as bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// The numbers of a set.
    pub(super) fn of(set: &RoaringBitmap) -> Self {
        let mut bits = Self::default();
        for (first, last) in runs(set) {
            bits.insert(first, last);
        }
        bits
    }

    /// A number that none of these is greater than or equal to.
    pub(super) const fn end(&self) -> u64 {
        self.words.len() as u64 * WORD_BITS as u64
    }

    /// Adds the numbers from `first` to `last`.
    pub(super) fn insert(&mut self, first: u32, last: u32) {
        let words = (last / WORD_BITS) as usize + 1;
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        for (word, mask) in self.masked(first, last) {
            *word |= mask;
        }
    }

    /// Removes the numbers from `first` to `last`. Returns how many were there.
    pub(super) fn remove(&mut self, first: u32, last: u32) -> u32 {
        let mut removed = 0;
        for (word, mask) in self.masked(first, last) {
            removed += (*word & mask).count_ones();
            *word &= !mask;
        }
        removed
    }

    /// Whether one of the numbers from `first` to `last` is there.
    pub(super) fn has_any(&self, first: u32, last: u32) -> bool {
        let (from, to) = (first / WORD_BITS, last / WORD_BITS);
        let words = self.words.iter().enumerate().skip(from as usize);
        words
            .take((to - from) as usize + 1)
            .any(|(at, word)| word & mask(at as u32, first, last) != 0)
    }

    /// The least number that is not below `from`.
    pub(super) fn next_from(&self, from: u32) -> Option<u32> {
        let start = from / WORD_BITS;
        let words = self.words.iter().zip(0..).skip(start as usize);
        words
            .map(|(word, at)| (word & mask(at, from, u32::MAX), at))
            .find(|(word, _)| *word != 0)
            .map(|(word, at)| at * WORD_BITS + word.trailing_zeros())
    }

    /// The numbers as a set.
    pub(super) fn into_set(self) -> RoaringBitmap {
        if self.words.is_empty() {
            return RoaringBitmap::new();
        }
        let bytes: Vec<u8> = self.words.into_iter().flat_map(u64::to_le_bytes).collect();
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }

    /// The words with numbers from `first` to `last`, each with the bits of these.
    fn masked(&mut self, first: u32, last: u32) -> impl Iterator<Item = (&mut u64, u64)> {
        let (from, to) = (first / WORD_BITS, last / WORD_BITS);
        let words = self.words.iter_mut().skip(from as usize);
        words
            .zip(from..=to)
            .map(move |(word, at)| (word, mask(at, first, last)))
    }
}

/// The bits of the word at a place that stand for numbers from `first` to `last`.
const fn mask(at: u32, first: u32, last: u32) -> u64 {
    let mut mask = u64::MAX;
    if at == first / WORD_BITS {
        mask &= u64::MAX << (first % WORD_BITS);
    }
    if at == last / WORD_BITS {
        mask &= u64::MAX >> (WORD_BITS - 1 - last % WORD_BITS);
    }
    mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Step {
        inserts: bool,
        first: u32,
        length: u32,
    }

    fn step() -> impl Strategy<Value = Step> {
        (any::<bool>(), 0_u32..400, 0_u32..150).prop_map(|(inserts, first, length)| Step {
            inserts,
            first,
            length,
        })
    }

    proptest! {
        #[test]
        fn bits_are_a_set(steps in prop::collection::vec(step(), 0..30)) {
            let (mut bits, mut set) = (Bits::default(), RoaringBitmap::new());
            for Step { inserts, first, length } in steps {
                let last = first + length;
                let there = set.range_cardinality(first..=last);
                prop_assert_eq!(bits.has_any(first, last), there > 0);
                if inserts {
                    bits.insert(first, last);
                    set.insert_range(first..=last);
                } else {
                    prop_assert_eq!(u64::from(bits.remove(first, last)), there);
                    set.remove_range(first..=last);
                }
                for from in [0, first, last, last + 1, last + 64] {
                    let mut rest = set.iter();
                    rest.advance_to(from);
                    prop_assert_eq!(bits.next_from(from), rest.next());
                }
                prop_assert!(set.max().is_none_or(|max| u64::from(max) < bits.end()));
                prop_assert_eq!(&Bits::of(&set).into_set(), &set);
            }
            prop_assert_eq!(bits.into_set(), set);
        }
    }
}
