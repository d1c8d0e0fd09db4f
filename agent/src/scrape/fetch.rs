//! One GET, as Prometheus sends it, within a timeout and a size.

use std::time::Duration;

use model::wire::exposition::Format;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use url::Url;

use super::ScrapeError;
use crate::access::{Access, AccessError};
use crate::ship::http::chain;

/// What Prometheus accepts, without the protobuf that only native histograms need.
const ACCEPT_VALUE: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// A body and its grammar.
#[derive(Debug)]
pub struct Body {
    /// The text.
    pub text: String,
    /// What `Content-Type` said.
    pub format: Format,
}

/// What all scrapes share.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    access: Access,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// The client could not be built.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// Targets cannot be reached as told.
    #[error("agent.scrape: {0}")]
    Access(#[from] AccessError),
}

impl Fetcher {
    /// Fetches from targets that are reached as told. The process must have installed its TLS provider
    /// before.
    pub fn new(access: Access) -> Result<Self, FetcherError> {
        let client = (access.client()?)
            .user_agent(concat!("taffrail/", env!("CARGO_PKG_VERSION")))
            // One idle connection a target: the next scrape of it uses it again.
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { client, access })
    }

    /// Fetches a body. The size counts after decompression, so that a small answer cannot become a
    /// large one.
    pub async fn fetch(
        &self,
        url: &Url,
        timeout: Duration,
        body_bytes_max: usize,
    ) -> Result<Body, ScrapeError> {
        tokio::time::timeout(timeout, self.fetch_all(url, timeout, body_bytes_max))
            .await
            .unwrap_or(Err(ScrapeError::Timeout(timeout)))
    }

    async fn fetch_all(
        &self,
        url: &Url,
        timeout: Duration,
        body_bytes_max: usize,
    ) -> Result<Body, ScrapeError> {
        let request = self
            .client
            .get(url.clone())
            .header(ACCEPT, ACCEPT_VALUE)
            .header(
                "X-Prometheus-Scrape-Timeout-Seconds",
                timeout.as_secs_f64().to_string(),
            );
        let request = self.access.authorize(request).await;
        let request = request.map_err(|error| ScrapeError::Connection(error.to_string()))?;
        read(request.send().await, body_bytes_max).await
    }
}

async fn read(
    answered: reqwest::Result<reqwest::Response>,
    body_bytes_max: usize,
) -> Result<Body, ScrapeError> {
    let failed = |error: reqwest::Error| ScrapeError::Connection(chain(&error));
    let mut response = answered.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(ScrapeError::Status(response.status()));
    }
    let format = format_of(response.headers());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > body_bytes_max {
            return Err(ScrapeError::BodySize(body_bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| ScrapeError::Encoding(error.utf8_error().valid_up_to()))?;
    Ok(Body { text, format })
}

fn format_of(headers: &HeaderMap) -> Format {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Format::from_content_type(content_type)
}
