//! The real binary as a child process, and the clients that talk to it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use model::sample::SeriesSamples;
use model::wire::loki_push::{ProtoTimestamp, PushEntry, PushRequest, Stream};
use model::wire::remote_write::{TimeSeries, WriteRequest};
use prost::Message as _;
use rustix::process::Signal;
use serde_json::Value;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The first instant that a long test writes: an hour ago, so that everything lies within a query's
/// reach.
pub(crate) fn base_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64 - 3_000_000
}

/// A number that the environment may set.
pub(crate) fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// The binary that is tested: the one that was built for it, or the one that `TAFFRAIL_BINARY` names.
pub(crate) fn binary() -> PathBuf {
    let named = std::env::var_os("TAFFRAIL_BINARY").map(PathBuf::from);
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_taffrail").into())
}

/// A running Taffrail.
pub(crate) struct Taffrail {
    child: Child,
    pub(crate) http: String,
    pub(crate) webhook: String,
    client: reqwest::Client,
}

impl Taffrail {
    /// Starts every role on ports of the system's choice and returns when it says where it is.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_saying("run", data, arguments, Stdio::inherit())
    }

    /// Starts one role that listens for reviews, with its messages in a file that grows.
    pub(crate) fn start_role(role: &str, data: &Path, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log);
        Self::start_saying(role, data, arguments, log.expect("a file").into())
    }

    /// The same, with its messages in a file.
    pub(crate) fn start_logged(data: &Path, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a file");
        Self::start_saying("run", data, arguments, log.into())
    }

    fn start_saying(role: &str, data: &Path, arguments: &[&str], messages: Stdio) -> Self {
        // One crypto provider for every client of this process; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http: &[&str] = if arguments.contains(&"--http") {
            &[]
        } else {
            &["--http", "127.0.0.1:0"]
        };
        let mut child = Command::new(binary())
            .args([role, "--webhook", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(http)
            .args(arguments)
            .env("TAFFRAIL_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (mut http, mut webhook) = (None, None);
        for line in stdout.lines() {
            let line = line.expect("UTF-8");
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("http"), Some(url)) => http = Some(url.to_owned()),
                (Some("webhook"), Some(url)) => webhook = Some(url.to_owned()),
                (Some("ready"), _) => break,
                _ => {}
            }
        }
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .build()
            .expect("a client");
        Self {
            child,
            http: http.expect("the banner names the HTTP address"),
            webhook: webhook.expect("the banner names the webhook"),
            client,
        }
    }

    /// Speaks for a tenant from now on.
    pub(crate) fn speak_for(&mut self, tenant: &str) {
        let name = reqwest::header::HeaderValue::from_str(tenant).expect("a name");
        let headers = [("x-scope-orgid", name)].map(|(key, name)| {
            let key = reqwest::header::HeaderName::from_static(key);
            (key, name)
        });
        let client = reqwest::Client::builder().default_headers(headers.into_iter().collect());
        self.client = client.build().expect("a client");
    }

    /// The process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("alive");
        self.child.wait().expect("ends");
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("alive");
    }

    /// How it ended, once it has.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.wait()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("ends")
    }

    /// GET of a path with parameters: status and body.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.http)).query(query);
        let response = request.send().await.expect("answers");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a body"))
    }

    /// POST of a path with parameters; the status, if there was an answer.
    pub(crate) async fn post(&self, path: &str, query: &[(&str, String)]) -> Option<u16> {
        let request = self.client.post(format!("{}{path}", self.http));
        let response = request.query(query).send().await.ok()?;
        Some(response.status().as_u16())
    }

    /// The `data` of a successful answer.
    pub(crate) async fn data(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let (status, body) = self.get(path, query).await;
        assert_eq!(status, 200, "{path} {query:?}: {body}");
        let mut json: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["status"], "success", "{body}");
        json["data"].take()
    }

    /// The value of the only series of an instant query, if there is one.
    pub(crate) async fn value(&self, expression: &str) -> Option<f64> {
        let data = self.data("/api/v1/query", &[("query", expression)]).await;
        let result = data["result"].as_array().expect("a vector").clone();
        assert!(result.len() <= 1, "{expression}: {result:?}");
        let text = result.first()?["value"][1]
            .as_str()
            .expect("a value")
            .to_owned();
        Some(text.parse().expect("a number"))
    }

    /// The lines of a log query, the oldest first.
    pub(crate) async fn lines(&self, query: &str) -> Vec<String> {
        let range = [("since", "1h"), ("limit", "5000"), ("direction", "forward")];
        let mut parameters = vec![("query", query)];
        parameters.extend(range);
        let data = self.data("/loki/api/v1/query_range", &parameters).await;
        let mut entries: Vec<(i64, String)> = Vec::new();
        for stream in data["result"].as_array().expect("streams") {
            for value in stream["values"].as_array().expect("values") {
                let at = value[0]
                    .as_str()
                    .expect("a time")
                    .parse()
                    .expect("nanoseconds");
                entries.push((at, value[1].as_str().expect("a line").to_owned()));
            }
        }
        entries.sort_by_key(|(at, _)| *at);
        entries.into_iter().map(|(_, line)| line).collect()
    }

    /// Remote write; true if it was acknowledged.
    pub(crate) async fn write(&self, series: &[SeriesSamples]) -> bool {
        self.write_to(&self.http, series).await
    }

    /// Remote write to a server, this or another; true if it was acknowledged.
    pub(crate) async fn write_to(&self, server: &str, series: &[SeriesSamples]) -> bool {
        let request = WriteRequest {
            timeseries: series.iter().map(TimeSeries::from).collect(),
            metadata: Vec::new(),
        };
        let headers = [
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.post_snappy(
            &format!("{server}/api/v1/write"),
            &request.encode_to_vec(),
            &headers,
        )
        .await
    }

    /// Push of lines with their nanoseconds; true if it was acknowledged.
    pub(crate) async fn push(&self, labels: &str, lines: &[(i64, String)]) -> bool {
        let entries = lines.iter().map(|(at, line)| PushEntry {
            timestamp: Some(ProtoTimestamp::from_nanos(*at)),
            line: line.clone(),
            structured_metadata: Vec::new(),
        });
        let request = PushRequest {
            streams: vec![Stream {
                labels: labels.to_owned(),
                entries: entries.collect(),
            }],
        };
        let url = format!("{}/loki/api/v1/push", self.http);
        self.post_snappy(&url, &request.encode_to_vec(), &[]).await
    }

    async fn post_snappy(&self, url: &str, body: &[u8], headers: &[(&str, &str)]) -> bool {
        let body = snap::raw::Encoder::new()
            .compress_vec(body)
            .expect("compresses");
        let mut request = self.client.post(url).body(body);
        request = request.header("Content-Type", "application/x-protobuf");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
            .send()
            .await
            .is_ok_and(|response| response.status() == 204)
    }

    /// Posts an admission review and returns the response in it.
    pub(crate) async fn review(&self, review: &Value) -> Value {
        let request = self.client.post(&self.webhook).json(review);
        let response = request.send().await.expect("answers");
        assert_eq!(response.status(), 200);
        let mut json: Value = response.json().await.expect("JSON");
        json["response"].take()
    }
}

/// A process that a test leaves behind for whatever reason must not outlive it.
impl Drop for Taffrail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until the answer is right. The real binary works in the background, so a test can only look
/// until it sees; it fails when its patience ends, never because the machine is slow.
pub(crate) async fn until<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
