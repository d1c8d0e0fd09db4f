//! Where imported samples go: the store of a data folder, or a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::ship::http::{HttpConfig, HttpSink, Unauthorized};
use agent::ship::{Backoff, ShipError, Sink as _};
use anyhow::Context as _;
use model::sample::{Metadata, SeriesSamples};
use storage::store::AppendError;
use tokio::runtime::Runtime;
use tsdb::database::TsdbBackground;

use crate::cli::access::AccessArgs;
use crate::commands::store::ClosedStore;

/// Samples of a request, when a server is written to.
const REQUEST_SAMPLES: usize = 20_000;
/// How long a flush that is behind is left alone.
const FLUSH_WAIT: Duration = Duration::from_millis(50);

/// Where samples go.
pub(super) enum Target<'a> {
    /// A store that this process has open, and the threads that flush and merge it.
    Store(Box<ClosedStore>, TsdbBackground),
    /// A server.
    Server(Box<HttpSink>, &'a Runtime),
}

/// What was not taken of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// How many samples; nothing where a server does not say.
    pub(super) samples: Option<u64>,
    /// Why.
    pub(super) reason: String,
}

impl<'a> Target<'a> {
    /// A store, with its threads.
    pub(super) fn store(store: ClosedStore) -> anyhow::Result<Self> {
        let background = store.tsdb.background()?;
        Ok(Self::Store(Box::new(store), background))
    }

    /// A server.
    pub(super) fn server(
        url: &str,
        access: &AccessArgs,
        runtime: &'a Runtime,
    ) -> anyhow::Result<Self> {
        let parsed = reqwest::Url::parse(url);
        let parsed = parsed.with_context(|| format!("--url {url}: write http://HOST:PORT"))?;
        let mut config = HttpConfig::new(parsed);
        config.request_samples_max = REQUEST_SAMPLES;
        config.access = access.access();
        // Whoever imports waits for it, and can say who they are.
        config.unauthorized = Unauthorized::Refused;
        Ok(Self::Server(Box::new(HttpSink::new(config)?), runtime))
    }

    /// Writes a batch, trying again where that can help until `stop` is raised; says what was not
    /// taken of it, and nothing where `stop` came first.
    pub(super) fn write(
        &self,
        series: Vec<SeriesSamples>,
        metadata: Vec<Metadata>,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<Option<Refusal>> {
        match self {
            Self::Store(store, _) => loop {
                match store.tsdb.append(&series) {
                    Ok(appended) => {
                        return Ok(Some(Refusal {
                            samples: Some(appended.refused.samples),
                            reason: appended.refused.to_string(),
                        }));
                    }
                    Err(AppendError::Overloaded { .. }) if !stop.load(Ordering::Relaxed) => {
                        std::thread::sleep(FLUSH_WAIT);
                    }
                    Err(error) => return Err(error.into()),
                }
            },
            Self::Server(sink, runtime) => runtime.block_on(send(sink, series, metadata, stop)),
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> anyhow::Result<()> {
        match self {
            Self::Store(store, _) => Ok(store.tsdb.store().sync()?),
            // It answered, and so has it.
            Self::Server(..) => Ok(()),
        }
    }

    /// Flushes and merges a store, unless `stop` is raised.
    pub(super) fn finish(self, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
        let Self::Store(store, background) = self else {
            return Ok(());
        };
        background.stop()?;
        if !stop.load(Ordering::Relaxed) {
            store.tsdb.store().merge_all()?;
        }
        Ok(())
    }
}

async fn send(
    sink: &HttpSink,
    series: Vec<SeriesSamples>,
    metadata: Vec<Metadata>,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Option<Refusal>> {
    // Jitter needs no good randomness, only that two processes differ.
    let mut backoff = Backoff::new(u64::from(std::process::id()));
    let mut has_failed = false;
    loop {
        match sink.write_series(series.clone(), metadata.clone()).await {
            Ok(()) => {
                return Ok(Some(Refusal {
                    samples: Some(0),
                    reason: String::new(),
                }));
            }
            Err(ShipError::Refused { reason }) => {
                return Ok(Some(Refusal {
                    samples: None,
                    reason,
                }));
            }
            Err(ShipError::Retryable { reason, after }) => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(reason, "the server does not take samples; trying again");
                }
                let wait = after.unwrap_or_default().max(backoff.wait());
                let wait = wait.min(Duration::from_secs(5));
                tokio::time::sleep(wait).await;
            }
        }
    }
}
