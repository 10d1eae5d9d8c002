//! The sockets that clients come in by: opened all together or not at all, and furnished anew while sessions go on.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Address, Handed, HandoverError, Service, accept, supervisor};
use crate::proxy::End;

/// Connections that may wait in the kernel for us to accept them.
const BACKLOG: u32 = 1024;
/// How long the last sessions have to hear that they are over.
const FAREWELL: Duration = Duration::from_secs(1);

/// Every entrance that is open.
#[derive(Debug)]
pub struct Entrances {
    crowd: Crowd,
    handed: Handed,
    open: HashMap<Address, Vec<Entrance>>,
}

/// Everybody inside, and everybody at the doors.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// How it all ends.
    end: End,
    sessions: TaskTracker,
    accepting: TaskTracker,
}

/// One listening socket, as those who do not accept at it see it.
#[derive(Debug)]
struct Entrance {
    local: SocketAddr,
    service: Arc<ArcSwap<Service>>,
    /// Ends the accepting here, and nothing else.
    close: CancellationToken,
}

/// Entrances that can be opened: every new socket is bound, and nobody is let in yet.
#[derive(Debug)]
pub struct Prepared {
    wanted: Vec<(Address, Service)>,
    sockets: HashMap<Address, Vec<TcpListener>>,
}

/// Why an entrance cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the listener `{listener}` cannot be opened: {why}")]
pub struct OpenError {
    listener: String,
    address: Address,
    why: Obstacle,
}

#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] io::Error),
    #[error(transparent)]
    Handover(#[from] HandoverError),
    #[error("the socket `{0}` from systemd cannot be used: {1}")]
    Adopt(String, #[source] io::Error),
}

impl OpenError {
    /// What cannot be had.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match &self.why {
            Obstacle::Bind(address, error) => advice(*address, error),
            Obstacle::Handover(_) | Obstacle::Adopt(..) => {
                "start it by its socket unit, or name an address; see config/examples/systemd".to_owned()
            }
        }
    }
}

/// What to do about an address that cannot be listened on.
pub fn advice(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "a Gatepost of another configuration, or the mail server? ss -ltnp 'sport = :{}' names it",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            "start by systemd's socket, or with AmbientCapabilities=CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "see this machine's addresses with `ip address`, or listen at [::]".to_owned()
        }
        _ => "correct `listen`".to_owned(),
    }
}

/// What came of a change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Moved {
    /// Listener and address of the sockets that were opened.
    pub opened: Vec<(String, SocketAddr)>,
    /// Those that were closed. The sessions that came in by them go on.
    pub closed: Vec<(String, SocketAddr)>,
}

impl Entrances {
    /// None yet, of a process that ends by `end` and got these sockets from systemd.
    pub fn new(end: End, handed: Handed) -> Self {
        let crowd = Crowd { end, sessions: TaskTracker::new(), accepting: TaskTracker::new() };
        Self { crowd, handed, open: HashMap::new() }
    }

    /// Those who are inside.
    pub const fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Binds what `wanted` has and is not open. Sockets that are open stay as they are until [`settle`](Self::settle).
    ///
    /// # Errors
    /// The first that cannot be had; then nothing has changed. An address that overlaps one in use (`0.0.0.0:25` beside
    /// `192.0.2.1:25`) cannot be had without a restart.
    pub fn prepare(&mut self, wanted: Vec<(Address, Service)>) -> Result<Prepared, OpenError> {
        let mut sockets = HashMap::new();
        let mut names = Vec::new();
        for (address, service) in wanted.iter().filter(|(address, _)| !self.open.contains_key(address)) {
            match address {
                Address::Bind(bound) => {
                    let socket = bind(*bound)
                        .map_err(|error| service.obstacle(address, Obstacle::Bind(*bound, error)))?;
                    sockets.insert(address.clone(), vec![socket]);
                }
                Address::Handed(name) => names.push((address, name, service)),
            }
        }
        // Last, since what was taken and could not be used would be closed.
        for (address, name, service) in &names {
            self.handed.check(name).map_err(|error| service.obstacle(address, error.into()))?;
        }
        for (address, name, service) in names {
            let taken = self.handed.named(name).map_err(|error| service.obstacle(address, error.into()))?;
            let adopted = taken.into_iter().map(adopt).collect::<io::Result<Vec<_>>>();
            let adopted =
                adopted.map_err(|error| service.obstacle(address, Obstacle::Adopt(name.clone(), error)))?;
            sockets.insert(address.clone(), adopted);
        }
        Ok(Prepared { wanted, sockets })
    }

    /// Lets clients in as prepared: at new sockets, at open ones with what they find there now; sockets that nobody wants any
    /// more are closed. Sessions go on as they began.
    pub fn settle(&mut self, prepared: Prepared) -> Moved {
        let Prepared { wanted, mut sockets } = prepared;
        let mut moved = Moved::default();
        let mut before = std::mem::take(&mut self.open);
        for (address, service) in wanted {
            let name = service.listener.name.to_string();
            let mut entrances = before.remove(&address).unwrap_or_default();
            for entrance in &entrances {
                entrance.service.store(Arc::new(service.clone()));
            }
            for socket in sockets.remove(&address).unwrap_or_default() {
                let Ok(local) = socket.local_addr() else { continue };
                moved.opened.push((name.clone(), local));
                entrances.push(self.crowd.let_in(socket, local, service.clone()));
            }
            self.open.insert(address, entrances);
        }
        for entrance in before.into_values().flatten() {
            entrance.close.cancel();
            moved.closed.push((entrance.service.load().listener.name.to_string(), entrance.local));
        }
        moved
    }

    /// The names of systemd's sockets that no listener has.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.handed.left()
    }
}

impl Service {
    fn obstacle(&self, address: &Address, why: Obstacle) -> OpenError {
        OpenError { listener: self.listener.name.to_string(), address: address.clone(), why }
    }
}

impl Crowd {
    fn let_in(&self, socket: TcpListener, local: SocketAddr, service: Service) -> Entrance {
        let service = Arc::new(ArcSwap::from_pointee(service));
        let close = self.end.drain.child_token();
        let accepting =
            accept(socket, Arc::clone(&service), self.sessions.clone(), self.end.clone(), close.clone());
        self.accepting.spawn(accepting);
        Entrance { local, service, close }
    }

    /// Waits until the end is ordered (`end.drain`), then gives open sessions `limit` to come to theirs: no new transaction
    /// begins, a running one is finished. What is open then, or at `end.now`, is told 421 and closed, within a second more.
    pub async fn see_out(self, limit: watch::Receiver<Duration>) {
        let Self { end, sessions, accepting } = self;
        end.drain.cancelled().await;
        accepting.close();
        accepting.wait().await;
        sessions.close();
        tracing::info!(sessions = sessions.len(), "draining");
        supervisor::draining(sessions.len());
        let limit = *limit.borrow();
        tokio::select! {
            () = sessions.wait() => return,
            () = end.now.cancelled() => tracing::warn!(sessions = sessions.len(), "told again: closing what is left"),
            () = tokio::time::sleep(limit) => {
                tracing::warn!(sessions = sessions.len(), "the drain limit passed: closing what is left");
            }
        }
        end.now.cancel();
        // Who hears nothing by then, or waits for an upstream, loses the connection and keeps the message.
        let _ = tokio::time::timeout(FAREWELL, sessions.wait()).await;
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn adopt(socket: StdListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}
