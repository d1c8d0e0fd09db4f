//! A server that has the stores, asked over HTTP.
//!
//! What it does not answer is an error that names it, and the fail mode of who asked decides. A server that is away refuses
//! at once. One that hangs is worse: whoever waits for it holds one of the few evaluations that may run, and reviews that ask
//! nothing wait behind him. So after a question that was not answered in time a task finds out whether the server answers
//! anything at all, and while it does not, nobody waits for it. A question that is only too hard keeps nobody from asking
//! others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use admission::data::{Answer, Bounds, DataError, DataSource, Language, Question};
use agent::access::Access;
use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::read::read;
use super::{LINES_SINCE, millis, unanswered};

/// Who has not said by then how he is hangs; and how long until he is asked again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A server that has the stores.
pub(crate) struct RemoteData {
    server: Arc<Server>,
    runtime: Handle,
    looking: Mutex<Option<JoinHandle<()>>>,
}

struct Server {
    address: String,
    access: Access,
    client: reqwest::Client,
    is_silent: AtomicBool,
}

impl RemoteData {
    /// Asks the server at `address`, from threads that are not the runtime's.
    pub(crate) fn new(address: &str, access: Access) -> anyhow::Result<Self> {
        let client = access.client()?.build();
        Ok(Self {
            server: Arc::new(Server {
                address: address.trim_end_matches('/').to_owned(),
                client: client.context("cannot make a client for the server")?,
                access,
                is_silent: AtomicBool::new(false),
            }),
            runtime: Handle::current(),
            looking: Mutex::new(None),
        })
    }

    /// Finds out whether the server answers anything, unless that is under way.
    fn look(&self) {
        let mut looking = self.looking.lock();
        if looking.as_ref().is_none_or(JoinHandle::is_finished) {
            *looking = Some(self.runtime.spawn(Arc::clone(&self.server).look()));
        }
    }
}

impl Drop for RemoteData {
    fn drop(&mut self) {
        if let Some(looking) = self.looking.get_mut() {
            looking.abort();
        }
    }
}

impl Server {
    /// Ends when the server answers, whatever it answers, or refuses.
    async fn look(self: Arc<Self>) {
        loop {
            let asked = self
                .client
                .get(format!("{}/-/healthy", self.address))
                .send();
            let is_silent = tokio::time::timeout(LOOK_INTERVAL, asked).await.is_err();
            let was_silent = self.is_silent.swap(is_silent, Ordering::AcqRel);
            let server = &self.address;
            match (was_silent, is_silent) {
                (false, true) => tracing::warn!(server, "hangs: rules do not wait for its data"),
                (true, false) => tracing::info!(server, "is asked by rules again"),
                _ => {}
            }
            if !is_silent {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn fetch(&self, question: &Question, bounds: Bounds) -> Result<Value, DataError> {
        let at = question.at_millis;
        let since = question.since.map(millis);
        let (path, form) = match question.language {
            Language::Promql => {
                let seconds = |millis: i64| (millis as f64 / 1e3).to_string();
                match (since, question.step) {
                    (Some(since), Some(step)) => (
                        "/api/v1/query_range",
                        vec![
                            ("start", seconds(at.saturating_sub(since))),
                            ("end", seconds(at)),
                            ("step", step.as_secs_f64().to_string()),
                        ],
                    ),
                    _ => ("/api/v1/query", vec![("time", seconds(at))]),
                }
            }
            Language::Logql => {
                let nanos = |millis: i64| millis.saturating_mul(1_000_000).to_string();
                let limit = ("limit", question.limit.to_string());
                let is_log = matches!(
                    logs::query::parse(&question.query),
                    Ok(logs::query::ast::Expr::Log(_))
                );
                if since.is_none() && !is_log {
                    ("/loki/api/v1/query", vec![("time", nanos(at))])
                } else {
                    let since = since.unwrap_or(millis(LINES_SINCE));
                    let step = question
                        .step
                        .map_or(since as f64 / 1e3, |s| s.as_secs_f64());
                    let form = vec![
                        ("start", nanos(at.saturating_sub(since))),
                        ("end", nanos(at)),
                        ("step", step.to_string()),
                        ("direction", "backward".to_owned()),
                        limit,
                    ];
                    ("/loki/api/v1/query_range", form)
                }
            }
        };
        let server = &self.address;
        let unreachable = |error: reqwest::Error| {
            let why = anyhow::Error::new(error);
            DataError::Unanswered(format!("{server} cannot be asked: {why:#}"))
        };
        let request = self.client.post(format!("{server}{path}"));
        let request = self.access.authorize(request).await.map_err(unanswered)?;
        let request = request.form(&[("query", question.query.as_str())]);
        let request = request.query(&form);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        // JSON takes more room than what it says; that is looked at again.
        let bytes_max = bounds.bytes_max.saturating_mul(4).saturating_add(16 << 10);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > bytes_max {
                return Err(DataError::TooLarge("bytes_max"));
            }
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            let said: String = said.trim().chars().take(300).collect();
            return Err(DataError::Unanswered(format!(
                "{server} answers {status}: {said}"
            )));
        }
        serde_json::from_slice(&body)
            .map_err(|_| DataError::Unanswered(format!("{server}{path} does not answer in JSON")))
    }
}

impl DataSource for RemoteData {
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError> {
        let server = &self.server;
        let unanswered = |why| DataError::Unanswered(format!("{} {why}", server.address));
        if server.is_silent.load(Ordering::Acquire) {
            return Err(unanswered("answers nobody: nothing is asked until it does"));
        }
        let left = bounds.deadline.saturating_duration_since(Instant::now());
        let asked = async { tokio::time::timeout(left, server.fetch(question, bounds)).await };
        let Ok(answer) = self.runtime.block_on(asked) else {
            self.look();
            return Err(unanswered("did not answer in time"));
        };
        read(&answer?).ok_or_else(|| unanswered("answers in another shape"))
    }
}

#[cfg(test)]
mod tests;
