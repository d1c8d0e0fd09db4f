//! The tailer's task against a sink that answers as it is told.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::entry::StreamEntries;
use model::sample::{Metadata, SeriesSamples};
use parking_lot::Mutex;

use super::*;
use crate::ship::ShipError;

/// Records lines, and gives the answers in turn, then acknowledges.
#[derive(Default)]
struct Recorder {
    answers: Mutex<VecDeque<ShipError>>,
    attempts: Mutex<Vec<Vec<String>>>,
    arrived: tokio::sync::Notify,
}

impl Sink for Recorder {
    fn write_series(
        &self,
        _: Vec<SeriesSamples>,
        _: Vec<Metadata>,
    ) -> BoxFuture<'_, Result<(), ShipError>> {
        Box::pin(async { Err(ShipError::refused("lines only")) })
    }

    fn write_streams(&self, streams: Vec<StreamEntries>) -> BoxFuture<'_, Result<(), ShipError>> {
        let lines = streams
            .into_iter()
            .flat_map(|stream| stream.entries)
            .map(|entry| entry.line)
            .collect();
        self.attempts.lock().push(lines);
        self.arrived.notify_one();
        let answer = self.answers.lock().pop_front().map_or(Ok(()), Err);
        Box::pin(async { answer })
    }
}

/// Starts the task; gives what stops it and its end.
fn start(
    bench: &mut Bench,
    sink: &Arc<Recorder>,
) -> (
    CancellationToken,
    CancellationToken,
    tokio::task::JoinHandle<()>,
) {
    bench.tailer();
    let tailer = bench.tailer.take().expect("a tailer");
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let sink: Arc<dyn Sink> = Arc::clone(sink) as _;
    let run = tailer.run(sink, Clock::system(), stop.clone(), abort.clone());
    (stop, abort, tokio::spawn(run))
}

#[tokio::test]
async fn a_stopped_tailer_drains_and_ends() {
    let mut bench = Bench::new();
    let sink = Arc::new(Recorder::default());
    sink.answers.lock().push_back(ShipError::retryable("busy"));
    bench.write("a.log", "1\n2\n");
    let (stop, _, task) = start(&mut bench, &sink);
    stop.cancel();
    task.await.expect("ended");
    assert_eq!(*sink.attempts.lock(), [["1", "2"], ["1", "2"]]);
    // All of it was acknowledged: the next start has nothing to do.
    assert_eq!(bench.drain(), [""; 0]);
}

#[tokio::test]
async fn an_appended_line_arrives() {
    let mut bench = Bench::new();
    let sink = Arc::new(Recorder::default());
    bench.write("a.log", "1\n");
    let (stop, _, task) = start(&mut bench, &sink);
    sink.arrived.notified().await;
    bench.write("a.log", "2\n");
    sink.arrived.notified().await;
    stop.cancel();
    task.await.expect("ended");
    assert_eq!(*sink.attempts.lock(), [["1"], ["2"]]);
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_does_not_block() {
    let mut bench = Bench::new();
    let sink = Arc::new(Recorder::default());
    sink.answers.lock().push_back(ShipError::refused("too old"));
    bench.write("a.log", "1\n");
    let (stop, _, task) = start(&mut bench, &sink);
    sink.arrived.notified().await;
    bench.write("a.log", "2\n");
    sink.arrived.notified().await;
    stop.cancel();
    task.await.expect("ended");
    assert_eq!(*sink.attempts.lock(), [["1"], ["2"]]);
}

#[tokio::test]
async fn an_abort_keeps_the_place() {
    let mut bench = Bench::new();
    let sink = Arc::new(Recorder::default());
    let down = std::iter::repeat_n(ShipError::retryable("down"), 1000);
    sink.answers.lock().extend(down);
    bench.write("a.log", "1\n");
    let (stop, abort, task) = start(&mut bench, &sink);
    sink.arrived.notified().await;
    stop.cancel();
    abort.cancel();
    tokio::time::timeout(Duration::from_secs(30), task)
        .await
        .expect("in time")
        .expect("ended");
    assert_eq!(bench.drain(), ["1"]);
}
