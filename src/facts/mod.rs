//! Answers what policy asks: DNS, lists in DNS, results of checks, the memory that outlives sessions, web services, scanners,
//! the message's contents, time and chance.
//!
//! [`World::answer`] is total. What cannot be found out is an answer of its own: `error`, or `temperror` for checks. Each
//! answer has a deadline of its own.

mod clamd;
mod contents;
mod http;
mod letter;
mod listing;
mod rspamd;
#[cfg(test)]
mod tests;

mod state;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

pub use self::clamd::Clamd;
use self::contents::Reader;
use self::http::Web;
pub use self::letter::Letter;
pub use self::listing::{test, test_lists};
pub use self::rspamd::Rspamd;
pub use self::state::{ask_store, without_store};

use crate::checks::results::{ArcChain, CheckResult, Dmarc, Iprev, Spf};
use crate::checks::{Checker, Clock};
use crate::dns::{Failure, Found, Kind, MailHosts, Resolver, reverse_name};
use crate::metrics::FactMetrics;
use crate::policy::question::{self, Answer, HttpReply, Listable, Lookup, Question, RecordType, Scan, Zone};
use crate::smtp::path::ReversePath;
use crate::state::Store;

/// Where facts come from; one for the process.
#[derive(Clone, Debug)]
pub struct World {
    resolver: Resolver,
    checker: Arc<Checker>,
    clock: Clock,
    store: Arc<Store>,
    services: Arc<Services>,
}

/// Services that the operator allows policies to ask.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    /// Web servers, as `host` or `host:port` in lower case.
    pub http_hosts: Vec<String>,
    /// The virus scanner.
    pub clamd: Option<Clamd>,
    /// The spam scanner.
    pub rspamd: Option<Rspamd>,
}

#[derive(Debug)]
struct Services {
    web: Web,
    clamd: Option<Clamd>,
    rspamd: Option<Rspamd>,
    contents: Reader,
    metrics: FactMetrics,
}

/// Whom and what the questions are about, as far as the session has come.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The client's address.
    pub client: IpAddr,
    /// What it said in HELO or EHLO.
    pub helo: Option<String>,
    /// The sender of the transaction.
    pub sender: Option<ReversePath>,
    /// The rest of the transaction.
    pub envelope: Envelope,
    /// The message, when it is all there.
    pub letter: Option<Letter>,
}

/// What a scanner may want to know of a transaction.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The id of the transaction.
    pub id: String,
    /// The recipients.
    pub recipients: Vec<String>,
    /// Who logged in; empty for nobody.
    pub login: String,
}

impl Subject {
    /// A client that has said nothing yet.
    pub fn new(client: IpAddr) -> Self {
        Self { client, helo: None, sender: None, envelope: Envelope::default(), letter: None }
    }
}

impl World {
    /// A world that asks this resolver and checker, tells the time of `clock`, and has a memory that ends with it. It has no
    /// services yet.
    pub fn new(resolver: Resolver, checker: Arc<Checker>, clock: Clock) -> Self {
        let services = Services::new(ServiceSettings::default(), FactMetrics::detached());
        Self { resolver, checker, clock, store: Arc::new(Store::in_memory()), services: Arc::new(services) }
    }

    /// The same world with this memory.
    #[must_use]
    pub fn with_store(self, store: Arc<Store>) -> Self {
        Self { store, ..self }
    }

    /// The same world with these services.
    #[must_use]
    pub fn with(self, services: ServiceSettings, metrics: FactMetrics) -> Self {
        Self { services: Arc::new(Services::new(services, metrics)), ..self }
    }

    /// Who does the checks.
    pub const fn checker(&self) -> &Arc<Checker> {
        &self.checker
    }

    /// What the clock says.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Answers one question. DKIM and DMARC are concluded once, when the message is all there, and known to the session from
    /// then on; before that there is nothing to say but `none`.
    pub async fn answer(&self, subject: &Subject, question: &Question) -> Answer {
        match question {
            Question::Dns(kind, name) => self.dns(*kind, name).await.into(),
            Question::MailHosts(domain) => mail_hosts(self.resolver.mail_hosts(domain).await).into(),
            Question::Fcrdns => fcrdns(&self.checker.iprev(subject.client).await).into(),
            Question::HeloSpf => self.helo_spf(subject).await.into(),
            Question::Spf => self.spf(subject).await.into(),
            Question::Dkim => Vec::new().into(),
            Question::Dmarc => Dmarc::default().into(),
            Question::Arc => ArcChain::default().into(),
            Question::State(question) => ask_store(&self.store, question, self.clock.now()).await,
            Question::Now => self.now(),
            Question::Random => Answer::Random(random()),
            Question::Listed(subjects, zones) => self.listed(subjects, zones).await,
            Question::HttpGet(url) => self.services.http("http_get", url, None).await,
            Question::HttpPost { url, body, .. } => self.services.http("http_post", url, Some(body)).await,
            Question::Clamd => Answer::Scan(Arc::new(self.services.clamd(subject).await)),
            Question::Rspamd => Answer::Rspamd(Arc::new(self.services.rspamd(subject).await)),
            Question::Contents => Answer::Contents(match &subject.letter {
                Some(letter) => self.services.contents.read(letter).await,
                None => None,
            }),
        }
    }

