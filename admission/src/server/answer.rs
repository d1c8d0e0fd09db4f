//! One request, one answer, one decision recorded.
//!
//! A review passes bounds before it is judged: how many may be under way, and how many of them may still be coming from
//! one address; how large it may be, and how large all are together; how many values it may hold ([`weight`]); how long
//! it may take. It is read, judged and recorded off the async threads ([`Work`]), as many at a
//! time as there are processors. Whatever happens after it could be read ends in a verdict
//! that is answered, recorded and counted; before that there is no id an answer could carry,
//! and the client gets a plain failure, which its failurePolicy decides about.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::task::spawn_blocking;
use tracing::error;

use super::pace::Pace;
use super::readiness::Readiness;
use super::shares::{Share, Shares};
use super::timeout;
use super::weight::Scales;
use super::work::Work;
use crate::bundle::{Bundle, Bundles};
use crate::config::{Limits, Recording};
use crate::evaluate::{Evaluator, Trace, Unjudged};
use crate::metrics::Metrics;
use crate::review::{Review, respond, response};
use crate::verdict::decision::Outcome;
use crate::verdict::{Cause, Decision, DecisionSink, Verdict};

/// What part of the API server's patience we use: the rest is for the way there and back.
const PATIENCE_USED: f64 = 0.9;

/// What is larger than this takes of what all large bodies may have together, while it comes.
pub(super) const BODY_BYTES_SMALL: usize = 64 << 10;

/// How large all of those may be.
const BODIES_BYTES_MAX: usize = 64 << 20;

/// From where a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// All that a request is answered with.
#[derive(Clone)]
pub(crate) struct Webhook {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    bundles: Arc<Bundles>,
    evaluator: Arc<Evaluator>,
    sink: Arc<dyn DecisionSink>,
    metrics: Metrics,
    limits: Limits,
    recording: Recording,
    reviews: Semaphore,
    /// Reviews that are still coming.
    coming: Shares,
    /// Bytes of large bodies that are still coming, or not read yet.
    bodies: Shares,
    scales: Scales,
    evaluations: Arc<Semaphore>,
    pace: Pace,
    readiness: Readiness,
}

impl Webhook {
    pub(crate) fn new(
        bundles: Arc<Bundles>,
        evaluator: Evaluator,
        sink: Arc<dyn DecisionSink>,
        metrics: Metrics,
        limits: Limits,
        readiness: Readiness,
        recording: Recording,
    ) -> Self {
        Webhook {
            inner: Arc::new(Inner {
                bundles,
                evaluator: Arc::new(evaluator),
                sink,
                metrics,
                limits,
                recording,
                reviews: Semaphore::new(limits.reviews_max),
                coming: Shares::new(limits.reviews_max),
                // Two of the largest from one address, whatever the largest is.
                bodies: Shares::new(BODIES_BYTES_MAX.max(limits.body_bytes_max.saturating_mul(4))),
                scales: Scales::new(limits.values_max),
                evaluations: Arc::new(Semaphore::new(limits.evaluations_max)),
                pace: Pace::default(),
                readiness,
            }),
        }
    }

    /// Whether reviews should be sent here.
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.inner.readiness
    }
}

pub(super) fn router(webhook: Webhook) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .layer(from_fn_with_state(webhook.clone(), last_of_connection))
        .with_state(webhook)
}

/// What a client gets that should have shown a certificate: how we are, and why no review is judged.
pub(super) fn strangers(webhook: Webhook) -> Router {
    let refused = |State(webhook): State<Webhook>| async move {
        let failure = Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "a client certificate is needed: name one for this webhook in the API server's \
             AdmissionConfiguration; admission.certificate.client_ca_file says whose",
        );
        webhook.inner.metrics.refuse(failure.reason);
        failure
    };
    Router::new()
        .route("/validate", post(refused))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(webhook)
}

/// A connection of HTTP/1 that is used while we drain ends with the answer, so that the next request
/// looks for a replica that stays. Closing it between two requests instead would lose the one that is on
/// its way, which a client may not repeat.
async fn last_of_connection(
    State(webhook): State<Webhook>,
    request: Request,
    next: Next,
) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    if version < Version::HTTP_2 && webhook.readiness().draining().is_cancelled() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn ready(State(webhook): State<Webhook>) -> Response {
    match webhook.readiness().not_ready() {
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
        None => "ok".into_response(),
    }
}

