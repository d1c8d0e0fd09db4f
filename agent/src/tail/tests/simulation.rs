//! Random lives of three logs: written, rotated in every way, compressed, read, and the reader
//! killed at any point. Whatever the order, a store that keeps one copy of the same entry has every
//! line exactly once.

use proptest::prelude::*;

use super::*;

/// The logs: two plain ones, of which the first is rotated, and a container's.
const PLAIN: [&str; 2] = ["a.log", "b.log"];
const POD: &str = "pods/ns_p_uid/c/0.log";
/// The longest line.
const LINE_BYTES_MAX: usize = 24;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Lines are written, some longer than a line may be.
    Append(usize, u8),
    /// A container writes a line, a part of one, or one that follows no format.
    AppendFramed(u8),
    /// The file is renamed; the next line makes a new one.
    Rename,
    /// The file is copied and cut to nothing.
    CopyTruncate,
    /// A rotated file is compressed.
    Gzip(u8),
    /// The reader looks once, and what it read is acknowledged.
    Look,
    /// As often, but the sink had an earlier attempt, or a part of it.
    Retry(u8),
    /// The reader is killed between the intent and the sink.
    KillBeforeSink,
    /// The reader is killed when the sink has some of a batch.
    KillWithinSink(u8),
    /// The reader is killed between the acknowledgement and the checkpoint.
    KillBeforeCheckpoint,
    /// The reader is killed between two looks; its next life reads this many bytes at a time.
    Kill(u8),
    /// Time passes, in which rotated files are closed.
    Linger,
}

/// The logs' life.
struct Life {
    bench: Bench,
    /// Every line, as the store should have it.
    written: Vec<String>,
    number: usize,
    /// What the container's open line says so far.
    open: String,
    rotated: Vec<String>,
    rotations: usize,
}

impl Life {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.config.tail.line_bytes_max = LINE_BYTES_MAX;
        bench.config.tail.batch_bytes_max = 256;
        bench.read_bytes = 64;
        let mut life = Self {
            bench,
            written: Vec::new(),
            number: 0,
            open: String::new(),
            rotated: Vec::new(),
            rotations: 0,
        };
        // A log must have been seen once under its own name to have a life.
        life.append("a.log", 0);
        life.bench.drain();
        life
    }

    /// A line that was never written before.
    fn text(&mut self) -> String {
        self.number += 1;
        format!("line {}", self.number)
    }

    fn append(&mut self, log: &str, longer: usize) {
        let text = self.text() + &" and more".repeat(longer);
        self.bench.write(log, &format!("{text}\n"));
        if text.len() <= LINE_BYTES_MAX {
            return self.written.push(text);
        }
        for (number, part) in text.as_bytes().chunks(LINE_BYTES_MAX).enumerate() {
            let part = String::from_utf8_lossy(part);
            let metadata = Labels::from_pairs([("line_part", (number + 1).to_string())]);
            self.written.push(format!("{part} {metadata}"));
        }
    }

    fn append_framed(&mut self, kind: u8) {
        let mut text = self.text();
        let frame = match kind % 4 {
            0 => "",
            1 => "2026-11-21T12:00:00Z stderr F ",
            2 if self.open.len() < 12 => "2026-11-21T12:00:01Z stdout P ",
            _ => "2026-11-21T12:00:02Z stdout F ",
        };
        self.bench.write(POD, &format!("{frame}{text}\n"));
        if frame.contains("stdout") {
            text.insert_str(0, &std::mem::take(&mut self.open));
        }
        if frame.contains('P') {
            self.open = text;
        } else {
            self.written.push(text);
        }
    }

    fn rotated_name(&mut self) -> String {
        self.rotations += 1;
        let name = format!("a.log.{:03}", self.rotations);
        self.rotated.push(name.clone());
        name
    }

    fn apply(&mut self, event: Event) {
        let exists = self.bench.path("a.log").exists();
        match event {
            Event::Append(which, count) => {
                for line in 0..=usize::from(count) {
                    let log = PLAIN[which % PLAIN.len()];
                    self.append(log, line * (self.number % 4));
                }
            }
            Event::AppendFramed(kind) => self.append_framed(kind),
            Event::Rename if exists => {
                let name = self.rotated_name();
                self.bench.rename("a.log", &name);
            }
            Event::CopyTruncate if exists => {
                let name = self.rotated_name();
                let (from, to) = (self.bench.path("a.log"), self.bench.path(&name));
                fs::copy(&from, to).expect("copied");
                File::create(from).expect("truncated");
            }
            Event::Gzip(which) if !self.rotated.is_empty() => {
                let which = usize::from(which) % self.rotated.len();
                let name = self.rotated.remove(which);
                self.bench.gzip(&name, &format!("{name}.gz"));
            }
            Event::Look => self.look(|_| false),
            Event::Retry(mask) => self.look(|number| mask >> (number % 8) & 1 == 1),
            Event::KillBeforeSink => self.kill(|_| false),
            Event::KillWithinSink(mask) => self.kill(|number| mask >> (number % 8) & 1 == 1),
            Event::KillBeforeCheckpoint => self.kill(|_| true),
            Event::Kill(read_bytes) => {
                self.bench.read_bytes = usize::from(read_bytes);
                self.bench.crash();
            }
            Event::Linger => {
                self.bench.linger();
            }
            Event::Rename | Event::CopyTruncate | Event::Gzip(_) => {}
        }
    }

    /// One look; the sink fails at first, when it has the lines of some numbers.
    fn look(&mut self, first: impl Fn(usize) -> bool) {
        let batch = self.bench.step();
        self.bench.deliver(&batch, first);
        if !batch.is_empty() {
            self.bench.acknowledge(&batch);
        }
    }

    /// One look, after which the reader is killed; the sink has the lines of some numbers.
    fn kill(&mut self, taken: impl Fn(usize) -> bool) {
        let batch = self.bench.step();
        self.bench.deliver(&batch, taken);
        self.bench.crash();
    }

    /// What the store has, and what it should have.
    fn end(mut self) -> (Vec<String>, Vec<String>) {
        if !self.open.is_empty() {
            self.append_framed(3);
        }
        self.apply(Event::Linger);
        self.written.sort();
        let mut times = HashSet::new();
        let mut lines = Vec::new();
        for (stream, at, line, metadata) in self.bench.store {
            let dated = stream.contains("stream=");
            assert!(dated || times.insert((stream, at)), "{at} was given twice");
            let part = metadata.contains("line_part");
            lines.push(if part {
                format!("{line} {metadata}")
            } else {
                line
            });
        }
        lines.sort();
        (lines, self.written)
    }
}

fn check(events: &[Event]) {
    let mut life = Life::new();
    for event in events {
        life.apply(*event);
    }
    let (stored, written) = life.end();
    assert_eq!(stored, written, "{events:?}");
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_usize..3, 0_u8..4).prop_map(|(which, count)| Event::Append(which / 2, count)),
        2 => any::<u8>().prop_map(Event::AppendFramed),
        2 => Just(Event::Rename),
        1 => Just(Event::CopyTruncate),
        1 => any::<u8>().prop_map(Event::Gzip),
        3 => Just(Event::Look),
        1 => any::<u8>().prop_map(Event::Retry),
        1 => Just(Event::KillBeforeSink),
        1 => any::<u8>().prop_map(Event::KillWithinSink),
        2 => Just(Event::KillBeforeCheckpoint),
        1 => (1_u8..100).prop_map(Event::Kill),
        1 => Just(Event::Linger),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_line_is_stored_once(events in proptest::collection::vec(event(), 1..32)) {
        check(&events);
    }
}
