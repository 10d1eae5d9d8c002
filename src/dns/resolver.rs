//! The resolver: hickory for the wire, our own cache and budgets around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup as WireLookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as WireError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver as WireResolver, TokioResolver};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::answer::{Answers, Exchange, Failure, Kind, MailHosts, Records, Trouble};
use super::health::Health;
use super::observe::{Lookup, Observe, Outcome};

/// No record is trusted longer than a day, whatever its time to live says.
const MAX_TTL: Duration = Duration::from_secs(86_400);
/// RFC 2308 5 recommends to keep negative answers for hours at most.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(3 * 3600);
/// The most queries that may be on their way at once to one server.
const MAX_ACTIVE_REQUESTS: usize = 1024;
/// hickory keeps answers too, by number and not by bytes, so it gets only a handful: those that mail-auth asks it for
/// right after we did (see `checks::book`).
const WIRE_CACHE: u64 = 64;

/// How to ask, and how much to keep.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The recursive servers; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// The time for one look-up, retries and TCP included.
    pub timeout: Duration,
    /// About how many bytes of answers are kept.
    pub cache_bytes: u64,
    /// How long "does not exist" is kept when the answer brings no SOA record that says it.
    pub negative_ttl: Duration,
    /// How long a temporary failure is kept, so that a dead server is not asked for each mail.
    pub failure_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(3),
            cache_bytes: 16 << 20,
            negative_ttl: Duration::from_secs(60),
            failure_ttl: Duration::from_secs(5),
        }
    }
}

/// Why there is no resolver: the operator's configuration or the system's.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// No server is configured and the system's could not be read.
    #[error("the system's DNS configuration cannot be used: {0}")]
    System(#[source] NetError),
    /// The resolver could not be built.
    #[error("the DNS resolver cannot be set up: {0}")]
    Setup(#[source] NetError),
}

/// Looks names up; cheap to clone, one for the whole process.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    wire: TokioResolver,
    cache: Cache<Key, Entry, ByBytes>,
    observe: Arc<dyn Observe>,
    health: Health,
    timeout: Duration,
    negative_ttl: Duration,
    failure_ttl: Duration,
}

/// What a look-up gave; failures are kept like answers.
pub(crate) type Found = Result<Arc<Answers>, Failure>;

