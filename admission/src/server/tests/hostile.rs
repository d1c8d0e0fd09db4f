//! Bodies that mean harm: each is answered, in bounded time, and the webhook judges on.

use super::*;
use limits::{begin, connect};

/// What the API server would wait at the most.
const VALIDATE: &str = "/validate?timeout=30s";

/// A review whose pod has this beside its container.
fn with(member: &str, value: Value) -> Value {
    let mut body = review(&json!({"containers": [{"name": "c"}]}));
    body["request"]["object"][member] = value;
    body
}

fn many(count: usize, name: impl Fn(usize) -> String, value: &str) -> Value {
    (0..count)
        .map(|i| (name(i), Value::from(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn still_judges(running: &Running) {
    let (status, answer) = running.post(VALIDATE, privileged().to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["status"]["code"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused() {
    let running = start(|_| {}).await;
    let whole = privileged().to_string();
    let nested = "[".repeat(4 << 20) + &"]".repeat((4 << 20) - 1);
    let objects = "{\"a\":".repeat(1 << 20);
    let deep = whole.replace(
        "\"never in a line\"",
        &("[".repeat(5000) + &"]".repeat(5000)),
    );
    let mut broken = whole.clone().into_bytes();
    broken[100] = 0xff;
    let mut surrogate = whole.replace("jane", "\\ud800").into_bytes();
    surrogate.push(b' ');
    for body in [
        nested.into_bytes(),
        objects.into_bytes(),
        deep.into_bytes(),
        broken,
        surrogate,
        whole.as_bytes()[..whole.len() / 2].to_vec(),
        Vec::new(),
        vec![0; 1 << 20],
        b"{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":[]}"
            .to_vec(),
    ] {
        let (status, answer) = running.post(VALIDATE, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.to_string().len() < 4096, "an error is no echo");
    }
    assert_eq!(running.lines.all(), Vec::<Value>::new());
    still_judges(&running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_of_labels_is_judged_like_any_other_pod() {
    let running = start(|_| {}).await;
    let labels = many(200_000, |i| format!("label-{i}"), "");
    let (status, answer) = running
        .post(
            VALIDATE,
            with("metadata", json!({"labels": labels})).to_string(),
        )
        .await;
    assert_eq!(
        (status, &answer["response"]["allowed"]),
        (StatusCode::OK, &json!(true))
    );
    let line = running.lines.all()[0].to_string();
    assert!(line.len() < 4096, "{} bytes", line.len());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_take_too_much_memory_is_left_to_the_fail_mode() {
    for (mode, allowed) in [("closed", false), ("open", true)] {
        let running = start(|config| {
            config.fail_mode = serde_json::from_value(json!(mode)).unwrap();
        })
        .await;
        let body = with("status", json!(vec![json!([]); 300_000]));
        let (status, answer) = running.post(VALIDATE, body.to_string()).await;
        assert_eq!(
            (status, &answer["response"]["allowed"]),
            (StatusCode::OK, &json!(allowed))
        );
        let told = answer.to_string();
        assert!(told.contains("raise admission.limits.values_max"), "{told}");
        assert_eq!(answer["response"]["uid"], body["request"]["uid"]);
        let line = &running.lines.all()[0];
        assert_eq!(
            (&line["verdict"], &line["user"]),
            (&json!("error"), &json!("jane"))
        );
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_reviews_coming_leaves_room_for_others() {
    let running = start(|config| config.limits.reviews_max = 2).await;
    let body = privileged().to_string();
    let slow = begin(&running, "30s", &body).await;
    let (status, answer) = running.post(VALIDATE, body.clone()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
    let tls = trusting(running.admission.ca_path().unwrap(), "http/1.1");
    let other = Client::builder()
        .tls_backend_preconfigured(tls)
        .local_address(std::net::IpAddr::from([127, 0, 0, 2]));
    let request = other.build().unwrap().post(running.url(VALIDATE));
    let request = request.header("content-type", "application/json");
    let answer = request.body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    drop(slow);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_no_larger_than_somebody_reads() {
    let running = start(|_| {}).await;
    let prefix = "container.apparmor.security.beta.kubernetes.io/";
    let annotations = many(20_000, |i| format!("{prefix}{i}"), "unconfined");
    let containers: Vec<Value> = (0..5_000)
        .map(|i| json!({"name": format!("c{i}"), "securityContext": {"privileged": true}}))
        .collect();
    let mut body = with("metadata", json!({"annotations": annotations}));
    body["request"]["object"]["spec"] = json!({"containers": containers});
    let (status, answer) = running.post(VALIDATE, body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["allowed"], false);
    let line = running.lines.all()[0].to_string();
    for text in [answer.to_string(), line] {
        assert!(text.len() < 1 << 20, "{} bytes", text.len());
    }
    still_judges(&running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_nobody_knows_passes_and_is_recorded() {
    let running = start(|_| {}).await;
    let mut body = privileged();
    body["request"]["kind"] = json!({"group": "example.org", "version": "v9", "kind": "Thing"});
    body["request"]["resource"] =
        json!({"group": "example.org", "version": "v9", "resource": "things"});
    body["request"]["object"]["kind"] = json!("Thing");
    let (_, answer) = running.post(VALIDATE, body.to_string()).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(running.lines.all()[0]["exempt"], "notJudged");
    // As a pod by its resource it is one, whatever the object calls itself.
    body["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    let (_, answer) = running.post(VALIDATE, body.to_string()).await;
    assert_eq!(answer["response"]["allowed"], false);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_in_the_middle_keep_nobody_waiting() {
    let running = start(|config| config.limits.reviews_max = 64).await;
    let body = privileged().to_string();
    let mut stopped = Vec::new();
    for _ in 0..4 {
        stopped.push(connect(&running).await);
        stopped.push(begin(&running, "30s", &body).await);
    }
    still_judges(&running).await;
    drop(stopped);
    still_judges(&running).await;
    running.stop().await;
}

/// Memory that is not there would end the process, and with it the stores beside the webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_builds_without_end_fails_closed() {
    let doubled: Vec<String> = (1..=40)
        .map(|i| format!("x{i} := concat(\"\", [x{}, x{}])", i - 1, i - 1))
        .collect();
    let doubled = doubled.join("\n");
    let directory = tempfile::tempdir().unwrap();
    let policies = directory.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let rego = format!(
        "package pod_security\n\nx0 := \"ab\"\n{doubled}\nviolations := [] if input.pod.metadata.name != \"p\"\n\
         violations := [] if not input.pod.metadata\nviolations := [x40] if input.pod.metadata.name == \"p\"\n"
    );
    std::fs::write(policies.join("main.rego"), rego).unwrap();
    let running = start_in(directory, |config| config.policies = Some(policies)).await;
    let (status, answer) = running.post(VALIDATE, privileged().to_string()).await;
    assert_eq!(
        (status, &answer["response"]["allowed"]),
        (StatusCode::OK, &json!(false))
    );
    let told = answer.to_string();
    assert!(
        told.contains("more than") && told.contains("fail mode is closed"),
        "{told}"
    );
    assert_eq!(running.lines.all()[0]["verdict"], "error");
    running.stop().await;
}
