//! One review: read, judged, recorded, answered.
//!
//! All of it happens in one go, so that what one step made is at hand for the next, and nobody hands work over in
//! between. Most reviews are done where they arrived, in less time than handing one over takes. What turns out not to be quick is
//! judged anew, on a thread that may take its time. Who waits for that may have to give up before: then the fail mode answers, and
//! what the work would have said is nobody's. Which of both answers, and records, is decided once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::StatusCode;
use parking_lot::Mutex;

use super::answer::{BODY_BYTES_SMALL, Failure, Inner, Judgement};
use super::pace::{Pace, QUICK};
use super::shares::Share;
use crate::evaluate::Unjudged;
use crate::review::{ReadError, Review};
use crate::verdict::Verdict;

/// A review under way.
pub(super) struct Work {
    inner: Arc<Inner>,
    /// The body with its share of the room for large ones, until it is read.
    body: Mutex<Option<(Bytes, Option<Share>)>>,
    deadline: Instant,
    started: Instant,
    /// Until it is answered: it is given back on the thread that made it, where that is cheap.
    review: Mutex<Option<Arc<Review>>>,
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
            review: Mutex::new(None),
            answered: AtomicBool::new(false),
        }
    }

    /// Reads and judges it on this thread, unless that would keep it from others for long: then None, and it is to be judged
    /// elsewhere.
    pub(super) fn judge_quickly(&self, pace: &Pace) -> Option<Answer> {
        // What panics will do so again, where somebody waits for it.
        catch_unwind(AssertUnwindSafe(|| self.quickly(pace))).unwrap_or_default()
    }

    fn quickly(&self, pace: &Pace) -> Option<Answer> {
        if self.bytes() > BODY_BYTES_SMALL {
            return None;
        }
        let review = match self.read(Review::read) {
            Ok(review) => review,
            Err(failure) => return self.claim().then_some(Err(failure)),
        };
        if !self.inner.needs_nobody(&review) {
            return None;
        }
        let until = self.deadline.min(Instant::now() + QUICK);
        let (result, judged) = self.inner.judge(&review, until);
        // A rule that had no time for its answer took until then: what is judged before lacked nothing.
        if Instant::now() >= until {
            pace.slow_down();
            return None;
        }
        self.answer(&review, result.as_ref(), judged)
    }

    /// Reads and judges it. None where somebody gave it up before that was done.
    pub(super) fn judge(&self) -> Option<Answer> {
        let review = match self.read(Review::read) {
            Ok(review) => review,
            Err(failure) => return self.claim().then_some(Err(failure)),
        };
        let (result, judged) = self.inner.judge(&review, self.deadline);
        self.answer(&review, result.as_ref(), judged)
    }

    fn answer(
        &self,
        review: &Review,
        result: Result<&Verdict, &Unjudged>,
        judged: Judgement,
    ) -> Option<Answer> {
        self.claim().then(|| {
            self.review.lock().take();
            let elapsed = self.started.elapsed();
            self.inner.conclude(review, result, judged, elapsed)
        })
    }

    /// Answers by the fail mode. None where it is answered already.
    pub(super) fn give_up(&self, why: &Unjudged) -> Option<Answer> {
        if !self.claim() {
            return None;
        }
        let Some(review) = self.review.lock().take() else {
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
        Some(self.inner.conclude(&review, Err(why), judged, elapsed))
    }

    /// As [`Work::give_up`], of what nobody has begun to judge; `read` says how much of it is read.
    pub(super) fn read_and_give_up(&self, read: Read, why: &Unjudged) -> Answer {
        self.read(read)?;
        self.give_up(why)
            .unwrap_or_else(|| Err(Failure::stopped_short()))
    }

    /// How long the body is, until it is read.
    fn bytes(&self) -> usize {
        self.body.lock().as_ref().map_or(0, |(body, _)| body.len())
    }

    /// What it asks, which is read once.
    fn read(&self, read: Read) -> Result<Arc<Review>, Failure> {
        if let Some(review) = self.review.lock().clone() {
            return Ok(review);
        }
        let (body, share) = self.body.lock().take().ok_or_else(Failure::stopped_short)?;
        let review = read(&body);
        drop((body, share));
        let review = review.map_err(|error| {
            Failure::new(StatusCode::BAD_REQUEST, "BadRequest", error.to_string())
        })?;
        let review = Arc::new(review);
        *self.review.lock() = Some(review.clone());
        Ok(review)
    }

    /// True for the first who asks.
    fn claim(&self) -> bool {
        !self.answered.swap(true, Ordering::AcqRel)
    }
}