impl Resolver {
    /// A resolver that tells `observe` about each look-up. Needs a tokio runtime once it is used.
    ///
    /// # Errors
    /// The system's resolver configuration is unusable.
    pub fn new(settings: Settings, observe: Arc<dyn Observe>) -> Result<Self, DnsError> {
        let options = options(&settings);
        let servers = servers(settings.servers)?;
        let wire = WireResolver::builder_with_config(
            ResolverConfig::from_parts(None, Vec::new(), servers),
            TokioRuntimeProvider::default(),
        )
        .with_options(options)
        .build()
        .map_err(DnsError::Setup)?;
        let inner = Inner {
            wire,
            cache: cache(settings.cache_bytes),
            observe,
            health: Health::default(),
            timeout: settings.timeout,
            negative_ttl: settings.negative_ttl,
            failure_ttl: settings.failure_ttl,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The records of `kind` at `name`, which is taken as complete, with or without its trailing dot.
    ///
    /// Takes no longer than the configured timeout. Equal questions at the same time become one query.
    ///
    /// # Errors
    /// There are none, or it cannot be known now; see [`Failure`].
    pub async fn lookup(&self, kind: Kind, name: &str) -> Result<Arc<Answers>, Failure> {
        let name = canonical(name);
        if let Some(found) = self.cached(kind, &name) {
            return found;
        }
        let started = Instant::now();
        let (found, keep) = self.ask(kind, &name).await;
        let answered = !matches!(found, Err(Failure::Temporary(_)));
        let servers_fail = self.inner.health.heard(&name, answered, Instant::now());
        let (outcome, elapsed) = (Outcome::of(&found), started.elapsed());
        self.inner.observe.looked_up(&Lookup { kind, outcome, cached: false, elapsed, servers_fail });
        if !keep.is_zero() {
            let entry = Entry { found: found.clone(), valid_until: Instant::now() + keep };
            self.inner.cache.insert(Key { kind, name: name.into_boxed_str() }, entry);
        }
        found
    }

    /// Looks several names up at the same time. Takes as long as the slowest; no time for what is known.
    pub(crate) async fn lookup_all(&self, asks: Vec<(Kind, String)>) -> Vec<((Kind, String), Found)> {
        let mut answers = Vec::with_capacity(asks.len());
        let mut unknown = Vec::new();
        for (kind, name) in asks {
            match self.cached(kind, &canonical(&name)) {
                Some(found) => answers.push(((kind, name), found)),
                None => unknown.push((kind, name)),
            }
        }
        if let [(kind, name)] = unknown.as_slice() {
            let found = self.lookup(*kind, name).await;
            answers.extend(unknown.into_iter().map(|ask| (ask, found.clone())));
            return answers;
        }
        let mut lookups = JoinSet::new();
        for (kind, name) in unknown {
            let resolver = self.clone();
            lookups.spawn(async move {
                let found = resolver.lookup(kind, &name).await;
                ((kind, name), found)
            });
        }
        answers.extend(lookups.join_all().await);
        answers
    }

    /// Where mail for `domain` goes: MX records, or else the domain's own addresses (RFC 5321 5.1).
    pub async fn mail_hosts(&self, domain: &str) -> MailHosts {
        match self.lookup(Kind::Mx, domain).await {
            Ok(answers) => exchanges(&answers.records),
            Err(Failure::NxDomain) => MailHosts::None,
            Err(Failure::Temporary(trouble)) => MailHosts::Temporary(trouble),
            Err(Failure::NoData) => self.implicit_host(domain).await,
        }
    }

    /// The same from what is known, without asking anyone.
    pub(crate) fn known_mail_hosts(&self, domain: &str) -> Option<MailHosts> {
        match self.known(Kind::Mx, domain)? {
            Ok(answers) => Some(exchanges(&answers.records)),
            Err(Failure::NxDomain) => Some(MailHosts::None),
            // The addresses, or another try, may have to be waited for.
            Err(Failure::Temporary(_) | Failure::NoData) => None,
        }
    }

    /// The records of `kind` at `name` if they are known, without asking anyone.
    pub(crate) fn known(&self, kind: Kind, name: &str) -> Option<Found> {
        self.cached(kind, &canonical(name))
    }

    /// How many answers the cache holds.
    pub fn cache_entries(&self) -> usize {
        self.inner.cache.len()
    }

    /// Forgets every answer.
    pub fn clear(&self) {
        self.inner.cache.clear();
        self.inner.wire.clear_cache();
    }

    /// What the cache knows, without asking anyone. `name` is canonical.
    pub(crate) fn cached(&self, kind: Kind, name: &str) -> Option<Found> {
        let entry = self.inner.cache.get(&KeyRef { kind, name })?;
        if entry.valid_until <= Instant::now() {
            return None;
        }
        let (outcome, elapsed) = (Outcome::of(&entry.found), Duration::ZERO);
        self.inner.observe.looked_up(&Lookup { kind, outcome, cached: true, elapsed, servers_fail: false });
        Some(entry.found)
    }

    /// The resolver below, for `checks`, whose library wants one of its own kind.
    pub(crate) fn wire(&self) -> &TokioResolver {
        &self.inner.wire
    }

    /// Asks the servers. Also says how long the result may be kept.
    async fn ask(&self, kind: Kind, name: &str) -> (Found, Duration) {
        let Some(wire_name) = wire_name(name) else {
            return (Err(Failure::NxDomain), Duration::ZERO);
        };
        let answer = timeout(self.inner.timeout, self.inner.wire.lookup(wire_name, record_type(kind))).await;
        match answer {
            Ok(Ok(lookup)) => self.read(kind, &lookup),
            Ok(Err(NetError::Dns(WireError::NoRecordsFound(none)))) => self.read_none(&none),
            Ok(Err(error)) => (Err(Failure::Temporary(trouble(&error))), self.inner.failure_ttl),
            Err(_) => (Err(Failure::Temporary(Trouble::Timeout)), self.inner.failure_ttl),
        }
    }

    fn read(&self, kind: Kind, lookup: &WireLookup) -> (Found, Duration) {
        let records = records(kind, lookup);
        if records.is_empty() {
            return (Err(Failure::NoData), self.inner.negative_ttl);
        }
        let seconds = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
        let ttl = Duration::from_secs(seconds.into()).min(MAX_TTL);
        (Ok(Arc::new(Answers { records, valid_until: Instant::now() + ttl })), ttl)
    }

    fn read_none(&self, none: &NoRecords) -> (Found, Duration) {
        let failure = match none.response_code {
            ResponseCode::NXDomain => Failure::NxDomain,
            _ => Failure::NoData,
        };
        let ttl = none.negative_ttl.map_or(self.inner.negative_ttl, |ttl| Duration::from_secs(ttl.into()));
        (Err(failure), ttl.min(MAX_NEGATIVE_TTL))
    }

    async fn implicit_host(&self, domain: &str) -> MailHosts {
        let (a, aaaa) = tokio::join!(self.lookup(Kind::A, domain), self.lookup(Kind::Aaaa, domain));
        match (a, aaaa) {
            (Ok(_), _) | (_, Ok(_)) => MailHosts::Hosts(vec![canonical(domain)]),
            (Err(Failure::Temporary(trouble)), _) | (_, Err(Failure::Temporary(trouble))) => {
                MailHosts::Temporary(trouble)
            }
            _ => MailHosts::None,
        }
    }
}

/// Lower case, without the trailing dot: the form of keys and answers.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The name for the wire, U-labels made A-labels; none if no DNS name can be made of it. Labels may hold any octet of ASCII: SPF
/// makes names of what strangers say.
pub(super) fn wire_name(name: &str) -> Option<Name> {
    let mut wire = if name.is_ascii() {
        let name = name.strip_suffix('.').unwrap_or(name);
        Name::from_labels(name.split('.').filter(|_| !name.is_empty()).map(str::as_bytes)).ok()?
    } else {
        Name::from_str_relaxed(name).ok()?
    };
    wire.set_fqdn(true);
    Some(wire)
}

fn options(settings: &Settings) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // hickory counts the time per try and `attempts` are tries beyond the first: together they fill the budget.
    options.timeout = settings.timeout / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = MAX_ACTIVE_REQUESTS;
    options.case_randomization = true;
    options.cache_size = WIRE_CACHE;
    options.negative_min_ttl = Some(settings.failure_ttl);
    // RFC 7208 5.7: `exists` looks for A records, also for IPv6 clients.
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options
}

fn servers(configured: Vec<SocketAddr>) -> Result<Vec<NameServerConfig>, DnsError> {
    if configured.is_empty() {
        let (config, _) = read_system_conf().map_err(DnsError::System)?;
        return Ok(config.name_servers);
    }
    Ok(configured.into_iter().map(name_server).collect())
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

pub(super) const fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Ptr => RecordType::PTR,
    }
}

