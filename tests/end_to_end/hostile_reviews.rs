//! Reviews that mean harm, over TLS against the real binary, beside good ones: each is answered or refused for a reason, and
//! the good ones are judged right all the while, in the memory that the manifest gives a Pod of the webhook.
//!
//! Hostile clients come from addresses of their own, as they would in a cluster. The server that decisions go to is away:
//! what waits for it takes memory, too.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::admission::review;
use crate::harness::{Taffrail, binary, from_environment, until};

/// What the process may take: the limit of deploy/manifests/30-admission.yaml.
const RESIDENT_KIB_MAX: u64 = 256 << 10;
/// Clients of each kind that stop in the middle, more than one address may have of connections or of reviews that come.
const SILENT_CLIENTS: usize = 600;
const SLOW_CLIENTS: usize = 200;
/// Hostile reviews that are asked at once.
const AT_ONCE: usize = 8;
/// Threads and files more than when nothing was going on: those of the good client.
const MORE_MAX: usize = 16;

/// Policies whose evaluation does harm, each to Pods with its label.
const POLICIES: [(&str, &str); 4] = [
    // Never ends.
    (
        "loops",
        "x := [a | a := numbers.range(1, 9000)[_]; b := numbers.range(1, 9000)[_]; a * b < 0]\n count(x) > 0",
    ),
    // Grows.
    (
        "grows",
        "x := [concat(\"\", [s, s]) | s := sprintf(\"%0200000d\", [numbers.range(1, 9000)[_]])]\n count(x) > 0",
    ),
    (
        "explodes",
        "x := {[a, b, c] | a := numbers.range(1, 900)[_]; b := numbers.range(1, 900)[_]; c := numbers.range(1, 900)[_]}\n count(x) == 0",
    ),
    // Whatever pattern a Pod has.
    (
        "patterns",
        "regex.match(input.review.object.metadata.annotations.pattern, input.review.object.metadata.annotations.text)",
    ),
];

