//! Random lives of one log: written, rotated in every way, compressed, read, and the reader crashing
//! at any point. Whatever the order, every line is acknowledged exactly once.

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Lines are written.
    Append(u8),
    /// The file is renamed; the next line makes a new one.
    Rename,
    /// The file is copied and cut to nothing.
    CopyTruncate,
    /// A rotated file is compressed.
    Gzip(u8),
    /// The reader looks once, and what it read is acknowledged.
    Look,
    /// The reader looks once and crashes before there is an answer.
    LookAndCrash,
    /// The reader crashes.
    Crash,
    /// Time passes, in which rotated files are closed.
    Linger,
}

/// The log's life.
struct Life {
    bench: Bench,
    written: Vec<String>,
    rotated: Vec<String>,
    rotations: usize,
}

impl Life {
    fn new() -> Self {
        let mut bench = Bench::new();
        // A log must have been seen once under its own name to have a life.
        bench.write("a.log", "line 0\n");
        bench.lines = bench.drain();
        Self {
            bench,
            written: vec!["line 0".to_owned()],
            rotated: Vec::new(),
            rotations: 0,
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
            Event::Append(count) => {
                for _ in 0..=count {
                    let line = format!("line {}", self.written.len());
                    self.bench.write("a.log", &format!("{line}\n"));
                    self.written.push(line);
                }
            }
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
            Event::Look => {
                let batch = self.bench.step();
                if !batch.is_empty() {
                    self.bench.acknowledge(&batch);
                }
            }
            Event::LookAndCrash => {
                self.bench.step();
                self.bench.crash();
            }
            Event::Crash => self.bench.crash(),
            Event::Linger => {
                let lines = self.bench.linger();
                self.bench.lines.extend(lines);
            }
            Event::Rename | Event::CopyTruncate | Event::Gzip(_) => {}
        }
    }

    /// Every line that was acknowledged, in the order of writing.
    fn acknowledged(mut self) -> (Vec<String>, Vec<String>) {
        self.apply(Event::Linger);
        let mut lines = self.bench.lines;
        lines.sort_by_key(|line| {
            line.strip_prefix("line ")
                .and_then(|number| number.parse::<usize>().ok())
        });
        (lines, self.written)
    }
}

fn check(events: &[Event]) {
    let mut life = Life::new();
    for event in events {
        life.apply(*event);
    }
    let (acknowledged, written) = life.acknowledged();
    assert_eq!(acknowledged, written, "{events:?}");
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..3).prop_map(Event::Append),
        2 => Just(Event::Rename),
        1 => Just(Event::CopyTruncate),
        1 => any::<u8>().prop_map(Event::Gzip),
        3 => Just(Event::Look),
        1 => Just(Event::LookAndCrash),
        1 => Just(Event::Crash),
        1 => Just(Event::Linger),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_line_is_acknowledged_once(events in proptest::collection::vec(event(), 1..24)) {
        check(&events);
    }
}