/// The records of `kind` in an answer, which may also hold the aliases that led to them.
fn records(kind: Kind, lookup: &WireLookup) -> Records {
    let data = lookup.answers().iter().map(|record| &record.data);
    match kind {
        Kind::A => Records::A(
            data.filter_map(|data| if let RData::A(a) = data { Some(a.0) } else { None }).collect(),
        ),
        Kind::Aaaa => Records::Aaaa(
            data.filter_map(|data| if let RData::AAAA(a) = data { Some(a.0) } else { None }).collect(),
        ),
        Kind::Mx => {
            let mut found: Vec<Exchange> = data.filter_map(exchange).collect();
            found.sort_unstable();
            Records::Mx(found)
        }
        Kind::Txt => Records::Txt(
            data.filter_map(
                |data| if let RData::TXT(txt) = data { Some(txt.txt_data.concat()) } else { None },
            )
            .collect(),
        ),
        Kind::Ptr => Records::Ptr(
            data.filter_map(|data| if let RData::PTR(ptr) = data { Some(host(ptr)) } else { None }).collect(),
        ),
    }
}

fn exchange(data: &RData) -> Option<Exchange> {
    match data {
        RData::MX(mx) => Some(Exchange { preference: mx.preference, host: host(&mx.exchange) }),
        _ => None,
    }
}

/// A name as it is asked for again. Only labels that text cannot tell apart are escaped; nobody can ask for those.
fn host(name: &Name) -> String {
    let label = |label: &[u8]| {
        let plain = label.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'.' | b'\\'));
        plain.then(|| String::from_utf8_lossy(label).into_owned())
    };
    let labels: Option<Vec<String>> = name.iter().map(label).collect();
    labels.map_or_else(|| canonical(&name.to_ascii()), |labels| canonical(&labels.join(".")))
}

/// RFC 7505 3: a lone MX that points to the root. Beside others such a record means nothing.
fn exchanges(records: &Records) -> MailHosts {
    let Records::Mx(found) = records else {
        return MailHosts::None;
    };
    let hosts: Vec<String> =
        found.iter().filter(|mx| !mx.host.is_empty()).map(|mx| mx.host.clone()).collect();
    if hosts.is_empty() { MailHosts::NullMx } else { MailHosts::Hosts(hosts) }
}

fn trouble(error: &NetError) -> Trouble {
    match error {
        NetError::Timeout => Trouble::Timeout,
        NetError::Dns(WireError::ResponseCode(ResponseCode::Refused)) => Trouble::Refused,
        NetError::Dns(_) => Trouble::ServFail,
        _ => Trouble::Network,
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    kind: Kind,
    name: Box<str>,
}

/// A [`Key`] to look for, without owning it; hashes alike.
#[derive(Hash)]
struct KeyRef<'a> {
    kind: Kind,
    name: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && *self.name == *key.name
    }
}

#[derive(Clone, Debug)]
struct Entry {
    found: Found,
    valid_until: Instant,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        let records = entry.found.as_ref().map_or(0, |answers| answers.records.weight());
        (ENTRY_BYTES + key.name.len() + records) as u64
    }
}

/// What an entry costs beside its name and records.
const ENTRY_BYTES: usize = 160;

fn cache(bytes: u64) -> Cache<Key, Entry, ByBytes> {
    let entries = usize::try_from(bytes / (2 * ENTRY_BYTES as u64)).unwrap_or(usize::MAX);
    Cache::with_weighter(entries, bytes, ByBytes)
}
