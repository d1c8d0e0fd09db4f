//! One review on a thread that may take its time: read, judged, recorded, answered.
//!
//! All of it happens in one go, so that what one step made is at hand for the next, and nobody hands work over in
//! between. Who waits for it may have to give up before: then the fail mode answers, and what the work would have
//! said is nobody's. Which of both answers, and records, is decided once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::StatusCode;
use parking_lot::Mutex;

use super::answer::{Failure, Inner};
use super::shares::Share;
use crate::evaluate::Unjudged;
use crate::review::{ReadError, Review};

/// A review under way.
pub(super) struct Work {
    inner: Arc<Inner>,
    /// The body with its share of the room for large ones, until it is read.
    body: Mutex<Option<(Bytes, Option<Share>)>>,
    deadline: Instant,
    started: Instant,
    review: OnceLock<Review>,
    answered: AtomicBool,
}

/// A way to read a review.
type Read = fn(&[u8]) -> Result<Review, ReadError>;

/// The body of the answer.
pub(super) type Answer = Result<Vec<u8>, Failure>;

impl Work {
    pub(super) fn new(
        inner: Arc<Inner>,
        body: Bytes,
        share: Option<Share>,
        deadline: Instant,
    ) -> Self {
        Work {
            inner,
            body: Mutex::new(Some((body, share))),
            deadline,
            started: Instant::now(),
            review: OnceLock::new(),
            answered: AtomicBool::new(false),
        }
    }

    /// Reads and judges it. None where somebody gave it up before that was done.
    pub(super) fn judge(&self) -> Option<Answer> {
        let review = match self.read(Review::read) {
            Ok(review) => review,
            Err(failure) => return self.claim().then_some(Err(failure)),
        };
        let (result, judged) = self.inner.judge(review, self.deadline);
        self.claim().then(|| {
            let elapsed = self.started.elapsed();
            self.inner
                .conclude(review, result.as_ref(), judged, elapsed)
        })
    }

    /// Answers by the fail mode. None where it is answered already.
    pub(super) fn give_up(&self, why: &Unjudged) -> Option<Answer> {
        if !self.claim() {
            return None;
        }
        let Some(review) = self.review.get() else {
            return Some(Err(match why {
                Unjudged::Panicked => Failure::stopped_short(),
                _ => Failure::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "Timeout",
                    "the AdmissionReview could not be read before its timeout",
                ),
            }));
        };
        let (judged, elapsed) = (self.inner.unjudged(), self.started.elapsed());
        Some(self.inner.conclude(review, Err(why), judged, elapsed))
    }

    /// As [`Work::give_up`], of what nobody has begun to judge; `read` says how much of it is read.
    pub(super) fn read_and_give_up(&self, read: Read, why: &Unjudged) -> Answer {
        self.read(read)?;
        self.give_up(why)
            .unwrap_or_else(|| Err(Failure::stopped_short()))
    }

    fn read(&self, read: Read) -> Result<&Review, Failure> {
        let (body, share) = self.body.lock().take().ok_or_else(Failure::stopped_short)?;
        let review = read(&body);
        drop((body, share));
        let review = review.map_err(|error| {
            Failure::new(StatusCode::BAD_REQUEST, "BadRequest", error.to_string())
        })?;
        Ok(self.review.get_or_init(|| review))
    }

    /// True for the first who asks.
    fn claim(&self) -> bool {
        !self.answered.swap(true, Ordering::AcqRel)
    }
}
