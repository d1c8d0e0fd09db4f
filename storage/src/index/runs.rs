//! Series of a label, growing at the end.
//!
//! The series of one target come one after the other, so most labels are had by few long runs, and a
//! run that grows by one costs an addition. A series alone is a number; a run is its first
//! series, then its last with the highest bit set.

use roaring::RoaringBitmap;

use crate::index::SeriesRef;

/// Marks the last series of a run.
const LAST: u32 = 1 << 31;

/// Increasing numbers of series below 2^31.
#[derive(Debug, Default)]
pub struct Runs {
    words: Vec<u32>,
}

impl Runs {
    /// Adds a series, the greatest so far. Returns by how many bytes the runs have grown.
    pub fn push(&mut self, series: SeriesRef) -> usize {
        debug_assert!(series < LAST, "a memtable has fewer series");
        let word = match self.words.last_mut() {
            Some(last) if *last & !LAST == series => return 0,
            Some(last) if *last & LAST != 0 && (*last & !LAST) + 1 == series => {
                *last = series | LAST;
                return 0;
            }
            Some(last) if *last + 1 == series => series | LAST,
            _ => series,
        };
        let before = self.words.capacity();
        self.words.push(word);
        (self.words.capacity() - before) * size_of::<u32>()
    }

    /// How many words they take.
    pub const fn words(&self) -> usize {
        self.words.len()
    }

    /// The runs: first and last.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesRef, SeriesRef)> {
        let mut words = self.words.iter().peekable();
        std::iter::from_fn(move || {
            let first = *words.next()?;
            let last = words.next_if(|word| **word & LAST != 0);
            Some((first, last.map_or(first, |last| last & !LAST)))
        })
    }

    /// The series as a set.
    pub fn to_bitmap(&self) -> RoaringBitmap {
        let mut bitmap = RoaringBitmap::new();
        for (first, last) in self.iter() {
            if first == last {
                // Numbers only grow, so this is the greatest.
                let _ = bitmap.try_push(first);
            } else {
                bitmap.insert_range(first..=last);
            }
        }
        bitmap
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_the_series_that_were_pushed(gaps in prop::collection::vec(0_u32..4, 0..200)) {
            let mut runs = Runs::default();
            let mut expected = RoaringBitmap::new();
            let mut series = 0;
            for gap in gaps {
                series += gap;
                runs.push(series);
                expected.insert(series);
            }
            prop_assert_eq!(runs.to_bitmap(), expected);
        }
    }
}
