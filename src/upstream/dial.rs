//! Where streams to an upstream come from. The dialogue knows streams, not sockets, so that transcripts and tests run
//! it over memory.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

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
            // Commands and replies take turns: with Nagle's algorithm each would wait for the other's acknowledgement.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
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