const TEMPLATE: &str = r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: NAME}
spec:
  crd: {spec: {names: {kind: NAME}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package hostile
        violation[{"msg": "it is so"}] {
          input.review.object.metadata.labels.hostile == "NAME"
          RULE
        }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: NAME
metadata: {name: is-NAME}
spec: {match: {kinds: [{apiGroups: [""], kinds: [Pod]}]}}
"#;

fn write_policies(folder: &Path) {
    std::fs::create_dir(folder).expect("writes");
    for (name, rule) in POLICIES {
        let rule = rule.replace('\n', "\n         ");
        let text = TEMPLATE.replace("NAME", name).replace("RULE", &rule);
        std::fs::write(folder.join(format!("{name}.yaml")), text).expect("writes");
    }
}

/// What must come of a review.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// No verdict, for it is none, and this status.
    Unread(u16),
    /// A denial that says this.
    Denied(&'static str),
    Allowed,
    /// The same, and the answer says what a policy passed over.
    Swallowed,
    /// A verdict, or nothing read.
    Answered,
}
use Expected::{Allowed, Answered, Denied, Swallowed, Unread};

struct Question {
    name: &'static str,
    body: Vec<u8>,
    /// How long the API server says that it waits.
    patience: &'static str,
    expected: Expected,
}

const UNJUDGED: &str = "could not be judged";

/// A review of a Pod that is changed.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = review("uid-hostile", false);
    change(&mut body["request"]);
    body.to_string().into_bytes()
}

/// One whose object has a text in place of a member that nobody looks at.
fn with_raw(raw: &str) -> Vec<u8> {
    let body = changed(|request| request["object"]["spec"]["raw"] = json!("RAW"));
    let body = String::from_utf8(body).expect("UTF-8");
    body.replace("\"RAW\"", raw).into_bytes()
}

fn many(count: usize, value: &Value) -> Value {
    let one = |number| (format!("l{number}"), value.clone());
    Value::Object((0..count).map(one).collect())
}

fn labelled(hostile: &str, annotations: &Value) -> Vec<u8> {
    changed(|request| {
        let metadata = &mut request["object"]["metadata"];
        metadata["labels"] = json!({"hostile": hostile});
        metadata["annotations"] = annotations.clone();
    })
}

/// Bodies that are no reviews.
fn unreadable() -> Vec<(&'static str, Vec<u8>, u16)> {
    let plain = || String::from_utf8(changed(|_| {})).expect("UTF-8");
    let nested = |open: &str, close: &str, depth: usize| [open.repeat(depth), close.repeat(depth)];
    let mut broken = plain().into_bytes();
    broken[200] = 0xff;
    let mut truncated = plain().into_bytes();
    truncated.truncate(truncated.len() / 2);
    vec![
        ("arrays", nested("[", "]", 4 << 20).concat().into(), 400),
        ("objects", "{\"a\":".repeat(1 << 20).into(), 400),
        ("nested", with_raw(&nested("[", "]", 100_000).concat()), 400),
        (
            "deep",
            with_raw(&nested("{\"a\":[", "]}", 200).concat().replace("[]", "[1]")),
            400,
        ),
        ("bytes", broken, 400),
        ("surrogate", plain().replace("anna", "\\ud800").into(), 400),
        ("truncated", truncated, 400),
        ("nothing", Vec::new(), 400),
        ("zeros", vec![0; 8 << 20], 400),
        ("spaces", vec![b' '; 8 << 20], 400),
        ("large", vec![b' '; (8 << 20) + 1], 413),
        ("larger", vec![b'['; 64 << 20], 413),
        ("huge number", with_raw("1e999999"), 400),
        (
            "version",
            plain()
                .replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1")
                .into(),
            400,
        ),
        (
            "kind",
            plain().replace("AdmissionReview", "Pod").into(),
            400,
        ),
        (
            "operation",
            plain().replace("CREATE", "CREATED").into(),
            400,
        ),
        (
            "no request",
            plain().replace("\"request\":", "\"asked\":").into(),
            400,
        ),
        (
            "two requests",
            plain().replacen('{', "{\"request\":{},", 1).into(),
            400,
        ),
    ]
}

fn questions() -> Vec<Question> {
    let mut all = Vec::new();
    let mut ask = |name, body, patience, expected| {
        all.push(Question {
            name,
            body,
            patience,
            expected,
        });
    };
    for (name, body, status) in unreadable() {
        ask(name, body, "10s", Unread(status));
    }
    let too_many = "holds more than 256000 values: raise admission.limits.values_max";
    let empty = format!("[{}[]]", "[],".repeat((8 << 20) / 3 - 1000));
    ask("lists", with_raw(&empty), "10s", Denied(too_many));
    let empty = format!("[{}{{}}]", "{},".repeat((8 << 20) / 3 - 1000));
    ask("sets", with_raw(&empty), "10s", Denied(too_many));
    let labels = |count| {
        changed(|request| request["object"]["metadata"]["labels"] = many(count, &json!("")))
    };
    ask("400,000 labels", labels(400_000), "10s", Denied(too_many));
    ask("200,000 labels", labels(200_000), "30s", Allowed);
    let twice = changed(|request| {
        request["operation"] = json!("UPDATE");
        request["oldObject"] = request["object"].clone();
        for object in ["object", "oldObject"] {
            request[object]["metadata"]["annotations"] = many(100_000, &json!("x"));
        }
    });
    ask("two objects", twice, "30s", Allowed);
    let text = json!("x".repeat(7 << 20));
    let long = changed(|request| request["object"]["metadata"]["name"] = text.clone());
    ask("name", long, "10s", Answered);
    let containers = changed(|request| {
        let container = json!({"name": "c", "image": "i", "securityContext": {"privileged": true}});
        request["object"]["spec"]["containers"] = json!(vec![container; 5_000]);
    });
    ask("containers", containers, "30s", Denied("privileged"));
    let other = changed(|request| {
        request["kind"] = json!({"group": "example.org", "version": "v9", "kind": "Thing"});
        request["resource"] =
            json!({"group": "example.org", "version": "v9", "resource": "things"});
        request["object"] = json!({"apiVersion": "example.org/v9", "kind": "Thing", "metadata": many(10_000, &json!([]))});
    });
    ask("kind of nobody's", other, "10s", Allowed);
    // The last of two members counts, as it does for the API server.
    let plain = String::from_utf8(changed(|_| {})).expect("UTF-8");
    let twice = plain.replace(
        "\"privileged\":false",
        "\"privileged\":false,\"privileged\":true",
    );
    ask(
        "privileged twice",
        twice.into(),
        "10s",
        Denied("privileged"),
    );
    ask(
        "a port",
        with_raw("123456789012345678901234567890.5e200"),
        "10s",
        Allowed,
    );
    let port = changed(|request| {
        request["object"]["spec"]["containers"][0]["ports"] = json!([{"hostPort": 1e300}]);
    });
    ask("another port", port, "10s", Denied(""));
    for name in ["loops", "grows", "explodes"] {
        ask(name, labelled(name, &json!({})), "2s", Denied(UNJUDGED));
    }
    let matching = |pattern: &str| {
        let annotations = json!({"pattern": pattern, "text": "a".repeat(100_000)});
        labelled("patterns", &annotations)
    };
    ask(
        "backtracking",
        matching("(a+)+(a|aa)*$"),
        "30s",
        Denied("it is so"),
    );
    ask(
        "repetition",
        matching("(((a{1,100}){1,100}){1,100}){1,100}"),
        "10s",
        Swallowed,
    );
    ask(
        "parentheses",
        matching(&"(".repeat(100_000)),
        "10s",
        Swallowed,
    );
    ask(
        "classes",
        matching(&"\\pL{60}".repeat(2000)),
        "10s",
        Swallowed,
    );
    all
}

fn client_from(address: [u8; 4]) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .local_address(IpAddr::from(address))
}