    async fn listed(&self, subjects: &[Listable], zones: &[Zone]) -> Answer {
        let listed = listing::listed(&self.resolver, &self.services.metrics, subjects, zones).await;
        Answer::Listed(Arc::new(listed))
    }

    /// The answer to `question` if it can be told without waiting: what DNS said before and may be kept, and the time.
    pub fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Dns(kind, name) => {
                let (kind, name) = wire_question(*kind, name);
                Some(records(self.resolver.known(kind, &name)?).into())
            }
            Question::MailHosts(domain) => Some(mail_hosts(self.resolver.known_mail_hosts(domain)?).into()),
            Question::Now => Some(self.now()),
            _ => None,
        }
    }

    fn now(&self) -> Answer {
        Answer::Now(i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX))
    }

    async fn dns(&self, kind: RecordType, name: &str) -> Lookup {
        let (kind, name) = wire_question(kind, name);
        records(self.resolver.lookup(kind, &name).await)
    }

    async fn helo_spf(&self, subject: &Subject) -> Spf {
        match &subject.helo {
            Some(helo) => self.checker.spf_helo(subject.client, helo).await,
            None => Spf::default(),
        }
    }

    async fn spf(&self, subject: &Subject) -> Spf {
        match (&subject.helo, &subject.sender) {
            (Some(helo), Some(sender)) => self.checker.spf_mail(subject.client, helo, sender).await,
            _ => Spf::default(),
        }
    }
}

impl Services {
    fn new(settings: ServiceSettings, metrics: FactMetrics) -> Self {
        let ServiceSettings { http_hosts, clamd, rspamd } = settings;
        Self { web: Web::new(http_hosts), clamd, rspamd, contents: Reader::new(), metrics }
    }

    async fn http(&self, word: &'static str, url: &str, document: Option<&str>) -> Answer {
        let reply = self.web.ask(url, document).await;
        self.metrics.asked(word, reply.result == "ok");
        if reply.status == 0 {
            tracing::warn!(event = "http_failed", url, why = reply.body, "a web service cannot be asked");
        }
        // Why there is none is for the log: a script must not take it for an answer.
        let body = if reply.status == 0 { String::new() } else { reply.body };
        Answer::Http(Arc::new(HttpReply { body, ..reply }))
    }

    async fn clamd(&self, subject: &Subject) -> Scan {
        let (Some(clamd), Some(letter)) = (&self.clamd, &subject.letter) else {
            return Scan { name: "policies.clamd is not configured".to_owned(), ..Scan::default() };
        };
        let scan = clamd.scan(letter).await;
        self.metrics.asked("clamd", scan.result != "error");
        if scan.result == "error" {
            tracing::warn!(event = "clamd_failed", why = scan.name, "clamd cannot be asked");
        }
        scan
    }

    async fn rspamd(&self, subject: &Subject) -> question::Rspamd {
        let (Some(rspamd), Some(letter)) = (&self.rspamd, &subject.letter) else {
            return question::Rspamd::default();
        };
        let found = rspamd.check(subject, letter).await;
        self.metrics.asked("rspamd", found.result == "ok");
        found
    }
}

/// An iprev check in the words of policies.
pub fn fcrdns(iprev: &Iprev) -> Lookup {
    let result = match iprev.result {
        CheckResult::TempError => "error",
        result => result.name(),
    };
    lookup(result, iprev.names.clone())
}

/// What DNS is to be asked: the name of an address is asked for below its own domain.
fn wire_question(kind: RecordType, name: &str) -> (Kind, Cow<'_, str>) {
    match (kind, name.parse::<IpAddr>()) {
        (RecordType::Ptr, Ok(address)) => (Kind::Ptr, reverse_name(address).into()),
        _ => (record_kind(kind), name.into()),
    }
}

fn records(found: Found) -> Lookup {
    match found {
        Ok(answers) => lookup("ok", answers.records.to_texts()),
        Err(Failure::NoData) => lookup("none", Vec::new()),
        Err(Failure::NxDomain) => lookup("nxdomain", Vec::new()),
        Err(Failure::Temporary(_)) => lookup("error", Vec::new()),
    }
}

fn mail_hosts(found: MailHosts) -> Lookup {
    match found {
        MailHosts::Hosts(hosts) => lookup("ok", hosts),
        MailHosts::NullMx => lookup("null_mx", Vec::new()),
        MailHosts::None => lookup("none", Vec::new()),
        MailHosts::Temporary(_) => lookup("error", Vec::new()),
    }
}

const fn lookup(result: &'static str, values: Vec<String>) -> Lookup {
    Lookup { result, values }
}

const fn record_kind(kind: RecordType) -> Kind {
    match kind {
        RecordType::A => Kind::A,
        RecordType::Aaaa => Kind::Aaaa,
        RecordType::Mx => Kind::Mx,
        RecordType::Txt => Kind::Txt,
        RecordType::Ptr => Kind::Ptr,
    }
}

/// From 0 up to, but not 1; 0 if the system has no chance to give.
fn random() -> f64 {
    /// So many bits fit a float exactly.
    const BITS: u32 = 53;
    let mut bytes = [0; 8];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return 0.0;
    }
    (u64::from_ne_bytes(bytes) >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
}
