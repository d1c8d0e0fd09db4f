//! Sets of numbers as sorted ranges: what addresses and ports are both kept in.
//!
//! A set has one representation only (sorted, disjoint, and no two ranges that touch), so that
//! equal sets are equal values, and every operation is one walk over both operands. Sets are shared, never changed: of
//! a set with itself or with nothing the answer is one of the two, at no cost.

use std::sync::Arc;

/// A number that has neighbours.
pub(super) trait Bound: Copy + Ord {
    const LEAST: Self;
    const GREATEST: Self;
    fn next(self) -> Option<Self>;
    fn previous(self) -> Option<Self>;
}

macro_rules! bound {
    ($($number:ty),*) => {$(
        impl Bound for $number {
            const LEAST: Self = <$number>::MIN;
            const GREATEST: Self = <$number>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

bound!(u32, u128);

/// A set of numbers; ranges hold both their ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ranges<T>(Arc<[(T, T)]>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Ranges(Arc::default())
    }
}

impl<T> Ranges<T> {
    /// Whether they are kept in one place, so that nobody needs to compare them.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn of_list(list: Vec<(T, T)>) -> Self {
        if list.is_empty() {
            return Ranges::default();
        }
        Ranges(list.into())
    }
}

impl<T: Bound> Ranges<T> {
    pub(super) fn everything() -> Self {
        Ranges(Arc::new([(T::LEAST, T::GREATEST)]))
    }

    /// From `first` to `last`; empty where they are the wrong way round.
    pub(super) fn of(first: T, last: T) -> Self {
        if first > last {
            return Ranges::default();
        }
        Ranges(Arc::new([(first, last)]))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (T, T)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_everything(&self) -> bool {
        *self.0 == [(T::LEAST, T::GREATEST)]
    }

    pub(super) fn first(&self) -> Option<T> {
        self.0.first().map(|(first, _)| *first)
    }

    pub(super) fn contains(&self, number: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|(_, last)| number <= *last)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        if other.is_empty() || self.is_same(other) {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        Self::union_all([self, other])
    }

    /// One sort for all of them: set by set, many sets would take the square of their number.
    pub(super) fn union_all<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self
    where
        T: 'a,
    {
        Self::of_all(sets.into_iter().flat_map(Self::iter).collect())
    }

    /// Ranges in any order, the right way round.
    pub(super) fn of_all(mut all: Vec<(T, T)>) -> Self {
        all.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some((_, end)) if end.next().is_none_or(|next| first <= next) => {
                    *end = (*end).max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self::of_list(merged)
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        if self.is_empty() || self.is_same(other) || other.is_everything() {
            return self.clone();
        }
        if self.is_everything() {
            return other.clone();
        }
        let mut common = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                common.push((first, last));
            }
            if a.1 <= b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self::of_list(common)
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        let (few, many) = if self.0.len() <= other.0.len() {
            (self, other)
        } else {
            (other, self)
        };
        few.iter().any(|(first, last)| {
            let at = many.0.partition_point(|(_, end)| *end < first);
            many.0.get(at).is_some_and(|(begin, _)| *begin <= last)
        })
    }

    pub(super) fn difference(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_same(other) {
            return Ranges::default();
        }
        let mut left = Vec::new();
        for (first, last) in self.iter() {
            let mut from = Some(first);
            let begin = other.0.partition_point(|(_, end)| *end < first);
            for (cut_first, cut_last) in other.0.iter().skip(begin).copied() {
                let Some(start) = from else { break };
                if cut_first > last {
                    break;
                }
                if let Some(end) = cut_first.previous().filter(|end| *end >= start) {
                    left.push((start, end));
                }
                from = cut_last.next().filter(|next| *next <= last);
            }
            if let Some(start) = from {
                left.push((start, last));
            }
        }
        Self::of_list(left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = (Ranges<u32>, Vec<bool>)> {
        prop::collection::vec((0_u32..24, 0_u32..6), 0..5).prop_map(|list| {
            let mut ranges = Ranges::default();
            let mut members = vec![false; 32];
            for (first, length) in list {
                ranges = ranges.union(&Ranges::of(first, first + length));
                for number in first..=first + length {
                    members[number as usize] = true;
                }
            }
            (ranges, members)
        })
    }

    proptest! {
        #[test]
        fn ranges_are_sets((a, in_a) in set(), (b, in_b) in set()) {
            let (union, common, left) = (a.union(&b), a.intersection(&b), a.difference(&b));
            for (number, (a, b)) in in_a.iter().zip(&in_b).enumerate() {
                let number = number as u32;
                prop_assert_eq!(union.contains(number), *a || *b);
                prop_assert_eq!(common.contains(number), *a && *b);
                prop_assert_eq!(left.contains(number), *a && !*b);
            }
            // One representation of a set: taking apart and joining again gives the same value.
            prop_assert_eq!(left.union(&common), a);
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_edge() {
        let all = Ranges::<u32>::everything();
        assert!(all.difference(&all).is_empty());
        let tail = all.difference(&Ranges::of(0, 9));
        assert_eq!(tail.iter().collect::<Vec<_>>(), [(10, u32::MAX)]);
        assert_eq!(tail.union(&Ranges::of(0, 9)), all);
    }
}
