//! A client's TCP connection, in the clear or under TLS.

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::admission::Admission;
use super::handshakes::Upgrade;
use crate::proxy::Client;
use crate::tls::{self, ServerStream};

/// A client's connection.
#[derive(Debug)]
pub(super) enum ClientStream {
    /// In the clear, and what STARTTLS would use.
    Clear(TcpStream, Option<Handshake>),
    /// Under TLS.
    Tls(Box<ServerStream<TcpStream>>),
}

/// What a handshake with one client needs.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) upgrade: Upgrade,
    /// Who counts the client's handshakes.
    pub(super) admission: Arc<Admission>,
    pub(super) client: IpAddr,
}

impl Client for ClientStream {
    async fn start_tls(self) -> io::Result<(Self, tls::Info)> {
        match self {
            Self::Clear(stream, Some(Handshake { upgrade, admission, client })) => {
                admission.handshake(client);
                let (stream, info) = upgrade.accept(stream).await?;
                Ok((Self::Tls(Box::new(stream)), info))
            }
            Self::Clear(_, None) | Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The runtime learns of octets a little later than the system, and a look before the banner is not repeated.
    fn has_input(&self) -> bool {
        match self {
            Self::Clear(stream, _) => SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok(),
            Self::Tls(_) => false,
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as Plain};

    use super::*;

    #[tokio::test]
    async fn octets_are_seen_before_the_runtime_has_heard_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut clients = [(); 2].map(|()| Plain::connect(listener.local_addr().unwrap()).unwrap());
        clients[0].write_all(b"E").unwrap();
        for expected in [true, false] {
            let (accepted, _) = listener.accept().unwrap();
            accepted.set_nonblocking(true).unwrap();
            let stream = ClientStream::Clear(TcpStream::from_std(accepted).unwrap(), None);
            assert_eq!(stream.has_input(), expected);
        }
    }
}
