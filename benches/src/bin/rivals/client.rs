//! What speaks to a system: remote write from several connections, and queries.
//!
//! Bodies are made while they are sent, the same bytes for every system. A series is always sent by the
//! same connection, so that its samples arrive in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use prost::encoding::encode_varint;
use serde_json::Value;
use tokio::sync::Barrier;

use crate::series::{Series, Set};

/// A client of one server. Cloning shares its connections.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
}

/// How series are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections at once, each with its share of the series.
    pub(crate) connections: usize,
    /// Samples in a request; Prometheus sends 2,000.
    pub(crate) request_samples: usize,
    /// What is sent before the next series: a scrape, or several.
    pub(crate) window_ms: i64,
    /// Whether connections wait for each other after each window. Prometheus refuses what is an
    /// hour older than its newest sample.
    pub(crate) lockstep: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: 8,
            request_samples: 2_000,
            window_ms: 15_000,
            lockstep: false,
        }
    }
}

/// What became of a load.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    /// Samples that were acknowledged.
    pub(crate) samples: usize,
    /// Requests that were answered with "later" and sent again.
    pub(crate) repeated: usize,
    /// From the first request to the last acknowledgement.
    pub(crate) seconds: f64,
}

/// How long a server may go on saying "later" to one request.
const PATIENCE: Duration = Duration::from_mins(5);
const LATER: Duration = Duration::from_millis(50);

impl Client {
    pub(crate) fn new(url: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_mins(10))
            .build()?;
        Ok(Self { url, http })
    }

    /// Whether `path` answers 200.
    pub(crate) async fn is_ok(&self, path: &str) -> bool {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The body of a successful answer.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<String> {
        let request = self.http.get(format!("{}{path}", self.url)).query(query);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            let start: String = body.chars().take(300).collect();
            bail!("{path} {query:?}: {status}: {start}");
        }
        Ok(body)
    }

    /// The `data` of an answer of Prometheus' API.
    pub(crate) async fn data(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let body = self.get(path, query).await?;
        let mut json: Value = serde_json::from_str(&body)?;
        Ok(json.get_mut("data").map(Value::take).unwrap_or_default())
    }

    /// The value of the only series of an instant query; `None` where there is none.
    pub(crate) async fn value(&self, query: &str, at_ms: i64) -> anyhow::Result<Option<f64>> {
        let at = (at_ms as f64 / 1000.0).to_string();
        let parameters = [("query", query), ("time", at.as_str()), ("nocache", "1")];
        let data = self.data("/api/v1/query", &parameters).await?;
        let text = data.pointer("/result/0/value/1").and_then(Value::as_str);
        Ok(text.map(str::parse).transpose()?)
    }

    /// POST without a body, successful.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.http.post(format!("{}{path}", self.url)).send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status}: {body}");
        }
        Ok(body)
    }

    /// Sends all of `set` and waits until all of it is acknowledged.
    pub(crate) async fn load(&self, set: &Set, load: Load) -> anyhow::Result<Loaded> {
        let began = Instant::now();
        let (first, last) = crate::series::range(set);
        let barrier = Arc::new(Barrier::new(load.connections));
        let mut tasks = Vec::new();
        for number in 0..load.connections {
            let share = |end: usize| set.len() * end / load.connections;
            let mut sender = Sender {
                client: self.clone(),
                set: Arc::clone(set),
                from: share(number),
                cursors: vec![0; share(number + 1) - share(number)],
                loaded: Loaded::default(),
            };
            let barrier = Arc::clone(&barrier);
            tasks.push(tokio::spawn(async move {
                let mut window_end = first;
                let mut sent = Ok(());
                while window_end <= last {
                    window_end += load.window_ms;
                    if sent.is_ok() {
                        sent = sender.window(window_end, load.request_samples).await;
                    } else if !load.lockstep {
                        break;
                    }
                    if load.lockstep {
                        barrier.wait().await;
                    }
                }
                sent.map(|()| sender.loaded)
            }));
        }
        let mut all = Loaded::default();
        for task in tasks {
            let loaded = task.await??;
            all.samples += loaded.samples;
            all.repeated += loaded.repeated;
        }
        all.seconds = began.elapsed().as_secs_f64();
        let expected = crate::series::samples(set);
        if all.samples != expected {
            bail!("{} of {expected} samples were sent", all.samples);
        }
        Ok(all)
    }

    async fn write(&self, body: Vec<u8>) -> anyhow::Result<usize> {
        let began = Instant::now();
        let body = bytes::Bytes::from(snap::raw::Encoder::new().compress_vec(&body)?);
        let mut repeated = 0;
        loop {
            let request = self
                .http
                .post(format!("{}/api/v1/write", self.url))
                .header("Content-Type", "application/x-protobuf")
                .header("Content-Encoding", "snappy")
                .header("X-Prometheus-Remote-Write-Version", "0.1.0")
                .body(body.clone());
            let answer = request.send().await.context("remote write")?;
            let status = answer.status();
            if status.is_success() {
                return Ok(repeated);
            }
            let text = answer.text().await?;
            let later = status.as_u16() == 429 || status.is_server_error();
            if !later || began.elapsed() > PATIENCE {
                bail!("remote write: {status}: {text}");
            }
            repeated += 1;
            tokio::time::sleep(LATER).await;
        }
    }
}

