//! What a body weighs once it is read.
//!
//! JSON that says nothing grows most: of eight megabytes of `[],[],` becomes a tree of a hundred, once as it came and once
//! more for Rego. So the values of a body are counted before it is read. One that holds too many is not judged, which
//! the answer says and the fail mode decides; of those that hold many one is read and judged at a time; the others together
//! hold a bounded number, which ordinary reviews never come near.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::evaluate::Unjudged;

/// Who holds more than this waits for others like him. A large Deployment holds 2,000, a large definition of a kind 20,000.
const LIGHT_VALUES_MAX: usize = 32_000;

/// How many values the others hold together at the most.
const LIGHT_VALUES_TOTAL: usize = 512_000;

/// Room for what is read and judged at a time.
#[derive(Debug)]
pub(super) struct Scales {
    values_max: usize,
    light: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
}

/// Room that was found; given back when the last who has it drops it.
pub(super) type Room = Arc<OwnedSemaphorePermit>;

impl Scales {
    pub(super) fn new(values_max: usize) -> Self {
        Scales {
            values_max,
            light: Arc::new(Semaphore::new(LIGHT_VALUES_TOTAL)),
            heavy: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for room for a body, no longer than until `deadline`.
    pub(super) async fn room(&self, body: &[u8], deadline: Instant) -> Result<Room, Unjudged> {
        let values = values(body);
        if values > self.values_max {
            return Err(Unjudged::TooManyValues(self.values_max));
        }
        let room = if values > LIGHT_VALUES_MAX {
            Arc::clone(&self.heavy).acquire_many_owned(1)
        } else {
            let values = u32::try_from(values).unwrap_or(u32::MAX);
            Arc::clone(&self.light).acquire_many_owned(values)
        };
        match tokio::time::timeout_at(deadline.into(), room).await {
            Ok(Ok(room)) => Ok(Arc::new(room)),
            // They are never closed.
            Ok(Err(_)) | Err(_) => Err(Unjudged::Deadline),
        }
    }
}

/// No fewer values than there are: each but the first of its list or object is behind a comma, and that one behind a
/// bracket. What is within strings counts, too, for telling would take reading.
fn values(body: &[u8]) -> usize {
    let before_value = |byte: &&u8| matches!(byte, b',' | b'[' | b'{');
    body.iter().filter(before_value).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_values_than_counted() {
        for (text, least) in [
            ("1", 1),
            ("[]", 1),
            ("[[],[],{}]", 4),
            ("{\"a\": 1, \"b\": [1, 2, {}]}", 6),
            ("\"[,\"", 1),
        ] {
            assert!(values(text.as_bytes()) >= least, "{text}");
        }
    }

    #[tokio::test]
    async fn those_with_many_come_one_by_one_and_keep_no_others_waiting() {
        let scales = Scales::new(100_000);
        let body = |values: usize| ",".repeat(values).into_bytes();
        let soon = Instant::now();
        let heavy = scales.room(&body(50_000), soon).await;
        assert!(heavy.is_ok());
        let second = scales.room(&body(50_000), soon).await;
        assert!(matches!(second, Err(Unjudged::Deadline)));
        let light = scales.room(&body(1000), soon).await;
        assert!(light.is_ok());
        let too_many = scales.room(&body(100_000), soon).await;
        assert!(matches!(too_many, Err(Unjudged::TooManyValues(100_000))));
        drop(heavy);
        assert!(scales.room(&body(50_000), soon).await.is_ok());
    }
}
