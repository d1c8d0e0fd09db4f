//! The series in the order of their labels, which is the order of a part.
//!
//! A flush a minute needs it and few series are new by then, so it is kept: new ones are sorted among
//! themselves and merged in.

use std::cmp::Ordering;
use std::sync::Arc;

use storage::index::SeriesRef;

use super::{Registry, Shared};

impl Registry {
    /// The order of two series: pair by pair, names before values; a set sorts before those it
    /// begins. As [`model::labels::Labels`] has it.
    pub(super) fn compare(&self, a: SeriesRef, b: SeriesRef) -> Ordering {
        let (a, b) = (self.pairs_of(a), self.pairs_of(b));
        match a.iter().zip(b).find(|(a, b)| a != b) {
            Some((a, b)) => self.pairs.compare(*a, *b),
            None => a.len().cmp(&b.len()),
        }
    }
}

impl Shared {
    /// Every series there is now, in the order of labels.
    pub(in crate::store) fn ordered(&self) -> Arc<Vec<SeriesRef>> {
        let registry = self.read();
        let mut order = self.order.lock();
        if order.len() < registry.len() as usize {
            let mut all = Vec::with_capacity(registry.len() as usize);
            all.extend_from_slice(&order);
            all.extend(order.len() as SeriesRef..registry.len());
            // Stable, because it finds what is in order already.
            all.sort_by(|a, b| registry.compare(*a, *b));
            *order = Arc::new(all);
        }
        Arc::clone(&order)
    }
}

#[cfg(test)]
mod tests {
    use model::labels::{Labels, split_pair};

    use super::*;

    fn add(shared: &Shared, labels: &Labels) {
        shared.write(|registry| {
            let mut rest = labels.as_encoded();
            let mut pairs = Vec::new();
            while let Some((pair, after)) = split_pair(rest) {
                pairs.push(registry.intern(pair).expect("room"));
                rest = after;
            }
            registry.register(&pairs);
        });
    }

    #[test]
    fn the_order_is_that_of_labels_however_they_came() {
        let shared = Shared::default();
        let mut all = Vec::new();
        for round in 0..3u32 {
            for number in 0..40u32 {
                let number = number.wrapping_mul(2_654_435_761).rotate_left(round) % 97;
                let value = "x".repeat(number as usize % 5 * 40);
                let labels = Labels::from_pairs([
                    ("__name__", format!("m{}", number % 3)),
                    ("long", value),
                    (if number % 2 == 0 { "b" } else { "zz" }, number.to_string()),
                ]);
                add(&shared, &labels);
                all.push(labels);
            }
            all.sort();
            all.dedup();
            let order = shared.ordered();
            let registry = shared.read();
            let ordered = order.iter().map(|number| registry.labels(*number));
            assert!(ordered.eq(all.iter().cloned().map(Some)));
        }
    }
}
