//! State in Redis or Valkey, which several processes share.
//!
//! Every operation is one script, so that it is atomic for all of them. Keys are `gatepost:KIND:NAMES:HASH`: the names are the
//! operator's, what clients said is in the hash. Every key expires; how much there may be besides is the server's `maxmemory`.
//! Times are the processes' own, so that their clocks must agree to a second or so, as NTP sees to.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisError, Script, TlsCertificates};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::operation::{
    Counted, Greylist, Key, Limit, Millis, Operation, Outcome, Rate, Seen, StoreError, digest, millis,
};

/// The port where none is given.
pub const DEFAULT_PORT: u16 = 6379;

/// How long connecting may take at least.
const CONNECT: Duration = Duration::from_secs(2);

/// Where a Redis is, and how it is spoken to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Host and port; of a cluster some of its nodes, of which one has to answer at first. At least one.
    pub nodes: Vec<(String, u16)>,
    /// Whether they are a cluster.
    pub cluster: bool,
    /// The number of the database; 0 in a cluster.
    pub database: u8,
    /// Whether TLS is spoken, and by whose word the server is who it says.
    pub tls: Option<Trust>,
    /// Who logs in; empty for the server's default user.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<Password>,
}

/// Who vouches for the server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The system's authorities.
    System,
    /// Those in this PEM.
    Authorities(Vec<u8>),
}

/// A password, which no log and no debug output shows.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// A password in clear text.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(...)")
    }
}

/// A server, or a cluster of them, that is connected to when it is first needed, and again when the connection is lost.
pub(super) struct Redis {
    connection: Mutex<Connection>,
    scripts: Scripts,
    target: Target,
    deadline: Duration,
}

/// Cheap to clone.
#[derive(Clone)]
enum Connection {
    Single(ConnectionManager),
    Cluster(Arc<Cluster>),
}

struct Cluster {
    client: ClusterClient,
    connected: OnceCell<ClusterConnection>,
}

struct Scripts {
    rate: Script,
    greylist: Script,
    remember: Script,
}

impl Connection {
    /// A connection that is made when it is first used.
    fn new(target: &Target, deadline: Duration) -> Result<Self, RedisError> {
        if !target.cluster {
            return single(target, deadline).map(Self::Single);
        }
        let client = cluster(target, deadline)?;
        Ok(Self::Cluster(Arc::new(Cluster { client, connected: OnceCell::new() })))
    }
}

impl Scripts {
    fn new() -> Self {
        Self {
            rate: Script::new(include_str!("rate.lua")),
            greylist: Script::new(include_str!("greylist.lua")),
            remember: Script::new(include_str!("remember.lua")),
        }
    }
}

impl Redis {
    /// The server that `target` is; it is not spoken to yet. `deadline` is for one answer. Must be called within
    /// a runtime.
    pub(super) fn new(target: &Target, deadline: Duration) -> Result<Self, RedisError> {
        let connection = Mutex::new(Connection::new(target, deadline)?);
        Ok(Self { connection, scripts: Scripts::new(), target: target.clone(), deadline })
    }

