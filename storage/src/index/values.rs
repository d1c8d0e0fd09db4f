//! The values of a label, of one index and of many.
//!
//! Values come in order and one at a time, so that a limit costs what it shows: the values of many
//! indexes are merged while they are read, each value once, and who has enough stops.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::part::PartError;

/// Values in order, each once.
pub trait Values {
    /// The next value.
    fn next(&mut self) -> Result<Option<&str>, PartError>;
}

/// Values that are in memory already.
#[derive(Debug)]
pub struct Listed {
    values: std::vec::IntoIter<String>,
    current: String,
}

impl Listed {
    /// The given values, which are in order, each once.
    pub fn new(values: Vec<String>) -> Self {
        debug_assert!(values.is_sorted(), "values come in order");
        Self {
            values: values.into_iter(),
            current: String::new(),
        }
    }
}

impl Values for Listed {
    fn next(&mut self) -> Result<Option<&str>, PartError> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        self.current = value;
        Ok(Some(&self.current))
    }
}

/// A source of a merge, by the value it is at.
struct Head {
    value: String,
    source: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

/// Shows the values of all sources in order, each once, until `visit` says that it has enough. An error
/// comes with the number of the source that has it.
pub fn merge(
    sources: &mut [Box<dyn Values + '_>],
    mut visit: impl FnMut(&str) -> bool,
) -> Result<(), (usize, PartError)> {
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (number, source) in sources.iter_mut().enumerate() {
        if let Some(value) = source.next().map_err(|error| (number, error))? {
            heads.push(Reverse(Head {
                value: value.to_owned(),
                source: number,
            }));
        }
    }
    let mut last: Option<String> = None;
    while let Some(mut least) = heads.peek_mut() {
        let Reverse(head) = &mut *least;
        if last.as_ref() != Some(&head.value) {
            if !visit(&head.value) {
                break;
            }
            let last = last.get_or_insert_default();
            last.clone_from(&head.value);
        }
        let Some(source) = sources.get_mut(head.source) else {
            break;
        };
        match source.next().map_err(|error| (head.source, error))? {
            Some(next) => {
                head.value.clear();
                head.value.push_str(next);
            }
            None => {
                PeekMut::pop(least);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_merge_is_the_union_up_to_where_one_stops(
            sources in prop::collection::vec(prop::collection::btree_set("[ab]{0,3}", 0..8), 0..6),
            limit in 0_usize..20,
        ) {
            let all: BTreeSet<&String> = sources.iter().flatten().collect();
            let mut boxed: Vec<Box<dyn Values>> = Vec::new();
            for source in &sources {
                boxed.push(Box::new(Listed::new(source.iter().cloned().collect())));
            }
            let mut merged = Vec::new();
            merge(&mut boxed, |value| {
                if merged.len() < limit {
                    merged.push(value.to_owned());
                }
                merged.len() < limit
            })
            .expect("in memory");
            prop_assert!(merged.iter().eq(all.into_iter().take(limit)));
        }
    }
}
