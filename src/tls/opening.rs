//! A stream that remembers its first octets, so that a handshake that failed can be explained.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::PeerIncompatible;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::HandshakeError;

/// Up to the version in the hello: record type, version and length, then message type and length (RFC 8446 5.1 and 4).
const OPENING: usize = 11;

/// A client's stream, and how it began.
#[derive(Debug)]
pub struct Opening<S> {
    stream: S,
    first: [u8; OPENING],
    seen: u8,
}

impl<S> Opening<S> {
    /// `stream`, of which nothing was read yet.
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, first: [0; OPENING], seen: 0 }
    }

    /// The stream itself.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Why a handshake on this stream failed with `error`.
    pub(super) fn explain(&self, error: io::Error) -> HandshakeError {
        let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match reason {
            Some(rustls::Error::PeerIncompatible(reason)) => {
                self.too_old(reason).map_or(HandshakeError::Failed(error), HandshakeError::TooOld)
            }
            Some(rustls::Error::InvalidMessage(_)) if !self.is_handshake() => HandshakeError::NoTls,
            _ => HandshakeError::Failed(error),
        }
    }

    /// Whether the first record is one of a handshake (RFC 8446 5.1: type 22, and no version of TLS has another major number
    /// than 3).
    const fn is_handshake(&self) -> bool {
        matches!(self.first, [22, 3, ..])
    }

    /// The highest version that the client offers, if it is for that that nothing could be agreed upon. Without
    /// `supported_versions` it stands in the hello itself (RFC 5246 7.4.1.2); who offers less than 1.2 lacks other things too, and
    /// rustls may name those first.
    const fn too_old(&self, reason: &PeerIncompatible) -> Option<&'static str> {
        use PeerIncompatible::{
            SupportedVersionsExtensionRequired, Tls12NotOffered, Tls12NotOfferedOrEnabled,
        };
        match self.first {
            [22, 3, _, _, _, 1, _, _, _, 3, 0] => Some("SSL 3.0"),
            [22, 3, _, _, _, 1, _, _, _, 3, 1] => Some("TLS 1.0"),
            [22, 3, _, _, _, 1, _, _, _, 3, 2] => Some("TLS 1.1"),
            [22, 3, _, _, _, 1, _, _, _, 3, 3]
                if matches!(
                    reason,
                    SupportedVersionsExtensionRequired | Tls12NotOffered | Tls12NotOfferedOrEnabled
                ) =>
            {
                Some("TLS 1.2")
            }
            _ => None,
        }
    }

    fn remember(&mut self, read: &[u8]) {
        let known = usize::from(self.seen);
        let room = self.first.iter_mut().skip(known);
        let kept = room.zip(read).map(|(to, from)| *to = *from).count();
        self.seen = self.seen.saturating_add(u8::try_from(kept).unwrap_or(u8::MAX));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let opening = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut opening.stream).poll_read(cx, buf);
        if usize::from(opening.seen) < OPENING {
            opening.remember(buf.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
