//! What a set of matchers selects.
//!
//! A series passes if every matcher passes, and a label it lacks counts as the empty text. So a
//! matcher that refuses the empty text *keeps* the union of the postings of the values it accepts;
//! one that accepts it *drops* the union of the postings of the values it refuses. What a negation
//! accepts among the series that have the label is what its opposite leaves of them. That is all of
//! `=`, `!=`, `=~` and `!~`, and no series is ever looked at.

use std::collections::BTreeSet;

use model::matcher::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use super::LabelIndex;
use super::pattern::{Kind, Pattern};
use super::values::{Listed, Values};
use crate::part::PartError;

/// The series that pass every matcher.
pub fn select(index: &dyn LabelIndex, matchers: &[Matcher]) -> Result<RoaringBitmap, PartError> {
    index.select(matchers)
}

/// Adds the values of `name` that series passing `matchers` have.
pub fn label_values(
    index: &dyn LabelIndex,
    name: &str,
    matchers: &[Matcher],
    values: &mut BTreeSet<String>,
) -> Result<(), PartError> {
    let mut found = index.label_values(name, matchers)?;
    while let Some(value) = found.next()? {
        if !values.contains(value) {
            values.insert(value.to_owned());
        }
    }
    Ok(())
}

/// Adds the label names that series passing `matchers` have.
pub fn label_names(
    index: &dyn LabelIndex,
    matchers: &[Matcher],
    names: &mut BTreeSet<String>,
) -> Result<(), PartError> {
    names.extend(index.label_names_of(matchers)?);
    Ok(())
}

/// The series that pass every matcher, from postings.
pub(super) fn by_postings<I: LabelIndex + ?Sized>(
    index: &I,
    matchers: &[Matcher],
) -> Result<RoaringBitmap, PartError> {
    let mut selected: Option<RoaringBitmap> = None;
    // The cheap ones first: they make the others' work, or need for it, smaller.
    let mut ordered: Vec<&Matcher> = matchers.iter().collect();
    ordered.sort_by_key(|matcher| (matcher.matches_empty(), matcher.op() != MatchOp::Equal));
    for matcher in ordered {
        if matcher.matches_empty() {
            let refused = having(index, matcher, false)?;
            let kept = selected.get_or_insert_with(|| all(index));
            *kept -= refused;
        } else {
            let accepted = having(index, matcher, true)?;
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

/// The values that some of the given series have, or any, from postings.
pub(super) fn values_by_postings<'a, I: LabelIndex + ?Sized>(
    index: &'a I,
    name: &str,
    series: Option<&RoaringBitmap>,
) -> Result<Box<dyn Values + 'a>, PartError> {
    let mut values = Vec::new();
    index.each_value(name, "", &mut |value, postings| {
        let has_it = match series {
            None => true,
            Some(series) => !postings()?.is_disjoint(series),
        };
        if has_it {
            values.push(value.to_owned());
        }
        Ok(())
    })?;
    Ok(Box::new(Listed::new(values)))
}

/// The label names that some of the given series have, from postings.
pub(super) fn names_by_postings<I: LabelIndex + ?Sized>(
    index: &I,
    series: &RoaringBitmap,
) -> Result<Vec<String>, PartError> {
    let mut kept = Vec::new();
    for name in index.label_names()? {
        if !index.presence(&name)?.is_disjoint(series) {
            kept.push(name);
        }
    }
    Ok(kept)
}

fn all<I: LabelIndex + ?Sized>(index: &I) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..index.len());
    all
}

/// The series that have the matcher's label and pass (or fail) it.
fn having<I: LabelIndex + ?Sized>(
    index: &I,
    matcher: &Matcher,
    passes: bool,
) -> Result<RoaringBitmap, PartError> {
    let pattern = Pattern::new(matcher);
    let matching = match pattern.kind() {
        Kind::Any => index.presence(matcher.name())?,
        _ => index.matching(matcher.name(), &pattern)?,
    };
    if passes == matcher.op().is_negative() {
        Ok(index.presence(matcher.name())? - matching)
    } else {
        Ok(matching)
    }
}

/// The series whose value of `name` a pattern matches, from postings.
pub(super) fn matching_by_postings<I: LabelIndex + ?Sized>(
    index: &I,
    name: &str,
    pattern: &Pattern<'_>,
) -> Result<RoaringBitmap, PartError> {
    let mut union = RoaringBitmap::new();
    if let Kind::Literals(texts) = pattern.kind() {
        for text in texts {
            union |= index.postings(name, text)?;
        }
    } else {
        index.each_match(name, pattern, &mut |_, postings| {
            union |= postings()?;
            Ok(())
        })?;
    }
    Ok(union)
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
