//! Rules in the running program: how they are loaded, and how alerts reach an Alertmanager.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use storage::clock::SystemClock;
use tokio::runtime::Handle;
use tsdb::Tsdb;
use tsdb::rules::notifier::{Alertmanager, Credentials, Deliver, DeliveryError, Notifier};
use tsdb::rules::{LoadError, RuleManager};

use crate::config::Config;

/// Posts alerts over HTTP. Called from threads that are not the runtime's.
struct HttpDeliver {
    client: reqwest::Client,
    runtime: Handle,
}

impl Deliver for HttpDeliver {
    fn post(&self, to: &Alertmanager, body: String) -> Result<(), DeliveryError> {
        let request = (self.client.post(&to.url))
            .timeout(to.timeout)
            .header("Content-Type", "application/json")
            .body(body);
        let request = match &to.credentials {
            Credentials::None => request,
            Credentials::Basic { username, password } => {
                request.basic_auth(username, Some(password))
            }
            Credentials::Bearer(token) => request.bearer_auth(token),
        };
        let failed = |is_retryable, message| DeliveryError {
            is_retryable,
            message,
        };
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| {
                let error = anyhow!(error);
                failed(true, format!("{error:#}"))
            })?;
            let status = response.status();
            if status.is_success() {
                return Ok(());
            }
            let reason = response.text().await.unwrap_or_default();
            let message = format!("{status}: {}", reason.trim());
            Err(failed(!status.is_client_error(), message))
        })
    }
}

/// The rules of this process.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) manager: RuleManager,
}

impl Rules {
    /// Loads what is configured.
    pub(crate) fn open(config: &Config, tsdb: &Tsdb, runtime: Handle) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().build();
        let deliver = HttpDeliver {
            client: client.context("cannot make a client for Alertmanagers")?,
            runtime,
        };
        let manager = RuleManager::new(
            Arc::new(tsdb.clone()),
            Arc::new(tsdb.clone()),
            Notifier::new(Arc::new(deliver)),
            Arc::new(SystemClock),
        );
        let rules = Self { manager };
        rules.load(config)?;
        Ok(rules)
    }

    /// Loads what a configuration says. All of it is taken, or nothing.
    pub(crate) fn load(&self, config: &Config) -> anyhow::Result<()> {
        (self.manager.load(&config.rules)).map_err(|error| load_error(&error))
    }
}

/// Rule files are read, and expressions checked, off the async threads.
pub(crate) async fn open(config: &Config, tsdb: &Tsdb) -> anyhow::Result<Rules> {
    let (config, tsdb) = (config.clone(), tsdb.clone());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || Rules::open(&config, &tsdb, runtime)).await?
}

fn load_error(error: &LoadError) -> anyhow::Error {
    anyhow!("rules: {error}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;

    use super::*;

    /// Answers with the status that the body names, if the credentials are right.
    async fn answer(headers: HeaderMap, body: String) -> (StatusCode, &'static str) {
        let authorization = headers
            .get("authorization")
            .and_then(|one| one.to_str().ok());
        match authorization {
            // me:secret
            Some("Basic bWU6c2VjcmV0" | "Bearer token") => {
                let status = body
                    .parse()
                    .ok()
                    .and_then(|code| StatusCode::from_u16(code).ok());
                (status.unwrap_or(StatusCode::BAD_REQUEST), "as told")
            }
            _ => (StatusCode::UNAUTHORIZED, "who are you"),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn alerts_are_posted_with_credentials_and_errors_say_whether_to_try_again() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("binds");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/api/v2/alerts", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let basic = Credentials::Basic {
            username: "me".to_owned(),
            password: "secret".to_owned(),
        };
        let bearer = Credentials::Bearer("token".to_owned());
        let there = format!("http://{address}/api/v2/alerts");
        let nowhere = "http://127.0.0.1:9/api/v2/alerts".to_owned();
        for (url, credentials, body, expected) in [
            (&there, basic.clone(), "200", Ok(())),
            (&there, bearer.clone(), "200", Ok(())),
            (&there, bearer, "503", Err(true)),
            (&there, basic.clone(), "400", Err(false)),
            (&there, Credentials::None, "200", Err(false)),
            (&nowhere, basic, "200", Err(true)),
        ] {
            let deliver = HttpDeliver {
                client: reqwest::Client::new(),
                runtime: Handle::current(),
            };
            let to = Alertmanager {
                url: url.clone(),
                timeout: Duration::from_mins(1),
                credentials,
            };
            let what = format!("{to:?} {body}");
            let body = body.to_owned();
            let posted = tokio::task::spawn_blocking(move || deliver.post(&to, body)).await;
            let posted = posted
                .expect("no panic")
                .map_err(|error| error.is_retryable);
            assert_eq!(posted, expected, "{what}");
        }
    }
}
