//! Sockets: binding, accepting, limits, TLS, and the orderly end.

mod admission;
mod certificates;
mod handshakes;
mod reload;
mod stream;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::admission::{Admission, Bounds};
use self::admission::{Full, Place};
pub use self::certificates::{CertificateReloader, Watched};
pub use self::handshakes::{HANDSHAKES, Handshakes, Upgrade};
pub use self::reload::Reloader;
use self::stream::ClientStream;
use crate::metrics::Admission as Connected;
use crate::proxy::{self, Client, End, Listener, Peer};
use crate::tls;

/// Connections that may wait in the kernel for us to accept them.
const BACKLOG: u32 = 1024;
/// How long we wait after `accept` failed: long enough not to spin while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listening socket with everything that its sessions share.
#[derive(Debug)]
pub struct Entrance {
    /// What its sessions are driven with.
    pub listener: Arc<Listener>,
    admission: Arc<Admission>,
    door: Door,
    socket: TcpListener,
}

/// How TLS comes to a connection.
#[derive(Clone, Debug)]
pub enum Door {
    /// Not at all.
    Clear,
    /// By STARTTLS.
    StartTls(Upgrade),
    /// From the first byte on.
    Implicit(Upgrade),
}

impl Entrance {
    /// Binds `address`. All entrances of one listener share its `admission`.
    ///
    /// # Errors
    /// When the address is in use or needs rights that the process does not have.
    pub fn bind(
        address: SocketAddr,
        listener: Arc<Listener>,
        admission: Arc<Admission>,
        door: Door,
    ) -> io::Result<Self> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { listener, admission, door, socket: socket.listen(BACKLOG)? })
    }

    /// The address that it is bound to, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// How long the last sessions have to hear that they are over.
const FAREWELL: Duration = Duration::from_secs(1);

/// Accepts sessions at every entrance until `shutdown`, then gives the open ones `drain_limit` to come to an end: no new
/// transaction begins, a running one is finished. What is open then is told 421 and closed, within a second more.
pub async fn serve(entrances: Vec<Entrance>, shutdown: CancellationToken, drain_limit: Duration) {
    let sessions = TaskTracker::new();
    let accepting = TaskTracker::new();
    let end = End { drain: shutdown.clone(), now: CancellationToken::new() };
    for entrance in entrances {
        accepting.spawn(accept(entrance, sessions.clone(), end.clone()));
    }
    shutdown.cancelled().await;
    accepting.close();
    accepting.wait().await;
    sessions.close();
    tracing::info!(sessions = sessions.len(), "draining");
    if tokio::time::timeout(drain_limit, sessions.wait()).await.is_err() {
        tracing::warn!(sessions = sessions.len(), "the drain limit passed: closing what is left");
        end.now.cancel();
        // Who hears nothing by then, or waits for an upstream, loses the connection and keeps the message.
        let _ = tokio::time::timeout(FAREWELL, sessions.wait()).await;
    }
}

async fn accept(entrance: Entrance, sessions: TaskTracker, end: End) {
    loop {
        let accepted = tokio::select! {
            () = end.drain.cancelled() => return,
            accepted = entrance.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => admit(&entrance, &sessions, &end, stream, address),
            Err(error) => {
                tracing::warn!(listener = %entrance.listener.name, %error, "cannot accept");
                entrance.listener.metrics.connection(Connected::Error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(entrance: &Entrance, sessions: &TaskTracker, end: &End, stream: TcpStream, address: SocketAddr) {
    let peer = Peer::new(address).at(stream.local_addr().ok());
    let listener = Arc::clone(&entrance.listener);
    let hop = listener.expects_header(peer);
    let admitted = if hop { entrance.admission.admit_hop() } else { entrance.admission.admit(peer.ip) };
    let place = match admitted {
        Ok(place) => place,
        Err(full) => return turn_away(&listener, stream, peer, full),
    };
    let (door, end) = (entrance.door.clone(), end.clone());
    if hop {
        sessions.spawn(session_behind_hop(stream, door, peer, listener, end, place));
    } else {
        listener.metrics.connection(Connected::Accepted);
        sessions.spawn(session(stream, door, peer, listener, end, place));
    }
}

/// A session of the client that the hop names, if the hop names one and there is room for it.
async fn session_behind_hop(
    mut stream: TcpStream,
    door: Door,
    hop: Peer,
    listener: Arc<Listener>,
    end: End,
    mut place: Place,
) {
    let introduced = tokio::select! {
        introduced = listener.introduced(&mut stream, hop) => introduced,
        () = end.drain.cancelled() => return,
    };
    let Some(peer) = introduced else { return };
    // A hop that speaks for nobody has no limit, as before.
    if peer.named
        && let Err(full) = place.belongs_to(peer.ip)
    {
        return turn_away(&listener, stream, peer, full);
    }
    listener.metrics.connection(Connected::Accepted);
    session(stream, door, peer, listener, end, place).await;
}

/// One session. A panic in it ends with it: the runtime catches it, and the wall on its way out says so.
async fn session(
    stream: TcpStream,
    door: Door,
    peer: Peer,
    listener: Arc<Listener>,
    end: End,
    _place: Place,
) {
    // Without it, every small reply waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let _wall = Wall { listener: Arc::clone(&listener), peer };
    match open(stream, door).await {
        Ok((stream, tls)) => {
            if let Some(info) = &tls {
                listener.metrics.tls_handshake(info.version, info.group.as_deref());
            }
            proxy::drive(stream, peer, tls, listener, end).await;
        }
        Err(error) => listener.no_handshake("", peer, &error),
    }
}

/// The connection as the session finds it.
async fn open(stream: TcpStream, door: Door) -> io::Result<(ClientStream, Option<tls::Info>)> {
    match door {
        Door::Clear => Ok((ClientStream::Clear(stream, None), None)),
        Door::StartTls(upgrade) => Ok((ClientStream::Clear(stream, Some(upgrade)), None)),
        Door::Implicit(upgrade) => {
            let (stream, info) = ClientStream::Clear(stream, Some(upgrade)).start_tls().await?;
            Ok((stream, Some(info)))
        }
    }
}

/// Makes the end of a session by panic known.
#[derive(Debug)]
struct Wall {
    listener: Arc<Listener>,
    peer: Peer,
}

impl Drop for Wall {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(listener = %self.listener.name, client = %self.peer.ip, "a session broke down");
            self.listener.metrics.limit("panic");
        }
    }
}

/// Tells a client for which there is no room, without spending more on it than one write into its empty socket: neither a
/// task nor a wait, of which a flood of connections would make many.
fn turn_away(listener: &Arc<Listener>, stream: TcpStream, peer: Peer, full: Full) {
    listener.metrics.connection(full.label());
    let reply = listener.turn_away(peer, full.name());
    let mut line = Vec::new();
    reply.encode(&mut line);
    // Whether the client hears it is its own affair.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(&line));
}
