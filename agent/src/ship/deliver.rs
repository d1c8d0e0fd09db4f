//! One write, attempted until it is acknowledged, refused, or the agent must stop.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ShipError;
use crate::metrics::{FlowMetrics, Outcome};

/// The first wait after a failure.
const WAIT_MIN: Duration = Duration::from_millis(30);
/// The longest wait the agent chooses by itself.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// Waits that double from 30 ms to 5 s, each shortened at random by up to half, so that agents that
/// failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Waits whose jitter follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            next: WAIT_MIN,
            random: seed,
        }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(WAIT_MAX);
        let half = whole / 2;
        half + half.mul_f64(self.fraction())
    }

    /// A number in `[0, 1)`, by splitmix64.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The other side has it.
    Acknowledged,
    /// The other side will not have it; it was counted and logged.
    Refused,
    /// The agent had to stop before there was an answer; whoever holds the source keeps its place.
    Abandoned,
}

/// Attempts a write until there is an answer. `abort` ends the patience, not the attempt under way:
/// a write that may already be half done is worth its answer.
pub async fn deliver<F>(
    mut attempt: impl FnMut() -> F,
    mut backoff: Backoff,
    flow: &FlowMetrics,
    abort: &CancellationToken,
) -> Delivery
where
    F: Future<Output = Result<(), ShipError>>,
{
    let mut failures: u64 = 0;
    loop {
        let error = match attempt().await {
            Ok(()) => {
                flow.count(Outcome::Acknowledged);
                if failures > 0 {
                    tracing::info!(
                        flow = flow.name(),
                        failures,
                        "writes are acknowledged again"
                    );
                }
                return Delivery::Acknowledged;
            }
            Err(error) => error,
        };
        let after = match error {
            ShipError::Refused { reason } => {
                flow.count(Outcome::Refused);
                tracing::error!(flow = flow.name(), %reason, "a write was refused and is dropped");
                return Delivery::Refused;
            }
            ShipError::Retryable { reason, after } => {
                flow.count(Outcome::Retried);
                if failures == 0 {
                    tracing::warn!(flow = flow.name(), %reason, "a write failed and is tried again");
                }
                failures += 1;
                after.map(|wait| wait.min(RETRY_AFTER_MAX))
            }
        };
        let wait = after.unwrap_or_default().max(backoff.wait());
        tokio::select! {
            biased;
            () = abort.cancelled() => return Delivery::Abandoned,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::metrics::AgentMetrics;

    async fn run(
        answers: Vec<Result<(), ShipError>>,
        abort: &CancellationToken,
    ) -> (Delivery, Duration) {
        let metrics = AgentMetrics::default();
        let answers = RefCell::new(answers.into_iter());
        let start = tokio::time::Instant::now();
        let delivery = deliver(
            || {
                let answer = answers.borrow_mut().next().expect("no attempt too many");
                async { answer }
            },
            Backoff::new(1),
            &metrics.series,
            abort,
        )
        .await;
        (delivery, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_retried_until_it_is_acknowledged() {
        let busy = || Err(ShipError::retryable("busy"));
        let (delivery, waited) = run(
            vec![busy(), busy(), busy(), Ok(())],
            &CancellationToken::new(),
        )
        .await;
        assert_eq!(delivery, Delivery::Acknowledged);
        assert!(waited >= Duration::from_millis(15 + 30 + 60), "{waited:?}");
        assert!(
            waited <= Duration::from_millis(3 + 30 + 60 + 120),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_retried() {
        let refused = vec![Err(ShipError::refused("bad"))];
        let (delivery, _) = run(refused, &CancellationToken::new()).await;
        assert_eq!(delivery, Delivery::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_may_ask_for_a_longer_wait() {
        let later = Err(ShipError::Retryable {
            reason: "slow down".to_owned(),
            after: Some(Duration::from_secs(7)),
        });
        let (delivery, waited) = run(vec![later, Ok(())], &CancellationToken::new()).await;
        assert_eq!(delivery, Delivery::Acknowledged);
        assert!(waited >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_ends_the_patience() {
        let abort = CancellationToken::new();
        abort.cancel();
        let (delivery, _) = run(vec![Err(ShipError::retryable("down"))], &abort).await;
        assert_eq!(delivery, Delivery::Abandoned);
    }

    #[test]
    fn waits_grow_to_their_bound() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..12).map(|_| backoff.wait()).collect();
        for (position, wait) in waits.iter().enumerate() {
            let whole = (WAIT_MIN * 2_u32.pow(position as u32)).min(WAIT_MAX);
            assert!(*wait >= whole / 2 && *wait <= whole, "{position}: {wait:?}");
        }
    }
}
