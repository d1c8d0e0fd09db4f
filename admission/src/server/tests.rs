//! The whole role behind a real TLS client, on a port of its own.

mod clients;
mod cluster;
mod hostile;
mod limits;

use std::path::Path;
use std::sync::Mutex;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use reqwest::{Client, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::*;
use crate::config::AdmissionConfig;
use crate::role::Admission;
use crate::verdict::{Decision, DecisionSink};

/// Decisions as the lines they become.
#[derive(Default)]
struct Lines(Mutex<Vec<Value>>);

impl DecisionSink for Lines {
    fn record(&self, decision: &Decision) {
        let line = serde_json::from_str(&decision.line().unwrap()).unwrap();
        self.0.lock().unwrap().push(line);
    }
}

impl Lines {
    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

/// A running webhook and a client that trusts it.
struct Running {
    admission: Admission,
    client: Client,
    lines: Arc<Lines>,
    registry: Registry,
    directory: tempfile::TempDir,
}

/// TLS that trusts one CA and speaks one protocol.
fn trusting(ca_path: &Path, protocol: &str) -> rustls::ClientConfig {
    let mut tls = trusting_alone(ca_path).with_no_client_auth();
    tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    tls
}

fn trusting_alone(
    ca_path: &Path,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_path).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

fn client(ca_path: &Path, protocol: &str) -> Client {
    Client::builder()
        .tls_backend_preconfigured(trusting(ca_path, protocol))
        .build()
        .unwrap()
}

async fn start_in(
    directory: tempfile::TempDir,
    change: impl FnOnce(&mut AdmissionConfig),
) -> Running {
    let mut config = AdmissionConfig::default();
    config.listen.set_port(0);
    config.certificate.directory = Some(directory.path().join("certificates"));
    change(&mut config);
    let lines = Arc::new(Lines::default());
    let mut registry = Registry::default();
    let admission = Admission::start(config, lines.clone(), &mut registry)
        .await
        .unwrap();
    Running {
        client: client(admission.ca_path().unwrap(), "http/1.1"),
        admission,
        lines,
        registry,
        directory,
    }
}

async fn start(change: impl FnOnce(&mut AdmissionConfig)) -> Running {
    start_in(tempfile::tempdir().unwrap(), change).await
}

fn review(spec: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "default",
            "name": "p",
            "userInfo": {"username": "jane", "groups": ["dev"]},
            "object": {
                "kind": "Pod",
                "spec": spec,
                "metadata": {"name": "p", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "never in a line"}},
            },
        },
    })
}

