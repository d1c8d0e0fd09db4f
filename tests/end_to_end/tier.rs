//! Old samples move to a bucket and are answered from there, across kill -9 and while the bucket is away.
//!
//! Once with a folder for a bucket, always; and once with a real S3 server, which `deploy/testbucket/check` builds
//! and names in `TAFFRAIL_TESTBUCKET`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::labels::Labels;
use model::sample::{Sample, SeriesSamples};
use model::time::Timestamp;
use serde_json::Value;

use crate::harness::{Taffrail, until};

const DAY_MS: i64 = 24 * 3_600_000;
const STEP_MS: i64 = 15_000;

/// What is between the program and its old samples.
trait Bucket {
    /// The keys of `metrics.tier` that lead there.
    fn section(&self) -> String;
    /// Takes it away.
    fn leave(&mut self);
    /// Brings it back.
    fn come_back(&mut self);
    /// The parts that lie there.
    fn parts(&self) -> PathBuf;
}

/// A folder, which is away when it has another name.
struct Folder(PathBuf);

impl Bucket for Folder {
    fn section(&self) -> String {
        format!("url: file://{}", self.0.display())
    }

    fn leave(&mut self) {
        fs::rename(&self.0, self.0.with_extension("away")).expect("renames");
    }

    fn come_back(&mut self) {
        fs::rename(self.0.with_extension("away"), &self.0).expect("renames");
    }

    fn parts(&self) -> PathBuf {
        self.0.join("parts")
    }
}

/// A real S3 server over a folder.
struct Server {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let program = std::env::var_os("TAFFRAIL_TESTBUCKET");
        let program = program.expect("no S3 server; run deploy/testbucket/check");
        for folder in ["root/samples", "metadata"] {
            fs::create_dir_all(dir.join(folder)).expect("folder");
        }
        for (file, key) in [("id", "test-key"), ("secret", "test-secret")] {
            fs::write(dir.join(file), format!("{key}\n")).expect("writes");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut server = Self {
            program: program.into(),
            dir: dir.to_owned(),
            port: free.local_addr().expect("bound").port(),
            process: None,
        };
        drop(free);
        server.come_back();
        server
    }
}

impl Bucket for Server {
    fn section(&self) -> String {
        let dir = self.dir.display();
        format!(
            "url: s3://samples/cluster/metrics\n    endpoint: http://127.0.0.1:{}\n    region: eu-test-1\n    \
             access_key_id_file: {dir}/id\n    secret_access_key_file: {dir}/secret",
            self.port
        )
    }

