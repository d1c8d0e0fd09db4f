//! Telling the API server whom to trust.
//!
//! A ValidatingWebhookConfiguration is applied with an empty caBundle, for who applies it
//! cannot know our CA; we write it in, with a right to that one object. Doing so again and
//! again is harmless, and needed: applying the manifest anew empties it.
//!
//! A CA is added to those that are there and never put in their place: replicas that do not
//! share a folder have a CA each, and would take each other's away for ever. How many are kept
//! is bounded, and the newest come first.

use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::pem_certificates;
use crate::cluster::connect::{ConnectError, KubernetesConfig};

/// More CAs than there are replicas, so that those of former ones fall out in the end.
const CERTIFICATES_MAX: usize = 8;

/// Why the API server does not know our CA yet.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// There is no way to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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
pub async fn inject(
    cluster: &KubernetesConfig,
    name: &str,
    ca_pem: &str,
) -> Result<bool, InjectError> {
    match cluster.connection().await? {
        Some(config) => inject_at(config, name, ca_pem).await,
        None => Ok(false),
    }
}

async fn inject_at(config: kube::Config, name: &str, ca_pem: &str) -> Result<bool, InjectError> {
    let failed = |source| InjectError::Api {
        name: name.to_string(),
        source: Box::new(source),
    };
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

/// Webhooks are merged by name, so that those without a change are left alone. The version the
/// patch was made from goes with it: who was overtaken is told, and looks again.
fn patch(
    configuration: &ValidatingWebhookConfiguration,
    ca_pem: &str,
) -> Option<serde_json::Value> {
    let webhooks: Vec<_> = configuration
        .webhooks
        .iter()
        .flatten()
        .filter_map(|webhook| {
            let present = webhook.client_config.ca_bundle.as_ref();
            let present = present.map(|bundle| String::from_utf8_lossy(&bundle.0));
            let bundle = ByteString(added(&present.unwrap_or_default(), ca_pem)?.into_bytes());
            Some(json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        })
        .collect();
    let resource_version = &configuration.metadata.resource_version;
    (!webhooks.is_empty())
        .then(|| json!({"metadata": {"resourceVersion": resource_version}, "webhooks": webhooks}))
}

/// Our certificates before those that are there; None where nothing is missing.
fn added(present: &str, ca_pem: &str) -> Option<String> {
    let (present, ours) = (pem_certificates(present), pem_certificates(ca_pem));
    if ours.iter().all(|certificate| present.contains(certificate)) {
        return None;
    }
    let others = present.into_iter().filter(|other| !ours.contains(other));
    let mut all: Vec<_> = ours.iter().copied().chain(others).collect();
    all.truncate(CERTIFICATES_MAX);
    Some(all.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::{HeaderMap, header::CONTENT_TYPE};
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::Value;

    use super::*;

    fn pem(names: &[&str]) -> String {
        let block = |name: &&str| {
            format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
        };
        names.iter().map(block).collect()
    }

    fn check(present: &[&str], ours: &[&str], expected: Option<&[&str]>) {
        let got = added(&pem(present), &pem(ours));
        assert_eq!(got, expected.map(pem), "{present:?} {ours:?}");
    }

    #[test]
    fn our_ca_is_added_to_those_that_are_there() {
        check(&[], &["a"], Some(&["a"]));
        check(&["a"], &["a"], None);
        check(&["b", "a"], &["a"], None);
        check(&["b"], &["a"], Some(&["a", "b"]));
        check(&["old", "b"], &["new", "old"], Some(&["new", "old", "b"]));
        let eight = ["1", "2", "3", "4", "5", "6", "7", "8"];
        let kept = ["a", "1", "2", "3", "4", "5", "6", "7"];
        check(&eight, &["a"], Some(&kept));
    }

    #[test]
    fn only_webhooks_that_lack_it_are_patched() {
        let ours = pem(&["a"]);
        let bundle = ByteString(ours.clone().into_bytes());
        let webhook = |name: &str, bundle: Option<&ByteString>| {
            json!({
                "name": name,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"caBundle": bundle},
            })
        };
        let of = |webhooks: serde_json::Value| -> ValidatingWebhookConfiguration {
            let metadata = json!({"name": "t", "resourceVersion": "7"});
            serde_json::from_value(json!({"metadata": metadata, "webhooks": webhooks})).unwrap()
        };
        assert_eq!(patch(&of(json!([])), &ours), None);
        assert_eq!(
            patch(&of(json!([webhook("w", Some(&bundle))])), &ours),
            None
        );
        let two = of(json!([webhook("w", Some(&bundle)), webhook("x", None)]));
        assert_eq!(
            patch(&two, &ours).unwrap(),
            json!({
                "metadata": {"resourceVersion": "7"},
                "webhooks": [{"name": "x", "clientConfig": {"caBundle": bundle}}],
            })
        );
    }

    /// As much of an API server as the patch needs: it merges webhooks by name.
    fn api_server(webhooks: &Arc<Mutex<Value>>) -> Router {
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/t";
        let read = webhooks.clone();
        let written = webhooks.clone();
        let object = |webhooks: &Mutex<Value>| {
            Json(json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "t", "resourceVersion": "7"},
                "webhooks": *webhooks.lock().unwrap(),
            }))
        };
        let get = get(move || async move { object(&read) });
        let patch = move |headers: HeaderMap, body: String| async move {
            let content_type = &headers[CONTENT_TYPE];
            assert_eq!(content_type, "application/strategic-merge-patch+json");
            let patch: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(patch["metadata"]["resourceVersion"], "7");
            for change in patch["webhooks"].as_array().unwrap() {
                for webhook in written.lock().unwrap().as_array_mut().unwrap() {
                    if webhook["name"] == change["name"] {
                        let bundle = change["clientConfig"]["caBundle"].clone();
                        webhook["clientConfig"]["caBundle"] = bundle;
                    }
                }
            }
            object(&written)
        };
        Router::new().route(path, get.patch(patch))
    }

    #[tokio::test]
    async fn the_api_server_is_told_once() {
        let webhooks = Arc::new(Mutex::new(json!([{
            "name": "w",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": "taffrail", "namespace": "taffrail"}},
        }])));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, api_server(&webhooks)).into_future());
        let config = || kube::Config::new(format!("http://{address}").parse().unwrap());

        let ours = pem(&["a"]);
        assert!(inject_at(config(), "t", &ours).await.unwrap());
        let bundle = ByteString(ours.clone().into_bytes());
        let written = webhooks.lock().unwrap()[0]["clientConfig"].clone();
        assert_eq!(written["caBundle"], json!(bundle));
        assert_eq!(written["service"]["name"], "taffrail");
        assert!(!inject_at(config(), "t", &ours).await.unwrap());

        let error = inject_at(config(), "unknown", &ours).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("unknown") && message.contains("get and patch"),
            "{message}"
        );
        server.abort();
    }
}
