//! Both flows through the real binary: a real exposition is scraped, a real file is tailed and
//! rotated, samples arrive by remote write and lines by push; kill -9, restart, and every
//! answer is what was sent.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;

use crate::harness::{Taffrail, until};

/// Serves an exposition whose counter is how often it was asked for. Returns its URL.
async fn exposition() -> (String, Arc<AtomicU64>) {
    let scrapes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&scrapes);
    let handler = move || async move {
        let scrape = counted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut text = String::new();
        let _ = writeln!(text, "# HELP boats_total Boats, with \\\\ in the help.");
        let _ = writeln!(text, "# TYPE boats_total counter");
        let _ = writeln!(text, "boats_total{{port=\"a,b=\\\"c\\\"\"}} {scrape}");
        let _ = writeln!(text, "# TYPE wind_knots gauge");
        let _ = writeln!(text, "wind_knots 12.5");
        let _ = writeln!(text, "fleet:wind:avg 7");
        text
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let url = format!("http://{}/metrics", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, scrapes)
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

fn append(path: &Path, lines: &[String]) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opens");
    for line in lines {
        writeln!(file, "{line}").expect("writes");
    }
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .map(|number| format!("line {number} of the tailed file"))
        .collect()
}

const TAILED: &str = r#"{filename=~".+/tailed.log"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out_after_kill_and_restart() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (data, logs) = (dir.path().join("data"), dir.path().join("logs"));
    fs::create_dir(&logs).expect("folder");
    let (url, scrapes) = exposition().await;
    let config = dir.path().join("taffrail.yaml");
    fs::write(
        &config,
        "agent:\n  scrape:\n    interval: 1s\n    timeout: 1s\n",
    )
    .expect("writes");
    let glob = logs.join("*.log");
    let arguments = [
        "--config",
        config.to_str().expect("UTF-8"),
        "--scrape",
        &url,
        "--logs",
        glob.to_str().expect("UTF-8"),
    ];
    let server = Taffrail::start(&data, &arguments);

    // A file that is written, renamed away with more lines coming, and begun anew.
    let tailed = logs.join("tailed.log");
    append(&tailed, &numbered(0, 100));
    let sent = numbered(0, 100);
    until("the first lines are there", async || {
        (server.lines(TAILED).await == sent).then_some(())
    })
    .await;
    fs::rename(&tailed, logs.join("tailed.log.1")).expect("renames");
    append(&logs.join("tailed.log.1"), &numbered(100, 150));
    append(&tailed, &numbered(150, 200));
    until("the lines across the rotation are there", async || {
        let mut lines = server.lines(TAILED).await;
        lines.sort_by_key(|line| {
            line.split(' ')
                .nth(1)
                .and_then(|number| number.parse::<u32>().ok())
        });
        (lines == numbered(0, 200)).then_some(())
    })
    .await;

    // Samples by remote write, among them what databases like to lose.
    let begin = now_ms() - 60_000;
    let values = [
        1.0,
        1.1,
        f64::NAN,
        f64::INFINITY,
        -0.0,
        5e-324,
        1e300,
        0.1 + 0.2,
    ];
    let samples = values.iter().enumerate().map(|(index, value)| Sample {
        timestamp: Timestamp(begin + index as i64 * 1000),
        value: *value,
    });
    let written = SeriesSamples {
        labels: Labels::from_pairs([("__name__", "written"), ("via", "remote write")]),
        samples: samples.collect(),
        ..SeriesSamples::default()
    };
    assert!(server.write(std::slice::from_ref(&written)).await);
    let pushed: Vec<(i64, String)> = (0..50)
        .map(|number| {
            (
                (begin + number) * 1_000_000 + number,
                format!("pushed {number} ünï"),
            )
        })
        .collect();
    assert!(server.push(r#"{app="pushed"}"#, &pushed).await);

    let boats = until("the target is scraped twice", async || {
        server
            .value("boats_total")
            .await
            .filter(|boats| *boats >= 2.0)
    })
    .await;
    assert!(boats <= scrapes.load(Ordering::SeqCst) as f64);
    let labels = server
        .data("/api/v1/series", &[("match[]", "boats_total")])
        .await;
    assert_eq!(labels[0]["port"], "a,b=\"c\"");
    assert_eq!(server.value("wind_knots").await, Some(12.5));
    assert_eq!(
        server.value("{__name__=\"fleet:wind:avg\"}").await,
        Some(7.0)
    );
    assert_eq!(server.value("up{job=\"scrape\"}").await, Some(1.0));
    assert_eq!(
        server.value("scrape_samples_scraped{job=\"scrape\"}").await,
        Some(3.0)
    );
    let metadata = server
        .data("/api/v1/metadata", &[("metric", "boats_total")])
        .await;
    assert_eq!(metadata["boats_total"][0]["type"], "counter");

    let before_kill = now_ms();
    server.kill();
    append(&tailed, &numbered(200, 220));
    let server = Taffrail::start(&data, &arguments);

    // Everything is there once, bit for bit, and what was written meanwhile comes too.
    let range = [
        ("query", "written"),
        ("start", &(begin / 1000).to_string()),
        ("end", &(begin / 1000 + 10).to_string()),
        ("step", "1"),
    ];
    let data_back = server.data("/api/v1/query_range", &range).await;
    assert!(!data_back["result"].as_array().expect("matrix").is_empty());
    let exported = server
        .data(
            "/api/v1/query",
            &[
                ("query", "written[5m]"),
                ("time", &(now_ms() / 1000).to_string()),
            ],
        )
        .await;
    let points = exported["result"][0]["values"]
        .as_array()
        .expect("values")
        .clone();
    let texts: Vec<&str> = points
        .iter()
        .map(|point| point[1].as_str().expect("text"))
        .collect();
    assert_eq!(
        texts,
        [
            "1",
            "1.1",
            "NaN",
            "+Inf",
            "-0",
            "5e-324",
            "1e+300",
            "0.30000000000000004"
        ]
    );
    let expected: Vec<String> = pushed.iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(server.lines(r#"{app="pushed"}"#).await, expected);
    until(
        "the lines written while it was dead are there",
        async || {
            let mut lines = server.lines(TAILED).await;
            lines.sort_by_key(|line| {
                line.split(' ')
                    .nth(1)
                    .and_then(|number| number.parse::<u32>().ok())
            });
            lines.dedup();
            (lines == numbered(0, 220)).then_some(())
        },
    )
    .await;
    let at = [
        ("query", "boats_total"),
        ("time", &(before_kill as f64 / 1000.0).to_string()),
    ];
    let boats_then = server.data("/api/v1/query", &at).await;
    let then: f64 = boats_then["result"][0]["value"][1]
        .as_str()
        .expect("text")
        .parse()
        .expect("number");
    assert!(then >= boats, "{then} < {boats}");
    until("the target is scraped again", async || {
        server
            .value("boats_total")
            .await
            .filter(|after| *after > then)
    })
    .await;

    // A clean stop says so, and leaves nothing to replay.
    assert!(server.terminate().success());
    let server = Taffrail::start(&data, &arguments);
    assert_eq!(server.lines(r#"{app="pushed"}"#).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appended_line_is_found_and_a_vanished_target_is_down() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).expect("folder");
    File::create(logs.join("app.log")).expect("creates");
    let config = dir.path().join("taffrail.yaml");
    fs::write(
        &config,
        "agent:\n  scrape:\n    interval: 1s\n    timeout: 1s\n",
    )
    .expect("writes");
    let glob = logs.join("*.log");
    let arguments = [
        "--config",
        config.to_str().expect("UTF-8"),
        // Nothing listens on the discard port here.
        "--scrape",
        "http://127.0.0.1:9/metrics",
        "--logs",
        glob.to_str().expect("UTF-8"),
    ];
    let server = Taffrail::start(&dir.path().join("data"), &arguments);
    append(
        &logs.join("app.log"),
        &["a needle in the hay".to_owned(), "hay".to_owned()],
    );
    until("the line is found", async || {
        let found = server.lines(r#"{filename=~".+"} |= "needle""#).await;
        (found == ["a needle in the hay"]).then_some(())
    })
    .await;
    until("the target is down", async || {
        (server.value("up{job=\"scrape\"}").await == Some(0.0)).then_some(())
    })
    .await;
}
