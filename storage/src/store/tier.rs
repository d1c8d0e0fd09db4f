//! Old parts move to a bucket.
//!
//! A part moves when its partition ended long enough ago and nothing is left to merge in it: it is uploaded,
//! read back and compared ([`Tier::upload`]), then named by the manifest as lying in the bucket, and only when
//! that is durable the local file goes. A crash before the manifest leaves an object that nothing
//! names and the file in its place; a crash after it leaves a file that the next start sweeps. The part keeps
//! its number, so the order of writing, deletions and rules mean what they meant.
//!
//! A part in the bucket takes part in everything: it expires, is merged when a run of its level is due or
//! rows of it were deleted (which fetches it, and the result is a local part that moves in its turn), and is
//! quarantined in the bucket. What must not happen is that a bucket that is away stops the rest, so what
//! would need it is left out meanwhile ([`Store::can_read`]).
//!
//! An object whose part is forgotten stays until nobody reads it any more; if the process ends before, it is an
//! orphan, which the survey at the next start finds once it is old.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use model::time::Timestamp;
use parking_lot::Mutex;

use super::lazy::LazyPart;
use super::merge::is_settled;
use super::view::StoredPart;
use super::{MaintainError, Store};
use crate::manifest::{Location, Manifest, PartId, PartRecord, TierRecord};
use crate::part::cache::PartCache;
use crate::table::Table;
use crate::tier::{Tier, TierError, is_about};

/// How long merges leave a remote part alone that they could not read.
const UNREADABLE_MS: i64 = 600_000;

/// A store's tier, and what is under way with it.
pub(super) struct Tiered<T: Table> {
    pub(super) tier: Arc<Tier>,
    /// Held by the one who moves and removes; whether the folder was looked through.
    moving: Mutex<Surveyed>,
    /// Held by the one who claims the folder.
    claiming: Mutex<()>,
    /// Parts that a merge could not read, and when.
    unreadable: Mutex<HashMap<PartId, Timestamp>>,
    /// Objects to be removed when nobody reads them any more.
    doomed: Mutex<Vec<Doomed<T>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surveyed {
    NotYet,
    Done,
}

struct Doomed<T: Table> {
    id: PartId,
    /// Views that may yet open it.
    views: Weak<LazyPart<T>>,
    /// Readers that have it open.
    readers: Option<Weak<T::Part>>,
}

impl<T: Table> Doomed<T> {
    fn is_read(&self) -> bool {
        let has_readers = |readers: &Weak<T::Part>| readers.strong_count() > 0;
        self.views.strong_count() > 0 || self.readers.as_ref().is_some_and(has_readers)
    }
}

impl<T: Table> Tiered<T> {
    pub(super) fn new(tier: Arc<Tier>) -> Self {
        Self {
            tier,
            moving: Mutex::new(Surveyed::NotYet),
            claiming: Mutex::new(()),
            unreadable: Mutex::default(),
            doomed: Mutex::default(),
        }
    }

    /// Notes the objects of the parts that `next` does not name any more.
    pub(super) fn doom(
        &self,
        before: &Manifest,
        next: &Manifest,
        known: &HashMap<PartId, &Arc<StoredPart<T>>>,
    ) {
        let kept: BTreeSet<PartId> = next.remote_parts().collect();
        let gone = before.remote_parts().filter(|id| !kept.contains(id));
        let doomed = gone.filter_map(|id| {
            let part = &known.get(&id)?.part;
            Some(Doomed {
                id,
                views: Arc::downgrade(part),
                readers: part.if_opened().map(Arc::downgrade),
            })
        });
        self.doomed.lock().extend(doomed);
    }
}

/// A part in the bucket, opened when it is first read.
pub(super) fn remote_part<T: Table>(
    tier: &Arc<Tier>,
    cache: &Arc<PartCache>,
    store: &str,
    record: &PartRecord,
) -> LazyPart<T> {
    let (tier, cache, store) = (Arc::clone(tier), Arc::clone(cache), store.to_owned());
    let (id, bytes) = (record.id, record.bytes);
    LazyPart::closed(move || {
        let file = tier.open_with(&store, id, bytes, &cache)?;
        T::open(file)
    })
}

impl<T: Table> Store<T> {
    /// The tier that old parts move to.
    pub fn tier(&self) -> Option<&Arc<Tier>> {
        self.tiered.as_ref().map(|tiered| &tiered.tier)
    }

