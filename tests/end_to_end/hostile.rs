//! Queries that mean harm, beside good ones: none takes the process down, each is refused by the name of
//! a limit or answered, and the good ones are answered right all the while.
//!
//! The process may use 512 MiB. That is asked of its peak of resident memory, which is what a node or a
//! container kills for; a limit on addresses would be hit by memory that is reserved and never touched
//! (stacks, the allocator's arenas), and a group with a limit of its own needs privileges that a test has not.
//!
//! `TAFFRAIL_HOSTILE_SERIES` sets how many series there are (5,000), `TAFFRAIL_BINARY` which binary is asked.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use model::wire::remote_read::{LabelMatcher, Query, ReadRequest, ResponseType};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Taffrail, base_ms, from_environment};

/// What the process may take at the most.
const RESIDENT_KIB_MAX: u64 = 512 << 10;
/// What the program is told of it.
const CONFIG: &str = "memory: 512MiB\nquery:\n  timeout: 60s\n";
/// Clients of each kind that are slow.
const SLOW_CLIENTS: usize = 16;
/// Clients that connect and say nothing, more than one address may have.
const SILENT_CLIENTS: usize = 600;
/// Hostile questions that are asked at once.
const AT_ONCE: usize = 8;
/// What is longer goes in a form alone.
const ADDRESS_BYTES_MAX: usize = 4000;
/// What takes no form.
const GET_ALONE: [&str; 2] = ["/api/v1/label/n/values", "/federate"];

const MEMORY: &str = "raise query.memory_bytes_max";
const SAMPLES: &str = "raise query.samples_max";
const NESTED: &str = "levels deep";
const TOO_LARGE: &str = "too large";

