//! How long the HTTP port waits for slow clients.
//!
//! A client that does not take its answer holds the memory of it; one that does not send its request
//! holds a connection, and a place among the writes. So a connection on which nothing is taken for
//! [`WRITE_TIMEOUT`], or that is silent for [`IDLE_TIMEOUT`], is cut, and the body of a request must
//! be there within [`BODY_TIMEOUT`]. Work that takes long without a word is not cut: while an answer
//! is being computed the silence is ours, and the longest query sets how long that may be.

use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::Listener;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::places::{Place, Places};

/// A client that takes nothing of its answer for so long has lost interest.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be silent, beside the longest query.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// How long sending the body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// A listener whose connections are cut when their clients are too slow.
pub(crate) struct PatientListener {
    listener: TcpListener,
    places: Places,
    write_timeout: Duration,
    idle_timeout: Duration,
}

impl PatientListener {
    /// So many connections of a listener, silent for so long at the most beside the longest query.
    pub(crate) fn new(
        listener: TcpListener,
        connections_max: NonZeroUsize,
        query_timeout: Duration,
    ) -> Self {
        Self {
            listener,
            places: Places::new(connections_max),
            write_timeout: WRITE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT.saturating_add(query_timeout),
        }
    }
}

impl Listener for PatientListener {
    type Io = PatientStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let free = self.places.free().await;
            // The listener's own way, which waits where there are no file descriptors.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let Some(place) = self.places.take(free, address.ip()) else {
                tracing::debug!(%address, "cut: its address has half of web.connections_max");
                continue;
            };
            // An answer must not wait until the client has acknowledged the one before it. Where this fails the connection
            // is broken, and will say so.
            let _ = stream.set_nodelay(true);
            let mut stream = PatientStream::new(stream, self.write_timeout, self.idle_timeout);
            stream.place = Some(place);
            return (stream, address);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A stream that fails when the other side is too slow.
pub(crate) struct PatientStream<S> {
    stream: S,
    /// Kept for as long as the connection.
    #[allow(dead_code, reason = "it is held, not read")]
    place: Option<Place>,
    write_timeout: Duration,
    idle_timeout: Duration,
    /// When a write that waits has waited too long; none where none waits.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// When it has been silent for too long.
    idle_deadline: Pin<Box<Sleep>>,
}

impl<S> PatientStream<S> {
    fn new(stream: S, write_timeout: Duration, idle_timeout: Duration) -> Self {
        Self {
            stream,
            place: None,
            write_timeout,
            idle_timeout,
            write_deadline: None,
            idle_deadline: Box::pin(sleep(idle_timeout)),
        }
    }

    fn is_alive(&mut self) {
        let deadline = Instant::now() + self.idle_timeout;
        self.idle_deadline.as_mut().reset(deadline);
    }

    /// What came of a write, unless it has waited for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.write_deadline = None;
            self.is_alive();
            return poll;
        }
        let timeout = self.write_timeout;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep(timeout)));
        deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(too_slow("took nothing of its answer", timeout)))
    }
}

fn too_slow(what: &str, timeout: Duration) -> io::Error {
    let message = format!("the client {what} for {timeout:?}");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_read(context, buffer);
        if poll.is_ready() {
            this.is_alive();
            return poll;
        }
        let timeout = this.idle_timeout;
        let idle = this.idle_deadline.as_mut().poll(context);
        idle.map(|()| Err(too_slow("was silent", timeout)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.written(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_shutdown(context);
        this.written(context, poll)
    }
}

/// Fails the body of a request that is not there in time.
pub(crate) async fn hurry_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let deadline = Instant::now() + BODY_TIMEOUT;
    let hurried = request.map(|body| hurried(body, deadline));
    next.run(hurried).await
}

fn hurried(body: Body, deadline: Instant) -> Body {
    let mut late = Box::pin(sleep_until(deadline));
    let mut rest = body.into_data_stream();
    Body::from_stream(stream::poll_fn(move |context| {
        let piece = rest.poll_next_unpin(context);
        if piece.is_ready() {
            return piece;
        }
        late.as_mut().poll(context).map(|()| {
            let reason =
                format!("the body was not there within {BODY_TIMEOUT:?}; send less at once");
            Some(Err(axum::Error::new(reason)))
        })
    }))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// It passes, however fast the machine is.
    const SHORT: Duration = Duration::from_millis(1);
    /// It does not pass, however slow it is.
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_and_one_that_takes_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = PatientStream::new(ours, LONG, LONG);
        let writing = tokio::spawn(async move { ours.write_all(&[7; 48]).await });
        theirs.read_exact(&mut [0; 32]).await.expect("it writes");
        // The third piece fits; the write is done.
        writing.await.expect("no panic").expect("it was not late");
        let (ours, _theirs) = tokio::io::duplex(16);
        let mut ours = PatientStream::new(ours, SHORT, LONG);
        let error = ours.write_all(&[7; 17]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_silent_client_is_cut_and_one_that_talks_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = PatientStream::new(ours, LONG, LONG);
        theirs.write_all(b"aaa").await.expect("there is room");
        let mut text = [0; 3];
        ours.read_exact(&mut text).await.expect("it talks");
        assert_eq!(text, *b"aaa");
        ours.idle_timeout = SHORT;
        ours.is_alive();
        let error = ours.read_exact(&mut text).await.expect_err("it is silent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_refused() {
        let whole = hurried(Body::from("abc"), Instant::now() + LONG);
        let whole = axum::body::to_bytes(whole, 10).await;
        assert_eq!(whole.expect("it is there"), "abc");
        let never = stream::pending::<Result<&str, io::Error>>();
        let body = hurried(Body::from_stream(never), Instant::now());
        let error = axum::body::to_bytes(body, 10).await;
        let error = error.expect_err("it never ends").to_string();
        assert!(error.contains("send less at once"), "{error}");
    }
}
