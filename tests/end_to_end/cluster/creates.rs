//! People who create Pods all the time, and notice everything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::task::JoinHandle;

use super::api_server::{Answer, Asking};
use super::install::pod;
use crate::harness::until;

/// How many ask at once.
const CREATORS: u64 = 3;

/// Of so many Pods one is privileged, and must be refused.
const PRIVILEGED_EVERY: u64 = 4;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Refused,
}

/// Pods being created in `default` until somebody says stop.
pub(crate) struct Creates {
    shared: Arc<Shared>,
    creators: Vec<JoinHandle<()>>,
}

struct Shared {
    path: &'static str,
    stop: AtomicBool,
    next: AtomicU64,
    answered: Mutex<Vec<(String, Outcome)>>,
    failures: Mutex<Vec<String>>,
}

impl Creates {
    /// Creates them only to see whether they would be taken.
    pub(crate) fn dry(asking: &Asking) -> Self {
        Self::start(asking, "/api/v1/namespaces/default/pods?dryRun=All")
    }

    /// Creates them.
    pub(crate) fn stored(asking: &Asking) -> Self {
        Self::start(asking, "/api/v1/namespaces/default/pods")
    }

    fn start(asking: &Asking, path: &'static str) -> Self {
        let shared = Arc::new(Shared {
            path,
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            answered: Mutex::default(),
            failures: Mutex::default(),
        });
        let creators = (0..CREATORS)
            .map(|_| tokio::spawn(create(Arc::clone(&shared), asking.clone())))
            .collect();
        Self { shared, creators }
    }

    /// Returns when so many more were answered.
    pub(crate) async fn more(&self, count: usize) {
        let answered = || self.shared.answered.lock().expect("no panic").len();
        let enough = answered() + count;
        until("more Pods are created", async || {
            (answered() >= enough).then_some(())
        })
        .await;
    }

    /// Ends them: what was answered, and what else happened.
    pub(crate) async fn end(self) -> (Vec<(String, Outcome)>, Vec<String>) {
        self.shared.stop.store(true, Ordering::Release);
        for creator in self.creators {
            creator.await.expect("no panic");
        }
        let answered = std::mem::take(&mut *self.shared.answered.lock().expect("no panic"));
        let failures = std::mem::take(&mut *self.shared.failures.lock().expect("no panic"));
        (answered, failures)
    }
}

async fn create(shared: Arc<Shared>, asking: Asking) {
    while !shared.stop.load(Ordering::Acquire) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let privileged = number.is_multiple_of(PRIVILEGED_EVERY);
        let kind = if privileged { "privileged" } else { "plain" };
        let name = format!("{kind}-{number}");
        let object = pod(&name, &json!({"privileged": privileged}));
        let answer = asking.create(shared.path, &object).await;
        match answer.as_ref().map(outcome) {
            Ok(Some(outcome)) if (outcome == Outcome::Refused) == privileged => {
                let mut answered = shared.answered.lock().expect("no panic");
                answered.push((name, outcome));
            }
            _ => {
                let mut failures = shared.failures.lock().expect("no panic");
                failures.push(format!("{name}: {answer:?}"));
            }
        }
    }
}

/// None where nobody judged.
fn outcome(answer: &Answer) -> Option<Outcome> {
    match answer.status {
        201 => Some(Outcome::Admitted),
        403 if answer.message().contains("violates PodSecurity") => Some(Outcome::Refused),
        _ => None,
    }
}