    /// What lies in the bucket, in bytes.
    pub fn remote_bytes(&self) -> u64 {
        let manifest = self.manifest.lock();
        let remote = manifest.parts.iter().filter(|part| part.is_remote());
        remote.map(|part| part.bytes).sum()
    }

    /// Does what is most useful for the tier: looks through its folder once, removes objects that are not needed
    /// any more, moves a part. Returns whether a part was moved or there may be more to do. A part whose upload fails stays
    /// where it is.
    pub fn tier_once(&self) -> Result<bool, MaintainError> {
        let Some(tiered) = &self.tiered else {
            return Ok(false);
        };
        let mut surveyed = tiered.moving.lock();
        if *surveyed == Surveyed::NotYet {
            self.survey(tiered)?;
            *surveyed = Surveyed::Done;
        }
        self.remove_doomed(tiered)?;
        let Some(record) = self.part_to_move(tiered) else {
            return Ok(false);
        };
        self.move_part(tiered, &record)?;
        Ok(true)
    }

    /// Whether a part's bytes can be had now, as far as is known.
    pub(super) fn can_read(&self, record: &PartRecord) -> bool {
        if !record.is_remote() {
            return true;
        }
        let Some(tiered) = &self.tiered else {
            return false;
        };
        let failed = tiered.unreadable.lock().get(&record.id).copied();
        let rests = failed.is_some_and(|at| self.clock.now() < at.saturating_add(UNREADABLE_MS));
        !rests && !tiered.tier.is_away()
    }

    /// Leaves remote parts alone for a while of which a merge could not read one: it would be tried again and
    /// again, and nothing else be merged.
    pub(super) fn note_unreadable(&self, parts: &[PartRecord], error: &MaintainError) {
        if let (Some(tiered), MaintainError::Part(error)) = (&self.tiered, error) {
            let remote = parts.iter().filter(|part| part.is_remote());
            let about = remote.filter(|part| is_about(error.path(), part.id));
            let now = self.clock.now();
            tiered
                .unreadable
                .lock()
                .extend(about.map(|part| (part.id, now)));
        }
    }

    /// Copies a remote part to the bucket's quarantine, before it is forgotten.
    pub(super) fn quarantine_remote(&self, part: PartId) -> Result<(), MaintainError> {
        let Some(tiered) = &self.tiered else {
            return Ok(());
        };
        let store = self.claim(tiered)?;
        tiered.tier.quarantine(part)?;
        tracing::error!(table = T::NAME, store, bucket = tiered.tier.url(), part = %part.file_name(), "a part in the bucket is corrupt; it was copied to quarantine/ there");
        Ok(())
    }

    /// The oldest part that is to move: of a partition that ended long ago and in which nothing is left to merge
    /// or to leave out.
    fn part_to_move(&self, tiered: &Tiered<T>) -> Option<PartRecord> {
        let now = self.clock.now();
        let width = self.options.partition_ms;
        let after = tiered.tier.options().after_ms;
        let manifest = self.manifest.lock();
        let mut runs = manifest
            .parts
            .chunk_by(|a, b| a.partition == b.partition && a.location == b.location);
        let is_old = |run: &[PartRecord]| {
            let first = run.first();
            first.is_some_and(|part| part.partition.range(width).end.saturating_add(after) < now)
        };
        let run = runs.find(|run| {
            let has_work = |part: &PartRecord| {
                manifest.erasures_of(part).next().is_some()
                    || self.rules_due(part, now).next().is_some()
            };
            is_old(run)
                && run.iter().all(|part| !part.is_remote() && !has_work(part))
                && is_settled(run)
        });
        run?.first().cloned()
    }

    fn move_part(&self, tiered: &Tiered<T>, record: &PartRecord) -> Result<(), MaintainError> {
        let store = self.claim(tiered)?;
        let path = self.part_path(record.id);
        let file = self.disk.open(&path);
        let file = file.map_err(|source| MaintainError::Io {
            path: path.clone(),
            source,
        })?;
        tiered.tier.upload(record.id, file.as_ref(), record.bytes)?;
        if !self.relocate(tiered, &store, record.id)? {
            // It was merged or has expired meanwhile.
            tiered.tier.remove(record.id)?;
            return Ok(());
        }
        self.remove_files(&[record.id]);
        tracing::info!(table = T::NAME, part = %record.id.file_name(), bytes = record.bytes, bucket = tiered.tier.url(), "an old part was moved to the bucket");
        Ok(())
    }

