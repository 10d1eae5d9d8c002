//! The guarded mail server: how to reach it, what it is known to offer, and its idle connections.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::auth;
use super::connection::Connection;
use super::dial::{Dial, Stream};
use super::fault::{Failure, Fault, FaultKind};
use super::identity::{self, Client};
use super::pool::Pool;
use super::target::{Identity, Remote, TlsMode};
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
    extensions: ArcSwapOption<Extensions>,
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
        let (extensions, pool) = (ArcSwapOption::empty(), Arc::default());
        Self { metrics, name, hostname, remote, dial, extensions, pool }
    }

    /// What we call ourselves.
    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// How it learns who the client is.
    pub(super) const fn identity(&self) -> Identity {
        self.remote.identity
    }

    /// What the last complete greeting offered.
    pub(super) fn extensions(&self) -> Option<Arc<Extensions>> {
        self.extensions.load_full()
    }

    /// Greets the server to learn what it offers.
    pub(super) async fn probe(&self) -> Result<Arc<Extensions>, Failure> {
        let connection = self.connect(None).await?;
        let extensions = connection.extensions();
        connection.quit().await;
        Ok(extensions)
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
    /// What happened at the last address.
    pub(super) async fn connect(&self, client: Option<&Client>) -> Result<Connection, Failure> {
        let mut last = Fault::new(FaultKind::Connect, "no address is configured").into();
        for address in &self.remote.addresses {
            match self.connect_to(address, client).await {
                Ok(connection) => {
                    self.metrics.connect("ok");
                    self.metrics.up(true);
                    self.extensions.store(Some(connection.extensions()));
                    return Ok(connection);
                }
                Err(failure) => {
                    tracing::debug!(upstream = %self.name, %address, %failure, "cannot use this address");
                    self.metrics.connect(outcome(&failure));
                    last = failure;
                }
            }
        }
        // Whoever refuses is there.
        self.metrics.up(matches!(last, Failure::Refused(_)));
        Err(last)
    }

    async fn connect_to(&self, address: &str, client: Option<&Client>) -> Result<Connection, Failure> {
        let Remote { identity, tls, timeouts, .. } = &self.remote;
        let host = host(address);
        let mut wire = Wire::new(self.dial(address, client).await?);
        if let TlsMode::Implicit(tls) = tls {
            wire = wire.into_tls(tls, host, &self.metrics).await?;
        }
        let confidential = matches!(tls, TlsMode::Implicit(_)) || auth::is_loopback(address);
        let connection = Connection::new(wire, *timeouts, self.metrics.clone(), confidential);
        let name = identity::first_greeting(*identity, client, &self.hostname);
        let greeted = connection.greet(name, tls, host).await;
        let mut connection = greeted.map_err(|failure| identity::before_mail(*identity, client, failure))?;
        if let Some(client) = client {
            identity::demand(*identity, &connection.extensions())?;
            if *identity == Identity::XClient {
                identity::introduce(&mut connection, client, &self.hostname).await?;
            }
        }
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
