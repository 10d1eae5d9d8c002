//! The client's side of the wire: a stream, what was read from it, and replies on their way out.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

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
/// What the first read of a body takes; one that fills its space gets four times as much next time. A thousand clients that say DATA and
/// then nothing cost little.
const FIRST_BODY_READ: usize = 4 << 10;
/// Octets that one read takes while commands are expected.
const COMMAND_READ: usize = 2 << 10;
/// Octets of a buffer that is kept while nothing is in it.
const KEPT: usize = 1 << 10;
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
    /// Space for the next read of a body; none while commands are expected.
    input: BytesMut,
    /// How much of it the next read takes.
    space: usize,
    output: Vec<u8>,
}

impl<C: Client> Wire<C> {
    pub(super) fn new(stream: C) -> Self {
        Self { stream, input: BytesMut::new(), space: FIRST_BODY_READ, output: Vec::new() }
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
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
        self.stream.flush().await
    }

    /// Reads a piece; empty at the end of the stream. Cancelling loses nothing.
    pub(super) async fn read(&mut self, in_message: bool) -> io::Result<Bytes> {
        if in_message { self.read_body().await } else { self.read_commands().await }
    }

    async fn read_body(&mut self) -> io::Result<Bytes> {
        self.input.reserve(self.space);
        let read = self.stream.read_buf(&mut (&mut self.input).limit(self.space)).await?;
        if read == self.space {
            self.space = (self.space * 4).min(BODY_READ);
        }
        Ok(self.input.split().freeze())
    }

    /// Waits without a buffer: most sessions wait for a command most of the time, and there are thousands of them.
    ///
    /// What was read is in memory of its own, so that whoever uses it can overwrite it: it may be a password.
    async fn read_commands(&mut self) -> io::Result<Bytes> {
        self.input = BytesMut::new();
        self.space = FIRST_BODY_READ;
        poll_fn(|cx| {
            let mut space = Zeroizing::new([0; COMMAND_READ]);
            let mut read = ReadBuf::new(space.as_mut_slice());
            let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
            polled.map_ok(|()| Bytes::copy_from_slice(read.filled()))
        })
        .await
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
    async fn a_client_that_never_reads_is_given_up() {
        let (_client, stream) = tokio::io::duplex(16);
        let mut wire = Wire::new(stream);
        wire.queue(&Reply::new(crate::smtp::reply::Code::literal::<250>(), None, "longer than the pipe"));
        let begun = Instant::now();
        let error = flush(&mut Some(wire)).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, WRITE_LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_an_octet_now_and_then_is_given_up_too() {
        let (mut client, stream) = tokio::io::duplex(1);
        let mut wire = Wire::new(stream);
        wire.queue(&Reply::new(
            crate::smtp::reply::Code::literal::<250>(),
            None,
            "an octet each ten seconds",
        ));
        let reader = tokio::spawn(async move {
            while client.read_u8().await.is_ok() {
                sleep(Duration::from_secs(10)).await;
            }
        });
        let error = flush(&mut Some(wire)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_client_costs_no_buffer_and_a_fast_body_gets_a_large_one() {
        let (mut client, stream) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(stream);
        client.write_all(&vec![b'x'; 600 << 10]).await.unwrap();
        let mut sizes = Vec::new();
        for _ in 0..5 {
            sizes.push(wire.read(true).await.unwrap().len());
        }
        assert_eq!(sizes, [4 << 10, 16 << 10, 64 << 10, 64 << 10, 64 << 10]);
        assert_eq!(wire.read(false).await.unwrap().len(), COMMAND_READ);
        assert_eq!(wire.input.capacity(), 0);
        assert_eq!(wire.read(true).await.unwrap().len(), FIRST_BODY_READ);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_goes_is_left() {
        let (_client, stream) = tokio::io::duplex(64);
        let begun = Instant::now();
        Wire::new(stream).close().await;
        assert_eq!(begun.elapsed(), FAREWELL);
    }
}
