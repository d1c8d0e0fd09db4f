//! The two things that an index is really of: tails, and groups by their metric name.
//!
//! Matchers of other labels than the metric name say which tails pass, matchers of the metric name
//! which groups; a series passes if both its tail and its group do. Each space is a [`LabelIndex`] of its
//! own, so that what matchers mean stays written once. Series that begin with no metric name are in
//! groups without one, and pass if their tail passes all of the matchers.

use std::ops::ControlFlow;
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::matcher::Matcher;
use roaring::RoaringBitmap;

use super::super::dictionary::{Label, Postings, ValueBlock};
use super::super::pattern::Pattern;
use super::super::select::by_postings;
use super::super::set::decode_set;
use super::super::{LabelIndex, VisitValue};
use super::Version2;
use super::postings::PostingsReader;
use crate::part::{BlockHandle, PartError};

/// The tails as what has labels.
pub(super) struct Tails<'a>(pub(super) &'a Version2);

/// The groups as what has a metric name.
pub(super) struct Groups<'a>(pub(super) &'a Version2);

/// What of an index passes.
#[derive(Clone)]
pub(super) struct Passing {
    /// Groups with a metric name; all where there is none.
    pub(super) groups: Option<RoaringBitmap>,
    /// Tails in groups with a metric name; all where there is none.
    pub(super) tails: Option<RoaringBitmap>,
    /// Tails in groups without one.
    pub(super) whole: Option<RoaringBitmap>,
}

/// A value: its block, its place there, and the block of its postings.
pub(super) struct Found {
    pub(super) block: Arc<ValueBlock>,
    pub(super) at: usize,
    pub(super) postings: Option<BlockHandle>,
}

impl Version2 {
    /// What passes every matcher.
    pub(super) fn passing(&self, matchers: &[Matcher]) -> Result<Passing, PartError> {
        let (of_name, of_tail): (Vec<Matcher>, Vec<Matcher>) = matchers
            .iter()
            .cloned()
            .partition(|matcher| matcher.name() == METRIC_NAME);
        let tails = if of_tail.is_empty() {
            None
        } else {
            Some(by_postings(&Tails(self), &of_tail)?)
        };
        if of_name.is_empty() {
            return Ok(Passing {
                groups: None,
                whole: tails.clone(),
                tails,
            });
        }
        let has_whole = self.group_places()?.groups.iter().any(|g| g.name.is_none());
        let whole = if has_whole {
            by_postings(&Tails(self), matchers)?
        } else {
            RoaringBitmap::new()
        };
        Ok(Passing {
            groups: Some(by_postings(&Groups(self), &of_name)?),
            tails,
            whole: Some(whole),
        })
    }

    /// The tails that have the value at a place of a block.
    fn tails_of(
        &self,
        block: &ValueBlock,
        postings: Option<BlockHandle>,
        at: usize,
    ) -> Result<RoaringBitmap, PartError> {
        let place = block.postings.get(at).copied().unwrap_or(Postings::None);
        PostingsReader::new(self).set(postings, place)
    }

