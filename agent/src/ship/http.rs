//! A server as a sink: remote write 1.0 and Loki push, protobuf in snappy blocks.
//!
//! A call is cut into requests of bounded size, sent one after the other; the first that fails
//! fails the call. A repeated call repeats requests that had been accepted, which costs nothing
//! but bytes: both protocols take the same sample or line twice as once.

mod encode;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::future::BoxFuture;
use model::entry::StreamEntries;
use model::sample::{Metadata, SeriesSamples};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use url::Url;

use super::{ShipError, Sink};
use crate::access::{Access, AccessError, without_secret};

/// The longest answer that is read for a message.
const ANSWER_BYTES_MAX: usize = 1024;

/// Where the server is and how to speak to it.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The server's root: `http://HOST:PORT`.
    pub server: Url,
    /// What is shown of ourselves, and whom we trust.
    pub access: Access,
    /// What it means not to be admitted.
    pub unauthorized: Unauthorized,
    /// The longest a request may take.
    pub timeout: Duration,
    /// The most samples of a remote write request.
    pub request_samples_max: usize,
    /// The most bytes of lines in a push request.
    pub request_line_bytes_max: usize,
}

/// What it means that a server does not admit us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthorized {
    /// Credentials are being changed on either side: it is tried again, and nothing is lost meanwhile.
    #[default]
    Retryable,
    /// Somebody is there who can name others.
    Refused,
}

impl HttpConfig {
    /// The defaults for a server: 2,000 samples or 1 MiB a request, 30 s.
    pub fn new(server: Url) -> Self {
        Self {
            server,
            access: Access::default(),
            unauthorized: Unauthorized::default(),
            timeout: Duration::from_secs(30),
            request_samples_max: 2000,
            request_line_bytes_max: 1 << 20,
        }
    }
}

/// Why a sink cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSinkError {
    /// The server's address has no room for a path.
    #[error("server {server}: not an http:// or https:// address: {source}")]
    Address {
        /// The address.
        server: Url,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The client could not be built.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// It cannot be reached as told.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// A server that takes remote write and Loki push.
#[derive(Debug)]
pub struct HttpSink {
    config: HttpConfig,
    client: reqwest::Client,
    write: Url,
    push: Url,
}

impl HttpSink {
    /// A sink for a server. The process must have installed its TLS provider before.
    pub fn new(config: HttpConfig) -> Result<Self, HttpSinkError> {
        let address = |path: &str| {
            let mut base = config.server.clone();
            if !base.path().ends_with('/') {
                base.set_path(&format!("{}/", base.path()));
            }
            base.join(path).map_err(|source| HttpSinkError::Address {
                server: config.server.clone(),
                source,
            })
        };
        without_secret(&config.server)?;
        let client = (config.access.client()?)
            .user_agent(concat!("taffrail/", env!("CARGO_PKG_VERSION")))
            .timeout(config.timeout)
            // A redirected POST would become a GET: better to be told the right address.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            write: address("api/v1/write")?,
            push: address("loki/api/v1/push")?,
            config,
            client,
        })
    }

    async fn post(&self, url: &Url, body: Vec<u8>) -> Result<(), ShipError> {
        let request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body);
        let request = self.config.access.authorize(request).await;
        let request = request.map_err(|error| ShipError::retryable(error.to_string()))?;
        let response = request
            .send()
            .await
            .map_err(|error| ShipError::retryable(format!("POST {url}: {}", chain(&error))))?;
        judge(url, response, self.config.unauthorized).await
    }
}

impl Sink for HttpSink {
    fn write_series(
        &self,
        series: Vec<SeriesSamples>,
        metadata: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>> {
        Box::pin(async move {
            let limit = self.config.request_samples_max;
            for body in encode::write_requests(&series, &metadata, limit)? {
                self.post(&self.write, body).await?;
            }
            Ok(())
        })
    }

    fn write_streams(&self, streams: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>> {
        Box::pin(async move {
            let limit = self.config.request_line_bytes_max;
            for body in encode::push_requests(streams, limit)? {
                self.post(&self.push, body).await?;
            }
            Ok(())
        })
    }
}

/// What an answer means: 2xx acknowledges, 429 and 5xx may be tried again, the rest is refused; 401 and 403
/// are as told.
async fn judge(url: &Url, response: Response, unauthorized: Unauthorized) -> Result<(), ShipError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(retry_after);
    let answer = first_bytes(response).await;
    let reason = format!("POST {url}: {status}: {}", answer.trim());
    let is_unadmitted = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let is_patient = is_unadmitted && unauthorized == Unauthorized::Retryable;
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() || is_patient {
        Err(ShipError::Retryable { reason, after })
    } else {
        Err(ShipError::Refused { reason })
    }
}

/// Reads `Retry-After` in seconds. The form with a date is rare, and the usual wait answers it.
fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

async fn first_bytes(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(ANSWER_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error with its causes: the outermost alone says only that sending failed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
