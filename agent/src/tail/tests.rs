//! Tailing real files in a temporary folder, step by step, by a clock the test moves.

mod crash;
mod delivery;
mod rotation;
mod simulation;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use model::labels::Labels;
use model::time::TimestampNs;

use super::*;

const SECOND: i64 = 1_000_000_000;

/// A folder of logs and a tailer over it.
struct Bench {
    folder: tempfile::TempDir,
    config: AgentConfig,
    tailer: Option<Tailer>,
    now: i64,
    /// Every line that was acknowledged, by file.
    lines: Vec<String>,
    /// What a store has of all that was written to it: one copy of what is the same.
    store: HashSet<Stored>,
    /// The size of one read.
    read_bytes: usize,
}

/// An entry: stream, nanoseconds, line, metadata.
type Stored = (String, i64, String, String);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let mut config = AgentConfig {
            node_name: "n".to_owned(),
            ..AgentConfig::default()
        };
        config.roots.var_log.clone_from(&root);
        config.tail.globs = vec![format!("{}/*.log", root.display())];
        config.tail.checkpoint = root.join("state/tail.json");
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // The files are dated by the kernel: the test's clock starts behind and never catches up.
        let now = since.expect("after 1970").as_nanos() as i64 - 1800 * SECOND;
        Self {
            folder,
            config,
            tailer: None,
            now,
            lines: Vec::new(),
            store: HashSet::new(),
            read_bytes: READ_BYTES,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Makes a file look as if it was last written an hour ago.
    fn age(&self, name: &str) {
        let hour = std::time::Duration::from_hours(1);
        File::options()
            .write(true)
            .open(self.path(name))
            .and_then(|file| file.set_modified(SystemTime::now() - hour))
            .expect("aged");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamed");
    }

    fn gzip(&self, from: &str, to: &str) {
        let text = fs::read(self.path(from)).expect("read");
        let file = File::create(self.path(to)).expect("made");
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        encoder.write_all(&text).expect("written");
        encoder.finish().expect("finished");
        fs::remove_file(self.path(from)).expect("removed");
    }

    fn tailer(&mut self) -> &mut Tailer {
        let metrics = Arc::new(AgentMetrics::default());
        self.tailer.get_or_insert_with(|| {
            let mut tailer = Tailer::open(&self.config, metrics).expect("opened");
            tailer.buffer.truncate(self.read_bytes);
            tailer
        })
    }

    /// One step, a second after the last.
    fn step(&mut self) -> Batch {
        self.now += SECOND;
        let now = TimestampNs(self.now);
        self.tailer().step(now)
    }

    /// Steps and acknowledges until there is nothing more; gives the lines.
    fn drain(&mut self) -> Vec<String> {
        let before = self.lines.len();
        loop {
            let batch = self.step();
            if batch.is_empty() {
                return self.lines.split_off(before);
            }
            self.acknowledge(&batch);
        }
    }

    /// The sink takes the lines of a batch whose number `wanted` likes.
    fn deliver(&mut self, batch: &Batch, wanted: impl Fn(usize) -> bool) {
        let entries = batch.streams.iter().flat_map(|stream| {
            let labels = stream.labels.to_string();
            let entries = stream.entries.iter();
            entries.map(move |entry| {
                let metadata = entry.metadata.to_string();
                let (at, line) = (entry.timestamp.nanos(), entry.line.clone());
                (labels.clone(), at, line, metadata)
            })
        });
        let taken = entries.enumerate().filter(|(number, _)| wanted(*number));
        self.store.extend(taken.map(|(_, entry)| entry));
    }

    fn acknowledge(&mut self, batch: &Batch) {
        self.deliver(batch, |_| true);
        self.lines.extend(lines_of(batch));
        let now = TimestampNs(self.now);
        self.tailer().acknowledge(batch, now);
    }

    /// Ends the process without a word; the next step begins anew, from the checkpoint.
    fn crash(&mut self) {
        self.tailer = None;
    }

    /// Lets the time pass after which a rotated file is closed.
    fn linger(&mut self) -> Vec<String> {
        let mut lines = self.drain();
        self.now += 20 * SECOND;
        lines.extend(self.drain());
        lines
    }

    fn metrics(&mut self) -> Arc<AgentMetrics> {
        Arc::clone(&self.tailer().metrics)
    }
}

fn lines_of(batch: &Batch) -> Vec<String> {
    batch
        .streams
        .iter()
        .flat_map(|stream| &stream.entries)
        .map(|entry| entry.line.clone())
        .collect()
}

#[test]
fn files_are_read_from_their_beginning_and_followed() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n2\nhal");
    assert_eq!(bench.drain(), ["1", "2"]);
    bench.write("a.log", "f\n");
    assert_eq!(bench.drain(), ["half"]);
    bench.write("b.log", "new\n");
    assert_eq!(bench.drain(), ["new"]);
}