    /// Shows the values of a label from the first that is not before `from` on, each with its block,
    /// its place there, and how many bytes it shares with the value shown before.
    fn walk(
        &self,
        label: &Label,
        from: &str,
        mut visit: impl FnMut(
            &str,
            &Arc<ValueBlock>,
            usize,
            Option<BlockHandle>,
            usize,
        ) -> Result<ControlFlow<()>, PartError>,
    ) -> Result<(), PartError> {
        let mut is_first = true;
        for number in label.block_of(from)..label.blocks.len() {
            let Some(block) = label.read(&self.file, number)? else {
                break;
            };
            let postings = label.blocks.get(number).and_then(|place| place.postings);
            let start = if is_first { block.lower_bound(from) } else { 0 };
            for at in start..block.len() {
                let Some(value) = block.value(at) else {
                    break;
                };
                let shared = block.shared.get(at).copied().unwrap_or_default();
                let shared = if is_first { 0 } else { shared as usize };
                is_first = false;
                if visit(value, &block, at, postings, shared)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Shows the values of a name that begin with `prefix`, and of these those that match.
    pub(super) fn each(
        &self,
        name: &str,
        prefix: &str,
        pattern: Option<&Pattern<'_>>,
        mut visit: impl FnMut(&str, &ValueBlock, usize, Option<BlockHandle>) -> Result<(), PartError>,
    ) -> Result<(), PartError> {
        let dictionary = self.dictionary()?;
        let Some(label) = dictionary.find(name) else {
            return Ok(());
        };
        let mut walk = pattern.map(Pattern::walk);
        self.walk(label, prefix, |value, block, at, postings, shared| {
            if !value.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if walk.as_mut().is_none_or(|walk| walk.matches(value, shared)) {
                visit(value, block, at, postings)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The block and place of a value.
    pub(super) fn find(&self, label: &Label, value: &str) -> Result<Option<Found>, PartError> {
        let number = label.block_of(value);
        let Some(block) = label.read(&self.file, number)? else {
            return Ok(None);
        };
        let at = block.lower_bound(value);
        let postings = label.blocks.get(number).and_then(|place| place.postings);
        Ok((block.value(at) == Some(value)).then_some(Found {
            block,
            at,
            postings,
        }))
    }
}

impl LabelIndex for Tails<'_> {
    fn len(&self) -> u32 {
        self.0.tails
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        let dictionary = self.0.dictionary()?;
        let found = match dictionary.find(name) {
            Some(label) => self.0.find(label, value)?,
            None => None,
        };
        match found {
            Some(found) => self.0.tails_of(&found.block, found.postings, found.at),
            None => Ok(RoaringBitmap::new()),
        }
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        self.0
            .each(name, prefix, None, |value, block, at, postings| {
                visit(value, &mut || self.0.tails_of(block, postings, at))
            })
    }

    fn each_match(
        &self,
        name: &str,
        pattern: &Pattern<'_>,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let prefix = pattern.prefix();
        self.0
            .each(name, prefix, Some(pattern), |value, block, at, postings| {
                visit(value, &mut || self.0.tails_of(block, postings, at))
            })
    }

    fn matching(&self, name: &str, pattern: &Pattern<'_>) -> Result<RoaringBitmap, PartError> {
        self.united(name, pattern)
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        let dictionary = self.0.dictionary()?;
        let names = dictionary.labels.iter().map(|label| label.name.to_string());
        Ok(names.collect())
    }

    fn presence(&self, name: &str) -> Result<RoaringBitmap, PartError> {
        let dictionary = self.0.dictionary()?;
        let Some(label) = dictionary.find(name) else {
            return Ok(RoaringBitmap::new());
        };
        decode_set(&label.presence, self.0.tails)
            .map_err(|malformed| self.0.corrupt(&malformed.to_string()))
    }
}

impl Groups<'_> {
    fn one(block: &ValueBlock, at: usize) -> RoaringBitmap {
        block.group(at).into_iter().collect()
    }
}

impl LabelIndex for Groups<'_> {
    fn len(&self) -> u32 {
        self.0
            .group_places()
            .map_or(0, |places| places.groups.len() as u32)
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        let dictionary = self.0.dictionary()?;
        let found = match dictionary.find(name) {
            Some(label) if label.leads => self.0.find(label, value)?,
            _ => None,
        };
        Ok(found.map_or_else(RoaringBitmap::new, |found| {
            Self::one(&found.block, found.at)
        }))
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        self.0.each(name, prefix, None, |value, block, at, _| {
            visit(value, &mut || Ok(Self::one(block, at)))
        })
    }

    fn each_match(
        &self,
        name: &str,
        pattern: &Pattern<'_>,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let prefix = pattern.prefix();
        self.0
            .each(name, prefix, Some(pattern), |value, block, at, _| {
                visit(value, &mut || Ok(Self::one(block, at)))
            })
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        Ok(vec![METRIC_NAME.to_owned()])
    }
}
