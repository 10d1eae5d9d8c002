//! Where a session meets policy, facts, the spool and the upstream.
//!
//! [`drive()`] is the loop: it feeds a [`Session`](crate::session::Session) with what the client sends and does what the
//! session wants done. It knows a client as a stream, facts as a trait and upstreams by their dialogue, so that the listener
//! (real sockets) and transcripts (simulated ones) run the same code. Before it begins, a load balancer may say in a PROXY
//! header who the client is; which upstream a message goes to is looked up in the [`Routes`].

mod arrival;
mod books;
mod border;
mod drive;
mod fetching;
mod id;
mod intake;
mod journal;
mod judge;
mod outgoing;
mod presence;
mod proxy_header;
mod queue_id;
mod reverse;
mod routes;
mod scene;
mod tarpit;
mod trouble;
mod wire;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ipnet::IpNet;

pub use self::arrival::Manners;
pub use self::border::Border;
pub use self::drive::{End, drive};
pub use self::id::Id;
pub use self::journal::{Effect, Entry, Journal, Ledger, Refused, Shadow, Tracing, TransactionEntry};
pub use self::presence::{Guest, Presence};
pub use self::routes::Routes;
pub use self::tarpit::Tarpits;
pub use self::wire::Client;
use crate::checks::MessageCheck;
use crate::checks::results::{Iprev, MessageResults, Sealable, Spf};
use crate::facts::{Subject, World};
use crate::message::edit::NewField;
use crate::message::header::Header;
use crate::message::spool::Spooler;
use crate::metrics::{CheckMetrics, ListenerMetrics, PolicyMetrics};
use crate::policy::Policies;
use crate::policy::question::{Answer, Question};
use crate::quarantine::Quarantine;
use crate::session::Terms;
use crate::smtp::data::LineEnds;
use crate::upstream::BoxFuture;

/// The largest header of a message where nothing else is configured, in octets.
pub const DEFAULT_HEADER_LIMIT: usize = 256 << 10;

/// What the sessions of one listener share.
#[derive(Debug)]
pub struct Listener {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Limits, timeouts and the host name.
    pub terms: Terms,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// The largest header of a message, in octets.
    pub header_limit: usize,
    /// Clients whose bare CR and LF are line ends; from everybody else they are errors.
    pub normalise: Vec<IpNet>,
    /// Whose word `Authentication-Results` is (RFC 8601 2.2).
    pub authserv_id: String,
    /// Whether messages get a `Received-SPF` field too (RFC 7208 9.1).
    pub received_spf: bool,
    /// What is ours, and whom we trust.
    pub border: Border,
    /// Whom we believe when it speaks for others, and how strangers are received.
    pub manners: Manners,
    /// The policies in force.
    pub policies: Arc<ArcSwap<Policies>>,
    /// Where accepted mail goes.
    pub routes: Routes,
    /// Who answers what policies ask.
    pub facts: Arc<dyn Facts>,
    /// Where messages wait for their end.
    pub spooler: Arc<Spooler>,
    /// The book of who is here.
    pub presence: Arc<Presence>,
    /// Where mail is kept that policies keep back; `None` when there is no such place, or it is an address.
    pub quarantine: Option<Arc<Quarantine>>,
    /// Places for sessions whose replies take their time.
    pub tarpits: Arc<Tarpits>,
    /// Where decisions go.
    pub journal: Arc<dyn Journal>,
    /// This listener's metrics.
    pub metrics: ListenerMetrics,
    /// The metrics of policies.
    pub policy_metrics: PolicyMetrics,
    /// The metrics of checks.
    pub check_metrics: CheckMetrics,
}

impl Listener {
    /// What a bare CR or LF in a message of this client is.
    fn line_ends(&self, client: IpAddr) -> LineEnds {
        match self.normalise.iter().any(|network| network.contains(&client)) {
            true => LineEnds::Normalise,
            false => LineEnds::Strict,
        }
    }
}

/// Who connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address; an IPv4-mapped one is given as IPv4.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Where it connected to, as far as that is known.
    pub local: Option<SocketAddr>,
    /// Whether the address is the client's own. It is not when a load balancer or a hop spoke for somebody that it could not
    /// name: then nothing that is granted to addresses is granted to this one.
    pub named: bool,
}

impl Peer {
    /// The peer at the other end of a socket.
    pub fn new(address: SocketAddr) -> Self {
        Self { ip: address.ip().to_canonical(), port: address.port(), local: None, named: true }
    }

    /// The same peer, connected to this address of ours.
    #[must_use]
    pub fn at(self, local: Option<SocketAddr>) -> Self {
        Self { local, ..self }
    }

    /// Our address, to which it connected; an IPv4-mapped one as IPv4.
    pub(crate) fn server_ip(&self) -> Option<IpAddr> {
        self.local.map(|local| local.ip().to_canonical())
    }
}

/// Who answers what policies ask about the world outside, and examines messages.
///
/// Nothing here fails: a failure is an answer (`error`, `temperror`).
pub trait Facts: fmt::Debug + Send + Sync {
    /// The answer to `question` about `subject`.
    fn answer<'a>(&'a self, subject: &'a Subject, question: &'a Question) -> BoxFuture<'a, Answer>;

    /// The answer to `question` if it is known without waiting; see [`Known`](crate::policy::question::Known).
    fn known(&self, question: &Question) -> Option<Answer>;

    /// Looks the client's name up, whoever waits for it.
    fn iprev(&self, client: IpAddr) -> BoxFuture<'static, Iprev>;

    /// What the clock says.
    fn now(&self) -> SystemTime;

    /// Begins the look-ups that the check of a message with this header will need: called when the header is complete, while
    /// the body still arrives.
    fn warm(&self, header: &Bytes);

    /// Whether messages are sealed, so that their bodies have to be hashed for that.
    fn seals(&self) -> bool;

    /// The fields that seal a message with this outgoing header on its way to the upstream (RFC 8617), to be put on its top.
    /// `authentication_results` is the value of our own field.
    fn seal(&self, header: &Header, state: &Sealable, authentication_results: &str) -> Option<[NewField; 3]>;

    /// The results of DKIM and DMARC for a message that is all there. `spf` is the result for its sender.
    fn conclude<'a>(&'a self, check: MessageCheck, spf: &'a Spf) -> BoxFuture<'a, MessageResults>;
}

/// The real world.
impl Facts for World {
    fn answer<'a>(&'a self, subject: &'a Subject, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(Self::answer(self, subject, question))
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        Self::known(self, question)
    }

    fn iprev(&self, client: IpAddr) -> BoxFuture<'static, Iprev> {
        let checker = Arc::clone(self.checker());
        Box::pin(async move { checker.iprev(client).await })
    }

    fn now(&self) -> SystemTime {
        self.clock().now()
    }

    fn warm(&self, header: &Bytes) {
        tokio::spawn(self.checker().warm(header));
    }

    fn seals(&self) -> bool {
        self.checker().seals()
    }

    fn seal(&self, header: &Header, state: &Sealable, authentication_results: &str) -> Option<[NewField; 3]> {
        self.checker().seal(header, state, authentication_results)
    }

    fn conclude<'a>(&'a self, check: MessageCheck, spf: &'a Spf) -> BoxFuture<'a, MessageResults> {
        Box::pin(self.checker().conclude(check, spf))
    }
}
