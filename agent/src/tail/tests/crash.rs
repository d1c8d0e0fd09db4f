//! Ends without a word, and what the next start makes of the checkpoint.

use super::*;

#[test]
fn what_was_acknowledged_is_not_repeated() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n2\nunfinished");
    assert_eq!(bench.drain(), ["1", "2"]);
    bench.crash();
    bench.write("a.log", " line\n3\n");
    assert_eq!(bench.drain(), ["unfinished line", "3"]);
}

#[test]
fn what_was_not_acknowledged_is_repeated() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.write("a.log", "2\n");
    assert_eq!(lines_of(&bench.step()), ["2"]);
    bench.crash();
    bench.write("a.log", "3\n");
    assert_eq!(bench.drain(), ["2", "3"]);
}

/// The times of a batch's lines, by their text.
fn times_of(batch: &Batch) -> HashMap<String, i64> {
    let entries = batch.streams.iter().flat_map(|stream| &stream.entries);
    entries
        .map(|entry| (entry.line.clone(), entry.timestamp.nanos()))
        .collect()
}

#[test]
fn what_is_repeated_has_the_times_it_had() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    bench.write("b.log", "1\n");
    bench.drain();
    bench.write("a.log", "2\n3\n");
    bench.write("b.log", "4\n");
    let first = times_of(&bench.step());
    bench.crash();
    bench.gzip("a.log", "a.log.1.gz");
    bench.write("a.log", "5\n");
    bench.write("b.log", "6\n");
    // A compressed file is read when it no longer grows.
    bench.drain();
    bench.now += 20 * SECOND;
    bench.drain();
    let mut times = HashMap::new();
    for (_, at, line, _) in &bench.store {
        assert_eq!(
            times.insert(line.clone(), *at).filter(|_| line != "1"),
            None
        );
    }
    for (line, at) in &first {
        assert_eq!(times.get(line), Some(at), "{line}");
    }
    let latest = first.values().max();
    assert!(times.get("5") > latest && times.get("6") > latest);
}

#[test]
fn an_intent_whose_file_is_gone_holds_nothing_up() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    bench.write("b.log", "1\n");
    bench.drain();
    bench.write("a.log", "2\n");
    bench.write("b.log", "3\n");
    bench.step();
    bench.crash();
    fs::remove_file(bench.path("a.log")).expect("removed");
    assert_eq!(bench.drain(), ["3"]);
    bench.write("a.log", "another\n");
    assert_eq!(bench.linger(), ["another"]);
}

#[test]
fn what_was_skipped_at_the_first_start_stays_skipped() {
    let mut bench = Bench::new();
    bench.config.tail.first_read_bytes_max = 8;
    bench.write("a.log", "0123456789\nab\ncd\n");
    assert_eq!(lines_of(&bench.step()), ["ab", "cd"]);
    bench.crash();
    assert_eq!(bench.drain(), ["ab", "cd"]);
}

#[test]
fn an_open_partial_line_holds_the_checkpoint() {
    let mut bench = Bench::new();
    let log = "pods/ns_p_uid/c/0.log";
    bench.write(log, "2026-11-21T12:00:00Z stdout P begin\n");
    assert_eq!(bench.drain(), [""; 0]);
    bench.crash();
    bench.write(log, "2026-11-21T12:00:01Z stdout F end\n");
    assert_eq!(bench.drain(), ["beginend"]);
}

#[test]
fn rotated_while_we_were_away() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.crash();
    bench.write("a.log", "2\n");
    bench.rename("a.log", "a.log.2");
    bench.write("a.log.1", "3\n");
    bench.write("a.log", "4\n");
    assert_eq!(bench.drain(), ["2", "3", "4"]);
    bench.crash();
    assert_eq!(bench.drain(), [""; 0], "nothing is read again");
}

#[test]
fn rotated_and_compressed_while_we_were_away() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.crash();
    bench.write("a.log", "2\n");
    bench.gzip("a.log", "a.log.2.gz");
    bench.write("a.log.1", "3\n");
    bench.gzip("a.log.1", "a.log.1.gz");
    bench.write("a.log", "4\n");
    let mut lines = bench.linger();
    lines.sort();
    assert_eq!(lines, ["2", "3", "4"]);
    bench.crash();
    assert_eq!(bench.linger(), [""; 0], "nothing is read again");
}

#[test]
fn copied_and_truncated_while_we_were_away() {
    let mut bench = Bench::new();
    bench.write("a.log", "first\n");
    assert_eq!(bench.drain(), ["first"]);
    bench.crash();
    bench.write("a.log", "unread\n");
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).expect("copied");
    File::create(bench.path("a.log")).expect("truncated");
    bench.write("a.log", "a new beginning\n");
    let mut lines = bench.linger();
    lines.sort();
    assert_eq!(lines, ["a new beginning", "unread"]);
}

#[test]
fn rotated_and_not_yet_created_again() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.crash();
    bench.write("a.log", "2\n");
    bench.rename("a.log", "a.log.1");
    assert_eq!(bench.drain(), ["2"]);
}

#[test]
fn finished_generations_are_remembered_across_starts() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    bench.drain();
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "2\n");
    assert_eq!(bench.linger(), ["2"]);
    bench.crash();
    bench.rename("a.log.1", "a.log.2");
    assert_eq!(bench.drain(), [""; 0]);
    bench.crash();
    bench.gzip("a.log.2", "a.log.2.gz");
    assert_eq!(bench.linger(), [""; 0]);
}

#[test]
fn a_file_that_appeared_while_we_were_away_is_read_whole() {
    let mut bench = Bench::new();
    bench.config.tail.first_read_bytes_max = 1;
    bench.write("a.log", "1\n");
    bench.drain();
    bench.crash();
    bench.write("b.log", "one\ntwo\n");
    assert_eq!(bench.drain(), ["one", "two"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_nothing() {
    let mut bench = Bench::new();
    bench.write("state", "a file where a folder must be");
    bench.config.tail.checkpoint = bench.path("state/tail.json");
    bench.write("a.log", "1\n");
    let metrics = Arc::new(AgentMetrics::default());
    // Opening such a path fails before it can be written.
    assert!(Tailer::open(&bench.config, metrics).is_err());
    fs::remove_file(bench.path("state")).expect("removed");
    assert_eq!(bench.drain(), ["1"]);
    fs::remove_dir_all(bench.path("state")).expect("removed");
    bench.write("state", "a file where a folder must be");
    bench.write("a.log", "2\n");
    assert_eq!(bench.drain(), ["2"]);
    assert!(bench.metrics().tail.checkpoint_failures.get() > 0);
}
