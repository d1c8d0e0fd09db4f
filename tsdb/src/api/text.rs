//! The text of an answer, in pieces whose memory is counted.
//!
//! Text takes more room than the values it tells, and it stays until the client has taken it. So each
//! item takes its memory before it is written, pieces are handed over without being copied, and each
//! gives its memory back once it is on its way. With each piece the guard is asked: writing a million
//! series takes long, too.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::Poll;

use axum::body::{Body, Bytes};
use futures_util::stream;
use model::vector::{QueryValue, write_text};

use crate::query::{Allotment, Guard, SelectError};

/// A piece is handed over when it is this long.
const PIECE_BYTES: usize = 64 << 10;
/// More than an instant and a float need: `[1700000000.123,"-1.2345678901234567e-100"],`.
const POINT_BYTES: usize = 48;

/// A text that grows.
#[derive(Debug, Default)]
pub(super) struct Text {
    pieces: VecDeque<Bytes>,
    /// What is not a piece yet.
    tail: String,
    guard: Guard,
}

impl From<String> for Text {
    fn from(tail: String) -> Self {
        Self {
            tail,
            ..Self::default()
        }
    }
}

impl Text {
    /// An empty text of a query.
    pub(super) fn of(guard: &Guard) -> Self {
        Self {
            guard: guard.clone(),
            ..Self::default()
        }
    }

    /// Appends something small that needs no asking.
    pub(super) fn push(&mut self, text: &str) {
        self.tail.push_str(text);
    }

    /// Appends an item that takes about so many bytes.
    pub(super) fn write(
        &mut self,
        about: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<(), SelectError> {
        self.guard.memory.take(about)?;
        let before = self.tail.len();
        write(&mut self.tail);
        let written = self.tail.len() - before;
        if written > about {
            self.guard.memory.take(written - about)?;
        } else {
            self.guard.memory.give(about - written);
        }
        if self.tail.len() >= PIECE_BYTES {
            self.guard.check()?;
            let mut piece = std::mem::take(&mut self.tail);
            piece.shrink_to_fit();
            self.pieces.push_back(piece.into());
        }
        Ok(())
    }

    /// Appends a list of items, each as `write` does it.
    pub(super) fn write_list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), SelectError>,
    ) -> Result<(), SelectError> {
        self.push("[");
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.push(",");
            }
            write(self, item)?;
        }
        self.push("]");
        Ok(())
    }

    /// Appends what a query yields, and drops each series once it is written.
    pub(super) fn write_value(&mut self, value: QueryValue) -> Result<(), SelectError> {
        self.push("{\"resultType\":");
        write_text(&mut self.tail, value.type_name());
        self.push(",\"result\":");
        match value {
            QueryValue::Scalar(..) | QueryValue::String(..) => {
                self.write(value.bytes(), |out| value.write_json(out))?;
            }
            QueryValue::Vector(samples) => self.write_list(samples, |text, sample| {
                let bytes = sample.bytes();
                text.write(2 * bytes, |out| sample.write_json(out))?;
                text.guard.memory.give(bytes);
                Ok(())
            })?,
            QueryValue::Matrix(series) => self.write_list(series, |text, series| {
                let bytes = series.bytes();
                // Buckets are counted by their bytes: each is written as bounds and a count.
                let about = 3 * bytes + series.floats.len() * POINT_BYTES;
                text.write(about, |out| series.write_json(out))?;
                text.guard.memory.give(bytes);
                Ok(())
            })?,
        }
        Ok(())
    }

    /// The body of this text between two others, and its length.
    pub(super) fn into_body(self, before: &str, after: &str) -> (Body, usize) {
        let Self {
            mut pieces,
            tail,
            guard,
        } = self;
        if pieces.is_empty() {
            let body = [before, &tail, after].concat();
            let len = body.len();
            return (body.into(), len);
        }
        pieces.push_front(Bytes::copy_from_slice(before.as_bytes()));
        pieces.push_back(tail.into());
        pieces.push_back(Bytes::copy_from_slice(after.as_bytes()));
        let len = pieces.iter().map(Bytes::len).sum();
        let pieces = stream::poll_fn(move |_| {
            let piece = pieces.pop_front();
            guard.memory.give(piece.as_ref().map_or(0, Bytes::len));
            Poll::Ready(piece.map(Ok::<_, Infallible>))
        });
        (Body::from_stream(pieces), len)
    }
}

/// The body of bytes that are one piece and keep their memory until the client has taken them.
pub(super) fn held(bytes: Vec<u8>, memory: Allotment) -> Body {
    let mut bytes = Some(Bytes::from(bytes));
    Body::from_stream(stream::poll_fn(move |_| {
        let _ = &memory;
        Poll::Ready(bytes.take().map(Ok::<_, Infallible>))
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use axum::body::to_bytes;
    use model::labels::Labels;
    use model::time::Timestamp;
    use model::vector::RangeSeries;

    use super::*;
    use crate::query::{Interrupted, QueryMemory};

    fn matrix() -> QueryValue {
        let series = (0..40_i32).map(|number| RangeSeries {
            labels: Labels::from_pairs([("n", number.to_string())]),
            floats: (0..1000).map(|at| (Timestamp(at), 0.1)).collect(),
            histograms: Vec::new(),
        });
        QueryValue::Matrix(series.collect())
    }

    /// A guard whose memory has room for so many bytes, of which `value` takes some.
    fn guard(bytes_max: usize, value: &QueryValue) -> (QueryMemory, Guard) {
        let memory = QueryMemory::new(bytes_max);
        let guard = Guard {
            memory: memory.allotment(),
            ..Guard::default()
        };
        guard.memory.take(value.bytes()).expect("there is room");
        (memory, guard)
    }

    #[tokio::test]
    async fn pieces_are_the_same_text_and_give_their_memory_back() {
        let value = matrix();
        let (memory, guard) = guard(16 << 20, &value);
        let mut expected = String::from("<{\"resultType\":\"matrix\",\"result\":");
        value.write_json(&mut expected);
        expected.push('>');
        let mut text = Text::of(&guard);
        drop(guard);
        text.write_value(value).expect("there is room");
        assert!(text.pieces.len() > 5, "{}", text.pieces.len());
        let (body, len) = text.into_body("<", ">");
        assert_eq!(len, expected.len());
        let taken = memory.bytes_taken();
        assert!(taken > len / 2 && taken <= len, "{taken} of {len}");
        let body = to_bytes(body, usize::MAX).await.expect("it cannot fail");
        assert_eq!(body, expected);
        assert_eq!(memory.bytes_taken(), 0);
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        let value = matrix();
        let (memory, guard) = guard(900_000, &value);
        let mut text = Text::of(&guard);
        let refusal = text
            .write_value(value)
            .expect_err("three quarters are full");
        assert!(refusal.to_string().contains("query.memory_bytes_max"));
        drop((text, guard));
        assert_eq!(memory.bytes_taken(), 0);
    }

    #[test]
    fn nothing_more_is_written_for_a_client_that_has_gone() {
        let value = matrix();
        let (_, mut guard) = guard(16 << 20, &value);
        guard.cancel = Some(Arc::new(AtomicBool::new(true)));
        let mut text = Text::of(&guard);
        let error = text.write_value(value).expect_err("nobody waits");
        assert_eq!(error, Interrupted::Canceled.into());
        assert!(text.pieces.is_empty());
    }
}
