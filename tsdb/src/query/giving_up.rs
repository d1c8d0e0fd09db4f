//! Passes over everything a query holds that can be given up.
//!
//! A million series take tens of milliseconds to look at, and as long to let go of, whatever is done with each.
//! So no pass goes through all of them without asking now and then whether anybody still waits. What is
//! left of what was given up on is worth nothing: the query has ended.

use super::eval::{Column, Series};
use super::source::{Guard, Interrupted};

/// Keeps the items that `keep` wants, as `retain` of a vector does.
pub(super) fn retain<T>(
    items: &mut Vec<T>,
    guard: &Guard,
    mut keep: impl FnMut(&T) -> bool,
) -> Result<(), Interrupted> {
    let (mut at, mut going) = (0, Ok(()));
    items.retain(|item| {
        if going.is_ok() {
            going = guard.check_at(at);
            at += 1;
        }
        going.is_ok() && keep(item)
    });
    going
}

/// Leaves out series without values.
pub(super) fn retain_present(series: &mut Vec<Series>, guard: &Guard) -> Result<(), Interrupted> {
    retain(series, guard, |one| !one.column.is_empty())
}

/// Does something with each column.
pub(super) fn each_column(
    series: &mut [Series],
    guard: &Guard,
    mut with: impl FnMut(&mut Column),
) -> Result<(), Interrupted> {
    for (at, one) in series.iter_mut().enumerate() {
        guard.check_wide(at, one.column.len())?;
        with(&mut one.column);
    }
    Ok(())
}

/// Adds up what is counted of each item.
pub(super) fn sum<T>(
    items: &[T],
    guard: &Guard,
    mut count: impl FnMut(&T) -> usize,
) -> Result<usize, Interrupted> {
    let mut sum = 0_usize;
    for (at, item) in items.iter().enumerate() {
        guard.check_at(at)?;
        sum = sum.saturating_add(count(item));
    }
    Ok(sum)
}

/// At which instants some series has a value.
pub(super) fn present_at(
    series: &[Series],
    instants: usize,
    guard: &Guard,
) -> Result<Vec<bool>, Interrupted> {
    let mut present = vec![false; instants];
    let mut missing = instants;
    for (at, one) in series.iter().enumerate() {
        if missing == 0 {
            break;
        }
        guard.check_wide(at, instants)?;
        for (index, present) in present.iter_mut().enumerate() {
            if !*present && one.column.is_present(index) {
                *present = true;
                missing -= 1;
            }
        }
    }
    Ok(present)
}

/// Items that are let go of between two looks at the guard.
const DROPPED_PER_CHECK: usize = 256;

/// Drops items, the last ones first.
pub(crate) fn let_go<T>(mut items: Vec<T>, guard: &Guard) -> Result<(), Interrupted> {
    while items.len() > DROPPED_PER_CHECK {
        guard.check()?;
        items.truncate(items.len() - DROPPED_PER_CHECK);
    }
    Ok(())
}
