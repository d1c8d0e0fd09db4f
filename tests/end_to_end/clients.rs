//! The clients that people have, unmodified: Prometheus as a reader of this store and as a sender to it,
//! promtool, and vmagent.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use serde_json::Value;

use crate::harness::{Taffrail, base_ms, until};
use crate::pki::{Authority, trusting};
use crate::prometheus::Prometheus;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn taffrail(dir: &Path) -> Taffrail {
    let config = dir.join("taffrail.yaml");
    // Nothing of its own among the samples.
    fs::write(&config, "agent:\n  scrape:\n    interval: 1h\n").expect("writes");
    let config = config.to_str().expect("UTF-8");
    Taffrail::start(&dir.join("data"), &["--config", config])
}

/// A counter, a gauge that ends, and a series that is left out. No native histograms: the reader of 2.42
/// leaves them out.
fn samples(base: i64) -> Vec<SeriesSamples> {
    let named = |name: &str, job: &str| Labels::from_pairs([("__name__", name), ("job", job)]);
    let floats = |values: &mut dyn Iterator<Item = f64>| {
        let samples = (0..).zip(values).map(|(n, value)| Sample {
            timestamp: Timestamp(base + n * 5_000),
            value,
        });
        samples.collect::<Vec<_>>()
    };
    vec![
        SeriesSamples {
            labels: named("hits_total", "a"),
            samples: floats(&mut (0..500).map(|n| f64::from(n) * 1.25)),
            ..SeriesSamples::default()
        },
        SeriesSamples {
            labels: named("temperature", "b"),
            samples: floats(&mut (0..300).map(|n| f64::from(n % 17) / 8.0 - 1.0)),
            ..SeriesSamples::default()
        },
        SeriesSamples {
            labels: named("latency", "a"),
            samples: floats(&mut (0..10).map(f64::from)),
            ..SeriesSamples::default()
        },
    ]
}