fn privileged() -> Value {
    review(&json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}))
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!(
            "https://localhost:{}{path}",
            self.admission.local_addr().port()
        )
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self.client.post(self.url(path));
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    async fn stop(self) -> tempfile::TempDir {
        self.admission.shutdown(Duration::from_secs(10)).await;
        self.directory
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privileged_pod_is_refused_recorded_and_counted() {
    let running = start(|_| {}).await;
    let (status, answer) = running
        .post("/validate?timeout=10s", privileged().to_string())
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer["response"]["uid"],
        "705ab4f5-6393-11e8-b7cc-42010a800002"
    );
    assert_eq!(answer["response"]["allowed"], false);
    assert_eq!(answer["response"]["status"]["code"], 403);
    let message = "violates PodSecurity \"baseline:latest\": \
        privileged (container \"c\" must not set securityContext.privileged=true)";
    assert_eq!(answer["response"]["status"]["message"], message);

    let lines = running.lines.all();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    for (field, expected) in [
        ("verdict", json!("deny")),
        ("uid", json!("705ab4f5-6393-11e8-b7cc-42010a800002")),
        ("user", json!("jane")),
        ("groups", json!(["dev"])),
        ("resource", json!("v1/pods")),
        ("operation", json!("CREATE")),
        ("kind", json!("Pod")),
        ("namespace", json!("default")),
        ("name", json!("p")),
        ("policy", json!("baseline:latest")),
        ("message", json!(message)),
    ] {
        assert_eq!(line[field], expected, "{field} of {line}");
    }
    assert_eq!(line["rules"][0]["rule"], "privileged");
    assert_eq!(
        line["rules"][0]["paths"][0],
        "spec.containers[0].securityContext.privileged"
    );
    assert!(
        line["microseconds"].is_u64() && line["time"].is_string(),
        "{line}"
    );
    assert!(!line.to_string().contains("never in a line"), "{line}");
    let annotation =
        "object.metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]";
    assert_eq!(line["redacted"], json!([annotation]));
    assert_eq!(
        line["review"]["object"]["spec"],
        privileged()["request"]["object"]["spec"]
    );
    assert_eq!(line["times"][0]["rule"], "PodSecurity");
    assert_eq!(line["bundle"].as_str().map(str::len), Some(32));

    let metrics = running.metrics();
    for series in [
        "taffrail_admission_reviews_total{verdict=\"deny\",kind=\"Pod\",operation=\"CREATE\"} 1",
        "taffrail_admission_rule_hits_total{rule=\"privileged\",mode=\"enforce\"} 1",
        "taffrail_admission_review_duration_seconds_count 1",
        "taffrail_admission_policy_duration_seconds_count{policy=\"PodSecurity\"} 1",
        "taffrail_admission_reviews_in_flight 0",
    ] {
        assert!(metrics.contains(series), "{series} is not in {metrics}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_pod_passes_and_is_recorded_too() {
    let running = start(|_| {}).await;
    let body = review(&json!({"containers": [{"name": "c"}]}));
    let (_, answer) = running.post("/validate", body.to_string()).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(running.lines.all()[0]["verdict"], "allow");
    for path in ["/healthz", "/readyz"] {
        let response = running.client.get(running.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_review_is_a_failure_in_kubernetes_shape() {
    let running = start(|config| config.limits.body_bytes_max = 4096).await;
    for (body, expected, reason) in [
        ("{".to_string(), StatusCode::BAD_REQUEST, "BadRequest"),
        ("{}".to_string(), StatusCode::BAD_REQUEST, "BadRequest"),
        (
            " ".repeat(5000),
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
        ),
    ] {
        let (status, answer) = running.post("/validate", body).await;
        assert_eq!(status, expected, "{answer}");
        assert_eq!(
            (&answer["kind"], &answer["status"]),
            (&json!("Status"), &json!("Failure"))
        );
        assert_eq!(
            (&answer["reason"], &answer["code"]),
            (&json!(reason), &json!(expected.as_u16()))
        );
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    let request = running.client.post(running.url("/validate")).body("a: b");
    let response = request
        .header("content-type", "application/yaml")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let response = running
        .client
        .get(running.url("/validate"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(
        running
            .metrics()
            .contains("refused_requests_total{reason=\"BadRequest\"} 2")
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_pod_is_refused_with_its_uid() {
    let running = start(|_| {}).await;
    let (status, answer) = running
        .post("/validate", review(&json!("spec")).to_string())
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        answer["response"]["uid"],
        "705ab4f5-6393-11e8-b7cc-42010a800002"
    );
    assert_eq!(answer["response"]["status"]["code"], 400);
    assert_eq!(running.lines.all()[0]["verdict"], "deny");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_persist_over_a_restart() {
    let running = start(|_| {}).await;
    let old_client = running.client.clone();
    let directory = running.stop().await;
    let running = start_in(directory, |_| {}).await;
    let response = old_client.get(running.url("/readyz")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_a_clear_error() {
    let running = start(|_| {}).await;
    let config = AdmissionConfig {
        listen: running.admission.local_addr(),
        ..AdmissionConfig::default()
    };
    let error = Admission::start(config, Arc::new(Lines::default()), &mut Registry::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot listen on 127.0.0.1:") && error.contains("admission.listen"),
        "{error}"
    );
    running.stop().await;
}

/// The API server's client speaks HTTP/2 where it can.
#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken() {
    let mut running = start(|_| {}).await;
    running.client = client(running.admission.ca_path().unwrap(), "h2");
    let request = running.client.post(running.url("/validate"));
    let request = request.header("content-type", "application/json; charset=utf-8");
    let response = request.body(privileged().to_string()).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["response"]["allowed"], false);
    running.stop().await;
}