/// Asks; says what came that should not have.
async fn ask(client: &reqwest::Client, url: &str, question: &Question) -> Option<String> {
    let Question {
        name,
        patience,
        expected,
        ..
    } = question;
    // Beside others like it one may be asked to come again.
    let (status, text) = loop {
        let request = client.post(format!("{url}?timeout={patience}"));
        let request = request.header("content-type", "application/json");
        let sent = request.body(question.body.clone()).send().await;
        let answer = match sent {
            Ok(response) => (response.status().as_u16(), response.text().await),
            // Who is refused while he sends may not get to read why.
            Err(_) if matches!(expected, Unread(413)) => return None,
            Err(error) => return Some(format!("{name}: {error:?}")),
        };
        match answer {
            (429, _) => tokio::time::sleep(Duration::from_millis(10)).await,
            (status, Ok(text)) => break (status, text),
            (_, Err(error)) => return Some(format!("{name}: {error:?}")),
        }
    };
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let response = &answer["response"];
    let said = response["status"]["message"].as_str().unwrap_or_default();
    let is_short = text.len() < 1 << 20;
    let is_right = is_short
        && match expected {
            Unread(wanted) => status == *wanted && response.is_null(),
            Denied(part) => status == 200 && response["allowed"] == false && said.contains(part),
            Allowed => status == 200 && response["allowed"] == true,
            Swallowed => status == 200 && text.contains("swallowed-errors"),
            Answered => status == 200 || status == 400,
        };
    if is_right {
        return None;
    }
    let text: String = text.chars().take(300).collect();
    Some(format!("{name}: expected {expected:?}: {status} {text}"))
}

async fn good(client: &reqwest::Client, url: &str) {
    for privileged in [false, true] {
        let request = client.post(format!("{url}?timeout=30s"));
        let request = request.json(&review("uid-good", privileged));
        let response = request.send().await.expect("good reviews are answered");
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["response"]["uid"], "uid-good");
        assert_eq!(answer["response"]["allowed"], !privileged, "{answer}");
    }
}

async fn connect(address: SocketAddr, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from((from, 0)))
        .expect("it is ours");
    socket.connect(address).await.expect("it listens")
}

type Slow = (
    Vec<TcpStream>,
    Vec<tokio_rustls::client::TlsStream<TcpStream>>,
);

/// Clients that stop: before a handshake, within it, after it, in the head of a request and in its body.
async fn slow_clients(address: SocketAddr, ca: &Path) -> Slow {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("an authority") {
        roots
            .add(certificate.expect("a certificate"))
            .expect("it is one");
    }
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots);
    let tls = TlsConnector::from(Arc::new(tls.with_no_client_auth()));
    let mut silent = Vec::new();
    for number in 0..SILENT_CLIENTS {
        let mut stream = connect(address, [127, 0, 0, 3]).await;
        if number % 2 == 0 {
            // The first bytes of a handshake, and no more. It may have been cut already.
            let _ = stream
                .write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])
                .await;
        }
        silent.push(stream);
    }
    let head = "POST /validate?timeout=30s HTTP/1.1\r\nhost: a\r\n";
    let json = "content-type: application/json\r\n";
    let texts = [
        String::new(),
        "POST /val".to_owned(),
        format!("{head}x-slow: "),
        "PRI * HTTP/2.0\r\n\r\nSM".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0".to_owned(),
        format!("{head}{json}content-length: 100\r\n\r\n{{"),
        format!(
            "{head}{json}content-length: 8388608\r\n\r\n{}",
            " ".repeat(70 << 10)
        ),
        format!("{head}{json}transfer-encoding: chunked\r\n\r\nfffff\r\n"),
    ];
    let mut slow = Vec::new();
    for number in 0..SLOW_CLIENTS {
        let from = [127, 0, 0, 4 + (number % 2) as u8];
        let stream = connect(address, from).await;
        let name = "localhost".try_into().expect("a name");
        let mut stream = tls.connect(name, stream).await.expect("shakes hands");
        let text = &texts[number % texts.len()];
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.flush().await;
        slow.push(stream);
    }
    (silent, slow)
}