async fn data(client: &reqwest::Client, server: &str, path: &str, of: &[(&str, String)]) -> Value {
    let response = client.get(format!("{server}{path}")).query(of).send().await;
    let mut body: Value = response.expect("answers").json().await.expect("JSON");
    assert_eq!(body["status"], "success", "{body}");
    body["data"].take()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real prometheus: run by .ci/run"]
async fn a_reader_gets_what_is_stored() {
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
    let taffrail = taffrail(ours.path());
    let base = base_ms();
    assert!(taffrail.write(&samples(base)).await);
    let configuration = format!(
        "remote_read:\n  - url: {}/api/v1/read\n    read_recent: true\n",
        taffrail.http
    );
    let prometheus = Prometheus::start(theirs.path(), &configuration);
    let client = reqwest::Client::new();
    let ready = format!("{}/-/ready", prometheus.http);
    until("prometheus is ready", || async {
        let answer = client.get(&ready).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    let seconds = |at: i64| (at as f64 / 1000.0).to_string();
    let mut compared = 0;
    for query in [
        "hits_total",
        "temperature{job!~\"a.*\"}",
        "rate(hits_total[1m])",
        "sum by (job) ({job=~\".+\", __name__!~\"late.*\"})",
        "max_over_time(rate(hits_total[1m])[5m:7s]) + on (job) hits_total @ end()",
        "nothing",
    ] {
        let range = [
            ("query", query.to_owned()),
            ("start", seconds(base)),
            ("end", seconds(base + 2_600_000)),
            ("step", "13".to_owned()),
            ("stats", "all".to_owned()),
        ];
        let path = "/api/v1/query_range";
        let here = data(&client, &taffrail.http, path, &range).await;
        let there = data(&client, &prometheus.http, path, &range).await;
        assert_eq!(here["result"], there["result"], "{query}");
        let series = here["result"].as_array().expect("a matrix");
        assert_eq!(series.is_empty(), query == "nothing", "{query}");
        if !query.contains('[') {
            // 2.42 has the start in a range too.
            for name in ["totalQueryableSamples", "totalQueryableSamplesPerStep"] {
                let told = |of: &Value| of["stats"]["samples"][name].clone();
                assert_eq!(told(&here), told(&there), "{query}: {name}");
            }
        }
        compared += series.len();
    }
    println!("{compared} series of 6 queries are alike through remote read");
}

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new("promtool").args(arguments).output();
    let output = output
        .unwrap_or_else(|error| panic!("promtool: {error}; it is in Debian's package prometheus"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool: run by .ci/run"]
async fn promtool_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let taffrail = taffrail(folder.path());
    let base = base_ms();
    assert!(taffrail.write(&samples(base)).await);
    let server = taffrail.http.clone();
    let seconds = |at: i64| (at as f64 / 1000.0).to_string();
    let (start, end) = (seconds(base), seconds(base + 60_000));
    let from = format!("--start={start}");
    let to = format!("--end={end}");
    let time = format!("--time={end}");
    for (arguments, expected) in [
        (
            vec!["query", "instant", &time, &server, "hits_total"],
            format!("hits_total{{job=\"a\"}} => 15 @[{end}]\n"),
        ),
        (
            vec![
                "query",
                "range",
                &from,
                &to,
                "--step=30s",
                &server,
                "hits_total",
            ],
            format!(
                "hits_total{{job=\"a\"}} =>\n0 @[{start}]\n7.5 @[{}]\n15 @[{end}]\n",
                seconds(base + 30_000)
            ),
        ),
        (
            vec!["query", "series", "--match={job=\"a\"}", &server],
            "{__name__=\"hits_total\", job=\"a\"}\n{__name__=\"latency\", job=\"a\"}\n".to_owned(),
        ),
        (vec!["query", "labels", &server, "job"], "a\nb\n".to_owned()),
    ] {
        let mut found = promtool(&arguments);
        if arguments.contains(&"labels") {
            // What the program scrapes of itself is there as well.
            let named: Vec<&str> = found.lines().filter(|line| line.len() == 1).collect();
            found = named.join("\n") + "\n";
        }
        assert_eq!(found, expected, "{arguments:?}");
    }
}

fn free_address() -> String {
    // Free at this moment; nobody else is expected to take it before the child does.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus and vmagent: run by .ci/run"]
async fn senders_are_heard() {
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
    let taffrail = taffrail(ours.path());
    let target = taffrail
        .http
        .strip_prefix("http://")
        .expect("a URL")
        .to_owned();
    let scrape = |job: &str| {
        format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: {job}\n    static_configs:\n      - targets: ['{target}']\n"
        )
    };
    let write = format!("{}/api/v1/write", taffrail.http);
    let configuration = scrape("by-prometheus") + &format!("remote_write:\n  - url: {write}\n");
    let _prometheus = Prometheus::start(theirs.path(), &configuration);
    let config = theirs.path().join("vmagent.yml");
    fs::write(&config, scrape("by-vmagent")).expect("writes");
    let vmagent = Command::new("vmagent")
        .arg(format!("-promscrape.config={}", config.display()))
        .arg(format!("-remoteWrite.url={write}"))
        .arg(format!(
            "-remoteWrite.tmpDataPath={}",
            theirs.path().join("vmagent").display()
        ))
        .arg(format!("-httpListenAddr={}", free_address()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _vmagent = Running(vmagent.unwrap_or_else(|error| {
        panic!("vmagent: {error}; it is in Debian's package victoria-metrics")
    }));
    for job in ["by-prometheus", "by-vmagent"] {
        let query = format!("sum_over_time(up{{job=\"{job}\"}}[1m])");
        let query = query.as_str();
        let taffrail = &taffrail;
        let up = until(job, || async {
            taffrail
                .value(query)
                .await
                .filter(|samples| *samples >= 2.0)
        });
        assert!(up.await >= 2.0);
    }
}

/// Prometheus sends to a server and scrapes it, over TLS and with a password; the file that protects the server is
/// one that protects a Prometheus too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs prometheus and promtool: run by .ci/run"]
async fn a_sender_shows_its_password_over_tls() {
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]).write(ours.path(), "server");
    let hash = bcrypt::hash("halyard", 10).expect("a hash");
    let web = ours.path().join("web.yml");
    let text = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS12\n  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\nhttp_server_config:\n  http2: true\nbasic_auth_users:\n  anna: {hash}\n"
    );
    fs::write(&web, text).expect("writes");
    let web = web.to_str().expect("UTF-8");
    promtool(&["check", "web-config", web]);
    let arguments = ["--web.config.file", web];
    let taffrail = Taffrail::start(&ours.path().join("data"), &arguments);

    let path = |name: &str| theirs.path().join(name).display().to_string();
    fs::write(path("ca.crt"), &authority.pem).expect("writes");
    fs::write(path("password"), "halyard").expect("writes");
    let access = |indent: &str| {
        let lines = [
            "basic_auth:".to_owned(),
            format!(
                "  username: anna\n{indent}  password_file: {}",
                path("password")
            ),
            format!("tls_config:\n{indent}  ca_file: {}", path("ca.crt")),
        ];
        lines.map(|line| format!("{indent}{line}\n")).concat()
    };
    let target = taffrail.http.strip_prefix("https://").expect("a URL");
    let scrape = format!(
        "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: secured\n    scheme: https\n{}    static_configs:\n      - targets: ['{target}']\n",
        access("    ")
    );
    let write = format!(
        "remote_write:\n  - url: {}/api/v1/write\n{}",
        taffrail.http,
        access("    ")
    );
    let _prometheus = Prometheus::start(theirs.path(), &(scrape + &write));
    let client = trusting(&authority).build().expect("a client");
    let url = format!("{}/api/v1/query", taffrail.http);
    let query = [("query", "up{job=\"secured\"} == 1")];
    until("it was scraped, and sent what it was", async || {
        let request = client.get(&url).query(&query);
        let request = request.basic_auth("anna", Some("halyard"));
        let body: Value = request.send().await.ok()?.json().await.ok()?;
        (body["data"]["result"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let refused = client.get(&url).query(&query).send().await;
    assert_eq!(refused.expect("answers").status(), 401);
}
