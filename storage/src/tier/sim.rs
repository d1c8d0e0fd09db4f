//! A bucket in memory that fails on request, for tests: the counterpart of
//! [`SimDisk`](crate::disk::sim::SimDisk).
//!
//! Requests are counted; a [`Fault`] names the request it befalls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

/// What goes wrong, at the n-th request (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// From that request on there is no answer and nothing happens, until [`SimBucket::heal`].
    Away(u64),
    /// That request happens and its answer is lost; from the next one on nothing does.
    AnswerLost(u64),
    /// That request, if it reads, gives bytes of which the last has a bit flipped.
    Flip(u64),
}

/// A bucket in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimBucket {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: InMemory,
    requests: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Works,
    Flips,
    LosesItsAnswer,
}

impl SimBucket {
    /// Another bucket with the same objects.
    #[must_use]
    pub fn copy_of(other: &Self) -> Self {
        Self {
            inner: Arc::new(Inner {
                objects: other.objects().fork(),
                ..Inner::default()
            }),
        }
    }

    /// Sets what goes wrong.
    pub fn inject(&self, fault: Fault) {
        *self.inner.fault.lock() = Some(fault);
    }

    /// Lets everything work again.
    pub fn heal(&self) {
        *self.inner.fault.lock() = None;
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// The objects themselves, without counting or failing.
    pub fn objects(&self) -> &InMemory {
        &self.inner.objects
    }

    fn turn(&self) -> Result<Turn> {
        let number = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        match *self.inner.fault.lock() {
            Some(Fault::Away(from)) if number >= from => Err(away()),
            Some(Fault::AnswerLost(at)) if number == at => Ok(Turn::LosesItsAnswer),
            Some(Fault::AnswerLost(at)) if number > at => Err(away()),
            Some(Fault::Flip(at)) if number == at => Ok(Turn::Flips),
            _ => Ok(Turn::Works),
        }
    }
}

fn away() -> object_store::Error {
    object_store::Error::Generic {
        store: "simulated",
        source: "no answer".into(),
    }
}

impl Turn {
    fn end<R>(self, answer: R) -> Result<R> {
        match self {
            Self::LosesItsAnswer => Err(away()),
            Self::Works | Self::Flips => Ok(answer),
        }
    }
}

impl fmt::Display for SimBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated bucket")
    }
}

#[async_trait::async_trait]
impl ObjectStore for SimBucket {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let turn = self.turn()?;
        turn.end(self.objects().put_opts(location, payload, options).await?)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let turn = self.turn()?;
        let upload = self.objects().put_multipart_opts(location, options).await?;
        turn.end(Box::new(SimUpload {
            bucket: self.clone(),
            upload,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let turn = self.turn()?;
        let mut got = self.objects().get_opts(location, options).await?;
        if turn == Turn::Flips {
            let (meta, range) = (got.meta.clone(), got.range.clone());
            let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
            let mut bytes = got.bytes().await?.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            let bytes = futures_util::stream::once(async move { Ok(Bytes::from(bytes)) });
            got = GetResult {
                payload: GetResultPayload::Stream(bytes.boxed()),
                meta,
                range,
                attributes,
                extensions,
            };
        }
        turn.end(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.turn() {
            Ok(turn) => {
                let removed = self.objects().delete_stream(locations);
                removed
                    .map(move |path| path.and_then(|path| turn.end(path)))
                    .boxed()
            }
            Err(error) => futures_util::stream::once(async move { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.turn() {
            Ok(_) => self.objects().list(prefix),
            Err(error) => futures_util::stream::once(async move { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let turn = self.turn()?;
        turn.end(self.objects().list_with_delimiter(prefix).await?)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let turn = self.turn()?;
        self.objects().copy_opts(from, to, options).await?;
        turn.end(())
    }
}

#[derive(Debug)]
struct SimUpload {
    bucket: SimBucket,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait::async_trait]
impl MultipartUpload for SimUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.bucket.turn() {
            Ok(turn) => {
                let part = self.upload.put_part(data);
                Box::pin(async move {
                    part.await?;
                    turn.end(())
                })
            }
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let turn = self.bucket.turn()?;
        turn.end(self.upload.complete().await?)
    }

    async fn abort(&mut self) -> Result<()> {
        let turn = self.bucket.turn()?;
        self.upload.abort().await?;
        turn.end(())
    }
}