/// One connection's share of a load.
struct Sender {
    client: Client,
    set: Set,
    /// The first series of the share.
    from: usize,
    /// The next sample of each series of the share.
    cursors: Vec<usize>,
    loaded: Loaded,
}

impl Sender {
    /// Sends what lies before `end`, in requests of about `request_samples`.
    async fn window(&mut self, end: i64, request_samples: usize) -> anyhow::Result<()> {
        let (mut body, mut samples) = (Vec::new(), 0);
        for number in 0..self.cursors.len() {
            samples += self.push(number, end, &mut body);
            if samples >= request_samples {
                self.send(std::mem::take(&mut body), std::mem::take(&mut samples))
                    .await?;
            }
        }
        if samples > 0 {
            self.send(body, samples).await?;
        }
        Ok(())
    }

    async fn send(&mut self, body: Vec<u8>, samples: usize) -> anyhow::Result<()> {
        self.loaded.repeated += self.client.write(body).await?;
        self.loaded.samples += samples;
        Ok(())
    }

    /// Adds the samples of a series before `end` to the request. Returns how many.
    fn push(&mut self, number: usize, end: i64, body: &mut Vec<u8>) -> usize {
        let Some((series, cursor)) = self
            .set
            .get(self.from + number)
            .zip(self.cursors.get_mut(number))
        else {
            return 0;
        };
        let begin = *cursor;
        while series.timestamps.get(*cursor).is_some_and(|at| *at < end) {
            *cursor += 1;
        }
        if begin < *cursor {
            put_series(series, begin..*cursor, body);
        }
        *cursor - begin
    }
}

/// A `TimeSeries` of a `WriteRequest`, as the protocol buffers' own encoder would write it.
fn put_series(series: &Series, samples: std::ops::Range<usize>, body: &mut Vec<u8>) {
    let mut message = series.wire_labels.clone();
    let pairs = series.timestamps.iter().zip(&series.values);
    for (at, value) in pairs.skip(samples.start).take(samples.len()) {
        let mut sample = vec![0x09];
        sample.extend_from_slice(&value.to_le_bytes());
        sample.push(0x10);
        encode_varint(*at as u64, &mut sample);
        message.push(0x12);
        encode_varint(sample.len() as u64, &mut message);
        message.extend_from_slice(&sample);
    }
    body.push(0x0a);
    encode_varint(message.len() as u64, body);
    body.extend_from_slice(&message);
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;
    use model::wire::remote_write::WriteRequest;
    use prost::Message as _;

    use super::*;

    #[test]
    fn bodies_are_what_the_protocol_s_own_decoder_reads() {
        let labels = Labels::from_pairs([("__name__", "m"), ("a", "b")]);
        let values = vec![-0.0, f64::NAN, 3.5];
        let series = Series::new(labels, vec![1, 2, 1_749_945_600_000].into(), values);
        let mut body = Vec::new();
        put_series(&series, 0..1, &mut body);
        put_series(&series, 1..3, &mut body);
        let request = WriteRequest::decode(body.as_slice()).expect("decodes");
        let found: Vec<(i64, u64)> = request
            .timeseries
            .iter()
            .flat_map(|series| &series.samples)
            .map(|sample| (sample.timestamp, sample.value.unwrap_or(1.0).to_bits()))
            .collect();
        let expected: Vec<(i64, u64)> = series
            .timestamps
            .iter()
            .zip(&series.values)
            .map(|(at, value)| (*at, value.to_bits()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(request.timeseries[1].labels[1].value, "b");
    }
}
