//! Which series a number of the log means.
//!
//! Where a record is written the two are the same: the log knows a series by its place in the
//! registry. Where a segment is replayed the registry is filled in the order of the log, and a
//! record that was lost leaves a gap, so places differ; whole stretches of them differ alike.

use std::collections::BTreeMap;

use storage::index::SeriesRef;

use super::super::record::SeriesNumber;

/// Numbers of the log to places in the registry.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// Stretches by their first number.
    stretches: BTreeMap<SeriesNumber, Stretch>,
    /// The stretch that was named last.
    last: Option<(SeriesNumber, Stretch)>,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    place: SeriesRef,
    len: u32,
}

impl Stretch {
    fn place_of(self, first: SeriesNumber, number: SeriesNumber) -> Option<SeriesRef> {
        let offset = number.checked_sub(first)?;
        (offset < self.len).then(|| self.place.saturating_add(offset))
    }
}

impl Numbering {
    /// The place of a series that has been named.
    pub(super) fn place_of(&self, number: SeriesNumber) -> Option<SeriesRef> {
        if let Some((first, stretch)) = self.last
            && let Some(place) = stretch.place_of(first, number)
        {
            return Some(place);
        }
        let (first, stretch) = self.stretches.range(..=number).next_back()?;
        stretch.place_of(*first, number)
    }

    /// Names a series. Returns whether the number is free or its own.
    pub(super) fn name(&mut self, number: SeriesNumber, place: SeriesRef) -> bool {
        if let Some(known) = self.place_of(number) {
            return known == place;
        }
        let ends_here = |(first, stretch): &(SeriesNumber, Stretch)| {
            first.checked_add(stretch.len) == Some(number)
                && stretch.place.checked_add(stretch.len) == Some(place)
        };
        let last = self.last.filter(ends_here);
        let (first, stretch) = last
            .or_else(|| {
                let before = self.stretches.range(..number).next_back();
                let before = before.map(|(first, stretch)| (*first, *stretch));
                before.filter(ends_here)
            })
            .unwrap_or((number, Stretch { place, len: 0 }));
        let stretch = Stretch {
            len: stretch.len + 1,
            ..stretch
        };
        self.stretches.insert(first, stretch);
        self.last = Some((first, stretch));
        true
    }

    /// What the stretches take in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.stretches.len() * 2 * size_of::<(SeriesNumber, Stretch)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_places() {
        let mut numbering = Numbering::default();
        let named = [
            (7, 0),
            (8, 1),
            (9, 2),
            (3, 3),
            (4, 4),
            (10, 9),
            (5, 5),
            (11, 10),
        ];
        for (number, place) in named {
            assert_eq!(numbering.place_of(number), None);
            assert!(numbering.name(number, place));
            assert!(numbering.name(number, place));
            assert!(!numbering.name(number, place + 1));
        }
        for (number, place) in named {
            assert_eq!(numbering.place_of(number), Some(place));
        }
        assert_eq!(numbering.place_of(6), None);
        assert_eq!(numbering.place_of(12), None);
        assert_eq!(numbering.stretches.len(), 3);
    }
}
