//! Side by side with a real Prometheus on the same samples: every query that both know must have the same
//! answer, or the same type of error, at an instant and over a range.
//!
//! `TAFFRAIL_PROMETHEUS` names the program (`prometheus` if it does not). It is Debian's 2.42, and between
//! it and the language of 3.14 lie changes of meaning; [`data`] and [`queries`] stay where both mean the same,
//! and say where that is.
//!
//! - [`data`]: the samples that both are sent.
//! - [`queries`]: what both are asked.
//! - [`compare`]: when two answers are the same.

mod compare;
mod data;
mod queries;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Taffrail, from_environment, until};
use compare::Answer;

/// A running Prometheus that takes remote writes.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) http: String,
}

impl Prometheus {
    pub(crate) fn start(dir: &Path, configuration: &str) -> Self {
        let program = std::env::var("TAFFRAIL_PROMETHEUS").unwrap_or("prometheus".to_owned());
        let config = dir.join("prometheus.yml");
        fs::write(&config, configuration).expect("writes");
        // Free at this moment; nobody else is expected to take it before the child does.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(&program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--enable-feature=native-histograms,promql-per-step-stats")
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}; install Debian's package prometheus, or name the program in TAFFRAIL_PROMETHEUS")
        });
        Self {
            child,
            http: format!("http://{address}"),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn ask(
    client: &reqwest::Client,
    server: &str,
    path: &str,
    parameters: &[(&str, String)],
) -> Answer {
    let request = client.post(format!("{server}{path}")).form(parameters);
    let response = request.send().await.expect("answers");
    let body: Value = response.json().await.expect("JSON");
    Answer::new(&body)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real prometheus: run by .ci/run"]
async fn queries_have_the_answers_of_prometheus() {
    let seed = from_environment("TAFFRAIL_SEED", 42);
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
    let config = ours.path().join("taffrail.yaml");
    // Nothing of its own among the samples.
    fs::write(&config, "agent:\n  scrape:\n    interval: 1h\n").expect("writes");
    let config = config.to_str().expect("UTF-8");
    let taffrail = Taffrail::start(&ours.path().join("data"), &["--config", config]);
    let prometheus = Prometheus::start(theirs.path(), "global: {}\n");
    let client = reqwest::Client::new();
    let ready = format!("{}/-/ready", prometheus.http);
    until("prometheus is ready", || async {
        let answer = client.get(&ready).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;

    let mut samples = 0;
    let day = data::Data::new(seed);
    for batch in day.batches() {
        samples += batch.iter().map(|one| one.samples.len()).sum::<usize>();
        for server in [&taffrail.http, &prometheus.http] {
            assert!(taffrail.write_to(server, &batch).await, "{server}");
        }
    }

    let mut report = compare::Report::default();
    for query in queries::all(seed) {
        let instant = vec![
            ("query", query.clone()),
            ("time", data::seconds(day.instant())),
        ];
        let (start, end) = day.range();
        let range = vec![
            ("query", query.clone()),
            ("start", data::seconds(start)),
            ("end", data::seconds(end)),
            ("step", "75".to_owned()),
        ];
        for (path, parameters) in [("/api/v1/query", instant), ("/api/v1/query_range", range)] {
            let ours = ask(&client, &taffrail.http, path, &parameters).await;
            let theirs = ask(&client, &prometheus.http, path, &parameters).await;
            report.add(path, &query, &ours, &theirs);
        }
        let path = "/api/v1/format_query";
        let parameters = [("query", query.clone())];
        let ours = ask(&client, &taffrail.http, path, &parameters).await;
        let theirs = ask(&client, &prometheus.http, path, &parameters).await;
        report.add(path, &query, &ours, &theirs);
    }
    println!("{samples} samples to both; {report}; TAFFRAIL_SEED={seed}");
    assert!(report.agrees(), "{}", report.differences());
}
