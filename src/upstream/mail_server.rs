//! The guarded mail server: how to reach it, what it is known to offer, and its idle connections.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::addresses::{Address, Addresses};
use super::auth;
use super::connection::{Connection, Greeting};
use super::dial::{Dial, Stream};
use super::fault::{Failure, Fault, FaultKind};
use super::identity::{self, Client};
use super::pool::Pool;
use super::stripping::Seen;
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
    /// Who spoke TLS so far.
    spoke_tls: Seen,
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
        let (pool, spoke_tls) = (Arc::default(), Seen::default());
        Self { metrics, name, hostname, remote, dial, addresses, pool, spoke_tls }
    }

    /// What we call ourselves.
    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// How it learns who the client is.
    pub(super) const fn identity(&self) -> Identity {
        self.remote.identity
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

    /// Whether a connection can serve another session once this one is done.
    pub(super) const fn shares_connections(&self) -> bool {
        self.remote.identity.shares_connections()
    }

    /// Whether it is told the client's name.
    pub(super) const fn tells_name(&self) -> bool {
        self.remote.identity.tells_name()
    }

    /// What `offered` lacks for the identities that it is to be told.
    pub(super) fn misgiving(&self, offered: &Extensions) -> Option<&'static str> {
        identity::missing(self.remote.identity, offered)
    }

    /// Says on whose behalf the next transaction is, where each is told.
    pub(super) async fn announce(
        &self,
        connection: &mut Connection,
        client: &Client,
        id: &str,
    ) -> Result<(), Failure> {
        match self.remote.identity {
            Identity::XForward => identity::announce(connection, client, id).await,
            _ => Ok(()),
        }
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
                    // It greeted us and refused this client: another address is not asked for another answer. Behind a PROXY
                    // header it may as well be too busy for anybody.
                    let may_be_busy = matches!(self.remote.identity, Identity::Proxy(_));
                    let final_word = !is_away(&failure) && address.is_up() && !may_be_busy;
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
                // After HELO, which stands for a client that knows no more, nothing is offered.
                if client.is_none_or(|client| client.esmtp) {
                    address.offers(connection.extensions());
                }
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
        let mut connection = match self.greeted(address, client).await {
            Ok(connection) => {
                address.answered(&self.name);
                connection
            }
            Err(failure) => {
                if !self.is_about_the_client(&failure, client) {
                    address.failed(&self.name);
                }
                return Err(failure);
            }
        };
        if let Some(client) = client {
            identity::demand(self.remote.identity, &connection.extensions())?;
            if self.remote.identity == Identity::XClient {
                identity::introduce(&mut connection, client, &self.hostname).await?;
            }
        }
        Ok(connection)
    }

    /// Tells the operator when TLS is not to be had any more from an address that spoke it, and plaintext is what the mode says.
    fn watch_for_stripping(&self, address: &str, connection: &Connection) {
        let Connection { encrypted, verified_tls, .. } = connection;
        tracing::debug!(upstream = %self.name, %address, encrypted, verified_tls, "greeted");
        if !matches!(self.remote.tls, TlsMode::Opportunistic(_))
            || !self.spoke_tls.is_stripped(address, connection.encrypted)
        {
            return;
        }
        self.metrics.starttls_missing("opportunistic");
        tracing::warn!(
            event = "starttls_missing",
            upstream = %self.name,
            %address,
            "it spoke TLS before and does not now: mail goes to it in plaintext; `mode: required` forbids that"
        );
    }
    /// Whether a failure says nothing about the address: it is one of how clients are named to it, or its word on this one.
    fn is_about_the_client(&self, failure: &Failure, client: Option<&Client>) -> bool {
        let sees_client =
            matches!(self.remote.identity, Identity::Transparent | Identity::Proxy(_)) && client.is_some();
        match failure {
            Failure::Fault(fault) => fault.kind == FaultKind::Identity,
            Failure::Refused(_) => sees_client,
            Failure::Withdrawn(_) => true,
        }
    }

    /// A connection to `address` on which we have greeted, and nothing was said about `client` but what comes before that.
    async fn greeted(&self, address: &Arc<Address>, client: Option<&Client>) -> Result<Connection, Failure> {
        let Remote { protocol, identity, tls, timeouts, .. } = &self.remote;
        let lease = address.lease();
        let address = address.text.as_str();
        let host = host(address);
        let wire = Wire::new(self.dial(address, client).await?);
        let (metrics, near) = (self.metrics.clone(), auth::is_loopback(address));
        let mut connection = Connection::new(wire, *protocol, *timeouts, metrics, near, lease);
        if let TlsMode::Implicit(tls) = tls {
            connection = connection.into_tls(tls, host).await?;
        }
        let greeting = Greeting {
            name: identity::first_greeting(*identity, client, &self.hostname),
            tls,
            host,
            // The first answer behind a PROXY header may be one to the header, from a server that takes it for a command.
            helo_will_do: *protocol == Protocol::Smtp && !matches!(identity, Identity::Proxy(_)),
        };
        let greeted = connection.greet(&greeting).await;
        let connection = greeted.map_err(|failure| identity::before_mail(*identity, client, failure))?;
        self.watch_for_stripping(address, &connection);
        Ok(connection)
    }

    /// A stream to `address`, which already says whom it is for where that is said before the dialogue.
    async fn dial(&self, address: &str, client: Option<&Client>) -> Result<Box<dyn Stream>, Fault> {
        let Remote { identity, timeouts, .. } = &self.remote;
        let dialling = match (identity, client) {
            (Identity::Transparent, Some(client)) => self.dial.dial_from(client.ip.to_canonical(), address),
            _ => self.dial.dial(address),
        };
        let dialled = timeout(timeouts.connect, dialling).await.map_err(|_| {
            Fault::new(FaultKind::Timeout, format!("{address}: no connection within {:?}", timeouts.connect))
        })?;
        let mut stream = dialled.map_err(|e| {
            let impossible = e.kind() == ErrorKind::Unsupported;
            let kind = if impossible { FaultKind::Identity } else { FaultKind::Connect };
            Fault::new(kind, format!("{address}: {e}"))
        })?;
        if let Identity::Proxy(version) = identity {
            let header = identity::proxy_header(*version, client);
            // No upstream may be slow to take so little: a fresh connection has room for it.
            let written = timeout(timeouts.reply, stream.write_all(&header)).await;
            written
                .map_err(io::Error::from)
                .flatten()
                .map_err(|e| Fault::new(FaultKind::Lost, format!("{address}: PROXY header: {e}")))?;
        }
        Ok(stream)
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
pub(super) fn host(address: &str) -> &str {
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
