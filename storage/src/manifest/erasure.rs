//! Deletions, as the manifest names them.
//!
//! A deletion concerns what was written before it and nothing that comes later, even at the same instants.
//! Its number is drawn from the same sequence as the parts', so that "before" is a comparison: parts of a
//! smaller sequence are subject to it, until they were written anew without the deleted rows or turn out to
//! have none. A deletion that no part is subject to is forgotten.
//!
//! ```text
//! { "id": 46, "matchers": [ { "name": "job", "op": "=~", "value": "a|b" } ],
//!   "start_ms": -9223372036854775808, "end_ms": 1795253500000 }
//! ```
//!
//! A part is subject to it if its `sequence` is less than `id` and its `erased` has no such `id`. Deleted
//! are the samples and exemplars from `start_ms` to `end_ms`, both included, of the series that pass every
//! matcher. The operators are `=`, `!=`, `=~` and `!~`, the last two with a regular expression of RE2 for the
//! whole value, in which `.` is a newline too; a label that a series does not have is empty.

use model::matcher::{MatchOp, Matcher};
use model::time::{TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Manifest, PartRecord};
use crate::table::Erasure;

/// The number of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErasureId(pub u64);

/// A deletion that some part still holds rows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ErasureText", into = "ErasureText")]
pub struct ErasureRecord {
    /// Its number; parts of a smaller sequence were written before it.
    pub id: ErasureId,
    /// What was deleted.
    pub erasure: Erasure,
}

impl PartRecord {
    /// Whether rows of the part may have been deleted that are still in it.
    pub fn is_subject_to(&self, record: &ErasureRecord) -> bool {
        self.sequence < record.id.0
            && self.range().overlaps(&record.erasure.range)
            && !self.erased.contains(&record.id)
    }
}

impl Manifest {
    /// What was deleted of a part and is still in it.
    pub fn erasures_of(&self, part: &PartRecord) -> impl Iterator<Item = &Erasure> {
        let pending = self.erasures.iter();
        pending
            .filter(|record| part.is_subject_to(record))
            .map(|record| &record.erasure)
    }

    /// Forgets the deletions that no part is subject to.
    pub fn forget_erasures(&mut self) {
        let parts = &self.parts;
        self.erasures
            .retain(|record| parts.iter().any(|part| part.is_subject_to(record)));
        let erasures = &self.erasures;
        let is_pending = |id: &ErasureId| erasures.iter().any(|record| record.id == *id);
        for part in &mut self.parts {
            part.erased.retain(is_pending);
        }
    }
}

/// A deletion as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasureText {
    id: ErasureId,
    matchers: Vec<MatcherText>,
    start_ms: i64,
    end_ms: i64,
}

/// A matcher as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatcherText {
    name: String,
    op: String,
    value: String,
}

impl From<ErasureRecord> for ErasureText {
    fn from(ErasureRecord { id, erasure }: ErasureRecord) -> Self {
        let matchers = erasure.matchers.iter().map(|matcher| MatcherText {
            name: matcher.name().to_owned(),
            op: matcher.op().as_str().to_owned(),
            value: matcher.value().to_owned(),
        });
        Self {
            id,
            matchers: matchers.collect(),
            start_ms: erasure.range.start.millis(),
            end_ms: erasure.range.end.millis(),
        }
    }
}

impl TryFrom<ErasureText> for ErasureRecord {
    type Error = String;

    fn try_from(text: ErasureText) -> Result<Self, String> {
        let mut matchers = Vec::with_capacity(text.matchers.len());
        for MatcherText { name, op, value } in text.matchers {
            let ops = [
                MatchOp::Equal,
                MatchOp::NotEqual,
                MatchOp::Regex,
                MatchOp::NotRegex,
            ];
            let found = ops.into_iter().find(|known| known.as_str() == op);
            let op = found.ok_or_else(|| format!("{op:?} does not compare labels"))?;
            matchers.push(Matcher::new(op, name, value).map_err(|error| error.to_string())?);
        }
        if matchers.is_empty() {
            return Err("a deletion without matchers".to_owned());
        }
        let range = TimeRange {
            start: Timestamp(text.start_ms),
            end: Timestamp(text.end_ms),
        };
        Ok(Self {
            id: text.id,
            erasure: Erasure { matchers, range },
        })
    }
}
