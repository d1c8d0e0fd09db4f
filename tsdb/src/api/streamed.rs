//! Answers that are written while the store is read.
//!
//! Such an answer has no length and may take long. A blocking thread writes pieces of it, a few of which
//! wait for the client, so a slow client slows the reading down and costs no memory. An error before the
//! first piece has a status of its own; what goes wrong afterwards breaks the connection off, so that a
//! cut answer is never taken for a whole one. A client that goes away stops the work.

use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::response::{ApiError, ErrorType};
use super::work::CancelOnDrop;
use crate::query::{Allotment, Guard, SelectError};

const BROKEN_OFF: &str = "the answer ended early; the server's log says more";
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;

/// What the work hands to the answer.
enum Piece {
    Bytes(Bytes),
    /// There is no more.
    End,
    /// There is more, and it cannot be read.
    Failed(SelectError),
}

/// Why the work ended before it was done.
pub(super) enum Stopped {
    /// The store could not be read.
    Select(SelectError),
    /// The client has gone.
    Gone,
}

impl From<SelectError> for Stopped {
    fn from(error: SelectError) -> Self {
        Self::Select(error)
    }
}

/// Where the work puts the pieces of the answer.
pub(super) struct Sink(mpsc::Sender<Piece>);

impl Sink {
    /// Hands a piece on, as soon as the client has taken enough of those before.
    pub(super) fn send(&self, bytes: Vec<u8>) -> Result<(), Stopped> {
        let sent = self.0.blocking_send(Piece::Bytes(bytes.into()));
        sent.map_err(|_| Stopped::Gone)
    }
}

/// The answer that `work` writes, with what it holds of the memory of queries; `turn` ends with the work, not with the client.
pub(super) async fn streamed(
    turn: OwnedSemaphorePermit,
    content_type: &'static str,
    memory: Allotment,
    work: impl FnOnce(&Guard, &Sink) -> Result<(), Stopped> + Send + 'static,
) -> Result<Response, ApiError> {
    let (cancel, is_canceled) = CancelOnDrop::new();
    let guard = Guard {
        cancel: Some(is_canceled),
        memory,
        ..Guard::default()
    };
    let (sender, mut pieces) = mpsc::channel::<Piece>(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let sink = Sink(sender);
        let last = match work(&guard, &sink) {
            Ok(()) => Piece::End,
            Err(Stopped::Select(error)) => Piece::Failed(error),
            // Nobody is there to be told.
            Err(Stopped::Gone) => return,
        };
        // What it held is free before anybody knows that it is done.
        drop(guard);
        let _ = sink.0.blocking_send(last);
    });
    let mut has_ended = false;
    let first = match pieces.recv().await {
        Some(Piece::Bytes(bytes)) => bytes,
        Some(Piece::End) => {
            has_ended = true;
            Bytes::new()
        }
        Some(Piece::Failed(error)) => return Err(error.into()),
        None => return Err(ApiError::new(ErrorType::Internal, BROKEN_OFF)),
    };
    let rest = stream::poll_fn(move |context| {
        // Dropped with the answer: it ends the work when the client has gone.
        let _ = &cancel;
        if has_ended {
            return Poll::Ready(None);
        }
        pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                has_ended = true;
                None
            }
            Some(Piece::Failed(error)) => {
                has_ended = true;
                Some(Err(error.to_string()))
            }
            None => Some(Err(BROKEN_OFF.to_owned())),
        })
    });
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(rest));
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}
