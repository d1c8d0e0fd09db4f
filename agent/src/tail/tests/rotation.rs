//! Rotation in all its forms, between any two looks.

use super::*;

#[test]
fn rename_and_create() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.write("a.log", "2\n");
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "3\n");
    assert_eq!(bench.drain(), ["2", "3"]);
    // The writer goes on with the renamed file until it has opened the new one.
    bench.write("a.log.1", "late\n");
    assert_eq!(bench.drain(), ["late"]);
    assert_eq!(bench.linger(), [""; 0]);
    assert_eq!(
        bench.metrics().tail.files.get(),
        1,
        "the rotated file is closed"
    );
    // Even after it was closed nothing is lost.
    bench.write("a.log.1", "very late\n");
    assert_eq!(bench.drain(), ["very late"]);
}

/// A sink that is down keeps the next look away for long.
#[test]
fn a_rotated_file_that_grew_between_two_distant_looks_is_not_closed_unread() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "2\n");
    assert_eq!(bench.drain(), ["2"]);
    bench.write("a.log.1", "late\n");
    bench.now += 20 * SECOND;
    assert_eq!(bench.linger(), ["late"]);
}

#[test]
fn two_rotations_between_two_looks() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.write("a.log", "2\n");
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "3\n");
    bench.rename("a.log.1", "a.log.2");
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "4\n");
    assert_eq!(bench.drain(), ["2", "3", "4"]);
    assert_eq!(bench.linger(), [""; 0]);
    assert_eq!(bench.metrics().tail.rotations.get(), 2);
}

#[test]
fn the_kubelet_s_rotation() {
    let mut bench = Bench::new();
    let line = |text: &str| format!("2026-11-21T12:00:00Z stdout F {text}\n");
    let log = "pods/ns_p_uid/c/0.log";
    bench.write(log, &line("1"));
    assert_eq!(bench.drain(), ["1"]);
    bench.write(log, &line("2"));
    bench.rename(log, "pods/ns_p_uid/c/0.log.20261121-120000");
    bench.write(log, &line("3"));
    assert_eq!(bench.linger(), ["2", "3"]);
    // At the next rotation the generation before is compressed, beside it first.
    bench.write("pods/ns_p_uid/c/0.log.20261121-120000.tmp", "half");
    assert_eq!(bench.drain(), [""; 0]);
    fs::remove_file(bench.path("pods/ns_p_uid/c/0.log.20261121-120000.tmp")).expect("removed");
    bench.gzip(
        "pods/ns_p_uid/c/0.log.20261121-120000",
        "pods/ns_p_uid/c/0.log.20261121-120000.gz",
    );
    bench.rename(log, "pods/ns_p_uid/c/0.log.20261121-130000");
    bench.write(log, &line("4"));
    assert_eq!(bench.linger(), ["4"]);
    // The container is restarted: another log of the same container.
    bench.write("pods/ns_p_uid/c/1.log", &line("5"));
    assert_eq!(bench.linger(), ["5"]);
}

#[test]
fn rotation_behind_a_link() {
    let mut bench = Bench::new();
    let line = |text: &str| {
        format!(r#"{{"log":"{text}\n","stream":"stdout","time":"2026-11-21T12:00:00Z"}}"#) + "\n"
    };
    bench.write("docker/x-json.log", &line("1"));
    bench.write("pods/ns_p_uid/c/readme", "");
    let link = bench.path("pods/ns_p_uid/c/0.log");
    std::os::unix::fs::symlink(bench.path("docker/x-json.log"), link).expect("linked");
    assert_eq!(bench.drain(), ["1"]);
    bench.rename("docker/x-json.log", "docker/x-json.log.1");
    bench.write("docker/x-json.log", &line("2"));
    bench.rename("docker/x-json.log.1", "docker/x-json.log.2");
    bench.rename("docker/x-json.log", "docker/x-json.log.1");
    bench.write("docker/x-json.log", &line("3"));
    assert_eq!(bench.linger(), ["2", "3"]);
}

#[test]
fn unlinked() {
    let mut bench = Bench::new();
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.write("a.log", "2\nunfinished");
    fs::remove_file(bench.path("a.log")).expect("removed");
    assert_eq!(bench.linger(), ["2", "unfinished"]);
    bench.write("a.log", "3\n");
    assert_eq!(bench.drain(), ["3"]);
}

#[test]
fn copied_and_truncated() {
    let mut bench = Bench::new();
    bench.write("a.log", "first\n");
    assert_eq!(bench.drain(), ["first"]);
    bench.write("a.log", "unread\n");
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).expect("copied");
    File::create(bench.path("a.log")).expect("truncated");
    bench.write("a.log", "new\n");
    let mut lines = bench.linger();
    lines.sort();
    assert_eq!(lines, ["new", "unread"]);
    assert_eq!(bench.metrics().tail.truncations.get(), 1);
}

#[test]
fn a_copy_in_the_making_is_not_read() {
    let mut bench = Bench::new();
    bench.write("a.log", "first\n");
    assert_eq!(bench.drain(), ["first"]);
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).expect("copied");
    assert_eq!(bench.drain(), [""; 0]);
    File::create(bench.path("a.log")).expect("truncated");
    assert_eq!(bench.linger(), [""; 0]);
    bench.write("a.log", "second\n");
    assert_eq!(bench.drain(), ["second"]);
}

#[test]
fn truncated_and_grown_beyond_its_old_length() {
    let mut bench = Bench::new();
    bench.write("a.log", "first\n");
    assert_eq!(bench.drain(), ["first"]);
    File::create(bench.path("a.log")).expect("truncated");
    bench.write("a.log", "second and longer\n");
    assert_eq!(bench.drain(), ["second and longer"]);
}

#[test]
fn a_hole_left_by_a_writer_that_kept_its_offset() {
    let mut bench = Bench::new();
    bench.write("a.log", "first\n");
    assert_eq!(bench.drain(), ["first"]);
    File::create(bench.path("a.log"))
        .and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, b"second\n", 6))
        .expect("written");
    assert_eq!(bench.drain(), ["second"]);
}

#[test]
fn what_was_rotated_before_the_first_start_is_none_of_ours() {
    let mut bench = Bench::new();
    bench.write("a.log.1", "ancient\n");
    bench.age("a.log.1");
    bench.write("a.log.2", "more ancient\n");
    bench.age("a.log.2");
    bench.gzip("a.log.2", "a.log.2.gz");
    bench.age("a.log.2.gz");
    bench.write("a.log", "1\n");
    assert_eq!(bench.linger(), ["1"]);
}

#[test]
fn a_wide_pattern_does_not_read_generations_twice() {
    let mut bench = Bench::new();
    bench.config.tail.globs = vec![bench.path("a*").display().to_string()];
    bench.write("a.log", "1\n");
    assert_eq!(bench.drain(), ["1"]);
    bench.rename("a.log", "a.log.1");
    bench.write("a.log", "2\n");
    assert_eq!(bench.linger(), ["2"]);
}
