//! Deletion: named in the manifest at once, applied by the merges that follow.
//!
//! What is in memory is flushed first, so that everything that was written before the deletion is in parts of
//! a smaller number, and what comes later is not. From the moment the manifest names it readers leave the
//! rows out; room returns as the parts are written anew.

use std::collections::{HashMap, HashSet};

use super::{MaintainError, Store};
use crate::manifest::PartId;
use crate::manifest::erasure::{ErasureId, ErasureRecord};
use crate::table::{Erasure, Table};

/// How many deletions may wait to be applied: every reader looks at each of them.
pub const ERASURES_MAX: usize = 1_000;

/// What a deletion has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Parts with rows of the series, which merges will write anew.
    pub parts: usize,
}

impl<T: Table> Store<T> {
    /// Deletes the rows of `erasure` that were written so far. When this returns no reader sees them any
    /// more, after a crash neither; rows that are written later stay, even at the same instants. A
    /// write that runs at the same time is on either side.
    pub fn delete(&self, erasure: Erasure) -> Result<Deleted, MaintainError> {
        if erasure.matchers.is_empty() {
            return Err(MaintainError::NoMatchers);
        }
        let _flushing = self.flushing.lock();
        self.flush_memory()?;
        let unconcerned = self.without_rows_of(&erasure);
        let mut manifest = self.manifest.lock();
        if manifest.erasures.len() >= ERASURES_MAX {
            return Err(MaintainError::TooManyErasures);
        }
        let id = ErasureId(manifest.next_part);
        manifest.next_part += 1;
        let mut next = manifest.clone();
        let record = ErasureRecord { id, erasure };
        for part in &mut next.parts {
            if unconcerned.contains(&part.id) && part.is_subject_to(&record) {
                part.erased.push(id);
            }
        }
        let subject = next.parts.iter().filter(|part| part.is_subject_to(&record));
        let parts = subject.count();
        if parts > 0 {
            next.erasures.push(record);
            self.commit(manifest, next, HashMap::new())?;
        }
        Ok(Deleted { parts })
    }

    /// The parts whose index knows no series of the erasure's. A part that cannot be asked may have some.
    fn without_rows_of(&self, erasure: &Erasure) -> HashSet<PartId> {
        let view = self.view.load_full();
        let parts = view.parts_in(erasure.range).filter(|part| {
            let opened = part.part();
            opened.is_ok_and(|part| matches!(T::may_hold(part, &erasure.matchers), Ok(false)))
        });
        parts.map(|part| part.record.id).collect()
    }
}
