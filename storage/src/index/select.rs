//! What a set of matchers selects.
//!
//! A series passes if every matcher passes, and a label it lacks counts as the empty text. So a
//! matcher that refuses the empty text *keeps* the union of the postings of the values it accepts;
//! one that accepts it *drops* the union of the postings of the values it refuses. That is all of
//! `=`, `!=`, `=~` and `!~`, and no series is ever looked at.

use std::collections::BTreeSet;

use model::matcher::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use super::LabelIndex;
use crate::part::PartError;

/// The series that pass every matcher.
pub fn select(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<RoaringBitmap, PartError> {
    let mut selected: Option<RoaringBitmap> = None;
    // The cheap ones first: they make the others' work, or need for it, smaller.
    let mut ordered: Vec<&Matcher> = matchers.iter().collect();
    ordered.sort_by_key(|matcher| (matcher.matches_empty(), matcher.op() != MatchOp::Equal));
    for matcher in ordered {
        if matcher.matches_empty() {
            let refused = union_of_values(index, matcher, false)?;
            let kept = selected.get_or_insert_with(|| all(index));
            *kept -= refused;
        } else {
            let accepted = union_of_values(index, matcher, true)?;
            match &mut selected {
                Some(kept) => *kept &= accepted,
                None => selected = Some(accepted),
            }
        }
        if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
    }
    Ok(selected.unwrap_or_else(|| all(index)))
}

/// The values of `name` that series passing `matchers` have, in order.
pub fn label_values(
    index: &dyn LabelIndex,
    name: &str,
    matchers: &[Matcher],
    values: &mut BTreeSet<String>,
) -> Result<(), PartError> {
    if matchers.is_empty() {
        return index.each_value(name, "", &mut |value, _| {
            values.insert(value.to_owned());
            Ok(())
        });
    }
    let selected = select(index, matchers)?;
    index.each_value(name, "", &mut |value, postings| {
        if !values.contains(value) && !postings()?.is_disjoint(&selected) {
            values.insert(value.to_owned());
        }
        Ok(())
    })
}

/// The label names that series passing `matchers` have.
pub fn label_names(
    index: &dyn LabelIndex,
    matchers: &[Matcher],
    names: &mut BTreeSet<String>,
) -> Result<(), PartError> {
    if matchers.is_empty() {
        names.extend(index.label_names()?);
        return Ok(());
    }
    let selected = select(index, matchers)?;
    for name in index.label_names()? {
        if names.contains(&name) {
            continue;
        }
        let mut found = false;
        index.each_value(&name, "", &mut |_, postings| {
            found = found || !postings()?.is_disjoint(&selected);
            Ok(())
        })?;
        if found {
            names.insert(name);
        }
    }
    Ok(())
}

fn all(index: &dyn LabelIndex) -> RoaringBitmap {
    (0..index.len()).collect()
}

/// The series whose value of the matcher's label is there and passes (or fails) it.
fn union_of_values(
    index: &dyn LabelIndex,
    matcher: &Matcher,
    passes: bool,
) -> Result<RoaringBitmap, PartError> {
    let positive = passes != matcher.op().is_negative();
    if matcher.regex().is_none() && positive {
        return index.postings(matcher.name(), matcher.value());
    }
    if positive && let Some(literals) = literal_alternatives(matcher.value()) {
        let mut union = RoaringBitmap::new();
        for literal in literals {
            union |= index.postings(matcher.name(), literal)?;
        }
        return Ok(union);
    }
    let prefix = if positive {
        literal_prefix(matcher.value())
    } else {
        ""
    };
    let mut union = RoaringBitmap::new();
    index.each_value(matcher.name(), prefix, &mut |value, postings| {
        if matcher.matches(value) == passes {
            union |= postings()?;
        }
        Ok(())
    })?;
    Ok(union)
}

/// Characters with a meaning in a regular expression.
const META: &[char] = &[
    '\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$',
];

/// `a|b|c` without anything else in it: the texts themselves. What Grafana's variables send.
fn literal_alternatives(pattern: &str) -> Option<impl Iterator<Item = &str>> {
    let is_plain = !pattern.contains(|c| c != '|' && META.contains(&c));
    is_plain.then(|| pattern.split('|'))
}

/// The literal text that every match of `pattern` starts with.
fn literal_prefix(pattern: &str) -> &str {
    let Some(end) = pattern.find(META) else {
        return pattern;
    };
    if pattern.contains('|') {
        return "";
    }
    let (prefix, rest) = pattern.split_at(end);
    // `ab*` need not have the b: the last character belongs to what repeats it.
    if rest.starts_with(['*', '?', '{']) {
        let last = prefix.chars().next_back().map_or(0, char::len_utf8);
        return prefix.get(..prefix.len() - last).unwrap_or_default();
    }
    prefix
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;

    use super::*;
    use crate::index::memory::MemoryIndex;

    fn index() -> MemoryIndex {
        let mut index = MemoryIndex::default();
        for (name, pod) in [("up", "a-1"), ("up", "a-2"), ("up", "b-1"), ("down", "")] {
            index.get_or_insert(&Labels::from_pairs([("__name__", name), ("pod", pod)]));
        }
        index
    }

    #[test]
    fn the_index_agrees_with_looking_at_every_series() {
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        let index = index();
        let values = [
            "", "a-1", "zz", "a-.*", "a-1|b-1", ".*", ".+", "a-1?", "a-1*", "(a|b)-1", "|a-1",
            "a.1", "b|a-.", "up",
        ];
        for name in ["__name__", "pod", "missing"] {
            for op in [Equal, NotEqual, Regex, NotRegex] {
                for value in values {
                    let matcher = Matcher::new(op, name, value).expect("valid");
                    let expected: RoaringBitmap = (0..4)
                        .filter(|series| {
                            matcher.matches_labels(index.labels(*series).expect("known"))
                        })
                        .collect();
                    let matchers = [matcher];
                    let got = select(&index, &matchers).expect("in memory");
                    assert_eq!(got, expected, "{}", matchers[0]);
                    let both = [matchers[0].clone(), Matcher::equal("__name__", "up")];
                    let got = select(&index, &both).expect("in memory");
                    let expected = expected & RoaringBitmap::from([0, 1, 2]);
                    assert_eq!(got, expected, "{} with a name", matchers[0]);
                }
            }
        }
    }

    #[test]
    fn names_and_values_follow_the_matchers() {
        let index = index();
        let mut names = BTreeSet::new();
        label_names(&index, &[Matcher::equal("__name__", "down")], &mut names).expect("in memory");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["__name__"]);
        let mut values = BTreeSet::new();
        let matcher = Matcher::new(MatchOp::NotEqual, "pod", "a-1").expect("valid");
        label_values(&index, "pod", &[matcher], &mut values).expect("in memory");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), ["a-2", "b-1"]);
    }
}
