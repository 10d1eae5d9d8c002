//! The simulated world of one dialogue: everything that a session has around it, except a network.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;
use tokio::time::Instant;

use super::books::Books;
use super::bridge::RealTime;
use super::kept::Keeping;
use super::others::Other;
use super::setup::{Limit, QuarantineSetup, Services, Setup, TlsOffer};
use super::state::SimulatedState;
use super::upstream::{UpstreamSetup, direct};
use crate::checks::results::{Iprev, MessageResults, Sealable, Spf};
use crate::checks::{Checker, Clock, MessageCheck};
use crate::dns::Resolver;
use crate::dns::responder::{Responder, Zone};
use crate::facts::{self, Subject};
use crate::message::edit::NewField;
use crate::message::header::Header;
use crate::message::spool::{self, Spooler};
use crate::metrics::Metrics;
use crate::policy::Policies;
use crate::policy::question::{Answer, Question};
use crate::proxy::{Border, DEFAULT_HEADER_LIMIT, Facts, Listener, Peer, Routes, Tarpits};
use crate::session::{Limits, Terms, Timeouts};
use crate::tls::{Certificates, ClientCertificate, ClientSettings, ClientTls, ServerTls, TlsError, Verify};
use crate::upstream::simulated::{self, Script};
use crate::upstream::{BoxFuture, Kind, Protocol, Remote, Target, TlsMode, Upstream};
use crate::{checks, dns, upstream};

/// The listener's and the upstream's name in policies and metrics.
pub(super) const NAME: &str = "transcript";
/// For one look-up, in real time: a name that never answers should not hold up the run.
const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// The memory for the messages of one dialogue; there is no folder for more.
const SPOOL: u64 = 256 << 20;
/// Sessions whose replies may be delayed at once: there is one.
const TARPITS: usize = 1;

/// What the operator's configuration says, where a transcript does not.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) hostname: String,
    pub(super) domains: Vec<String>,
    pub(super) trusted: Vec<IpNet>,
}

