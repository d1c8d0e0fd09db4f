//! Sorting that can be given up.
//!
//! A million series take seconds to sort by their labels, and a comparison cannot end a sort of the standard
//! library. So places are sorted in runs, the runs are merged, and between both it is asked whether anybody
//! still waits. Few items are one run and are sorted as they lie. What is in order already is not merged.
//! The order is stable.

use std::cmp::Ordering;

use super::source::{Guard, Interrupted};

/// Items that are sorted without asking: some milliseconds, by labels. Tests have runs to merge sooner.
const RUN_ITEMS: usize = if cfg!(test) { 128 } else { 2048 };

/// Sorts items, as `sort_by` of a slice does. Where it is interrupted they are worth nothing.
pub(crate) fn sort_by<T>(
    items: &mut Vec<T>,
    guard: &Guard,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Result<(), Interrupted> {
    if items.len() <= RUN_ITEMS {
        items.sort_by(compare);
        return Ok(());
    }
    let compare_at = |a: &usize, b: &usize| match (items.get(*a), items.get(*b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    };
    let mut order: Vec<usize> = (0..items.len()).collect();
    for run in order.chunks_mut(RUN_ITEMS) {
        guard.check()?;
        run.sort_by(compare_at);
    }
    let mut merged = Vec::with_capacity(order.len());
    let mut width = RUN_ITEMS;
    while width < order.len() {
        merged.clear();
        for pair in order.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            if let (Some(last), Some(first)) = (left.last(), right.first())
                && compare_at(first, last).is_ge()
            {
                guard.check()?;
                merged.extend_from_slice(pair);
                continue;
            }
            while let ([first, left_rest @ ..], [second, right_rest @ ..]) = (left, right) {
                guard.check_at(merged.len())?;
                if compare_at(second, first).is_lt() {
                    merged.push(*second);
                    right = right_rest;
                } else {
                    merged.push(*first);
                    left = left_rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        width *= 2;
    }
    if order.is_sorted() {
        return Ok(());
    }
    let mut taken: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    items.reserve_exact(taken.len());
    for (step, at) in order.into_iter().enumerate() {
        guard.check_at(step)?;
        items.extend(taken.get_mut(at).and_then(Option::take));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// Numbers in no order, each several times, with their places.
    fn items(count: usize) -> Vec<(usize, usize)> {
        (0..count).map(|at| (at * 7919 % (count / 3), at)).collect()
    }

    #[test]
    fn it_is_the_order_of_the_standard_library() {
        for count in [3, RUN_ITEMS, RUN_ITEMS + 1, 5 * RUN_ITEMS + 17] {
            let (mut expected, mut sorted) = (items(count), items(count));
            expected.sort_by_key(|item| item.0);
            let done = sort_by(&mut sorted, &Guard::default(), |a, b| a.0.cmp(&b.0));
            assert_eq!(done, Ok(()));
            assert!(sorted == expected, "{count}");
        }
    }

    #[test]
    fn a_sort_can_be_interrupted() {
        let cancel = Arc::new(AtomicBool::new(false));
        let guard = Guard {
            cancel: Some(Arc::clone(&cancel)),
            ..Guard::default()
        };
        let mut sorted = items(5 * RUN_ITEMS);
        let done = sort_by(&mut sorted, &guard, |a, b| {
            cancel.store(true, std::sync::atomic::Ordering::Relaxed);
            a.cmp(b)
        });
        assert_eq!(done, Err(Interrupted::Canceled));
    }
}
