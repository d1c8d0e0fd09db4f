//! Reading everything a view holds: parts from the oldest to the newest, then memtables.
//!
//! - [`labels`]: names, values and label sets, for which no sample is read.
//! - [`cardinality`]: how many there are, and what makes them so many.
//! - `selection`: samples, one series at a time; `row` is the common case of that.
//! - `exemplars`: what stands for samples.
//! - `findings`: which series matchers find, and where they lie.
//! - [`cache`]: what was made of parts for the queries before.
//!
//! A part whose bytes are wrong fails the one read that meets it: the part goes to quarantine, the
//! error names its file and offset, and the next read is served from what is left.

pub mod cache;
pub mod cardinality;
mod exemplars;
mod findings;
pub mod labels;
mod row;
mod selection;

#[cfg(test)]
mod interrupted;

use std::sync::Arc;

use storage::manifest::PartId;
use storage::part::PartError;

use self::cache::BlockCache;
use self::findings::FindingsCache;
use super::MetricStore;
use crate::query::SelectError;

/// What there is to read of a store.
#[derive(Clone)]
pub struct Reader {
    store: Arc<MetricStore>,
    caches: Option<Arc<ReadCaches>>,
}

/// What queries keep for the next ones.
#[derive(Debug)]
pub struct ReadCaches {
    blocks: BlockCache,
    findings: FindingsCache,
}

/// The part of a reader's caches that is for what matchers found.
const FINDINGS_SHARE: usize = 16;

impl ReadCaches {
    /// Empty caches of at most so many bytes together.
    pub fn new(bytes_max: usize) -> Self {
        let findings = bytes_max / FINDINGS_SHARE;
        Self {
            blocks: BlockCache::new(bytes_max - findings),
            findings: FindingsCache::new(findings),
        }
    }

    /// Decoded blocks.
    const fn blocks(&self) -> &BlockCache {
        &self.blocks
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.store.dir()).finish()
    }
}

impl Reader {
    /// A reader of a store.
    pub const fn new(store: Arc<MetricStore>) -> Self {
        Self {
            store,
            caches: None,
        }
    }

    /// The same reader with caches, which must be of this store alone.
    #[must_use]
    pub fn with_caches(self, caches: Arc<ReadCaches>) -> Self {
        let caches = Some(caches);
        Self { caches, ..self }
    }

    /// The store it reads.
    pub const fn store(&self) -> &Arc<MetricStore> {
        &self.store
    }

    /// Takes a corrupt part out, and says what happened.
    fn failed(&self, part: Option<PartId>, error: &PartError) -> SelectError {
        if let PartError::GivenUp(why) = error {
            return SelectError::Interrupted((*why).into());
        }
        if let Some(part) = part
            && error.is_corruption()
        {
            if let Err(failure) = self.store.quarantine(part, error) {
                tracing::error!(%failure, "a corrupt part could not be moved to quarantine");
            }
            return SelectError::Storage(format!(
                "{error}; the part is moved to quarantine, ask again for what is left"
            ));
        }
        SelectError::Storage(error.to_string())
    }
}
