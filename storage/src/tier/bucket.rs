//! A folder of a bucket: its objects by key, and errors that say which and what to do.
//!
//! Everything waits at most as long as the limits say. Repeating what failed in passing is the
//! client's business, which was handed in; what still fails here is reported, and tried again by whoever
//! asks next. A bucket that gave no answer is left alone for a moment: whoever asks meanwhile has the
//! same error at once, so that a query over a hundred parts does not wait a hundred times. Reading and
//! changing rest apart, for their rights may differ.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use parking_lot::Mutex;

use super::TierError;
use super::courier::{Courier, NoAnswer};

/// How long a request may take before it counts as failed.
const REQUEST_LIMIT: Duration = Duration::from_secs(45);

/// A folder of a bucket.
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The folder's key.
    prefix: Path,
    /// The folder's URL, for people.
    url: String,
    courier: Courier,
    /// How long it is left alone after a request that got no answer.
    rest: Duration,
    /// Since when reading gets no answer, and what was said last.
    reading: Mutex<Option<Away>>,
    /// The same of changing.
    changing: Mutex<Option<Away>>,
    /// Requests that got no answer.
    failures: AtomicU64,
    /// Whether uploads are given up: their pieces look at it.
    is_stopping: AtomicBool,
}

/// Since when there is no answer.
struct Away {
    since: Instant,
    reason: String,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// It leaves everything as it is.
    Read,
    /// It writes or removes.
    Change,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The last component of its key.
    pub(super) name: String,
    /// When it was written, in milliseconds, by the bucket's clock.
    pub(super) modified_ms: i64,
}

/// Whether an object was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It was.
    New,
    /// There was one of that key.
    ThereAlready,
}

impl Bucket {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        url: &str,
        rest: Duration,
    ) -> std::io::Result<Self> {
        Ok(Self {
            store,
            prefix: Path::parse(prefix).map_err(std::io::Error::other)?,
            url: url.trim_end_matches('/').to_owned(),
            courier: Courier::start()?,
            rest,
            reading: Mutex::new(None),
            changing: Mutex::new(None),
            failures: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// The folder's URL.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The URL of an object of the folder.
    pub(super) fn url_of(&self, key: &str) -> PathBuf {
        PathBuf::from(format!("{}/{key}", self.url))
    }

    /// Whether the last request to read got no answer.
    pub(super) fn is_away(&self) -> bool {
        self.reading.lock().is_some()
    }

    /// Requests that got no answer.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Gives up what takes many requests.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// The error where what takes many requests is to be given up.
    pub(super) fn go_on(&self, key: &str) -> Result<(), TierError> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(TierError::Stopped {
                url: self.url_of(key),
            });
        }
        Ok(())
    }

    /// Bytes of an object, exactly those of `range`.
    pub(super) fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, TierError> {
        let (store, path, wanted) = (Arc::clone(&self.store), self.path(key), range.clone());
        let bytes = self.ask(Request::Read, key, async move {
            store.get_range(&path, wanted).await
        })?;
        if bytes.len() as u64 == range.end.saturating_sub(range.start) {
            return Ok(bytes);
        }
        Err(TierError::Short {
            url: self.url_of(key),
            end: range.end,
        })
    }

    /// A whole object; `None` where there is none.
    pub(super) fn get(&self, key: &str) -> Result<Option<Bytes>, TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let got = self.ask(Request::Read, key, async move {
            store.get(&path).await?.bytes().await
        });
        match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(TierError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The length of an object in bytes.
    pub(super) fn length(&self, key: &str) -> Result<u64, TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        Ok(self
            .ask(Request::Read, key, async move { store.head(&path).await })?
            .size)
    }

    /// Writes an object, replacing one of that key.
    pub(super) fn put(&self, key: &str, bytes: Bytes) -> Result<(), TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let payload = PutPayload::from(bytes);
        self.ask(Request::Change, key, async move {
            store.put(&path, payload).await
        })?;
        Ok(())
    }

    /// Writes an object unless there is one of that key. Where the server cannot do both in one
    /// step it is looked for first.
    pub(super) fn put_new(&self, key: &str, bytes: Bytes) -> Result<Made, TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let payload = PutPayload::from(bytes.clone());
        let options = PutOptions::from(PutMode::Create);
        let made = self.ask(Request::Change, key, async move {
            match store.put_opts(&path, payload, options).await {
                Ok(_) => Ok(Some(Made::New)),
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. },
                ) => Ok(Some(Made::ThereAlready)),
                Err(
                    object_store::Error::NotImplemented { .. }
                    | object_store::Error::NotSupported { .. },
                ) => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        if let Some(made) = made {
            return Ok(made);
        }
        if self.get(key)?.is_some() {
            return Ok(Made::ThereAlready);
        }
        self.put(key, bytes)?;
        Ok(Made::New)
    }

    /// Begins an object that is written in pieces.
    pub(super) fn begin(&self, key: &str) -> Result<Box<dyn MultipartUpload>, TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        self.ask(Request::Change, key, async move {
            store.put_multipart(&path).await
        })
    }

    /// Waits for the answer to a request about an object.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        request: Request,
        key: &str,
        answer: impl Future<Output = object_store::Result<R>> + Send + 'static,
    ) -> Result<R, TierError> {
        let url = || self.url_of(key);
        let away = match request {
            Request::Read => &self.reading,
            Request::Change => &self.changing,
        };
        if let Some(Away { since, reason }) = &*away.lock()
            && since.elapsed() < self.rest
        {
            let reason = reason.clone();
            return Err(TierError::Away { url: url(), reason });
        }
        let answer = match self.courier.wait(REQUEST_LIMIT, answer) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(object_store::Error::NotFound { .. })) if request == Request::Read => {
                Err(TierError::Missing { url: url() })
            }
            Ok(Err(source)) => Err(TierError::Refused { url: url(), source }),
            Err(NoAnswer::Late) => Err(TierError::Late {
                url: url(),
                seconds: REQUEST_LIMIT.as_secs(),
            }),
            Err(NoAnswer::Stopped) => Err(TierError::Stopped { url: url() }),
        };
        let failed = match &answer {
            // An object that is missing is an answer.
            Ok(_) | Err(TierError::Missing { .. }) => None,
            Err(error) => Some(Away {
                since: Instant::now(),
                reason: error.reason(),
            }),
        };
        self.failures
            .fetch_add(u64::from(failed.is_some()), Ordering::Relaxed);
        *away.lock() = failed;
        answer
    }

    /// Removes an object; that there is none is as good.
    pub(super) fn remove(&self, key: &str) -> Result<(), TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let removed = async move {
            match store.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                removed => removed,
            }
        };
        self.ask(Request::Change, key, removed)
    }

    /// Copies an object within the folder.
    pub(super) fn copy(&self, from: &str, to: &str) -> Result<(), TierError> {
        let (store, source, target) = (Arc::clone(&self.store), self.path(from), self.path(to));
        self.ask(Request::Change, from, async move {
            store.copy(&source, &target).await
        })
    }

    /// The objects of a subfolder.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<Listed>, TierError> {
        let (store, path) = (Arc::clone(&self.store), self.path(folder));
        self.ask(Request::Read, folder, async move {
            let listed = store.list(Some(&path)).map_ok(|object| Listed {
                name: object.location.filename().unwrap_or_default().to_owned(),
                modified_ms: object.last_modified.timestamp_millis(),
            });
            listed.try_collect().await
        })
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), Path::join)
    }
}
