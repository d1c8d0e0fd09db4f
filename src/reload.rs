//! Reading the configuration anew while the program runs: on SIGHUP, and on `/-/reload`.
//!
//! What can change is what protects the port ([`Web`]) and the rules. All of it is taken, or nothing: what is
//! read of the one is used only once the other was taken.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use crate::config::{self, Config};
use crate::rules::Rules;
use crate::web::{self, Web};

/// What is loaded anew.
#[derive(Clone)]
pub(crate) struct Reload {
    /// The configuration file, where there is one.
    file: Option<PathBuf>,
    /// The web configuration file that the command line names.
    web_config_file: Option<PathBuf>,
    web: Arc<Web>,
    rules: Option<Rules>,
}

impl Reload {
    /// Of what runs.
    pub(crate) fn new(config: &Config, web: Arc<Web>, rules: Option<Rules>) -> Self {
        Self {
            file: config.file.clone(),
            web_config_file: config.web_config_file.clone(),
            web,
            rules,
        }
    }

    /// Reads the configuration again. Blocks on the disk.
    fn now(&self) -> anyhow::Result<()> {
        let config = match (&self.file, &self.web_config_file) {
            (Some(path), _) => Some(config::reread(path)?),
            // The section is as it was; what it names may not be.
            (None, Some(_)) => None,
            (None, None) => {
                return Err(anyhow!(
                    "there is no configuration file to read; start with --config"
                ));
            }
        };
        let section = config
            .as_ref()
            .map(|config| web::section_of(config.web.clone(), self.web_config_file.clone()));
        let prepared = self.web.prepare(section).context("web")?;
        if let (Some(rules), Some(config)) = (&self.rules, &config) {
            rules.load(config)?;
        }
        self.web.use_prepared(prepared);
        Ok(())
    }

    /// `/-/reload`, for whoever may administer the server.
    pub(crate) fn router(&self, is_enabled: bool) -> Router {
        let this = self.clone();
        let reload = move || async move {
            if !is_enabled {
                return (
                    StatusCode::FORBIDDEN,
                    "Lifecycle API is not enabled; set metrics.admin_api.\n".to_owned(),
                );
            }
            match tokio::task::spawn_blocking(move || this.now()).await {
                Ok(Ok(())) => (StatusCode::OK, String::new()),
                Ok(Err(error)) => {
                    tracing::error!("nothing was reloaded: {error:#}");
                    let message = format!("failed to reload config: {error:#}\n");
                    (StatusCode::INTERNAL_SERVER_ERROR, message)
                }
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            }
        };
        Router::new().route("/-/reload", post(reload.clone()).put(reload))
    }

    /// The same, on a signal: what is wrong is logged.
    pub(crate) async fn on_signal(&self) {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.now()).await {
            Ok(Ok(())) => tracing::info!("the configuration was reloaded on SIGHUP"),
            Ok(Err(error)) => tracing::error!("nothing was reloaded: {error:#}"),
            Err(error) => tracing::error!(%error, "reloading ended in a panic"),
        }
    }
}
