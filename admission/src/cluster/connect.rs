//! From settings to the API server.
//!
//! A kubeconfig that is named is used; without one, a pod finds its own cluster; elsewhere there is none,
//! and nothing is watched.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::{Deserialize, Serialize};

use crate::certificate::inject::in_cluster;

/// Which cluster is watched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesConfig {
    /// A kubeconfig, whose current context counts. Without one a pod watches its own cluster, and a process that
    /// is no pod watches none.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace whose ConfigMaps may hold policies; the pod's own, or the context's, where none is
    /// named.
    pub namespace: Option<String>,
}

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("admission.kubernetes.kubeconfig: cannot use {}: {source}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<kube::config::KubeconfigError>,
    },
    /// The cluster's own settings are not where a pod finds them.
    #[error("cannot reach the API server from this pod: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// The settings do not make a client.
    #[error("cannot make a client of the API server: {0}")]
    Client(#[from] Box<kube::Error>),
    /// There is no thread to watch from.
    #[error("cannot start the thread that watches the cluster: {0}")]
    Thread(std::io::Error),
}

/// How long a connection may be silent. A watch ends itself before.
const READ_TIMEOUT: Duration = Duration::from_secs(150);

impl KubernetesConfig {
    /// Whether there is a cluster.
    pub(crate) fn is_on(&self) -> bool {
        self.kubeconfig.is_some() || in_cluster()
    }

    /// The way to the API server; None where there is no cluster.
    pub(crate) async fn connection(&self) -> Result<Option<kube::Config>, ConnectError> {
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let failed = |source| ConnectError::Kubeconfig {
                    path: path.clone(),
                    source: Box::new(source),
                };
                let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
                let options = KubeConfigOptions::default();
                kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(failed)?
            }
            None if in_cluster() => kube::Config::incluster()?,
            None => return Ok(None),
        };
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        config.read_timeout = Some(READ_TIMEOUT);
        // Whoever asks has a patience of its own.
        config.default_retry = false;
        Ok(Some(config))
    }
}

/// What a request came to, in one line.
pub(crate) fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => {
            let mut told = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(error) = source {
                let text = error.to_string();
                if !told.contains(&text) {
                    told = format!("{told}: {text}");
                }
                source = error.source();
            }
            told
        }
    }
}
