//! A webhook that is told to stop while it judges.
//!
//! Reviews that are under way depend on a policy that asks the data, and the data answers when the test lets it: so what is
//! in flight at SIGTERM is in flight for as long as the test wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admission::review;
use crate::harness::{Taffrail, until};

/// How many are judged when it is told to stop, over HTTP/1 and HTTP/2 each.
const IN_FLIGHT: usize = 8;

const POLICY: &str = r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: asks}
spec:
  crd: {spec: {names: {kind: Asks}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package asks
        violation[{"msg": msg}] {
          input.review.object.metadata.labels.asks
          answers := taffrail.promql("vector(1)", {})
          value := answers[_].value
          msg := sprintf("the data says %v", [value])
        }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: Asks
metadata: {name: asked}
"#;

const CONFIG: &str = "
shutdown_deadline: 1800s
admission:
  drain_seconds: 5
  data: {promql: allow}
  limits: {evaluations_max: 32}
";

/// A server that answers every question once it may.
async fn server(asked: Arc<AtomicUsize>, may_answer: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let query = move || {
        let (asked, mut may_answer) = (Arc::clone(&asked), may_answer.clone());
        async move {
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = may_answer.wait_for(|may| *may).await;
            let result = json!([{"metric": {}, "value": [1, "1"]}]);
            Json(json!({"status": "success", "data": {"resultType": "vector", "result": result}}))
        }
    };
    // Whatever else comes, decisions among it, is taken.
    let router = Router::new().route("/api/v1/query", post(query));
    let router = router.fallback(|| async { axum::http::StatusCode::NO_CONTENT });
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().danger_accept_invalid_certs(true)
}

async fn judged(client: reqwest::Client, url: String, asks: bool) -> reqwest::Result<Value> {
    let mut body = review("uid-of-one", false);
    if asks {
        body["request"]["object"]["metadata"]["labels"] = json!({"asks": "it"});
    }
    let request = client.post(format!("{url}?timeout=30s")).json(&body);
    let response = request.send().await?.error_for_status()?;
    response.json().await
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_under_way_at_sigterm_are_answered() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).expect("writes");
    std::fs::write(policies.join("asks.yaml"), POLICY).expect("writes");
    let config = folder.path().join("taffrail.yaml");
    let gatekeeper = format!("  gatekeeper: {{directory: {}}}\n", policies.display());
    std::fs::write(&config, [CONFIG, &gatekeeper].concat()).expect("writes");
    let asked = Arc::new(AtomicUsize::new(0));
    let (let_answer, may_answer) = watch::channel(false);
    let server = server(Arc::clone(&asked), may_answer).await;
    let config = config.to_string_lossy().into_owned();
    let log = folder.path().join("log");
    let arguments = ["--config", config.as_str(), "--server", &server];
    let webhook = Taffrail::start_role("admission", &folder.path().join("data"), &arguments, &log);
    let url = webhook.webhook.clone();

    let clients = [client().http1_only(), client()].map(|client| client.build().expect("a client"));
    let mut under_way = Vec::new();
    for client in &clients {
        for _ in 0..IN_FLIGHT {
            under_way.push(tokio::spawn(judged(client.clone(), url.clone(), true)));
        }
    }
    until("all are being judged", async || {
        (asked.load(Ordering::SeqCst) == clients.len() * IN_FLIGHT).then_some(())
    })
    .await;
    webhook.signal(Signal::TERM);

    // It says that it goes, and answers whoever comes all the same, until it does not listen any more.
    let fresh = || {
        client()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client")
    };
    let ready = url.replace("/validate", "/readyz");
    until("it says that it drains", async || {
        let response = fresh().get(&ready).send().await.expect("it listens yet");
        (response.status() == 503).then_some(())
    })
    .await;
    let mut answered = 0;
    loop {
        match judged(fresh(), url.clone(), false).await {
            Ok(answer) => assert_eq!(answer["response"]["allowed"], true, "{answer}"),
            Err(error) if error.is_connect() => break,
            Err(error) => {
                // Whoever comes in the moment in which it stops listening is not heard; the next is refused.
                let next = judged(fresh(), url.clone(), false).await;
                let refused = next.is_err_and(|error| error.is_connect());
                assert!(refused, "after {answered}: {error:?}");
                break;
            }
        }
        answered += 1;
    }
    assert!(answered > 0, "it listened no longer at once");
    let_answer.send(true).expect("somebody waits");
    for review in under_way {
        let answer = review.await.expect("no panic").expect("an answer");
        let response = &answer["response"];
        assert_eq!(response["uid"], "uid-of-one");
        assert_eq!(response["allowed"], false, "{answer}");
        assert_eq!(response["status"]["message"], "[asked] the data says 1");
    }
    // Everything is answered and delivered: a third of its deadline would be ten minutes.
    let ended = tokio::task::spawn_blocking(move || webhook.ended());
    let ended = tokio::time::timeout(Duration::from_mins(2), ended).await;
    let status = ended.expect("it waits for nothing more");
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(status.expect("no panic").success(), "{log}");
}
