//! Exemplars of one series: in order of time, each once, and never without bound.
//!
//! An exemplar has no identity but itself, so two that say the same are one, and a write that is
//! repeated after a lost answer adds nothing.

use std::cmp::Ordering;

use model::sample::Exemplar;

/// Exemplars that are kept of one series at once; of more the newest stay.
pub const EXEMPLARS_MAX: usize = 1024;

/// Adds exemplars, in any order. Those without an instant are left out: whoever writes them gives
/// them that of their sample.
pub(super) fn overlay(exemplars: &mut Vec<Exemplar>, newer: Vec<Exemplar>) {
    let mut newer: Vec<Exemplar> = newer
        .into_iter()
        .filter(|exemplar| exemplar.timestamp.is_some())
        .collect();
    if newer.is_empty() {
        return;
    }
    newer.sort_by(order);
    newer.dedup_by(|a, b| order(a, b).is_eq());
    let is_behind = exemplars.last().zip(newer.first());
    let is_behind = is_behind.is_none_or(|(last, first)| order(last, first).is_lt());
    exemplars.append(&mut newer);
    if !is_behind {
        exemplars.sort_by(order);
        exemplars.dedup_by(|a, b| order(a, b).is_eq());
    }
    let surplus = exemplars.len().saturating_sub(EXEMPLARS_MAX);
    exemplars.drain(..surplus);
}

fn order(a: &Exemplar, b: &Exemplar) -> Ordering {
    a.timestamp
        .cmp(&b.timestamp)
        .then_with(|| a.labels.cmp(&b.labels))
        .then_with(|| a.value.to_bits().cmp(&b.value.to_bits()))
}
