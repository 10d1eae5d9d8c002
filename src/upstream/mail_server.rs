//! The guarded mail server: how to reach it, what it is known to offer, and its idle connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::addresses::{Address, Addresses};
use super::connection::Connection;
use super::dial::Dial;
use super::fault::{Failure, Fault, FaultKind};
use super::identity::{self, Client};
use super::pool::Pool;
use super::target::{Identity, Protocol, Remote, TlsMode};
use super::wire::Wire;
use crate::metrics::UpstreamMetrics;
use crate::smtp::extensions::Extensions;

/// A mail server behind the gate.
#[derive(Debug)]
pub(super) struct MailServer {
    metrics: UpstreamMetrics,
    name: String,
    hostname: String,
    remote: Remote,
    dial: Arc<dyn Dial>,
    addresses: Addresses,
    pool: Arc<Pool>,
}

impl MailServer {
    /// The server `remote`, which the operator calls `name` and to which we are `hostname`.
    pub(super) fn new(
        name: String,
        hostname: String,
        remote: Remote,
        dial: Arc<dyn Dial>,
        metrics: UpstreamMetrics,
    ) -> Self {
        let addresses = Addresses::new(&remote.addresses, remote.balance, &metrics);
        Self { metrics, name, hostname, remote, dial, addresses, pool: Arc::default() }
    }

    /// What the last complete greetings offered.
    pub(super) fn extensions(&self) -> Option<Arc<Extensions>> {
        self.addresses.extensions()
    }

    /// Greets the server at every address, all at the same time, to learn whether it is there and what it offers.
    ///
    /// # Errors
    /// What happened at one of the addresses, when it is at none of them.
    pub(super) async fn probe(self: &Arc<Self>) -> Result<Arc<Extensions>, Failure> {
        let mut probes = JoinSet::new();
        for address in self.addresses.all() {
            let (server, address) = (Arc::clone(self), Arc::clone(address));
            probes.spawn(async move { server.probe_at(&address).await });
        }
        let mut outcome = Err(nothing_to_try().into());
        while let Some(probed) = probes.join_next().await {
            match probed {
                Ok(probed) if outcome.is_err() => outcome = probed,
                _ => {}
            }
        }
        self.metrics.up(!outcome.as_ref().is_err_and(is_away));
        outcome.map(|()| self.extensions().unwrap_or_default())
    }

    async fn probe_at(&self, address: &Arc<Address>) -> Result<(), Failure> {
        let connection = self.connect_at(address, None).await?;
        connection.quit().await;
        Ok(())
    }

    /// How long until the next address that is set aside is to be tried again, if there is one.
    pub(super) fn next_trial(&self) -> Option<Duration> {
        self.addresses.next_trial()
    }

    /// Waits until an address is set aside.
    pub(super) async fn set_aside(&self) {
        self.addresses.set_aside().await;
    }

    /// Whether a transaction has one recipient only.
    pub(super) fn takes_one_recipient(&self) -> bool {
        self.remote.protocol == Protocol::Lmtp
    }

    /// An idle connection, where connections may be shared.
    pub(super) fn reuse(&self) -> Option<Connection> {
        let idle = self.pool.take()?;
        self.metrics.connect("reused");
        Some(idle)
    }

    /// Takes back a connection that its session no longer needs and that is between transactions, after a RSET that
    /// was answered well.
    pub(super) fn give_back(&self, connection: Connection) {
        self.pool.keep(connection);
    }

    /// Whether a connection can serve another session once this one is done: not when it was told who the client is.
    pub(super) fn shares_connections(&self) -> bool {
        self.remote.identity == Identity::None
    }

    /// A fresh connection, at the point where MAIL is next: the first address that gets that far.
    ///
    /// # Errors
    /// What happened at the last address. When all of them failed time and again, that is said at once, and nobody waits
    /// for them.
    pub(super) async fn connect(&self, client: Option<&Client>) -> Result<Connection, Failure> {
        let mut last = None;
        for address in self.addresses.in_order() {
            if !address.may_be_tried() {
                continue;
            }
            match self.connect_at(&address, client).await {
                Ok(connection) => {
                    self.metrics.up(true);
                    return Ok(connection);
                }
                Err(failure) => {
                    // It greeted us and refused this client: another address is not asked for another answer.
                    let final_word = !is_away(&failure) && address.is_up();
                    last = Some(failure);
                    if final_word {
                        break;
                    }
                }
            }
        }
        let Some(last) = last else {
            self.metrics.connect("circuit_open");
            return Err(nothing_to_try().into());
        };
        self.metrics.up(!is_away(&last));
        Err(last)
    }

    /// A connection to `address`, at the point where MAIL is next, and in the books what came of it.
    async fn connect_at(
        &self,
        address: &Arc<Address>,
        client: Option<&Client>,
    ) -> Result<Connection, Failure> {
        match self.connect_to(address, client).await {
            Ok(connection) => {
                self.metrics.connect("ok");
                address.offers(connection.extensions());
                Ok(connection)
            }
            Err(failure) => {
                tracing::debug!(upstream = %self.name, address = address.text, %failure, "cannot use this address");
                self.metrics.connect(outcome(&failure));
                Err(failure)
            }
        }
    }

    async fn connect_to(
        &self,
        address: &Arc<Address>,
        client: Option<&Client>,
    ) -> Result<Connection, Failure> {
        let mut connection = match self.greeted(address).await {
            Ok(connection) => {
                address.answered(&self.name);
                connection
            }
            Err(failure) => {
                address.failed(&self.name);
                return Err(failure);
            }
        };
        if let (Identity::XClient, Some(client)) = (self.remote.identity, client) {
            identity::introduce(&mut connection, client, &self.hostname).await?;
        }
        Ok(connection)
    }

    /// A connection to `address` on which we have greeted, and nothing was said about a client yet.
    async fn greeted(&self, address: &Arc<Address>) -> Result<Connection, Failure> {
        let Remote { protocol, tls, timeouts, .. } = &self.remote;
        let lease = address.lease();
        let address = address.text.as_str();
        let host = host(address);
        let dialled = timeout(timeouts.connect, self.dial.dial(address)).await;
        let stream = dialled
            .map_err(|_| {
                Fault::new(
                    FaultKind::Timeout,
                    format!("{address}: no connection within {:?}", timeouts.connect),
                )
            })?
            .map_err(|e| Fault::new(FaultKind::Connect, format!("{address}: {e}")))?;
        let mut wire = Wire::new(stream);
        if let TlsMode::Implicit(tls) = tls {
            wire = wire.into_tls(tls, host, &self.metrics).await?;
        }
        let connection = Connection::new(wire, *protocol, *timeouts, self.metrics.clone(), lease);
        connection.greet(&self.hostname, tls, host).await
    }
}

/// Every address failed so often, and so lately, that nobody waits for it.
fn nothing_to_try() -> Fault {
    Fault::new(FaultKind::Connect, "every address failed repeatedly and is not tried again yet")
}

/// Whether nobody is there; whoever refuses is.
fn is_away(failure: &Failure) -> bool {
    !matches!(failure, Failure::Refused(_))
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The label under which a connection that came to nothing is counted.
fn outcome(failure: &Failure) -> &'static str {
    match failure {
        Failure::Fault(Fault { kind: FaultKind::Connect, .. }) => "refused",
        Failure::Fault(Fault { kind: FaultKind::Timeout, .. }) => "timeout",
        Failure::Fault(Fault { kind: FaultKind::Tls, .. }) => "tls",
        Failure::Fault(Fault { kind: FaultKind::Identity, .. }) => "identity",
        _ => "greeting",
    }
}