#[test]
fn streams_carry_their_labels() {
    let mut bench = Bench::new();
    bench.write("a.log", "plain\n");
    bench.write(
        "pods/ns_p_uid/c/0.log",
        "2026-11-21T12:00:00Z stdout F out\n2026-11-21T12:00:01Z stderr F err\n",
    );
    let batch = bench.step();
    let streams: HashMap<String, String> = batch
        .streams
        .iter()
        .map(|stream| (stream.entries[0].line.clone(), stream.labels.to_string()))
        .collect();
    let a = bench.path("a.log").display().to_string();
    let pod = bench.path("pods/ns_p_uid/c/0.log").display().to_string();
    assert_eq!(
        streams["plain"],
        format!(r#"{{filename="{a}", job="varlogs"}}"#)
    );
    for (line, stream) in [("out", "stdout"), ("err", "stderr")] {
        assert_eq!(
            streams[line],
            format!(
                r#"{{container="c", filename="{pod}", job="ns/c", namespace="ns", node_name="n", pod="p", stream="{stream}"}}"#
            )
        );
    }
}

#[test]
fn read_times_never_repeat_or_go_back() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n2\n3\n");
    let mut times = Vec::new();
    for back in [0, 3 * SECOND, 0] {
        bench.now -= back;
        let batch = bench.step();
        times.extend(batch.streams[0].entries.iter().map(|entry| entry.timestamp));
        bench.acknowledge(&batch);
        bench.write("a.log", "more\nand more\n");
        if back > 0 {
            bench.crash();
        }
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[test]
fn a_long_file_of_before_the_first_start_is_read_at_its_end() {
    let mut bench = Bench::new();
    bench.config.tail.first_read_bytes_max = 8;
    bench.write("a.log", "0123456789\nab\ncd\n");
    assert_eq!(bench.drain(), ["ab", "cd"]);
    assert_eq!(bench.metrics().tail.skipped_bytes.get(), 9);
    bench.write("b.log", "0123456789\nab\ncd\n");
    assert_eq!(bench.drain(), ["0123456789", "ab", "cd"]);
}

#[test]
fn a_batch_is_bounded_and_files_take_turns() {
    let mut bench = Bench::new();
    bench.config.tail.batch_bytes_max = 4096;
    let long: Vec<String> = (0..40_000).map(|n| format!("line {n}")).collect();
    bench.write("a.log", &(long.join("\n") + "\n"));
    bench.write("b.log", "short\n");
    let batch = bench.step();
    assert!(batch.bytes() < 4096 + 10 * READ_BYTES, "{}", batch.bytes());
    let mut lines = lines_of(&batch);
    bench.acknowledge(&batch);
    bench.lines.clear();
    let batch = bench.step();
    assert_eq!(lines_of(&batch)[0], "short", "the second file's turn");
    lines.extend(lines_of(&batch));
    bench.acknowledge(&batch);
    bench.lines.clear();
    lines.extend(bench.drain());
    lines.retain(|line| line != "short");
    assert_eq!(lines, long);
}

#[test]
fn one_file_under_two_names_is_read_once() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    fs::hard_link(bench.path("a.log"), bench.path("b.log")).expect("linked");
    std::os::unix::fs::symlink(bench.path("a.log"), bench.path("c.log")).expect("linked");
    assert_eq!(bench.drain(), ["1"]);
}

#[test]
fn a_container_s_log_is_read_under_its_pod_s_name_however_wide_the_patterns() {
    let mut bench = Bench::new();
    let root = bench.folder.path().to_owned();
    let patterns = ["*/*.log", "**/*.log"];
    bench.config.tail.globs = patterns
        .map(|pattern| format!("{}/{pattern}", root.display()))
        .to_vec();
    let uid = "0f1e2d3c-0000-0000-0000-000000000001";
    let log = format!("pods/shop_web-0_{uid}/app/0.log");
    let line = "2026-11-21T13:00:00.000000001Z stdout F hello\n";
    for folder in ["containers", "other"] {
        fs::create_dir_all(root.join(folder)).expect("made");
    }
    fs::create_dir_all(root.join(&log).parent().expect("a folder")).expect("made");
    bench.write(&log, line);
    for link in ["containers/web-0_shop_app-1.log", "other/link.log"] {
        std::os::unix::fs::symlink(root.join(&log), root.join(link)).expect("linked");
    }
    let batch = bench.step();
    assert_eq!(lines_of(&batch), ["hello"]);
    assert_eq!(batch.streams[0].labels.get("pod"), Some("web-0"));
}

#[test]
fn what_is_no_readable_log_is_left_out() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("folder.log")).expect("made");
    std::os::unix::fs::symlink("nowhere", bench.path("dangling.log")).expect("linked");
    bench.write("pods/not-a-pod/c/0.log", "x\n");
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
}
