//! Old parts in a bucket.
//!
//! A part never changes, so where its bytes lie is a detail: a part in a bucket opens as the same
//! [`PartFile`] over a [`ReadFile`](crate::disk::ReadFile) whose ranges come through a bounded cache.
//! Nothing above the container knows. What a store does with a tier (which part moves, in which
//! order it changes hands, how it is dropped) is in `store/tier.rs`; here is the bucket.
//!
//! ```text
//! <prefix>/OWNER                      which store the folder belongs to
//! <prefix>/parts/<id>.part            a part, byte for byte the file it was
//! <prefix>/quarantine/<id>.part       a part whose bytes were wrong; never read again, never deleted
//! ```
//!
//! Rules:
//!
//! - An object is believed only after all of it was read back and compared.
//! - What cannot be fetched for now is an I/O error that names the object and is tried again; it is
//!   never taken for damage. Bytes that fail their checksum are fetched once more past the cache before
//!   they count as damage: the cache, or the way, may have been at fault.
//! - Only the owner changes the folder, and removes from it only what has the shape of a part's name.
//! - Nothing here holds credentials: the client is handed in, and says in its errors no more than the server did.
//!
//! Modules, in the order data flows: `upload` (a file becomes an object), `owner` (whose folder it
//! is), `file` (an object as a file), `cache` (ranges read lately), `bucket` (requests and their
//! errors), `courier` (the thread that waits for them).

mod bucket;
mod cache;
mod courier;
mod file;
mod owner;
pub mod sim;
mod upload;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::ObjectStore;
use parking_lot::Mutex;

use crate::disk::ReadFile;
use crate::manifest::PartId;
use crate::part::PartError;
use crate::part::cache::PartCache;
use crate::part::reader::PartFile;
use bucket::{Bucket, Listed};
use cache::{RANGE_BYTES, RangeCache};
use file::RemoteFile;

const OWNER_KEY: &str = "OWNER";
const PARTS_FOLDER: &str = "parts";
const QUARANTINE_FOLDER: &str = "quarantine";

/// How a tier behaves. Every field has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierOptions {
    /// Parts of partitions that ended this long ago move.
    pub after_ms: i64,
    /// What the cache of ranges may hold.
    pub cache_bytes_max: usize,
    /// An object that nothing names is swept when it is this old: a younger one may be somebody's
    /// work under way.
    pub orphan_age_ms: i64,
    /// How long a bucket that gave no answer is left alone.
    pub rest: Duration,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self {
            after_ms: 7 * 24 * 3_600_000,
            cache_bytes_max: 256 << 20,
            orphan_age_ms: 24 * 3_600_000,
            rest: Duration::from_secs(5),
        }
    }
}

/// Where a tier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierPlace {
    /// Its URL for people, such as `s3://bucket/prefix`.
    pub url: String,
    /// The key of its folder in the client that is handed in, such as `prefix`.
    pub prefix: String,
}

