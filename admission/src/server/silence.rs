//! How long nothing has been asked on a connection.
//!
//! Whoever has shaken hands may then say nothing at all, or half of what begins a request; hyper waits for that without
//! end in some of its states. So each connection is looked at from outside: it is cut when it has had no request that
//! was being answered for too long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What is known of a connection's requests.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    requests: usize,
    since: Instant,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Asked {
    state: Arc<Mutex<State>>,
}

impl Default for Silence {
    fn default() -> Self {
        let state = State {
            requests: 0,
            since: Instant::now(),
        };
        Silence {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl Silence {
    /// A request begins; it is over when what is returned is dropped.
    pub(super) fn broken(&self) -> Asked {
        self.state.lock().requests += 1;
        Asked {
            state: Arc::clone(&self.state),
        }
    }

    /// Ends when there was no request for so long.
    pub(super) async fn longer_than(&self, limit: Duration) {
        while let Some(until) = self.next_look(Instant::now(), limit) {
            tokio::time::sleep_until(until).await;
        }
    }

    /// When it may have lasted for so long; None where it has.
    fn next_look(&self, now: Instant, limit: Duration) -> Option<Instant> {
        let state = self.state.lock();
        let until = if state.requests == 0 {
            state.since + limit
        } else {
            now + limit
        };
        (until > now).then_some(until)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.requests -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(150);

    #[test]
    fn silence_begins_when_the_last_request_ends() {
        let silence = Silence::default();
        let begun = Instant::now();
        assert!(silence.next_look(begun, LIMIT).is_some());
        let (first, second) = (silence.broken(), silence.broken());
        drop(first);
        let later = begun + LIMIT * 2;
        assert_eq!(silence.next_look(later, LIMIT), Some(later + LIMIT));
        drop(second);
        let ended = Instant::now();
        assert!(silence.next_look(ended, LIMIT).is_some());
        assert_eq!(silence.next_look(ended + LIMIT, LIMIT), None);
    }
}
