//! Lines of docker's json-file driver: `{"log":"…\n","stream":"stdout","time":"…"}`. Pure.
//!
//! A message that goes on in the next line lacks its line break.

use std::borrow::Cow;

use super::cri::parse_rfc3339;
use super::decoder::Stream;

/// A line without its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// When, in nanoseconds since the epoch.
    pub timestamp: i64,
    /// Which of the container's outputs.
    pub stream: Stream,
    /// Whether the message goes on in the next line of this stream.
    pub partial: bool,
    /// The message, without its line break.
    pub message: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Takes a line apart; nothing where it does not follow the format.
pub fn parse(line: &[u8]) -> Option<Framed<'_>> {
    let wire: Wire<'_> = serde_json::from_slice(line).ok()?;
    let timestamp = parse_rfc3339(wire.time.as_bytes())?;
    let stream = match wire.stream.as_ref() {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => Stream::Only,
    };
    let partial = !wire.log.ends_with('\n');
    let message = match wire.log {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text)),
        Cow::Owned(mut text) => {
            if !partial {
                text.pop();
            }
            Cow::Owned(text)
        }
    };
    Some(Framed {
        timestamp,
        stream,
        partial,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off() {
        let line = br#"{"log":"a \"b\"\n","stream":"stderr","attrs":{"x":"y"},"time":"1970-01-01T00:00:01Z"}"#;
        let framed = parse(line).expect("a line");
        assert_eq!(framed.message, "a \"b\"");
        assert_eq!((framed.stream, framed.partial), (Stream::Stderr, false));
        let line = br#"{"log":"a","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#;
        assert!(parse(line).expect("a line").partial);
        assert_eq!(parse(br#"{"log":"a\n"}"#), None);
        assert_eq!(parse(b"{\"log\":"), None);
    }
}