    fn leave(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("alive");
            process.wait().expect("ends");
        }
    }

    fn come_back(&mut self) {
        let port = format!("127.0.0.1:{}", self.port);
        let keys = ["--access", "test-key", "--secret", "test-secret"];
        let process = Command::new(&self.program)
            .args(["--port", &port, "--region", "eu-test-1", "--quiet"])
            .args(keys)
            .args(["posix", "--sidecar"])
            .args([self.dir.join("metadata"), self.dir.join("root")])
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(process.expect("the S3 server starts"));
    }

    fn parts(&self) -> PathBuf {
        self.dir.join("root/samples/cluster/metrics/parts")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leave();
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

/// A number below 2^53 whose digits look like nothing in particular, so that it takes its room.
fn value_of(series: u64, step: u64) -> f64 {
    let mixed = (series << 32 | step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64
}

/// What a query at `at` answers: a status, and the number or the error.
async fn ask(server: &Taffrail, query: &str, at: i64) -> (u16, String) {
    let time = (at / 1000).to_string();
    let (status, body) = server
        .get("/api/v1/query", &[("query", query), ("time", &time)])
        .await;
    let json: Value = serde_json::from_str(&body).expect("JSON");
    let answer = match status {
        200 => &json["data"]["result"][0]["value"][1],
        _ => &json["error"],
    };
    (status, answer.as_str().unwrap_or_default().to_owned())
}

async fn check(mut bucket: impl Bucket, data: &Path, series: u64, steps: u64) {
    let config = data.join("taffrail.yaml");
    let section = bucket.section();
    let text = format!("metrics:\n  tier:\n    {section}\n    after: 1h\n    cache: 4MiB\n");
    fs::write(&config, text).expect("writes");
    let data = data.join("data");
    let config = config.to_str().expect("UTF-8").to_owned();
    let start = || Taffrail::start(&data, &["--config", &config]);

    // A day of ten days ago, within one partition.
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let old = now.as_millis() as i64 / DAY_MS * DAY_MS - 10 * DAY_MS;
    let server = start();
    for first in (0..steps).step_by(100) {
        let batch: Vec<SeriesSamples> = (0..series)
            .map(|number| SeriesSamples {
                labels: Labels::from_pairs([("__name__", "moved"), ("n", &number.to_string())]),
                samples: (first..steps.min(first + 100))
                    .map(|step| Sample {
                        timestamp: Timestamp(old + step as i64 * STEP_MS),
                        value: value_of(number, step),
                    })
                    .collect(),
                ..SeriesSamples::default()
            })
            .collect();
        assert!(server.write(&batch).await, "a write was refused");
    }
    assert!(server.terminate().success());

    let server = start();
    let local = data.join("metrics/parts");
    until("the part lies in the bucket alone", async || {
        let uploaded = server.get("/metrics", &[]).await.1;
        let is_counted = uploaded
            .lines()
            .any(|line| line.starts_with("taffrail_tsdb_tier_uploads_total 1"));
        (is_counted && files(&bucket.parts()) == 1 && files(&local) <= 1).then_some(())
    })
    .await;
    let at = old + DAY_MS - 1000;
    let counted = "sum(count_over_time(moved[1d]))";
    let every = (200, (series * steps).to_string());
    assert_eq!(ask(&server, counted, at).await, every);
    let last = value_of(series - 1, steps - 1);
    let one = format!("last_over_time(moved{{n=\"{}\"}}[1d])", series - 1);
    let (status, value) = ask(&server, &one, at).await;
    assert_eq!((status, value.parse()), (200, Ok(last)));

    // A start does not need the bucket, a query of what lies there says which object it is.
    server.kill();
    bucket.leave();
    let server = start();
    let (status, error) = ask(&server, counted, at).await;
    assert_eq!(status, 422, "{error}");
    assert!(
        error.contains("/OWNER") || error.contains("/parts/"),
        "{error}"
    );
    let (status, _) = ask(&server, "up", now.as_millis() as i64).await;
    assert_eq!(status, 200);
    bucket.come_back();
    until("the bucket answers again", async || {
        (ask(&server, counted, at).await == every).then_some(())
    })
    .await;
    server.kill();
    let server = start();
    assert_eq!(ask(&server, counted, at).await, every);
    assert!(server.terminate().success());

    // Without a server, too.
    let exported = Command::new(env!("CARGO_BIN_EXE_taffrail"))
        .args(["export", "--config", &config, "--match", "moved", "--data"])
        .arg(&data)
        .output()
        .expect("the binary starts");
    assert!(exported.status.success(), "{exported:?}");
    let lines = exported.stdout.split(|byte| *byte == b'\n');
    assert_eq!(
        lines.filter(|line| !line.is_empty()).count(),
        series as usize
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_samples_move_to_a_folder_and_are_answered_from_there() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let folder = dir.path().join("bucket");
    fs::create_dir(&folder).expect("folder");
    check(Folder(folder), dir.path(), 10, 200).await;
}

/// Large enough for an upload in several pieces.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: deploy/testbucket/check"]
async fn old_samples_move_to_a_real_bucket_and_are_answered_from_there() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let server = Server::start(&dir.path().join("server"));
    let parts = server.parts();
    check(server, dir.path(), 1_000, 2_000).await;
    let part = fs::read_dir(parts).expect("lists").next();
    let bytes = part.expect("a part").expect("lists").metadata();
    let bytes = bytes.expect("a file").len();
    assert!(bytes > 9 << 20, "{bytes} bytes are one piece");
    println!("tier: a part of {bytes} bytes went to the S3 server in pieces, and came back");
}