/// Why something about a tier failed. Nothing was lost by it.
#[derive(Debug, thiserror::Error)]
pub enum TierError {
    /// The server, or the way to it, said no.
    #[error("{}: {source}; check that the endpoint can be reached, the region, the credentials and the bucket's policy; it is tried again", url.display())]
    Refused {
        /// The object.
        url: PathBuf,
        /// What the client said.
        source: object_store::Error,
    },
    /// It was asked a moment ago, in vain.
    #[error("{}: not asked, because a moment ago there was no answer: {reason}; it is tried again", url.display())]
    Away {
        /// The object.
        url: PathBuf,
        /// What was said then.
        reason: String,
    },
    /// There was no answer in time.
    #[error("{}: no answer within {seconds} s; check that the endpoint can be reached; it is tried again", url.display())]
    Late {
        /// The object.
        url: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The tier is being stopped.
    #[error("{}: the request was given up because the program is stopping", url.display())]
    Stopped {
        /// The object.
        url: PathBuf,
    },
    /// There is no such object.
    #[error("{}: the object is missing; restore it from the bucket's versions or a backup; it is looked for again", url.display())]
    Missing {
        /// The object.
        url: PathBuf,
    },
    /// The object ends too early.
    #[error("{}: the object ends before byte {end}; restore it from the bucket's versions or a backup; it is tried again", url.display())]
    Short {
        /// The object.
        url: PathBuf,
        /// Up to which byte it was read.
        end: u64,
    },
    /// What was uploaded is not what is there.
    #[error("{}: what is read back is not what was uploaded: {reason}; the local file stays, and the upload is tried again", url.display())]
    Differs {
        /// The object.
        url: PathBuf,
        /// How.
        reason: String,
    },
    /// The local file cannot be read.
    #[error("the local file cannot be read for the upload: {source}")]
    Local {
        /// What the disk said.
        source: io::Error,
    },
    /// The folder is another store's.
    #[error("{}: the folder belongs to another store; give this one a prefix of its own", url.display())]
    OtherStore {
        /// The owner's object.
        url: PathBuf,
    },
    /// The store has parts in a bucket, and this folder says nothing of it.
    #[error("{}: there is no such object, and parts of the store are missing, so this is not the folder that they were moved to; configure that one", url.display())]
    NotOurs {
        /// The owner's object.
        url: PathBuf,
    },
    /// A copy of this store has claimed the folder.
    #[error("{}: a copy of this store has claimed the folder, or this one was restored from a snapshot; parts are read from it and nothing is changed there; to hand it over to this one, stop the other and remove the object", url.display())]
    TakenOver {
        /// The owner's object.
        url: PathBuf,
    },
    /// The owner's object makes no sense.
    #[error("{}: cannot be read: {reason}; restore it, or start the newer version that wrote it", url.display())]
    Owner {
        /// The owner's object.
        url: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl TierError {
    /// What went wrong, without the object and the advice.
    fn reason(&self) -> String {
        match self {
            Self::Refused { source, .. } => source.to_string(),
            Self::Late { seconds, .. } => format!("no answer within {seconds} s"),
            error => error.to_string(),
        }
    }
}

impl TierError {
    /// The error for whoever names the object already.
    fn into_part_io(self) -> io::Error {
        let text = self.to_string();
        let error = io::Error::from(self);
        match text.split_once(".part: ") {
            Some((_, rest)) => io::Error::new(error.kind(), rest),
            None => error,
        }
    }
}

impl From<TierError> for io::Error {
    fn from(error: TierError) -> Self {
        let kind = match &error {
            TierError::Late { .. } => io::ErrorKind::TimedOut,
            TierError::Missing { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// What a tier has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Parts that were uploaded and verified.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
    /// Requests to the bucket that failed.
    pub failures: u64,
    /// Ranges that the cache held when they were wanted.
    pub cache_hits: u64,
    /// Ranges that were fetched.
    pub cache_misses: u64,
    /// What the cache holds now, in bytes.
    pub cache_bytes: u64,
}

/// What the folder holds, compared with what the store names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Parts that nothing names and that have been there for long.
    pub orphans: Vec<PartId>,
    /// Parts that are named and not there.
    pub missing: Vec<PartId>,
}

/// What this process knows of the folder's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nothing yet.
    Unknown,
    /// It is the store's.
    Checked,
    /// It is this process' to change.
    Claimed,
}

/// A folder of a bucket that holds a store's old parts.
pub struct Tier {
    bucket: Bucket,
    cache: RangeCache,
    options: TierOptions,
    session: String,
    standing: Mutex<Standing>,
    uploads: AtomicU64,
    upload_bytes: AtomicU64,
}

impl Tier {
    /// A tier over a client. `session` is random, another one for each process. Makes no request.
    pub fn new(
        client: Arc<dyn ObjectStore>,
        place: &TierPlace,
        options: TierOptions,
        session: &str,
    ) -> io::Result<Self> {
        Ok(Self {
            bucket: Bucket::new(client, &place.prefix, &place.url, options.rest)?,
            cache: RangeCache::new(options.cache_bytes_max, RANGE_BYTES),
            options,
            session: session.to_owned(),
            standing: Mutex::new(Standing::Unknown),
            uploads: AtomicU64::new(0),
            upload_bytes: AtomicU64::new(0),
        })
    }

    /// How the tier behaves.
    pub const fn options(&self) -> &TierOptions {
        &self.options
    }

    /// The folder's URL.
    pub fn url(&self) -> &str {
        self.bucket.url()
    }

    /// What makes this process another than the one before.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Whether the last request to read got no answer.
    pub fn is_away(&self) -> bool {
        self.bucket.is_away()
    }

    /// What was counted.
    pub fn counts(&self) -> TierCounts {
        TierCounts {
            uploads: self.uploads.load(Ordering::Relaxed),
            upload_bytes: self.upload_bytes.load(Ordering::Relaxed),
            failures: self.bucket.failures(),
            cache_hits: self.cache.hits(),
            cache_misses: self.cache.misses(),
            cache_bytes: self.cache.bytes() as u64,
        }
    }

    /// Opens a part of `store`'s, of which the manifest says that it has `bytes`, with a small cache of
    /// decoded blocks to itself.
    pub fn open(
        self: &Arc<Self>,
        store: &str,
        part: PartId,
        bytes: u64,
    ) -> Result<PartFile, PartError> {
        let (file, path) = self.file(store, part, bytes)?;
        PartFile::over(file, &path)
    }

    /// The same with a cache that it shares.
    pub fn open_with(
        self: &Arc<Self>,
        store: &str,
        part: PartId,
        bytes: u64,
        cache: &Arc<PartCache>,
    ) -> Result<PartFile, PartError> {
        let (file, path) = self.file(store, part, bytes)?;
        PartFile::over_with(file, &path, cache)
    }

    fn file(
        self: &Arc<Self>,
        store: &str,
        part: PartId,
        bytes: u64,
    ) -> Result<(Arc<dyn ReadFile>, PathBuf), PartError> {
        let path = self.bucket.url_of(&part_key(part));
        self.check(store).map_err(|error| PartError::Io {
            path: path.clone(),
            source: error.into(),
        })?;
        let file = RemoteFile::new(Arc::clone(self), part, bytes);
        Ok((Arc::new(file), path))
    }

    /// Gives up an upload that is under way, and refuses others: the program is stopping.
    pub fn stop_uploads(&self) {
        self.bucket.stop();
    }

    /// Uploads a part's file and verifies it.
    pub fn upload(&self, part: PartId, file: &dyn ReadFile, bytes: u64) -> Result<(), TierError> {
        self.bucket.upload(&part_key(part), file, bytes)?;
        self.uploads.fetch_add(1, Ordering::Relaxed);
        self.upload_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Removes a part that nothing names any more.
    pub fn remove(&self, part: PartId) -> Result<(), TierError> {
        self.bucket.remove(&part_key(part))
    }

    /// Copies a part to where nobody reads it and a person can look at it.
    pub fn quarantine(&self, part: PartId) -> Result<(), TierError> {
        let name = part.file_name();
        self.bucket
            .copy(&part_key(part), &format!("{QUARANTINE_FOLDER}/{name}"))
    }

    /// Compares the folder with the parts that the store names in it. Only numbers below `next` are
    /// the store's: greater ones are of a copy that lived longer, and not its to judge.
    pub fn survey(
        &self,
        now_ms: i64,
        named: &BTreeSet<PartId>,
        next: PartId,
    ) -> Result<Survey, TierError> {
        let young = now_ms.saturating_sub(self.options.orphan_age_ms);
        let listed = self.bucket.list(PARTS_FOLDER)?;
        let part = |object: &Listed| PartId::from_file_name(&object.name);
        let there: BTreeSet<PartId> = listed.iter().filter_map(part).collect();
        let old = listed.iter().filter(|object| object.modified_ms < young);
        Ok(Survey {
            orphans: old
                .filter_map(part)
                .filter(|part| *part < next && !named.contains(part))
                .collect(),
            missing: named.difference(&there).copied().collect(),
        })
    }

    /// Makes sure, once, that the folder is `store`'s before anything in it is taken for its part.
    fn check(&self, store: &str) -> Result<(), TierError> {
        if *self.standing.lock() == Standing::Unknown {
            if owner::session(&self.bucket, store)?.is_none() {
                return Err(self.not_ours());
            }
            let mut standing = self.standing.lock();
            *standing = (*standing).max(Standing::Checked);
        }
        Ok(())
    }

    /// Whether this process has claimed the folder.
    pub fn is_claimed(&self) -> bool {
        *self.standing.lock() == Standing::Claimed
    }

    /// The session that claimed the folder last, if any has.
    pub fn owner(&self, store: &str) -> Result<Option<String>, TierError> {
        owner::session(&self.bucket, store)
    }

    /// Makes this process the one that may change the folder, in place of the session that was found there.
    pub fn claim(&self, store: &str, found: Option<&str>) -> Result<(), TierError> {
        owner::claim(&self.bucket, store, &self.session, found)?;
        *self.standing.lock() = Standing::Claimed;
        Ok(())
    }

    /// Makes sure that nobody has claimed the folder since this process did.
    pub fn confirm(&self, store: &str) -> Result<(), TierError> {
        owner::confirm(&self.bucket, store, &self.session)
    }

    /// The error for a folder that says nothing of the store.
    pub fn not_ours(&self) -> TierError {
        TierError::NotOurs {
            url: self.bucket.url_of(OWNER_KEY),
        }
    }

    /// The error for a folder that a copy of the store has claimed.
    pub fn taken_over(&self) -> TierError {
        TierError::TakenOver {
            url: self.bucket.url_of(OWNER_KEY),
        }
    }
}

impl std::fmt::Debug for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tier").field(&self.url()).finish()
    }
}

/// The key of a part below the folder.
fn part_key(part: PartId) -> String {
    format!("{PARTS_FOLDER}/{}", part.file_name())
}

/// Whether an error is about a part, wherever it lies.
pub fn is_about(path: &Path, part: PartId) -> bool {
    path.ends_with(part.file_name())
}

#[cfg(test)]
mod tests;