/// Why a world cannot be built: never the transcript's fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorldError {
    #[error("the DNS or the quarantine of the transcript cannot be had: {0}")]
    Place(#[from] std::io::Error),
    #[error("the DNS of the transcript cannot be asked: {0}")]
    Resolver(#[from] dns::DnsError),
    #[error("{0}")]
    Spool(#[from] spool::SpoolError),
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// One world, in which one session takes place.
#[derive(Debug)]
pub(super) struct World {
    pub(super) listener: Arc<Listener>,
    pub(super) peer: Peer,
    /// What the client shows in its handshakes.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    pub(super) upstream: Arc<simulated::Upstream>,
    /// The others, to which routes lead.
    pub(super) others: Vec<Other>,
    /// What policies keep back.
    pub(super) keeping: Keeping,
    pub(super) responder: Responder,
    /// What policies remember.
    pub(super) state: Arc<SimulatedState>,
    pub(super) books: Arc<Books>,
    pub(super) metrics: Arc<Metrics>,
}

impl World {
    /// Builds the world that `setup` describes. To be called on the stopped clock.
    pub(super) async fn build(
        setup: &Setup,
        defaults: &Defaults,
        policies: Arc<Policies>,
        real: &RealTime,
    ) -> Result<Self, WorldError> {
        let name = setup.listener.as_deref().unwrap_or(NAME);
        let hostname = setup.hostname.clone().unwrap_or_else(|| defaults.hostname.clone());
        let metrics = Metrics::new();
        let (responder, resolver) = names(setup, real).await?;
        let state = Arc::new(SimulatedState::new(&setup.state, setup.clock.into()));
        let facts = bridged(resolver, Arc::clone(&state), &hostname, setup, real);
        let (simulated, upstream) = mail_server(setup, None, &hostname, &metrics).await?;
        let (others, routes) = elsewhere(setup, &simulated, &hostname, &metrics).await?;
        let books = Arc::new(Books::default());
        let keeping = Keeping::open(&setup.quarantine, &policies, metrics.quarantine())?;
        let listener = Listener {
            name: name.into(),
            terms: terms(setup, &hostname),
            starttls: setup.tls != TlsOffer::Off,
            header_limit: header_limit(setup),
            normalise: setup.normalise.clone(),
            authserv_id: hostname,
            received_spf: false,
            border: border(setup, defaults),
            manners: setup.manners.clone(),
            policies: Arc::new(ArcSwap::new(policies)),
            routes: Routes::new(upstream, routes),
            facts: Arc::new(facts),
            spooler: Arc::new(Spooler::new(spool::Settings {
                dir: None,
                memory: SPOOL,
                memory_per_message: SPOOL,
            })?),
            quarantine: keeping.quarantine.clone(),
            tarpits: tarpits(setup),
            journal: Arc::clone(&books) as _,
            metrics: metrics.listener(name),
            policy_metrics: metrics.policy(),
            check_metrics: metrics.checks(),
            presence: Arc::default(),
        };
        Ok(Self {
            listener: Arc::new(listener),
            peer: Peer::new(setup.client).at(Some(setup.local)),
            certificate: setup.certificate.clone().map(Arc::new),
            upstream: simulated,
            others,
            keeping,
            responder,
            state,
            books,
            metrics,
        })
    }
}

fn border(setup: &Setup, defaults: &Defaults) -> Border {
    let domains = setup.domains.as_ref().unwrap_or(&defaults.domains);
    let trusted = setup.trusted.as_ref().unwrap_or(&defaults.trusted);
    Border::new(domains.iter().map(|domain| domain.to_lowercase()), trusted.clone())
}

fn terms(setup: &Setup, hostname: &str) -> Terms {
    let (mut limits, mut timeouts) = (Limits::default(), Timeouts::default());
    for limit in &setup.limits {
        match *limit {
            Limit::MessageSize(octets) => limits.message_size = octets,
            Limit::Recipients(number) => limits.recipients = number,
            Limit::Errors(number) => limits.errors = number,
            Limit::AuthFailures(number) => limits.auth_failures = number,
            Limit::Junk(number) => limits.junk_commands = number,
            Limit::Transactions(number) => limits.transactions = number,
            Limit::TextLine(octets) => limits.text_line = octets,
            Limit::MinDataRate(octets) => limits.min_data_rate = octets,
            Limit::Command(time) => timeouts.command = time,
            Limit::Data(time) => timeouts.data = time,
            Limit::Session(time) => timeouts.session = time,
            Limit::HeaderSize(_) | Limit::Upstream(..) | Limit::Tarpits(_) => {}
        }
    }
    Terms {
        hostname: hostname.to_owned(),
        limits,
        timeouts,
        tls_required: setup.tls == TlsOffer::Required,
        auth: setup.auth,
        inquiries: setup.inquiries,
        quarantine_address: match &setup.quarantine {
            QuarantineSetup::Address(address) => Some(Arc::new(address.clone())),
            _ => None,
        },
    }
}

fn tarpits(setup: &Setup) -> Arc<Tarpits> {
    let limit = |limit: &Limit| match limit {
        Limit::Tarpits(number) => Some(*number),
        _ => None,
    };
    Tarpits::new(setup.limits.iter().rev().find_map(limit).unwrap_or(TARPITS))
}

fn header_limit(setup: &Setup) -> usize {
    let limit = |limit: &Limit| match limit {
        Limit::HeaderSize(octets) => Some(*octets),
        _ => None,
    };
    setup.limits.iter().rev().find_map(limit).unwrap_or(DEFAULT_HEADER_LIMIT)
}

// === DNS and facts ===

/// The transcript's records, served on loopback in real time, and a resolver that asks for nothing else.
async fn names(setup: &Setup, real: &RealTime) -> Result<(Responder, Resolver), WorldError> {
    let mut zone = Zone::new();
    setup.dns.iter().for_each(|change| change.apply(&mut zone));
    let open = async move {
        let responder = Responder::start(zone).await?;
        let settings = dns::Settings { timeout: DNS_TIMEOUT, ..responder.settings() };
        let resolver = Resolver::new(settings, Arc::new(()))?;
        Ok((responder, resolver))
    };
    real.wait_for(open).await
}

fn bridged(
    resolver: Resolver,
    state: Arc<SimulatedState>,
    hostname: &str,
    setup: &Setup,
    real: &RealTime,
) -> BridgedFacts {
    let clock = StoppedClock::new(setup.clock.into());
    let settings = checks::Settings {
        hostname: hostname.to_owned(),
        trusted_sealers: setup.trusted_sealers.iter().map(|name| name.to_lowercase()).collect(),
        ..checks::Settings::default()
    };
    let checker = Checker::new(resolver.clone(), settings, clock.shared());
    let world = facts::World::new(resolver, Arc::new(checker), clock.shared());
    BridgedFacts { world, state, clock, real: real.clone(), services: setup.services.clone() }
}

/// The transcript's clock: it began at the time that the transcript says, and goes on with the stopped clock.
#[derive(Debug)]
struct StoppedClock {
    base: SystemTime,
    began: Instant,
    /// What has passed, for those who look at it from outside the stopped clock's runtime.
    passed: Arc<AtomicU64>,
}

impl StoppedClock {
    fn new(base: SystemTime) -> Self {
        Self { base, began: Instant::now(), passed: Arc::default() }
    }

    fn now(&self) -> SystemTime {
        let passed = self.began.elapsed();
        self.passed.store(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.base + passed
    }

    /// The same clock, as it stood at the last [`now`](Self::now), for other threads.
    fn shared(&self) -> Clock {
        let (base, passed) = (self.base, Arc::clone(&self.passed));
        Clock::new(move || base + Duration::from_millis(passed.load(Ordering::Relaxed)))
    }
}

/// The real facts, over simulated names, fetched in real time while the dialogue's clock stands still.
struct BridgedFacts {
    world: facts::World,
    state: Arc<SimulatedState>,
    clock: StoppedClock,
    real: RealTime,
    services: Services,
}

impl fmt::Debug for BridgedFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgedFacts").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Facts for BridgedFacts {
    fn answer<'a>(&'a self, subject: &'a Subject, question: &'a Question) -> BoxFuture<'a, Answer> {
        if let Question::State(question) = question {
            return Box::pin(self.state.answer(question, self.now()));
        }
        if let Some(answer) = self.services.answer(question) {
            return Box::pin(async move { answer });
        }
        let (world, subject, question) = (self.world.clone(), subject.clone(), question.clone());
        self.now();
        Box::pin(self.real.wait_for(async move {
            match question {
                // Chance has no place in a test.
                Question::Random => Answer::Random(0.5),
                question => world.answer(&subject, &question).await,
            }
        }))
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        self.now();
        self.real.now(|| self.world.known(question))
    }

    fn iprev(&self, client: IpAddr) -> BoxFuture<'static, Iprev> {
        let checker = Arc::clone(self.world.checker());
        Box::pin(self.real.wait_for(async move { checker.iprev(client).await }))
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn warm(&self, header: &Bytes) {
        self.real.spawn(self.world.checker().warm(header));
    }

    fn seals(&self) -> bool {
        self.world.checker().seals()
    }

    fn seal(&self, header: &Header, state: &Sealable, authentication_results: &str) -> Option<[NewField; 3]> {
        self.world.checker().seal(header, state, authentication_results)
    }

    fn conclude<'a>(&'a self, check: MessageCheck, spf: &'a Spf) -> BoxFuture<'a, MessageResults> {
        let (world, spf) = (self.world.clone(), spf.clone());
        self.now();
        Box::pin(self.real.wait_for(async move { world.checker().conclude(check, &spf).await }))
    }
}

// === upstream ===

/// The simulated mail server, which has been probed as at the start of a daemon, and Gatepost's side of it: the one without
/// a name, or `other` beside it.
async fn mail_server(
    setup: &Setup,
    other: Option<(&str, &UpstreamSetup, &simulated::Upstream)>,
    hostname: &str,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<simulated::Upstream>, Arc<Upstream>), WorldError> {
    let (name, side) = other.map_or((NAME, &setup.upstream), |(name, side, _)| (name, side));
    let (lmtp, proxy) = (side.protocol == Protocol::Lmtp, side.takes_proxy_header());
    let (starttls, extensions): (Vec<_>, Vec<_>) =
        side.offers.iter().cloned().partition(|keyword| keyword.eq_ignore_ascii_case("STARTTLS"));
    let tls = if starttls.is_empty() { None } else { Some(Arc::new(upstream_tls()?)) };
    let script = Script { extensions, tls, lmtp, proxy, ..Script::default() };
    let simulated = Arc::new(match other {
        Some((_, _, main)) => main.beside(script),
        None => simulated::Upstream::new(script),
    });
    let kind = Kind::Smtp(remote(setup, side)?);
    let target = Target { name: name.to_owned(), hostname: hostname.to_owned(), kind };
    let upstream = Upstream::new(target, Arc::clone(&simulated) as _, metrics.upstream(name));
    if side.probed {
        // One that cannot be used says so again when there is mail for it, and that is what a transcript looks at.
        let _ = upstream.probe().await;
    }
    simulated.direct(|script| side.rules.iter().for_each(|rule| direct(script, rule)));
    Ok((simulated, upstream))
}

/// What the simulated server shows in real handshakes: a certificate for `upstream.example`, whose key is known to everybody.
const UPSTREAM_PEM: &str = include_str!("upstream.pem");

fn upstream_tls() -> Result<ServerTls, TlsError> {
    ServerTls::new(Certificates::from_pem(UPSTREAM_PEM)?)
}

/// What Gatepost goes by in these handshakes.
fn tls_towards(side: &UpstreamSetup) -> Result<ClientTls, TlsError> {
    let verify = if side.verified { Verify::Pem(UPSTREAM_PEM) } else { Verify::Nothing };
    let name = Some("upstream.example".to_owned());
    ClientTls::with(ClientSettings { verify, name, certificate: None })
}

/// The upstreams with a name, beside `main`, and the routes that lead to them.
async fn elsewhere(
    setup: &Setup,
    main: &simulated::Upstream,
    hostname: &str,
    metrics: &Arc<Metrics>,
) -> Result<(Vec<Other>, Vec<(String, Arc<Upstream>)>), WorldError> {
    let (mut others, mut routes) = (Vec::new(), Vec::new());
    for (name, side) in &setup.others {
        let (simulated, upstream) = mail_server(setup, Some((name, side, main)), hostname, metrics).await?;
        let here = setup.routes.iter().filter(|(_, to)| to == name);
        routes.extend(here.map(|(domain, _)| (domain.clone(), Arc::clone(&upstream))));
        others.push(Other::new(name, simulated));
    }
    Ok((others, routes))
}

fn remote(setup: &Setup, side: &UpstreamSetup) -> Result<Remote, WorldError> {
    let mut timeouts = upstream::Timeouts::default();
    for limit in &setup.limits {
        if let Limit::Upstream(step, time) = limit {
            step.set(&mut timeouts, *time);
        }
    }
    let tls = match side.tls {
        TlsOffer::Off => TlsMode::Off,
        TlsOffer::Opportunistic => TlsMode::Opportunistic(tls_towards(side)?),
        TlsOffer::Required => TlsMode::Required(tls_towards(side)?),
    };
    Ok(Remote {
        addresses: side.addresses.clone(),
        balance: side.balance,
        protocol: side.protocol,
        identity: side.identity,
        tls,
        timeouts,
    })
}
