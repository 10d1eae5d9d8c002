//! A client's TCP connection, in the clear or under TLS.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::admission::Admission;
use crate::proxy::Client;
use crate::tls::{self, ServerTls};

/// A client's connection.
#[derive(Debug)]
pub(super) enum ClientStream {
    /// In the clear, and what STARTTLS would use.
    Clear(TcpStream, Option<Upgrade>),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a handshake needs.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) tls: Arc<ServerTls>,
    /// Who counts the client's handshakes.
    pub(super) admission: Arc<Admission>,
    pub(super) client: IpAddr,
}

impl Client for ClientStream {
    async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
        match self {
            Self::Clear(stream, Some(upgrade)) => {
                upgrade.admission.handshake(upgrade.client);
                let (stream, info) = upgrade.tls.accept(stream).await?;
                Ok((Self::Tls(Box::new(stream)), info))
            }
            Self::Clear(_, None) | Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream, _) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream, _) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
