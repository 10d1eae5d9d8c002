//! Handshakes with clients: on threads of their own, and not more at once than there is room for.
//!
//! A handshake costs a signature and a key exchange, up to a millisecond of a processor. A flood of them would take that time
//! from the sessions that carry mail, so they do not share their threads.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::tls::{HANDSHAKE_DEADLINE, HandshakeError, Info, ServerStream, ServerTls};

/// How many handshakes there may be at once, at all listeners together. Each has ten seconds, its wait for a place included.
pub const HANDSHAKES: usize = 1024;

/// Where handshakes are done.
#[derive(Debug)]
pub struct Handshakes {
    threads: Handle,
    places: Arc<Semaphore>,
}

impl Handshakes {
    /// Room for `most` handshakes at once, done on `threads`.
    pub fn new(threads: Handle, most: usize) -> Arc<Self> {
        Arc::new(Self { threads, places: Arc::new(Semaphore::new(most)) })
    }

    /// Threads for handshakes: half as many as there are processors, so that a flood leaves the other half alone.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub fn threads() -> io::Result<Runtime> {
        let processors = available_parallelism().map_or(1, usize::from);
        Builder::new_multi_thread()
            .worker_threads((processors / 2).max(1))
            .thread_name("handshakes")
            .enable_time()
            .build()
    }
}

/// How a connection in the clear becomes one under TLS.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The listener's certificates and what else it goes by.
    pub tls: Arc<ServerTls>,
    /// Where the handshake is done.
    pub handshakes: Arc<Handshakes>,
}

impl Upgrade {
    /// Does the server's side of a handshake, its wait for a place included within [`HANDSHAKE_DEADLINE`].
    pub(super) async fn accept(
        self,
        stream: TcpStream,
    ) -> Result<(ServerStream<TcpStream>, Info), HandshakeError> {
        let Self { tls, handshakes } = self;
        let places = Arc::clone(&handshakes.places);
        let work = async move {
            let shaking = async {
                // The semaphore is never closed.
                let _place = places.acquire().await;
                tls.accept(stream).await
            };
            timeout(HANDSHAKE_DEADLINE, shaking).await.unwrap_or(Err(HandshakeError::Deadline))
        };
        let work = AbortOnDropHandle::new(handshakes.threads.spawn(work));
        work.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Certificates, ClientTls, Verify};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    fn upgrade(folder: &std::path::Path, most: usize) -> Upgrade {
        let files = crate::tls::tests::write(folder, "mx", &["mx.example.org"]);
        let tls = Arc::new(ServerTls::new(Certificates::load(&[files]).unwrap()).unwrap());
        Upgrade { tls, handshakes: Handshakes::new(Handle::current(), most) }
    }

    /// Row 205 of the catalogue of attacks: a place is taken for the handshake alone, and who waits for one gets it.
    #[tokio::test]
    async fn there_are_so_many_handshakes_at_once_and_the_next_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let upgrade = upgrade(folder.path(), 1);
        let (stalled, far) = pair().await;
        let first = tokio::spawn(upgrade.clone().accept(far));
        while upgrade.handshakes.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let (near, far) = pair().await;
        let second = tokio::spawn(upgrade.clone().accept(far));
        let client = ClientTls::new(&Verify::Nothing).unwrap();
        let early = timeout(std::time::Duration::from_millis(100), client.connect("mx.example.org", near));
        assert!(early.await.is_err(), "the only place is taken");
        second.abort();
        drop(stalled);
        assert!(first.await.unwrap().is_err());

        let (near, far) = pair().await;
        let (server, client) =
            tokio::join!(upgrade.clone().accept(far), client.connect("mx.example.org", near));
        assert!(server.is_ok() && client.is_ok());
        assert_eq!(upgrade.handshakes.places.available_permits(), 1);
    }
}
