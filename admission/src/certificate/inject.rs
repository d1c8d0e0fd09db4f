//! Telling the API server whom to trust.
//!
//! A ValidatingWebhookConfiguration is applied with an empty caBundle, for who applies it
//! cannot know our CA; we write it in, with a right to that one object. Doing so again and
//! again is harmless, and needed: applying the manifest anew empties it.

use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// Why the API server does not know our CA yet.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// The cluster's own settings are not where a pod finds them.
    #[error("cannot reach the API server from this pod: {0}")]
    Cluster(#[from] kube::config::InClusterError),
    /// The API server refused.
    #[error(
        "cannot write the caBundle of ValidatingWebhookConfiguration {name}: {source}: \
         the service account needs get and patch on it"
    )]
    Api {
        /// The configuration's name.
        name: String,
        /// What it said.
        source: Box<kube::Error>,
    },
}

/// Whether this process is a pod with a service account.
pub fn in_cluster() -> bool {
    Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
}

/// Writes `ca_pem` into every webhook of the configuration `name`; false where it is there
/// already.
pub async fn inject(name: &str, ca_pem: &str) -> Result<bool, InjectError> {
    let failed = |source| InjectError::Api {
        name: name.to_string(),
        source: Box::new(source),
    };
    let config = kube::Config::incluster()?;
    let client = kube::Client::try_from(config).map_err(failed)?;
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client);
    let configuration = api.get(name).await.map_err(failed)?;
    match patch(&configuration, ca_pem) {
        None => Ok(false),
        Some(patch) => {
            let params = PatchParams::default();
            api.patch(name, &params, &Patch::Strategic(patch))
                .await
                .map_err(failed)?;
            Ok(true)
        }
    }
}

/// Webhooks are merged by name, so that those without a change are left alone.
fn patch(
    configuration: &ValidatingWebhookConfiguration,
    ca_pem: &str,
) -> Option<serde_json::Value> {
    let bundle = ByteString(ca_pem.as_bytes().to_vec());
    let webhooks: Vec<_> = configuration
        .webhooks
        .iter()
        .flatten()
        .filter(|webhook| webhook.client_config.ca_bundle.as_ref() != Some(&bundle))
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    (!webhooks.is_empty()).then(|| json!({ "webhooks": webhooks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_that_trust_another_ca_are_patched() {
        let of = |bundles: &[Option<&str>]| -> ValidatingWebhookConfiguration {
            let webhooks: Vec<_> = bundles
                .iter()
                .enumerate()
                .map(|(i, bundle)| {
                    let bundle = bundle.map(|pem| ByteString(pem.as_bytes().to_vec()));
                    json!({
                        "name": format!("w{i}"),
                        "admissionReviewVersions": ["v1"],
                        "sideEffects": "None",
                        "clientConfig": {"caBundle": bundle},
                    })
                })
                .collect();
            serde_json::from_value(json!({"metadata": {"name": "t"}, "webhooks": webhooks}))
                .unwrap()
        };
        assert_eq!(patch(&of(&[Some("pem")]), "pem"), None);
        assert_eq!(patch(&of(&[]), "pem"), None);
        assert_eq!(
            patch(&of(&[Some("pem"), None, Some("old")]), "pem").unwrap(),
            json!({"webhooks": [
                {"name": "w1", "clientConfig": {"caBundle": "cGVt"}},
                {"name": "w2", "clientConfig": {"caBundle": "cGVt"}},
            ]})
        );
    }
}
