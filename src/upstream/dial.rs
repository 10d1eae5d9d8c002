//! Where streams to an upstream come from. The dialogue knows streams, not sockets, so that transcripts and tests run
//! it over memory.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

#[cfg(target_os = "linux")]
use socket2::{Domain, Protocol, Socket, Type};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens streams to addresses.
pub trait Dial: fmt::Debug + Send + Sync {
    /// A stream to `address`: `host:port`, or `unix:PATH`. Who calls sets the deadline.
    ///
    /// # Errors
    /// Whatever kept the connection from standing.
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;

    /// The same, with an address as its source that need not be one of this host's. Its port is any.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when that cannot work here, whoever listens there: the right to it is missing, or the
    /// families of the two addresses differ.
    fn dial_from<'a>(
        &'a self,
        source: IpAddr,
        address: &'a str,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Dials over TCP, names resolved by the system, their addresses tried one after the other; or the socket at `unix:PATH`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if let Some(path) = address.strip_prefix("unix:") {
                return Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>);
            }
            let stream = TcpStream::connect(address).await?;
            ready(stream)
        })
    }

    fn dial_from<'a>(
        &'a self,
        source: IpAddr,
        address: &'a str,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if source.is_unspecified() {
                // The system would take an address of its own: the very thing that must not happen.
                return Err(unsupported("the client has no address"));
            }
            let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
            let mut last =
                unsupported(format!("the client comes by {family} and the upstream has no such address"));
            for target in lookup_host(address).await? {
                if target.is_ipv4() != source.is_ipv4() {
                    continue;
                }
                match transparent(source)?.connect(target).await {
                    Ok(stream) => return ready(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

fn ready(stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    // Commands and replies take turns: with Nagle's algorithm each would wait for the other's acknowledgement.
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Whether this process may open connections with other hosts' addresses as their source.
///
/// # Errors
/// What is missing, and how to give it.
pub fn may_be_transparent() -> io::Result<()> {
    transparent(Ipv4Addr::LOCALHOST.into()).map(drop)
}

/// A socket with a source address that need not be ours.
#[cfg(target_os = "linux")]
fn transparent(source: IpAddr) -> io::Result<TcpSocket> {
    let domain = if source.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    let allowed = match source {
        IpAddr::V4(_) => socket.set_ip_transparent_v4(true),
        IpAddr::V6(_) => socket.set_ip_transparent_v6(true),
    };
    allowed.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            unsupported("a client's address as the source takes the capability CAP_NET_RAW or CAP_NET_ADMIN")
        }
        _ => unsupported(error.to_string()),
    })?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

#[cfg(not(target_os = "linux"))]
fn transparent(_: IpAddr) -> io::Result<TcpSocket> {
    Err(unsupported("a client's address as the source is possible on Linux only"))
}

fn unsupported(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, UnixListener};

    #[tokio::test]
    async fn dials_who_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (dialled, accepted) = tokio::join!(TcpDial.dial(&address), listener.accept());
        accepted.unwrap().0.try_write(b"220 hi\r\n").unwrap();
        let mut banner = [0; 8];
        dialled.unwrap().read_exact(&mut banner).await.unwrap();
        assert_eq!(&banner, b"220 hi\r\n");
        drop(listener);
        assert!(TcpDial.dial(&address).await.is_err());
    }

    #[tokio::test]
    async fn a_source_of_the_other_family_is_no_failure_of_the_network() {
        for (source, address) in [("192.0.2.1", "[::1]:9"), ("2001:db8::1", "127.0.0.1:9")] {
            let error = TcpDial.dial_from(source.parse().unwrap(), address).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("the upstream has no such address"), "{error}");
        }
        let error = TcpDial.dial_from(Ipv4Addr::UNSPECIFIED.into(), "127.0.0.1:9").await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "a source of our own is none of a client's");
    }

    #[tokio::test]
    async fn dials_sockets_in_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmtp");
        let listener = UnixListener::bind(&path).unwrap();
        let address = format!("unix:{}", path.display());
        let (dialled, accepted) = tokio::join!(TcpDial.dial(&address), listener.accept());
        accepted.unwrap().0.try_write(b"220 hi\r\n").unwrap();
        let mut banner = [0; 8];
        dialled.unwrap().read_exact(&mut banner).await.unwrap();
        assert_eq!(&banner, b"220 hi\r\n");
        drop(listener);
        assert!(TcpDial.dial(&address).await.is_err());
        assert!(TcpDial.dial("unix:").await.is_err());
    }
}
