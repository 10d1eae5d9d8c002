//! Sockets: binding them or taking those of systemd, accepting, limits and rates for each client, TLS, certificates and
//! policies that changed on disk, and the orderly end.

mod admission;
mod certificates;
mod descriptors;
mod entrances;
mod handover;
mod handshakes;
mod refusal;
mod reload;
mod stream;
pub mod supervisor;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::admission::{Admission, Bounds, NETWORK_SHARE, Rate};
use self::admission::{Full, Place};
pub use self::certificates::{CertificateReloader, Watched};
pub use self::descriptors::{Ceiling, raise_limit};
pub use self::entrances::{Crowd, Entrances, Moved, OpenError, Prepared, advice};
pub use self::handover::{Handed, HandoverError};
pub use self::handshakes::{HANDSHAKES, Handshakes, Upgrade};
pub use self::refusal::{Objections, Refusal};
pub use self::reload::{Bell, Examiner, Orders, Reloader, announce, changes};
use self::stream::{ClientStream, Handshake};
use crate::metrics::Admission as Connected;
use crate::proxy::{self, Client, End, Listener, Peer};
use crate::tls;

/// How long we wait after `accept` failed: long enough not to spin while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a listener listens.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    /// A socket that we bind ourselves.
    Bind(SocketAddr),
    /// The sockets of this name, which systemd opened for us.
    Handed(String),
}

/// As the configuration has it.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(address) => address.fmt(f),
            Self::Handed(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// What a connection that comes in finds. A reload puts another one in its place; sessions keep theirs to their end.
#[derive(Clone, Debug)]
pub struct Service {
    /// What its sessions are driven with.
    pub listener: Arc<Listener>,
    /// Who gets a session.
    pub admission: Arc<Admission>,
    /// How TLS comes to it.
    pub door: Door,
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

/// Accepts connections until `close`, which also the drain brings about.
async fn accept(
    socket: TcpListener,
    service: Arc<ArcSwap<Service>>,
    sessions: TaskTracker,
    end: End,
    close: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = close.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let service = service.load_full();
        match accepted {
            Ok((stream, address)) => admit(&service, &sessions, &end, stream, address),
            Err(error) if is_the_connections(&error) => {
                tracing::debug!(listener = %service.listener.name, %error, "a connection broke before it was accepted");
                service.listener.metrics.connection(Connected::Error);
            }
            Err(error) => {
                tracing::warn!(listener = %service.listener.name, %error, "cannot accept");
                service.listener.metrics.connection(Connected::Error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an error of `accept` is about the one connection that it would have given (`accept(2)`): the next one need not wait for
/// whoever hangs up early.
fn is_the_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

fn admit(service: &Service, sessions: &TaskTracker, end: &End, stream: TcpStream, address: SocketAddr) {
    let peer = Peer::new(address).at(stream.local_addr().ok());
    let Service { listener, admission, door } = service;
    let hop = listener.expects_header(peer);
    let admitted = if hop { admission.admit_hop() } else { admission.admit(peer.ip) };
    let place = match admitted {
        Ok(place) => place,
        Err(full) => return turn_away(listener, admission, stream, peer, full),
    };
    let (listener, admission, end) = (Arc::clone(listener), Arc::clone(admission), end.clone());
    let door = door.clone();
    if hop {
        sessions.spawn(session_behind_hop(stream, door, admission, peer, listener, end, place));
    } else {
        listener.metrics.connection(Connected::Accepted);
        sessions.spawn(session(stream, door.for_client(admission, peer.ip), peer, listener, end, place));
    }
}

/// A session of the client that the hop names, if the hop names one and there is room for it.
async fn session_behind_hop(
    mut stream: TcpStream,
    door: Door,
    admission: Arc<Admission>,
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
        return turn_away(&listener, &admission, stream, peer, full);
    }
    listener.metrics.connection(Connected::Accepted);
    session(stream, door.for_client(admission, peer.ip), peer, listener, end, place).await;
}

/// One session. A panic in it ends with it: the runtime catches it, and the wall on its way out says so.
async fn session(
    stream: TcpStream,
    opening: Opening,
    peer: Peer,
    listener: Arc<Listener>,
    end: End,
    _place: Place,
) {
    // Without it, every small reply waits for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let _wall = Wall { listener: Arc::clone(&listener), peer };
    match Box::pin(open(stream, opening)).await {
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
async fn open(stream: TcpStream, opening: Opening) -> io::Result<(ClientStream, Option<tls::Info>)> {
    let stream = ClientStream::Clear(stream, opening.handshake);
    if !opening.implicit {
        return Ok((stream, None));
    }
    let (stream, info) = stream.start_tls().await?;
    Ok((stream, Some(info)))
}

/// What one client finds behind a door.
#[derive(Debug)]
struct Opening {
    handshake: Option<Handshake>,
    /// The handshake comes first.
    implicit: bool,
}

impl Door {
    /// What `client` finds, whose handshakes `admission` counts.
    fn for_client(self, admission: Arc<Admission>, client: IpAddr) -> Opening {
        let implicit = matches!(self, Self::Implicit(_));
        let handshake = match self {
            Self::Clear => None,
            Self::StartTls(upgrade) | Self::Implicit(upgrade) => {
                Some(Handshake { upgrade, admission, client })
            }
        };
        Opening { handshake, implicit }
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
fn turn_away(listener: &Arc<Listener>, admission: &Admission, stream: TcpStream, peer: Peer, full: Full) {
    listener.metrics.connection(full.label());
    let told = admission.may_tell();
    if let Some(untold @ 1..) = told {
        tracing::warn!(listener = %listener.name, connections = untold, "more were turned away without a line");
    }
    let reply = listener.turn_away(peer, full.name(), admission.figures(full), told.is_some());
    let mut line = Vec::new();
    reply.encode(&mut line);
    // Whether the client hears it is its own affair.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(&line));
}
