//! The guarded mail server: how to reach it, what it is known to offer, and its idle connections.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use super::connection::Connection;
use super::dial::Dial;
use super::fault::{Failure, Fault, FaultKind};
use super::identity::{self, Client};
use super::pool::Pool;
use super::stripping::Seen;
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
        let (extensions, pool) = (ArcSwapOption::empty(), Arc::default());
        Self { metrics, name, hostname, remote, dial, extensions, pool, spoke_tls: Seen::default() }
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

    /// Whether a connection can serve another session once this one is done: not when it was told who the client is.
    pub(super) fn shares_connections(&self) -> bool {
        self.remote.identity == Identity::None
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
        let dialled = timeout(timeouts.connect, self.dial.dial(address)).await;
        let stream = dialled
            .map_err(|_| {
                Fault::new(
                    FaultKind::Timeout,
                    format!("{address}: no connection within {:?}", timeouts.connect),
                )
            })?
            .map_err(|e| Fault::new(FaultKind::Connect, format!("{address}: {e}")))?;
        let mut connection = Connection::new(Wire::new(stream), *timeouts, self.metrics.clone());
        if let TlsMode::Implicit(tls) = tls {
            connection = connection.into_tls(tls, host).await?;
        }
        let mut connection = connection.greet(&self.hostname, tls, host).await?;
        self.watch_for_stripping(address, &connection);
        if let (Identity::XClient, Some(client)) = (identity, client) {
            identity::introduce(&mut connection, client, &self.hostname).await?;
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
