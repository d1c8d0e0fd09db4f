//! `export`: every sample of the series that match, as JSON lines, streamed.
//!
//! Path and shape are VictoriaMetrics'; the format is [`crate::transfer::json_lines`]. An answer has no
//! length and may take long: it is written while the store is read, and one series is in memory at a
//! time. What goes wrong after the first line breaks the connection off, so that a cut answer is never
//! taken for a whole one.

use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use super::Api;
use super::params::Params;
use super::response::{ApiError, ErrorType};
use super::work::CancelOnDrop;
use crate::query::{Guard, SelectError};
use crate::transfer::export::{ExportError, export};

const CONTENT_TYPE: &str = "application/stream+json; charset=utf-8";
const BROKEN_OFF: &str = "the export ended early; the server's log says more";
/// Text that is sent at once, but for the last series' length.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the client.
const CHUNKS_WAITING: usize = 4;

/// What the work hands to the answer.
enum Chunk {
    /// Whole lines.
    Lines(Bytes),
    /// There is no more.
    End,
    /// There is more, and it cannot be read.
    Failed(SelectError),
}

/// `export`
pub(super) async fn lines(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let sets = params.matchers()?;
    if sets.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let turn = Arc::clone(&api.exports).try_acquire_owned().map_err(|_| {
        let reason = "too many exports are running; try again later";
        ApiError::new(ErrorType::Unavailable, reason)
    })?;
    let (cancel, is_canceled) = CancelOnDrop::new();
    let guard = Guard {
        cancel: Some(is_canceled),
        ..Guard::default()
    };
    let (sender, mut chunks) = mpsc::channel::<Chunk>(CHUNKS_WAITING);
    tokio::task::spawn_blocking(move || {
        // The turn ends with the work, not with the client.
        let _turn = turn;
        let mut text = String::new();
        let ended = export(&api.tsdb.reader(), &sets, range, &guard, |series| {
            series.write_json_lines(&mut text);
            if text.len() < CHUNK_BYTES {
                return Ok(());
            }
            let chunk = Bytes::from(std::mem::take(&mut text));
            sender.blocking_send(Chunk::Lines(chunk)).map_err(|_| ())
        });
        let last = match ended {
            Ok(()) => sender
                .blocking_send(Chunk::Lines(text.into()))
                .map(|()| Chunk::End),
            Err(ExportError::Select(error)) => Ok(Chunk::Failed(error)),
            // Nobody is there to be told.
            Err(ExportError::Taker(())) => return,
        };
        if let Ok(last) = last {
            let _ = sender.blocking_send(last);
        }
    });
    // An error before the first line has a status of its own.
    let first = match chunks.recv().await {
        Some(Chunk::Lines(lines)) => lines,
        Some(Chunk::End) => Bytes::new(),
        Some(Chunk::Failed(error)) => return Err(error.into()),
        None => return Err(ApiError::new(ErrorType::Internal, BROKEN_OFF)),
    };
    let mut has_ended = false;
    let rest = stream::poll_fn(move |context| {
        // Dropped with the answer: it ends the work when the client has gone.
        let _ = &cancel;
        if has_ended {
            return Poll::Ready(None);
        }
        chunks.poll_recv(context).map(|chunk| match chunk {
            Some(Chunk::Lines(lines)) => Some(Ok(lines)),
            Some(Chunk::End) => {
                has_ended = true;
                None
            }
            Some(Chunk::Failed(error)) => Some(Err(error.to_string())),
            None => Some(Err(BROKEN_OFF.to_owned())),
        })
    });
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(rest));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}
