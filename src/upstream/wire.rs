//! One stream to an upstream and the discipline of its two directions: a reply for each command, and silence else.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::dial::Stream;
use super::fault::{Fault, FaultKind, one_line};
use crate::metrics::UpstreamMetrics;
use crate::smtp::reply::{Reply, ReplyDecoder};
use crate::tls::{ClientTls, HandshakeError};

/// What is read at once. A reply may be longer; how much longer is the decoder's to bound.
const READ: usize = 4096;

/// A stream and what was read from it but not yet understood.
///
/// Any fault leaves the two sides in doubt about whose turn it is: the wire is then to be dropped.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    inbox: Vec<u8>,
    decoder: ReplyDecoder,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("inbox", &self.inbox.len()).finish_non_exhaustive()
    }
}

impl Wire {
    /// A wire on which nothing was said yet.
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: Vec::with_capacity(READ), decoder: ReplyDecoder::default() }
    }

    /// See [`ReplyDecoder::expect_utf8`].
    pub(super) const fn expect_utf8(&mut self, expected: bool) {
        self.decoder.expect_utf8(expected);
    }

    /// What [`expect_utf8`](Self::expect_utf8) was told last.
    pub(super) const fn expects_utf8(&self) -> bool {
        self.decoder.expects_utf8()
    }

    /// Says `line` (without its CRLF) and reads the reply, both within `within`.
    pub(super) async fn ask(&mut self, line: &str, within: Duration) -> Result<Reply, Fault> {
        self.quiet()?;
        // The line may be a password.
        let mut bytes = Zeroizing::new(Vec::with_capacity(line.len().saturating_add(2)));
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        let turn = async {
            self.stream.write_all(&bytes).await.map_err(|e| lost(&e))?;
            self.stream.flush().await.map_err(|e| lost(&e))?;
            self.next_reply().await
        };
        timeout(within, turn).await.unwrap_or_else(|_| Err(too_slow("no reply", within)))
    }

    /// Says `lines` (without their CRLF) in one go; the replies are read one by one, with [`reply`](Self::reply).
    pub(super) async fn say(&mut self, lines: &[String], within: Duration) -> Result<(), Fault> {
        self.quiet()?;
        let bytes: Vec<u8> = lines.iter().flat_map(|line| [line, "\r\n"]).collect::<String>().into();
        let turn = async {
            self.stream.write_all(&bytes).await.map_err(|e| lost(&e))?;
            self.stream.flush().await.map_err(|e| lost(&e))
        };
        timeout(within, turn).await.unwrap_or_else(|_| Err(too_slow("the commands are not taken", within)))
    }

    /// Reads the reply to what was said last, within `within`.
    pub(super) async fn reply(&mut self, within: Duration) -> Result<Reply, Fault> {
        timeout(within, self.next_reply()).await.unwrap_or_else(|_| Err(too_slow("no reply", within)))
    }

    /// Writes `bytes` of a message, for as long as the upstream takes them without a word and within `within`.
    ///
    /// An upstream that speaks before the message is complete cannot be answering it: whatever it says, it is
    /// [`FaultKind::EarlyReply`] (or [`FaultKind::Lost`] when it goes).
    pub(super) async fn push(&mut self, bytes: &[u8], within: Duration) -> Result<(), Fault> {
        let mut rest = bytes;
        let pushed = poll_fn(|cx| self.poll_push(cx, &mut rest));
        let pushed = timeout(within, pushed)
            .await
            .unwrap_or_else(|_| Err(too_slow("the message is not taken", within)));
        pushed.map_err(|fault| match fault.kind {
            FaultKind::Desync => Fault { kind: FaultKind::EarlyReply, ..fault },
            _ => fault,
        })
    }

    /// Checks that the upstream is there and said nothing unasked.
    ///
    /// Bytes without a question are [`FaultKind::Desync`]: the next reply could be one to something else. Only a 421
    /// is a farewell, and the same as [`FaultKind::Lost`].
    pub(super) fn quiet(&mut self) -> Result<(), Fault> {
        match self.poll_unasked(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(fault) => Err(fault),
            Poll::Pending => Ok(()),
        }
    }

    /// Puts TLS under the dialogue. What the upstream said before does not outlive this: if there is any of it, the
    /// wire is given up, since it may have come from someone in between (RFC 3207 4.2).
    pub(super) async fn into_tls(
        mut self,
        tls: &ClientTls,
        host: &str,
        metrics: &UpstreamMetrics,
    ) -> Result<Self, Fault> {
        self.quiet()?;
        let (stream, info) = tls.connect(host, self.stream).await.map_err(|e| {
            metrics.tls_failed();
            let kind =
                if matches!(e, HandshakeError::Deadline) { FaultKind::Timeout } else { FaultKind::Tls };
            Fault::new(kind, e.to_string())
        })?;
        metrics.tls_handshake(info.version, info.group.as_deref());
        Ok(Self::new(Box::new(stream)))
    }

    async fn next_reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Some(decoded) = self.decode() {
                return decoded;
            }
            let read = self.stream.read_buf(&mut self.inbox).await.map_err(|e| lost(&e))?;
            if read == 0 {
                return Err(closed());
            }
        }
    }

    /// A complete reply out of the inbox; without one, the inbox is empty afterwards.
    fn decode(&mut self) -> Option<Result<Reply, Fault>> {
        let mut rest = self.inbox.as_slice();
        let decoded = self.decoder.decode(&mut rest);
        let taken = self.inbox.len().saturating_sub(rest.len());
        self.inbox.drain(..taken);
        Some(decoded?.map_err(|e| Fault::new(FaultKind::Garbled, e.to_string())))
    }

    fn poll_push(&mut self, cx: &mut Context<'_>, rest: &mut &[u8]) -> Poll<Result<(), Fault>> {
        if let Poll::Ready(fault) = self.poll_unasked(cx) {
            return Poll::Ready(Err(fault));
        }
        while !rest.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(Err(closed())),
                Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
                Err(e) => return Poll::Ready(Err(lost(&e))),
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|e| lost(&e))
    }

    /// Ready as soon as the upstream says something that nobody asked for, or goes.
    fn poll_unasked(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        if self.inbox.is_empty() {
            let mut space = [0; 512];
            let mut space = ReadBuf::new(&mut space);
            if let Err(e) = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space)) {
                return Poll::Ready(lost(&e));
            }
            self.inbox.extend_from_slice(space.filled());
        }
        Poll::Ready(if self.inbox.is_empty() { closed() } else { self.unasked() })
    }

    fn unasked(&mut self) -> Fault {
        let raw = String::from_utf8_lossy(&self.inbox).trim_end().to_owned();
        match self.decode() {
            Some(Ok(reply)) if reply.code().get() == 421 => Fault::new(FaultKind::Lost, one_line(&reply)),
            _ => Fault::new(FaultKind::Desync, format!("unasked: {raw}")),
        }
    }
}

fn closed() -> Fault {
    Fault::new(FaultKind::Lost, "the upstream closed the connection")
}

fn lost(error: &io::Error) -> Fault {
    Fault::new(FaultKind::Lost, error.to_string())
}

fn too_slow(what: &str, within: Duration) -> Fault {
    Fault::new(FaultKind::Timeout, format!("{what} within {within:?}"))
}