/// What of the process there is in a file of /proc, or how many of it in a folder.
fn status(webhook: &Taffrail, name: &str) -> u64 {
    let path = format!("/proc/{}/status", webhook.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|word| word.parse().ok()).expect("a number")
}

fn files(webhook: &Taffrail) -> usize {
    let path = format!("/proc/{}/fd", webhook.pid().as_raw_nonzero());
    std::fs::read_dir(path).expect("the process lives").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "its bound of memory holds for an optimised binary, named in TAFFRAIL_BINARY: run by .ci/run"]
async fn hostile_reviews_are_refused_and_good_ones_are_judged() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let policies = folder.path().join("policies");
    write_policies(&policies);
    let config = folder.path().join("taffrail.yaml");
    let text = format!(
        "memory: 256MiB\nadmission:\n  gatekeeper: {{directory: {}}}\n",
        policies.display()
    );
    std::fs::write(&config, text).expect("writes");
    let config = config.to_string_lossy().into_owned();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let arguments = [
        "--config",
        config.as_str(),
        "--server",
        "http://127.0.0.1:9",
    ];
    let webhook = Taffrail::start_role("admission", &data, &arguments, &log);
    let url = webhook.webhook.clone();
    let address = reqwest::Url::parse(&url).expect("an address");
    let address = address.socket_addrs(|| None).expect("an address")[0];

    let honest = client_from([127, 0, 0, 1]).build().expect("a client");
    good(&honest, &url).await;
    let (idle_kib, idle_files) = (status(&webhook, "VmHWM:"), files(&webhook));
    let idle_threads = status(&webhook, "Threads:") as usize;
    let slow = slow_clients(address, &data.join("admission/ca.crt")).await;
    let hostile = client_from([127, 0, 0, 2])
        .http1_only()
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client");
    let questions = questions();
    let rounds = from_environment("TAFFRAIL_HOSTILE_ROUNDS", 1) as usize;
    let is_done = AtomicBool::new(false);
    let asking = async {
        let asked = stream::iter(questions.iter().cycle().take(questions.len() * rounds));
        let asked = asked.map(|question| ask(&hostile, &url, question));
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        is_done.store(true, Ordering::Relaxed);
        answers.into_iter().flatten().collect::<Vec<String>>()
    };
    let judged = AtomicUsize::new(0);
    let beside = async {
        while !is_done.load(Ordering::Relaxed) {
            good(&honest, &url).await;
            judged.fetch_add(2, Ordering::Relaxed);
        }
    };
    let (wrong, ()) = tokio::join!(asking, beside);
    let peak_kib = status(&webhook, "VmHWM:");
    println!(
        "{} hostile reviews, {} good ones judged beside them; {} MiB before, {} MiB at the peak",
        questions.len() * rounds,
        judged.into_inner(),
        idle_kib >> 10,
        peak_kib >> 10
    );
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
    assert!(peak_kib < RESIDENT_KIB_MAX, "{peak_kib} KiB");
    drop((slow, hostile));
    until("threads and files are given back", async || {
        let more = files(&webhook).saturating_sub(idle_files);
        let threads = status(&webhook, "Threads:") as usize;
        (more <= MORE_MAX && threads <= idle_threads + MORE_MAX).then_some(())
    })
    .await;
    good(&honest, &url).await;
}

/// Policies that mean harm to whoever loads them.
#[test]
fn hostile_policies_are_refused_when_they_are_loaded() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let pod = folder.path().join("pod.json");
    std::fs::write(&pod, review("u", false)["request"]["object"].to_string()).expect("writes");
    let chain = vec!["1"; 100_000].join(" + ");
    let rules = [
        format!("{}1{} == 1", "(".repeat(100_000), ")".repeat(100_000)),
        format!("x := {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x := {chain}"),
        format!("x := {}1{}", "[y | y := ".repeat(5000), "]".repeat(5000)),
        format!("{}true", "not ".repeat(50_000)),
        "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"})".to_owned(),
        "nobody.knows(1)".to_owned(),
    ];
    for (number, rule) in rules.iter().enumerate() {
        let policies = folder.path().join(format!("policies-{number}"));
        std::fs::create_dir(&policies).expect("writes");
        let text = TEMPLATE.replace("NAME", "harms").replace("RULE", rule);
        std::fs::write(policies.join("harms.yaml"), text).expect("writes");
        let checked = Command::new(binary())
            .args(["policy", "check", "--policies"])
            .args([&policies, &pod])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.code().is_some_and(|code| code != 0),
            "{number}: {said}"
        );
        assert!(said.contains("harms"), "{number}: {said}");
        assert!(said.len() < 64 << 10, "{number}: an error is no echo");
    }
}