    /// Begins anew with a connection that has nothing of the old one. The client connects again by itself when a connection is
    /// lost, but not, for instance, when a server let nobody in and now does.
    pub(super) fn renew(&self) {
        match Connection::new(&self.target, self.deadline) {
            Ok(connection) => *self.connection() = connection,
            Err(error) => {
                tracing::warn!(event = "store_unusable", store = %self.target, %error, "no new connection")
            }
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is asked, at the time `now`.
    pub(super) async fn perform(&self, operation: &Operation, now: Millis) -> Result<Outcome, StoreError> {
        let connection = self.connection().clone();
        let done = match connection {
            Connection::Single(mut manager) => self.ask(&mut manager, operation, now).await,
            Connection::Cluster(cluster) => {
                match cluster.connected.get_or_try_init(|| cluster.client.get_async_connection()).await {
                    Ok(connection) => self.ask(&mut connection.clone(), operation, now).await,
                    Err(error) => Err(error),
                }
            }
        };
        done.map_err(|error| StoreError::Failed(error.to_string()))
    }

    async fn ask(
        &self,
        connection: &mut (impl ConnectionLike + Send + Clone),
        operation: &Operation,
        now: Millis,
    ) -> Result<Outcome, RedisError> {
        match operation {
            Operation::Rate(rate) => self.rate(connection, rate, now).await,
            Operation::Greylist(attempt) => self.greylist(connection, attempt, now).await,
            Operation::Remember { key, keep } => {
                let script = &self.scripts.remember;
                let mut invocation = script.key(name("memory", key));
                let _: i64 = invocation.arg(now).arg(millis(*keep)).invoke_async(connection).await?;
                Ok(Outcome::Kept)
            }
            Operation::Remembered { key } => {
                let until: Option<u64> =
                    redis::cmd("GET").arg(name("memory", key)).query_async(connection).await?;
                Ok(Outcome::Remembered(until.is_some_and(|until| until > now)))
            }
        }
    }

    async fn rate(
        &self,
        connection: &mut (impl ConnectionLike + Send + Clone),
        rate: &Rate,
        now: Millis,
    ) -> Result<Outcome, RedisError> {
        let mut invocation = self.scripts.rate.key(name("rate", &rate.key));
        invocation.arg(now);
        for limit in rate.limits.iter().take(Limit::MOST) {
            invocation.arg(limit.count).arg(millis(limit.period));
        }
        let (fits, count, wait): (bool, u32, u64) = invocation.invoke_async(connection).await?;
        Ok(Outcome::Rate(Counted { fits, count, retry_after: Duration::from_millis(wait) }))
    }

    async fn greylist(
        &self,
        connection: &mut (impl ConnectionLike + Send + Clone),
        attempt: &Greylist,
        now: Millis,
    ) -> Result<Outcome, RedisError> {
        let [pair, client] = grey_names(attempt, attempt.shadow);
        let [shadow_pair, shadow_client] = grey_names(attempt, true);
        let mut invocation = self.scripts.greylist.key(pair);
        invocation.key(client).key(shadow_pair).key(shadow_client);
        invocation.arg(now).arg(millis(attempt.delay)).arg(millis(attempt.keep));
        invocation.arg(attempt.passes).arg(u8::from(attempt.shadow)).arg(millis(attempt.retry_within()));
        let (seen, wait): (u8, u64) = invocation.invoke_async(connection).await?;
        Ok(Outcome::Greylist(match seen {
            0 => Seen::Wait(Duration::from_millis(wait)),
            1 => Seen::Pass,
            _ => Seen::Known,
        }))
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)
    }
}

/// As in the configuration, without the password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.cluster, &self.tls) {
            (false, None) => "redis",
            (false, Some(_)) => "rediss",
            (true, None) => "redis+cluster",
            (true, Some(_)) => "rediss+cluster",
        };
        let nodes: Vec<_> = self.nodes.iter().map(|(host, port)| authority(host, *port)).collect();
        write!(f, "{scheme}://{}/{}", nodes.join(","), self.database)
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn single(target: &Target, deadline: Duration) -> Result<ConnectionManager, RedisError> {
    let Some(address) = addresses(target)?.into_iter().next() else {
        return Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named")));
    };
    let client = match certificates(target) {
        Some(certificates) => Client::build_with_tls(address, certificates)?,
        None => Client::open(address)?,
    };
    let config = ConnectionManagerConfig::new()
        // The breaker says when to try again.
        .set_number_of_retries(0)
        .set_connection_timeout(Some(deadline.max(CONNECT)))
        .set_response_timeout(Some(deadline));
    ConnectionManager::new_lazy_with_config(client, config)
}

fn cluster(target: &Target, deadline: Duration) -> Result<ClusterClient, RedisError> {
    let mut builder = ClusterClientBuilder::new(addresses(target)?)
        // Of nodes that send elsewhere; a connection that is lost is another matter.
        .retries(2)
        .connection_timeout(deadline.max(CONNECT))
        .response_timeout(deadline);
    if let Some(password) = &target.password {
        builder = builder.password(password.0.as_str());
    }
    if !target.user.is_empty() {
        builder = builder.username(&target.user);
    }
    if let Some(certificates) = certificates(target) {
        builder = builder.certs(certificates);
    }
    builder.build()
}

fn addresses(target: &Target) -> Result<Vec<ConnectionInfo>, RedisError> {
    let scheme = if target.tls.is_some() { "rediss" } else { "redis" };
    let address = |(host, port): &(String, u16)| {
        let url = format!("{scheme}://{}/{}", authority(host, *port), target.database);
        let address = url.into_connection_info()?;
        let mut login = address.redis_settings().clone();
        if let Some(password) = &target.password {
            login = login.set_password(password.0.as_str());
        }
        if !target.user.is_empty() {
            login = login.set_username(&target.user);
        }
        Ok(address.set_redis_settings(login))
    };
    target.nodes.iter().map(address).collect()
}

fn certificates(target: &Target) -> Option<TlsCertificates> {
    let root_cert = match target.tls.as_ref()? {
        Trust::System => None,
        Trust::Authorities(pem) => Some(pem.clone()),
    };
    Some(TlsCertificates { client_tls: None, root_cert })
}

/// The name of a key on the server.
fn name(kind: &str, key: &Key) -> String {
    format!("gatepost:{kind}:{}:{:032x}", key.space, key.digest())
}

/// The names of a pair and of its client. What stands in braces decides on which node of a cluster they are.
fn grey_names(attempt: &Greylist, shadow: bool) -> [String; 2] {
    let mode = if shadow { "shadow" } else { "enforce" };
    let client = digest(&[&attempt.space, &attempt.client]);
    let client = format!("gatepost:greylist:{}:{mode}:{{{client:032x}}}", attempt.space);
    [format!("{client}:{:032x}", digest(&[&attempt.pair])), client]
}
