//! What happens at the bounds: too slow, too many, and at the end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// A policy that is asked about a pod named p never ends by itself.
const ENDLESS: &str = "package pod_security\n\n\
    violations := [x | input.pod.metadata.name == \"p\"; some a in numbers.range(1, 9000); \
    some b in numbers.range(1, 9000); a * b < 0; x := a]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_deadline_is_answered_by_the_fail_mode() {
    for (mode, allowed) in [("closed", false), ("open", true)] {
        let directory = tempfile::tempdir().unwrap();
        let policies = directory.path().join("policies");
        std::fs::create_dir(&policies).unwrap();
        std::fs::write(policies.join("main.rego"), ENDLESS).unwrap();
        let running = start_in(directory, |config| {
            config.policies = Some(policies);
            config.fail_mode = serde_json::from_value(json!(mode)).unwrap();
        })
        .await;
        let (status, answer) = running
            .post("/validate?timeout=1s", privileged().to_string())
            .await;
        assert_eq!(
            (status, &answer["response"]["allowed"]),
            (StatusCode::OK, &json!(allowed))
        );
        let told = answer.to_string();
        assert!(told.contains(&format!("the fail mode is {mode}")), "{told}");
        assert_eq!(running.lines.all()[0]["verdict"], "error");
        running.stop().await;
    }
}

/// What takes longer than a thread may be kept from its connections is judged on another one: it is right all the same, and
/// recorded once.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_policy_is_right_in_its_time() {
    const SLOW: &str = "package pod_security\n\n\
        violations := [{\"rule\": \"slow\", \"reason\": \"slow\", \"fields\": [\"spec\"]} | \
        startswith(input.pod.metadata.name, \"p\"); n := numbers.range(1, 500); \
        count([1 | some a in n; some b in n; a + b > 0]) > 0]\n";
    let directory = tempfile::tempdir().unwrap();
    let policies = directory.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::write(policies.join("main.rego"), SLOW).unwrap();
    let running = start_in(directory, |config| config.policies = Some(policies)).await;
    for asked in 1..=2 {
        // No two alike, for what was answered about one is not asked about the other.
        let mut body = privileged();
        body["request"]["object"]["metadata"]["name"] = json!(format!("p{asked}"));
        let (status, answer) = running
            .post("/validate?timeout=30s", body.to_string())
            .await;
        assert_eq!(status, StatusCode::OK);
        let told = answer["response"]["status"]["message"].to_string();
        assert!(told.contains("slow"), "{answer}");
        let lines = running.lines.all();
        assert_eq!(lines.len(), asked);
        let took = lines[asked - 1]["microseconds"].as_u64().unwrap();
        assert!(u128::from(took) > super::super::pace::QUICK.as_micros());
    }
    running.stop().await;
}

/// A connection whose request can be sent in parts.
pub(super) async fn connect(running: &Running) -> TlsStream<TcpStream> {
    let tls = trusting(running.admission.ca_path().unwrap(), "http/1.1");
    let stream = TcpStream::connect(running.admission.local_addr())
        .await
        .unwrap();
    TlsConnector::from(Arc::new(tls))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap()
}

/// Sends the head of a review and half of its body, and waits until it is under way.
pub(super) async fn begin(running: &Running, timeout: &str, body: &str) -> TlsStream<TcpStream> {
    let mut stream = connect(running).await;
    let before = in_flight(running);
    let head = format!(
        "POST /validate?timeout={timeout} HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let half = &body.as_bytes()[..body.len() / 2];
    stream.write_all(half).await.unwrap();
    stream.flush().await.unwrap();
    while in_flight(running) <= before {
        tokio::task::yield_now().await;
    }
    stream
}

/// How many reviews are under way.
fn in_flight(running: &Running) -> usize {
    let metrics = running.metrics();
    let name = "taffrail_admission_reviews_in_flight ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}

async fn finish(stream: &mut TlsStream<TcpStream>, body: &str) -> String {
    let rest = &body.as_bytes()[body.len() / 2..];
    stream.write_all(rest).await.unwrap();
    stream.flush().await.unwrap();
    read_answer(stream).await
}

/// The head and the body of one answer.
async fn read_answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = String::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).await.unwrap();
        answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
        let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.is_some_and(|length| body.len() >= length.parse().unwrap())
        });
        if whole || read == 0 {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_reviews_are_told_to_try_again() {
    let running = start(|config| config.limits.reviews_max = 1).await;
    let body = privileged().to_string();
    let mut first = begin(&running, "30s", &body).await;
    let (status, answer) = running.post("/validate", body.clone()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["reason"], "TooManyRequests");
    let answer = finish(&mut first, &body).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (status, _) = running.post("/validate", body).await;
    assert_eq!(status, StatusCode::OK, "its place is free again");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let running = start(|_| {}).await;
    let mut stream = begin(&running, "500ms", &privileged().to_string()).await;
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(
        answer.contains("did not arrive before its timeout"),
        "{answer}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_answers_what_was_begun() {
    let running = start(|_| {}).await;
    let body = privileged().to_string();
    let mut stream = begin(&running, "30s", &body).await;
    let draining = running.admission.draining();
    let stopped = tokio::spawn(running.stop());
    draining.cancelled().await;
    let answer = finish(&mut stream, &body).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("violates PodSecurity"), "{answer}");
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_stops_answers_who_does_not_know_yet() {
    let running = start(|config| config.drain_seconds = 3600).await;
    let (status, _) = running.post("/validate", privileged().to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (review, ready) = (running.url("/validate"), running.url("/readyz"));
    let kept = running.client.clone();
    let fresh = client(running.admission.ca_path().unwrap(), "http/1.1");
    let draining = running.admission.draining();
    let stopping = tokio::spawn(running.admission.shutdown(Duration::from_hours(3)));
    draining.cancelled().await;
    for client in [kept, fresh] {
        let request = client.post(&review).body(privileged().to_string());
        let answer = request.header("content-type", "application/json").send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(
            answer.headers()["connection"],
            "close",
            "the next request goes elsewhere"
        );
        let answer = client.get(&ready).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    stopping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_cuts_who_does_not_finish() {
    let running = start(|_| {}).await;
    // Connected, and silent: not even a handshake. And one connection kept alive.
    let silent = TcpStream::connect(running.admission.local_addr())
        .await
        .unwrap();
    let (status, _) = running.post("/validate", privileged().to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let (url, client) = (running.url("/readyz"), running.client.clone());
    running.stop().await;
    assert!(client.get(url).send().await.is_err());
    drop(silent);
}