    /// Names a part as lying in the bucket. Returns false where it is not named any more.
    fn relocate(&self, tiered: &Tiered<T>, store: &str, id: PartId) -> Result<bool, MaintainError> {
        let manifest = self.manifest.lock();
        let mut next = manifest.clone();
        let Some(record) = next.parts.iter_mut().find(|part| part.id == id) else {
            return Ok(false);
        };
        record.location = Location::Bucket;
        let part = Arc::new(remote_part(&tiered.tier, &self.cache, store, record));
        self.commit(manifest, next, HashMap::from([(id, part)]))?;
        Ok(true)
    }

    /// Makes this process the one that may change the folder, and says as which store. What it will be called there
    /// is durable in the manifest before the bucket hears of it: else a crash in between would leave a folder
    /// whose owner nobody knows.
    fn claim(&self, tiered: &Tiered<T>) -> Result<String, MaintainError> {
        let _claiming = tiered.claiming.lock();
        let tier = &tiered.tier;
        let manifest = self.manifest.lock().clone();
        let known = manifest.tier.clone();
        let store =
            (known.as_ref()).map_or_else(|| tier.session().to_owned(), |tier| tier.store.clone());
        if tier.is_claimed() {
            tier.confirm(&store)?;
            return Ok(store);
        }
        let found = tier.owner(&store)?;
        let sessions = known.map(|tier| tier.sessions).unwrap_or_default();
        match &found {
            Some(found) if !sessions.contains(found) => return Err(tier.taken_over().into()),
            None if !self.lacks_nothing(tiered, &manifest)? => return Err(tier.not_ours().into()),
            _ => {}
        }
        let manifest = self.manifest.lock();
        let mut next = manifest.clone();
        let mut sessions: Vec<String> = found.iter().cloned().collect();
        sessions.push(tier.session().to_owned());
        next.tier = Some(TierRecord {
            store: store.clone(),
            url: tier.url().to_owned(),
            sessions,
        });
        self.commit(manifest, next, HashMap::new())?;
        tier.claim(&store, found.as_deref())?;
        Ok(store)
    }

    /// Whether every part that the manifest names in the bucket is there.
    fn lacks_nothing(
        &self,
        tiered: &Tiered<T>,
        manifest: &Manifest,
    ) -> Result<bool, MaintainError> {
        let named: BTreeSet<PartId> = manifest.remote_parts().collect();
        if named.is_empty() {
            return Ok(true);
        }
        let now = self.clock.now().millis();
        let survey = tiered
            .tier
            .survey(now, &named, PartId(manifest.next_part))?;
        Ok(survey.missing.is_empty())
    }

    /// Removes what nothing names from the folder, and says what is missing there.
    fn survey(&self, tiered: &Tiered<T>) -> Result<(), MaintainError> {
        if self.manifest.lock().tier.is_none() {
            // The store has never had to do with a bucket.
            return Ok(());
        }
        self.claim(tiered)?;
        let manifest = self.manifest.lock().clone();
        let named = manifest.remote_parts().collect();
        let next = PartId(manifest.next_part);
        let survey = tiered
            .tier
            .survey(self.clock.now().millis(), &named, next)?;
        for part in survey.missing {
            tracing::error!(table = T::NAME, part = %part.file_name(), bucket = tiered.tier.url(), "a part is missing in the bucket; queries that need it fail until the object is restored from the bucket's versions or a backup");
        }
        for part in survey.orphans {
            // What was forgotten meanwhile may still be read; what lies on the disk will move again,
            // and a copy of the store may have moved it already.
            let is_doomed = (tiered.doomed.lock().iter()).any(|doomed| doomed.id == part);
            let is_local = manifest.parts.iter().any(|record| record.id == part);
            if !is_doomed && !is_local {
                tiered.tier.remove(part)?;
            }
        }
        Ok(())
    }

    /// Removes the objects of forgotten parts that nobody reads any more.
    fn remove_doomed(&self, tiered: &Tiered<T>) -> Result<(), MaintainError> {
        let due = {
            let doomed = tiered.doomed.lock();
            let due = doomed.iter().filter(|part| !part.is_read());
            due.map(|part| part.id).collect::<Vec<PartId>>()
        };
        if due.is_empty() {
            return Ok(());
        }
        self.claim(tiered)?;
        for part in due {
            tiered.tier.remove(part)?;
            tiered.doomed.lock().retain(|doomed| doomed.id != part);
        }
        Ok(())
    }
}

impl From<TierError> for MaintainError {
    fn from(error: TierError) -> Self {
        Self::Tier(error)
    }
}