/// How a verdict came about.
pub(super) struct Judgement {
    bundle: Arc<Bundle>,
    trace: Trace,
}

/// Why a request has no verdict.
pub(super) struct Failure {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Failure {
    /// Something of ours ended before it was done.
    pub(super) fn stopped_short() -> Self {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "answering the AdmissionReview stopped short",
        )
    }

    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Failure {
            status,
            reason,
            message: message.into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = response::status(self.status.as_u16(), self.reason, &self.message);
        (self.status, Json(body)).into_response()
    }
}

async fn validate(State(webhook): State<Webhook>, request: Request) -> Response {
    let inner = &webhook.inner;
    inner.answer(request).await.unwrap_or_else(|failure| {
        inner.metrics.refuse(failure.reason);
        failure.into_response()
    })
}

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Failure> {
        let _permit = self.reviews.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits | TryAcquireError::Closed => {
                let reviews_max = self.limits.reviews_max;
                crowded(&format!("{reviews_max} admission reviews are under way"))
            }
        })?;
        self.metrics.in_flight.inc();
        let result = self.answer_admitted(request).await;
        self.metrics.in_flight.dec();
        result
    }

    async fn answer_admitted(self: &Arc<Self>, request: Request) -> Result<Response, Failure> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let patience = request
            .uri()
            .query()
            .and_then(timeout::of_query)
            .unwrap_or(self.limits.timeout_default)
            .min(self.limits.timeout_max);
        let deadline = Instant::now() + patience.mul_f64(PATIENCE_USED);
        let (body, share) = self.read_body(request, deadline).await?;
        // Only now: a client that is answered while it is still sending may see no answer at all.
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                format!("contentType={content_type}, expected application/json"),
            ));
        }
        let answer = self.answer_by(body, share, deadline).await?;
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        Ok((content_type, answer).into_response())
    }

    /// Judges as soon as there is room, off the async threads unless it is quick, and answers by the fail mode where there is no
    /// time.
    async fn answer_by(
        self: &Arc<Self>,
        body: Bytes,
        share: Option<Share>,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let room = self.scales.room(&body, deadline).await;
        let work = Arc::new(Work::new(self.clone(), body, share, deadline));
        let room = match room {
            Ok(room) => room,
            // There is no room for its objects.
            Err(why) => {
                let head = spawn_blocking(move || work.read_and_give_up(Review::read_head, &why));
                return head.await.unwrap_or_else(|_| Err(Failure::stopped_short()));
            }
        };
        let until = tokio::time::Instant::from_std(deadline);
        let permit = tokio::time::timeout_at(until, self.evaluations.clone().acquire_owned());
        let Ok(Ok(permit)) = permit.await else {
            let late =
                spawn_blocking(move || work.read_and_give_up(Review::read, &Unjudged::Deadline));
            return late.await.unwrap_or_else(|_| Err(Failure::stopped_short()));
        };
        if self.pace.is_quick()
            && let Some(answer) = work.judge_quickly(&self.pace)
        {
            return answer;
        }
        let judging = work.clone();
        let mut task = spawn_blocking(move || {
            // The permit goes with the work, not with who waits for it: an evaluation nobody
            // waits for any more still takes a processor until its own limit ends it.
            let _permit = (permit, room);
            judging.judge()
        });
        let done = match tokio::time::timeout_at(until, &mut task).await {
            Ok(done) => done,
            Err(_) => match work.give_up(&Unjudged::Deadline) {
                Some(answer) => return answer,
                // It was answered in this moment.
                None => task.await,
            },
        };
        match done {
            Ok(answer) => answer,
            Err(_) => work.give_up(&Unjudged::Panicked),
        }
        .unwrap_or_else(|| Err(Failure::stopped_short()))
    }

    /// The whole body, and what it has of the room for large ones.
    async fn read_body(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<(Bytes, Option<Share>), Failure> {
        let peer = request.extensions().get::<Peer>().copied();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        let Some(_coming) = self.coming.take(address, 1) else {
            return Err(crowded("too many reviews of this address are still coming"));
        };
        let reading = self.read_parts(request.into_body(), address);
        match tokio::time::timeout_at(deadline.into(), reading).await {
            Ok(read) => read,
            Err(_) => Err(Failure::new(
                StatusCode::GATEWAY_TIMEOUT,
                "Timeout",
                "the request did not arrive before its timeout",
            )),
        }
    }

    async fn read_parts(
        &self,
        mut body: Body,
        address: IpAddr,
    ) -> Result<(Bytes, Option<Share>), Failure> {
        let body_bytes_max = self.limits.body_bytes_max;
        let (mut whole, mut share, mut refused) = (Vec::new(), None, None);
        let mut bytes = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let message = format!("the request could not be read: {error}");
                Failure::new(StatusCode::BAD_REQUEST, "BadRequest", message)
            })?;
            let Ok(part) = frame.into_data() else {
                continue;
            };
            bytes = bytes.saturating_add(part.len());
            if bytes > body_bytes_max {
                return Err(Failure::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    "the request is larger than admission.limits.body_bytes_max",
                ));
            }
            if bytes > BODY_BYTES_SMALL && share.is_none() && refused.is_none() {
                share = self.bodies.take(address, body_bytes_max);
                if share.is_none() {
                    // It is read to its end all the same: who is answered while he sends may see no answer.
                    refused = Some(crowded("too many large reviews are coming"));
                    whole = Vec::new();
                }
            }
            if refused.is_none() {
                whole.extend_from_slice(&part);
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        Ok((whole.into(), share))
    }

    /// Whether a review can be judged from what is in memory.
    pub(super) fn needs_nobody(&self, review: &Review) -> bool {
        self.evaluator.needs_nobody(review)
    }

    /// The verdict of the bundle that is in force now, even if another one is when it comes.
    pub(super) fn judge(
        &self,
        review: &Review,
        deadline: Instant,
    ) -> (Result<Verdict, Unjudged>, Judgement) {
        let mut judged = self.unjudged();
        // Whoever asks now did not wait until we are ready: policies may be missing yet.
        if !self.readiness.is_ready() {
            return (Err(Unjudged::NotReady), judged);
        }
        let (bundle, trace) = (&judged.bundle, &mut judged.trace);
        let result = self
            .evaluator
            .evaluate_traced(review, bundle, deadline, trace);
        judged.trace.namespace_labels = self.evaluator.namespace_labels(review);
        (result, judged)
    }

    /// What is told of a review that nobody judged.
    pub(super) fn unjudged(&self) -> Judgement {
        Judgement {
            bundle: self.bundles.current(),
            trace: Trace::default(),
        }
    }

    /// Makes a verdict of what came of judging, records it, and says the answer.
    pub(super) fn conclude(
        &self,
        review: &Review,
        result: Result<&Verdict, &Unjudged>,
        judged: Judgement,
        elapsed: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let failed;
        let (verdict, outcome) = match result {
            Ok(verdict) => (verdict, outcome_of(verdict)),
            Err(why) => {
                error!(uid = review.uid, error = %why, "an admission review could not be judged");
                failed = self.evaluator.fail(why);
                (&failed, Outcome::Error)
            }
        };
        let decision = Decision::new(review, verdict, outcome, Timestamp::now(), elapsed);
        self.metrics
            .observe(review, &decision, &judged.trace, elapsed);
        let decision = decision
            .with_trace(judged.trace, judged.bundle.digest())
            .with_review(review, &self.recording);
        self.sink.record(&decision);
        serde_json::to_vec(&respond(&review.uid, verdict)).map_err(|_| Failure::stopped_short())
    }
}

fn outcome_of(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Allowed(_) => Outcome::Allow,
        Verdict::Denied(denial) if denial.cause() == Cause::FailedClosed => Outcome::Error,
        Verdict::Denied(_) => Outcome::Deny,
    }
}

fn crowded(what: &str) -> Failure {
    let message = format!("{what}: try again");
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
}