/// What must come of a question. An error that names the limit and how to raise it may come of any: others
/// may hold the memory.
#[derive(Clone, Copy)]
enum Expected {
    /// An error that says this.
    Refused(&'static str),
    /// A whole answer.
    Bounded,
}
use Expected::{Bounded, Refused};

/// A question, and what it is asked with.
struct Question {
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
    expected: Expected,
}

fn series(name: &str, number: u64, points: i64, step_ms: i64) -> SeriesSamples {
    let number = number.to_string();
    let pairs = [
        ("__name__", name),
        ("n", &number),
        ("pod", "a-pod-0123456789"),
    ];
    let samples = (0..points).map(|point| Sample {
        timestamp: Timestamp(start_ms() + point * step_ms),
        value: point as f64,
    });
    SeriesSamples {
        labels: Labels::from_pairs(pairs),
        samples: samples.collect(),
        ..SeriesSamples::default()
    }
}

/// A whole minute, the same for all of the test.
fn start_ms() -> i64 {
    static START: LazyLock<i64> = LazyLock::new(|| base_ms() / 60_000 * 60_000);
    *START
}

async fn load(server: &Taffrail, count: u64) {
    let wide: Vec<u64> = (0..count).collect();
    for batch in wide.chunks(5000) {
        let batch = batch.iter().map(|n| series("wide", *n, 2, 60_000));
        assert!(server.write(&batch.collect::<Vec<_>>()).await);
    }
    let long: Vec<_> = (0..10).map(|n| series("long", n, 2000, 1000)).collect();
    assert!(server.write(&long).await);
    let lines = (0..100).map(|n| (start_ms() * 1_000_000 + n, format!("line {n}")));
    let lines: Vec<(i64, String)> = lines.collect();
    assert!(server.push(r#"{app="hostile"}"#, &lines).await);
}

/// An expression in so many others.
fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat()
}

/// What no tree is made of, or one that may not be evaluated: with what it is refused.
fn malformed() -> Vec<(String, &'static str)> {
    let chain = |operator: &str| vec!["1"; 50_000].join(operator);
    vec![
        (nested("(", "1", ")", 100_000), NESTED),
        (nested("abs(", "long", ")", 20_000), NESTED),
        (nested("sum by (n) (", "long", ")", 20_000), NESTED),
        (nested("-", "1", "", 100_000), NESTED),
        (nested("(", "long", ")[1m:1s]", 10_000), ""),
        (nested("rate((", "long", ")[1m:1s])", 10_000), NESTED),
        (chain("+"), NESTED),
        (chain("^"), NESTED),
        (format!("long[{}]", nested("(", "1m", ")", 50_000)), NESTED),
        (
            format!("long offset {}", nested("-(", "1m", ")", 50_000)),
            NESTED,
        ),
        (format!("long[{}]", vec!["1m"; 50_000].join("+")), NESTED),
        (format!("({}", "{".repeat(100_000)), ""),
        (
            r#"wide{pod=~"(((a{1,100}){1,100}){1,100}){1,100}"}"#.to_owned(),
            TOO_LARGE,
        ),
        (
            format!("wide{{pod=~\"{}\"}}", nested("(", "a", ")*", 20_000)),
            "regexp",
        ),
        (
            // Each alone is allowed.
            format!("wide{{{}}}", vec![r#"pod=~"\\pL{60}""#; 2000].join(",")),
            "regular expressions",
        ),
        (
            format!("sum by ({}) (wide)", vec!["a"; 500_000].join(",")),
            MEMORY,
        ),
        (
            format!("label_join(wide, \"a\", \"b\"{})", ",\"a\"".repeat(250_000)),
            MEMORY,
        ),
    ]
}

/// What can be asked, and what comes of it for an instant and for 11,000 of them.
fn expensive() -> Vec<(String, Expected, Expected)> {
    let doubled = (0..40).fold("long".to_owned(), |query, _| {
        format!(r#"label_replace({query}, "x", "${{1}}${{1}}abcdefgh", "x", "(.*)")"#)
    });
    let alternatives: Vec<String> = (0..20_000).map(|n| format!("{n}x")).collect();
    let cases: Vec<(&str, Expected, Expected)> = vec![
        // Selectors of everything.
        (r#"{__name__=~".+"}"#, Bounded, Refused("raise query.")),
        ("wide", Bounded, Refused("raise query.")),
        ("sort_desc(wide)", Bounded, Refused("raise query.")),
        (
            r#"sort_by_label(wide, "n")"#,
            Bounded,
            Refused("raise query."),
        ),
        (
            r#"count_values("v", wide)"#,
            Bounded,
            Refused("raise query."),
        ),
        ("topk(1000000, wide)", Bounded, Refused("raise query.")),
        (
            "quantile by (n) (0.9, wide)",
            Bounded,
            Refused("raise query."),
        ),
        ("stddev without () (wide)", Bounded, Refused("raise query.")),
        ("rate(wide[5m])", Bounded, Refused("raise query.")),
        ("absent(wide) or absent(nothing)", Bounded, Bounded),
        // Ranges that no store has.
        ("wide[100y]", Bounded, Refused("expression type")),
        ("sum_over_time(long[10y:1s])", Refused(SAMPLES), Bounded),
        ("max_over_time(long[100d:1s])", Refused(MEMORY), Bounded),
        (
            "max_over_time((wide * 2)[50d:1m])",
            Refused("raise query."),
            Bounded,
        ),
        ("quantile_over_time(0.9, long[100y])", Bounded, Bounded),
        ("absent_over_time(nothing[290y])", Bounded, Bounded),
        ("long @ 9000000000000 offset 290y", Bounded, Bounded),
        // Everything with everything.
        (
            "wide * on (pod) group_left () wide",
            Refused("many-to-many"),
            Bounded,
        ),
        (
            "wide * on (n, pod) group_left () wide",
            Bounded,
            Refused("raise query."),
        ),
        (
            "wide and on (pod) wide unless on (n) wide",
            Bounded,
            Refused("raise query."),
        ),
        ("long + on (n) group_left () long", Bounded, Bounded),
        // Labels that grow.
        (doubled.as_str(), Refused(MEMORY), Bounded),
        (
            r#"label_replace(wide, "a", "$1", "pod", "((.{1000}){1000}){1000}")"#,
            Refused(TOO_LARGE),
            Refused(TOO_LARGE),
        ),
        (
            r#"label_replace(wide, "n", "", "n", ".*")"#,
            Refused("same labelset"),
            Bounded,
        ),
        // Patterns that a backtracking engine would never end with.
        (
            r#"wide{pod=~"(a+)+(-|p|o|d)+([a-z0-9]*)*x"}"#,
            Bounded,
            Bounded,
        ),
        (r#"wide{n=~"(.*)(.*)(.*)(.*)(.*)(.*)1"}"#, Bounded, Bounded),
        (
            r#"count(wide{n!~"(?i)([0-8]|[^7])*[02468]?"})"#,
            Bounded,
            Bounded,
        ),
    ];
    let mut all: Vec<_> = cases
        .into_iter()
        .map(|(query, instant, range)| (query.to_owned(), instant, range))
        .collect();
    let alternatives = format!("wide{{n=~\"{}\"}}", alternatives.join("|"));
    all.push((alternatives, Bounded, Bounded));
    all
}

fn questions() -> Vec<Question> {
    let at = (start_ms() / 1000 + 60).to_string();
    let span = [
        ("start", (start_ms() / 1000).to_string()),
        ("end", (start_ms() / 1000 + 10_999).to_string()),
        ("step", "1".to_owned()),
    ];
    let mut all = Vec::new();
    let mut ask = |path, parameters: Vec<(&'static str, String)>, expected| {
        all.push(Question {
            path,
            parameters,
            expected,
        });
    };
    for (query, part) in malformed() {
        let query = ("query", query);
        ask("/api/v1/query", vec![query.clone()], Refused(part));
        ask("/api/v1/format_query", vec![query.clone()], Refused(part));
        ask("/api/v1/parse_query", vec![query.clone()], Refused(part));
        ask("/api/v1/query_exemplars", vec![query.clone()], Refused(""));
        let range = [&[query.clone()][..], &span].concat();
        ask("/api/v1/query_range", range, Refused(part));
        // Log queries have errors of their own.
        ask("/loki/api/v1/query", vec![query.clone()], Refused(""));
        let matched = ("match[]", query.1);
        for path in ["/api/v1/series", "/api/v1/labels", "/federate"] {
            ask(path, vec![matched.clone()], Refused(""));
        }
    }
    for (query, instant, range) in expensive() {
        let query = ("query", query);
        ask(
            "/api/v1/query",
            vec![query.clone(), ("time", at.clone())],
            instant,
        );
        let all_span = [&[query][..], &span].concat();
        ask("/api/v1/query_range", all_span, range);
    }
    let everything = ("match[]", r#"{__name__=~".+"}"#.to_owned());
    let thrice = vec![everything; 3];
    for path in [
        "/api/v1/series",
        "/api/v1/labels",
        "/api/v1/label/n/values",
        "/federate",
        "/api/v1/export",
    ] {
        ask(path, thrice.clone(), Bounded);
    }
    let forever = vec![
        ("query", "long".to_owned()),
        ("start", "0".to_owned()),
        ("end", at.clone()),
        ("step", "1".to_owned()),
    ];
    ask("/api/v1/query_range", forever, Refused("11,000 points"));
    let stalled = vec![("query", "wide".to_owned()), ("timeout", "1ms".to_owned())];
    ask("/api/v1/query", stalled, Refused("timed out"));
    for query in [
        nested("(", r#"sum(rate({app="hostile"}[1m]))"#, ")", 50_000),
        nested("sum(", r#"rate({app="hostile"}[1m])"#, ")", 20_000),
        r#"{app=~"(((a{1,100}){1,100}){1,100}){1,100}"}"#.to_owned(),
        r#"{app="hostile"} |~ "(((a{1,100}){1,100}){1,100}){1,100}""#.to_owned(),
    ] {
        ask("/loki/api/v1/query", vec![("query", query)], Refused(""));
    }
    all
}

/// Asks by GET where the address is short, and by a form where the path takes one; says what came that
/// should not have.
async fn ask(
    client: &reqwest::Client,
    server: &str,
    number: usize,
    question: &Question,
) -> Option<String> {
    let url = format!("{server}{}", question.path);
    let length: usize = question.parameters.iter().map(|(_, text)| text.len()).sum();
    let by_form = client.post(&url).form(&question.parameters);
    let by_address = client.get(&url).query(&question.parameters);
    // Each takes turns at both, where both are to be had.
    let is_long = length > ADDRESS_BYTES_MAX;
    let request = match (GET_ALONE.contains(&question.path), is_long) {
        (true, true) => return None,
        (false, true) => by_form,
        (false, false) if number.is_multiple_of(2) => by_form,
        (_, false) => by_address,
    };
    let answer = async {
        let response = request.send().await?;
        Ok::<_, reqwest::Error>((response.status().as_u16(), response.text().await?))
    };
    let (is_right, said) = match answer.await {
        Err(error) => (false, format!("no whole answer: {error:?}")),
        Ok((status, body)) => {
            let is_refused = |parts: &[&str]| {
                matches!(status, 400 | 422 | 503) && parts.iter().any(|part| body.contains(part))
            };
            let is_right = match question.expected {
                Refused(part) => is_refused(&[part, "raise query."]),
                Bounded => status == 200 || is_refused(&["raise query."]),
            };
            (is_right, format!("{status} {body}"))
        }
    };
    if is_right {
        return None;
    }
    let short = |text: &str| text.chars().take(300).collect::<String>();
    let asked = short(&format!("{} {:?}", question.path, question.parameters));
    Some(format!("{asked}\n    {}", short(&said)))
}

/// Remote read of everything, in both forms.
async fn read_everything(client: &reqwest::Client, server: &str) {
    for kind in [ResponseType::Samples, ResponseType::StreamedXorChunks] {
        let matcher = LabelMatcher {
            kind: 2,
            name: "__name__".to_owned(),
            value: ".+".to_owned(),
        };
        let query = Query {
            start_timestamp_ms: 0,
            end_timestamp_ms: i64::MAX,
            matchers: vec![matcher],
        };
        let request = ReadRequest {
            queries: vec![query; 3],
            accepted_response_types: vec![kind as i32],
        };
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        let request = client.post(format!("{server}/api/v1/read"));
        let response = request.body(body.expect("it is short")).send().await;
        let response = response.expect("an answer");
        if response.status() == 200 {
            response.bytes().await.expect("it is whole");
        } else {
            let body = response.text().await.expect("a reason");
            assert!(body.contains("raise query."), "{kind:?}: {body}");
        }
    }
}

/// A connection from one of this machine's addresses: all of 127/8 is.
async fn connect(server: &str, from: [u8; 4]) -> TcpStream {
    let address = server.trim_start_matches("http://").parse();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from((from, 0)))
        .expect("it is ours");
    let connected = socket.connect(address.expect("an address")).await;
    connected.expect("it listens")
}

/// Sends a text on a connection of its own, and takes nothing.
async fn send(server: &str, text: &str) -> TcpStream {
    let mut stream = connect(server, [127, 0, 0, 2]).await;
    stream.write_all(text.as_bytes()).await.expect("it is read");
    stream
}

/// Clients that ask for much and take nothing, and such that never end what they say.
async fn slow_clients(server: &str) -> Vec<TcpStream> {
    let asks =
        |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n";
    let texts = [
        asks("/api/v1/query?query=wide", "").repeat(20),
        asks("/api/v1/query?query=wide", "Accept-Encoding: zstd\r\n").repeat(20),
        asks("/api/v1/series?match[]=wide", "Accept-Encoding: gzip\r\n"),
        asks("/federate?match[]=wide", ""),
        "GET /api/v1/query?query=1 HTT".to_owned(),
        format!("POST /api/v1/query HTTP/1.1\r\nHost: a\r\n{form}\r\nquery="),
    ];
    let mut slow = Vec::new();
    for _ in 0..SILENT_CLIENTS {
        slow.push(connect(server, [127, 0, 0, 3]).await);
    }
    for text in &texts {
        for _ in 0..SLOW_CLIENTS {
            slow.push(send(server, text).await);
        }
    }
    slow
}

/// Questions that have nothing to do with all this are answered right.
async fn good(server: &Taffrail) {
    let at = (start_ms() / 1000 + 60).to_string();
    for (query, expected) in [
        ("count(long)", 10.0),
        ("sum(long) / 10", 60.0),
        ("max(max_over_time(long[1m]))", 60.0),
        ("1 + 1", 2.0),
    ] {
        let parameters = [("query", query), ("time", &at)];
        let data = server.data("/api/v1/query", &parameters).await;
        let value = match data["resultType"].as_str() {
            Some("scalar") => &data["result"][1],
            _ => &data["result"][0]["value"][1],
        };
        let value: Option<f64> = value.as_str().and_then(|text| text.parse().ok());
        assert_eq!(value, Some(expected), "{query}: {data}");
    }
}

fn resident_kib_peak(server: &Taffrail) -> u64 {
    let path = format!("/proc/{}/status", server.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|kib| kib.parse().ok()).expect("a number")
}

fn start(dir: &Path) -> Taffrail {
    let config = dir.join("taffrail.yaml");
    std::fs::write(&config, CONFIG).expect("writes");
    Taffrail::start(&dir.join("data"), &["--config", &config.to_string_lossy()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes where nothing is optimised: run by .ci/run"]
async fn hostile_queries_are_refused_by_name_and_good_ones_are_answered() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let server = start(dir.path());
    let count = from_environment("TAFFRAIL_HOSTILE_SERIES", 5000);
    load(&server, count).await;
    let loaded = resident_kib_peak(&server);
    good(&server).await;
    let slow = slow_clients(&server.http).await;
    let client = reqwest::Client::new();
    let questions = questions();
    let is_done = AtomicBool::new(false);
    let hostile = async {
        let asked = stream::iter(questions.iter().enumerate())
            .map(|(number, question)| ask(&client, &server.http, number, question));
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        let wrong: Vec<String> = answers.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
        read_everything(&client, &server.http).await;
        // Those who go away before they are answered.
        let hasty = reqwest::Client::builder().timeout(Duration::from_millis(20));
        let hasty = hasty.build().expect("a client");
        for question in questions
            .iter()
            .filter(|question| question.parameters.len() > 1)
        {
            let request = hasty.get(format!("{}{}", server.http, question.path));
            drop(request.query(&question.parameters).send().await);
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let rounds = AtomicUsize::new(0);
    let beside = async {
        while !is_done.load(Ordering::Relaxed) {
            good(&server).await;
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(hostile, beside);
    drop(slow);
    good(&server).await;
    let peak = resident_kib_peak(&server);
    println!(
        "{count} series: {} questions, good ones answered {} times beside them; {} MiB when loaded, {} MiB at the peak",
        questions.len(),
        rounds.into_inner(),
        loaded >> 10,
        peak >> 10
    );
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
}
