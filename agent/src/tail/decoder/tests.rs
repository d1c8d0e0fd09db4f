//! Lines out of bytes, however the bytes are cut; and the offset that loses nothing.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 16;

/// One line in a notation to compare.
fn render(line: &Line<'_>) -> String {
    let stream = match line.stream {
        Stream::Only => "",
        Stream::Stdout => "out ",
        Stream::Stderr => "err ",
    };
    let at = line
        .timestamp
        .map_or(String::new(), |at| format!("{}s ", at / 1_000_000_000));
    let part = line.part.map_or(String::new(), |part| format!(" #{part}"));
    format!("{stream}{at}{}{part}", line.text)
}

fn decode(format: Format, chunks: &[&[u8]]) -> (Vec<String>, Decoder) {
    let mut decoder = Decoder::new(format, 0, LIMIT);
    let mut lines = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk, &mut |line| lines.push(render(&line)));
    }
    (lines, decoder)
}

fn check(format: Format, text: &str, want: &[&str], settled: usize) {
    let (lines, decoder) = decode(format, &[text.as_bytes()]);
    assert_eq!(lines, want, "{text:?}");
    assert_eq!(decoder.settled(), settled as u64, "{text:?}");
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let (lines, decoder) = decode(format, &bytes);
    assert_eq!(lines, want, "byte by byte: {text:?}");
    assert_eq!(decoder.settled(), settled as u64, "byte by byte: {text:?}");
}

#[test]
fn plain_lines() {
    check(Format::Plain, "a\nb\r\n\nc", &["a", "b", ""], 6);
    check(Format::Plain, "\0\0\0a\n", &["a"], 5);
    check(
        Format::Plain,
        "0123456789abcdefXYZ\nnext\n",
        &["0123456789abcdef #1", "XYZ #2", "next"],
        25,
    );
    check(
        Format::Plain,
        "0123456789abcdef\n",
        &["0123456789abcdef"],
        17,
    );
    // A carriage return at the limit, of a line and of its last part, and a hole longer than it.
    check(
        Format::Plain,
        "0123456789abcdef\r\n",
        &["0123456789abcdef"],
        18,
    );
    check(
        Format::Plain,
        "0123456789abcdefX\r\n",
        &["0123456789abcdef #1", "X #2"],
        19,
    );
    let hole = "\0".repeat(40) + "a\n";
    check(Format::Plain, &hole, &["a"], 42);
    check(
        Format::Plain,
        "0123456789abcdeüü\n",
        &["0123456789abcde #1", "üü #2"],
        20,
    );
}

#[test]
fn a_line_without_an_end_is_handed_on_in_parts() {
    let (lines, mut decoder) = decode(Format::Plain, &[b"0123456789", b"abcdefghijk", b"lmn"]);
    assert_eq!(lines, ["0123456789abcdef #1"]);
    assert_eq!(decoder.settled(), 16);
    let mut rest = Vec::new();
    decoder.finish(&mut |line| rest.push(render(&line)));
    assert_eq!(rest, ["ghijklmn #2"]);
    assert_eq!(decoder.settled(), 24);
    assert_eq!(decoder.take_tally().split, 1);
}

#[test]
fn invalid_utf_8_is_replaced() {
    let (lines, mut decoder) = decode(Format::Plain, &[b"a\xffb\n"]);
    assert_eq!(lines, ["a\u{fffd}b"]);
    assert_eq!(decoder.take_tally().replaced, 1);
}

#[test]
fn partial_container_lines_are_merged_by_stream() {
    let text = "1970-01-01T00:00:01Z stdout P ab\n\
        1970-01-01T00:00:02Z stderr F x\n\
        1970-01-01T00:00:03Z stdout P cd\n\
        1970-01-01T00:00:04Z stdout F ef\n";
    check(
        Format::Container,
        text,
        &["err 2s x", "out 4s abcdef"],
        text.len(),
    );
    // While stdout goes on, nothing from its beginning on is settled.
    let open = text.match_indices('\n').nth(2).map_or(0, |(at, _)| at + 1);
    let (lines, decoder) = decode(Format::Cri, &[&text.as_bytes()[..open]]);
    assert_eq!(lines, ["err 2s x"]);
    assert_eq!(decoder.settled(), 0);
}

#[test]
fn merged_lines_obey_the_limit() {
    let text = "1970-01-01T00:00:01Z stdout P 0123456789\n\
        1970-01-01T00:00:02Z stdout P abcdefghij\n\
        1970-01-01T00:00:03Z stdout F kl\n";
    check(
        Format::Cri,
        text,
        &["out 2s 0123456789abcdef #1", "out 3s ghijkl #2"],
        text.len(),
    );
}

#[test]
fn docker_lines() {
    let text = "{\"log\":\"ab\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01Z\"}\n\
        {\"log\":\"cd\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:02Z\"}\n";
    check(Format::Container, text, &["out 2s abcd"], text.len());
}

#[test]
fn a_line_of_another_format_is_kept_as_it_stands() {
    let text = "1970-01-01T00:00:01Z stdout F a\nnonsense\n\n";
    let (lines, mut decoder) = decode(Format::Cri, &[text.as_bytes()]);
    assert_eq!(lines, ["out 1s a", "nonsense"]);
    assert_eq!(decoder.take_tally().malformed, 1);
}

#[test]
fn the_line_a_reader_starts_in_can_be_left_out() {
    let mut decoder = Decoder::new(Format::Plain, 100, LIMIT);
    decoder.skip_line();
    let mut lines = Vec::new();
    for chunk in [&b"half of"[..], b" a line\nwhole\n"] {
        decoder.feed(chunk, &mut |line| lines.push(render(&line)));
    }
    assert_eq!(lines, ["whole"]);
    assert_eq!(decoder.settled(), 121);
}

proptest! {
    /// Reading again from the settled offset gives exactly what had not been handed on.
    #[test]
    fn nothing_is_lost_or_repeated_from_the_settled_offset(
        lines in proptest::collection::vec("[a-c]{0,12}", 0..12),
        cut in any::<proptest::sample::Index>(),
    ) {
        let text = lines.concat_with_breaks();
        let at = cut.index(text.len() + 1);
        let (before, decoder) = decode(Format::Plain, &[&text.as_bytes()[..at]]);
        let from = usize::try_from(decoder.settled()).expect("an offset");
        let (after, _) = decode(Format::Plain, &[&text.as_bytes()[from..]]);
        prop_assert_eq!([before, after].concat(), lines);
    }

    #[test]
    fn no_bytes_panic(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..8)) {
        for format in [Format::Plain, Format::Container, Format::Cri, Format::Docker] {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let (_, mut decoder) = decode(format, &chunks);
            decoder.finish(&mut |_| {});
        }
    }
}

trait ConcatWithBreaks {
    fn concat_with_breaks(&self) -> String;
}

impl ConcatWithBreaks for Vec<String> {
    fn concat_with_breaks(&self) -> String {
        self.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
