//! The client's side of the wire: a stream, what was read from it, and replies on their way out.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::smtp::reply::Reply;
use crate::tls;

/// A client's connection: bytes both ways, and a handshake when the session asks for one.
pub trait Client: AsyncRead + AsyncWrite + Unpin + Send + Sized + 'static {
    /// Runs the server's side of the handshake over the same connection.
    ///
    /// # Errors
    /// When it fails or takes longer than its deadline; the connection is of no use afterwards.
    fn start_tls(self) -> impl Future<Output = io::Result<(Self, tls::Info)>> + Send;

    /// Whether the system holds octets of the client's, or its end, that a first attempt to read may not find yet.
    fn has_input(&self) -> bool {
        false
    }
}

/// Octets that one read takes at most: enough for a large body to flow in few system calls.
const BODY_READ: usize = 64 << 10;
/// Octets that one read takes while commands are expected, so that an idle session costs little memory.
const COMMAND_READ: usize = 2 << 10;
/// Octets of replies that may wait for company. The upstream's can be long, and a client can ask for many of them at once.
const OUTPUT: usize = 32 << 10;
/// How long a client that was told goodbye may go on sending.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long replies may wait for company before they are sent on their own.
const BATCH: Duration = Duration::from_millis(20);
/// How long a reply may take to leave: a client that reads nothing does not keep its session.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// A client's stream with its buffers.
pub(super) struct Wire<C> {
    stream: C,
    input: BytesMut,
    output: Vec<u8>,
}

impl<C: Client> Wire<C> {
    pub(super) fn new(stream: C) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new() }
    }

    /// Queues a reply. Ask [`is_full`](Self::is_full) before the next one.
    pub(super) fn queue(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
    }

    /// Whether enough is queued that it must leave before more comes.
    pub(super) const fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT
    }

    /// Writes what is queued, in one piece.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.stream.flush().await
    }

    /// Reads a piece; empty at the end of the stream. Cancelling loses nothing.
    pub(super) async fn read(&mut self, in_message: bool) -> io::Result<Bytes> {
        if !in_message {
            // In memory of its own, so that whoever uses it can overwrite it: it may be a password.
            let mut input = BytesMut::with_capacity(COMMAND_READ);
            self.stream.read_buf(&mut (&mut input).limit(COMMAND_READ)).await?;
            return Ok(input.freeze());
        }
        self.input.reserve(BODY_READ);
        self.stream.read_buf(&mut (&mut self.input).limit(BODY_READ)).await?;
        Ok(self.input.split().freeze())
    }

    /// Reads what is there already; `None` when nothing is.
    pub(super) async fn read_now(&mut self) -> Option<io::Result<Bytes>> {
        if self.stream.has_input() {
            return Some(self.read(false).await);
        }
        let mut reading = pin!(self.read(false));
        poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Upgrades the stream; everything read before is gone.
    pub(super) async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
        let (stream, info) = self.stream.start_tls().await?;
        Ok((Self::new(stream), info))
    }

    /// Says goodbye to the connection, and reads on until the client does so too, for a few seconds at most.
    ///
    /// A socket that is closed with unread octets in it is reset, and the reset overtakes the last reply: a client that is
    /// refused in the middle of its message would take it for a broken line and try again.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.stream.shutdown().await?;
            self.output.resize(COMMAND_READ, 0);
            while self.stream.read(&mut self.output).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // The client may be gone already, or never go; nothing depends on it.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Without what was read: it may be a password.
impl<C: fmt::Debug> fmt::Debug for Wire<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("stream", &self.stream)
            .field("input", &self.input.len())
            .field("output", &self.output.len())
            .finish()
    }
}

/// Waits for `work`, but keeps no reply back for long: what is queued goes out alone when the work takes its time.
pub(super) async fn in_company<C: Client, T>(wire: &mut Option<Wire<C>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = sleep(BATCH) => {}
    }
    if flush(wire).await.is_err() {
        // The client is gone; the next read says so.
        *wire = None;
    }
    work.await
}

pub(super) async fn flush<C: Client>(wire: &mut Option<Wire<C>>) -> io::Result<()> {
    match wire {
        Some(wire) => timeout(WRITE_LIMIT, wire.flush()).await?,
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::*;

    impl Client for TcpStream {
        async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    impl Client for tokio::io::DuplexStream {
        async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    #[tokio::test]
    async fn the_last_reply_reaches_a_client_that_still_sends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (mut client, mut stream) = (client.unwrap(), accepted.unwrap().0);
        let piece = vec![b'x'; 64 << 10];
        client.write_all(&piece).await.unwrap();
        stream.write_all(b"550 no\r\n").await.unwrap();
        let closing = tokio::spawn(Wire::new(stream).close());
        for _ in 0..100 {
            client.write_all(&piece).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "550 no\r\n");
        closing.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_takes_a_command_can_overwrite_it_and_nothing_shows_it() {
        let (mut client, stream) = tokio::io::duplex(64);
        let mut wire = Wire::new(stream);
        client.write_all(b"AUTH PLAIN AGEAYg==\r\n").await.unwrap();
        let command = wire.read(false).await.unwrap();
        assert!(command.is_unique(), "its memory is its own");
        assert!(!format!("{wire:?}").contains("AGEAYg"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_goes_is_left() {
        let (_client, stream) = tokio::io::duplex(64);
        let begun = Instant::now();
        Wire::new(stream).close().await;
        assert_eq!(begun.elapsed(), FAREWELL);
    }
}
