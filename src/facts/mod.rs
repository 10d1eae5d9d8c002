//! Answers what policy asks: DNS, results of checks, the memory that outlives sessions, time and chance.
//!
//! [`World::answer`] is total. What cannot be found out is an answer of its own: `error`, or `temperror` for checks.

mod state;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::state::{ask_store, without_store};
use crate::checks::results::{ArcChain, CheckResult, Dmarc, Iprev, Spf};
use crate::checks::{Checker, Clock};
use crate::dns::{Failure, Kind, MailHosts, Resolver, reverse_name};
use crate::policy::question::{Answer, Lookup, Question, RecordType};
use crate::smtp::path::ReversePath;
use crate::state::Store;

/// Where facts come from; one for the process.
#[derive(Clone, Debug)]
pub struct World {
    resolver: Resolver,
    checker: Arc<Checker>,
    clock: Clock,
    store: Arc<Store>,
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
}

impl Subject {
    /// A client that has said nothing yet.
    pub const fn new(client: IpAddr) -> Self {
        Self { client, helo: None, sender: None }
    }
}

impl World {
    /// A world that asks this resolver and checker, tells the time of `clock`, and has a memory that ends with it.
    pub fn new(resolver: Resolver, checker: Arc<Checker>, clock: Clock) -> Self {
        Self { resolver, checker, clock, store: Arc::new(Store::in_memory()) }
    }

    /// The same world with this memory.
    #[must_use]
    pub fn with_store(self, store: Arc<Store>) -> Self {
        Self { store, ..self }
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
            Question::MailHosts(domain) => self.mail_hosts(domain).await.into(),
            Question::Fcrdns => fcrdns(&self.checker.iprev(subject.client).await).into(),
            Question::HeloSpf => self.helo_spf(subject).await.into(),
            Question::Spf => self.spf(subject).await.into(),
            Question::Dkim => Vec::new().into(),
            Question::Dmarc => Dmarc::default().into(),
            Question::Arc => ArcChain::default().into(),
            Question::State(question) => ask_store(&self.store, question, self.clock.now()).await,
            Question::Now => Answer::Now(i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX)),
            Question::Random => Answer::Random(random()),
        }
    }

    async fn dns(&self, kind: RecordType, name: &str) -> Lookup {
        let found = match (kind, name.parse::<IpAddr>()) {
            (RecordType::Ptr, Ok(address)) => self.resolver.lookup(Kind::Ptr, &reverse_name(address)).await,
            _ => self.resolver.lookup(record_kind(kind), name).await,
        };
        match found {
            Ok(answers) => lookup("ok", answers.records.to_texts()),
            Err(Failure::NoData) => lookup("none", Vec::new()),
            Err(Failure::NxDomain) => lookup("nxdomain", Vec::new()),
            Err(Failure::Temporary(_)) => lookup("error", Vec::new()),
        }
    }

    async fn mail_hosts(&self, domain: &str) -> Lookup {
        match self.resolver.mail_hosts(domain).await {
            MailHosts::Hosts(hosts) => lookup("ok", hosts),
            MailHosts::NullMx => lookup("null_mx", Vec::new()),
            MailHosts::None => lookup("none", Vec::new()),
            MailHosts::Temporary(_) => lookup("error", Vec::new()),
        }
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

/// An iprev check in the words of policies.
pub fn fcrdns(iprev: &Iprev) -> Lookup {
    let result = match iprev.result {
        CheckResult::TempError => "error",
        result => result.name(),
    };
    lookup(result, iprev.names.clone())
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::checks;
    use crate::dns::responder::{Data, Fault, Responder, Zone};

    async fn world(zone: Zone) -> (Responder, World) {
        let responder = Responder::start(zone).await.unwrap();
        let resolver = Resolver::new(responder.settings(), Arc::new(())).unwrap();
        let clock = Clock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let checker = Arc::new(Checker::new(resolver.clone(), checks::Settings::default(), clock.clone()));
        (responder, World::new(resolver, checker, clock))
    }

    fn subject(client: &str) -> Subject {
        Subject::new(client.parse().unwrap())
    }

    fn zone() -> Zone {
        let mut zone = Zone::new();
        zone.add("host.example", Data::A([192, 0, 2, 1].into()))
            .add("host.example", Data::Aaaa("2001:db8::1".parse().unwrap()))
            .add("mail.example", Data::Mx(10, "host.example".into()))
            .add("null.example", Data::Mx(0, ".".into()))
            .txt("mail.example", "v=spf1 -all")
            .fault("sf.example", Fault::ServFail);
        for (address, name) in [
            ("192.0.2.1", "other.example"),
            ("192.0.2.1", "host.example"),
            ("192.0.2.2", "host.example"),
            ("192.0.2.3", "sf.example"),
            ("2001:db8::1", "host.example"),
        ] {
            zone.add(&reverse_name(address.parse().unwrap()), Data::Ptr(name.into()));
        }
        zone.fault(&reverse_name("192.0.2.5".parse().unwrap()), Fault::ServFail);
        zone
    }

    #[tokio::test]
    async fn lookups_in_the_words_of_policies() {
        let (_responder, world) = world(zone()).await;
        let dns = |kind, name: &str| Question::Dns(kind, name.to_owned());
        let hosts = |domain: &str| Question::MailHosts(domain.to_owned());
        for (question, result, values) in [
            (dns(RecordType::A, "host.example"), "ok", &["192.0.2.1"] as &[&str]),
            (dns(RecordType::Aaaa, "host.example"), "ok", &["2001:db8::1"]),
            (dns(RecordType::Mx, "mail.example"), "ok", &["host.example"]),
            (dns(RecordType::Txt, "mail.example"), "ok", &["v=spf1 -all"]),
            (dns(RecordType::Ptr, "192.0.2.2"), "ok", &["host.example"]),
            (dns(RecordType::A, "mail.example"), "none", &[]),
            (dns(RecordType::A, "nowhere.example"), "nxdomain", &[]),
            (dns(RecordType::A, "sf.example"), "error", &[]),
            (hosts("mail.example"), "ok", &["host.example"]),
            (hosts("host.example"), "ok", &["host.example"]),
            (hosts("null.example"), "null_mx", &[]),
            (hosts("nowhere.example"), "none", &[]),
            (hosts("sf.example"), "error", &[]),
        ] {
            let Answer::Lookup(lookup) = world.answer(&subject("192.0.2.9"), &question).await else {
                panic!("{question:?} has an answer of another kind");
            };
            assert_eq!(
                (lookup.result, lookup.values.as_slice()),
                (result, &values.map_owned()[..]),
                "{question:?}"
            );
        }
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[tokio::test]
    async fn names_that_lead_back() {
        let (_responder, world) = world(zone()).await;
        for (client, result, names) in [
            ("192.0.2.1", "pass", &["host.example"] as &[&str]),
            ("::ffff:192.0.2.1", "pass", &["host.example"]),
            ("2001:db8::1", "pass", &["host.example"]),
            ("192.0.2.2", "fail", &["host.example"]),
            ("192.0.2.3", "error", &["sf.example"]),
            ("192.0.2.4", "none", &[]),
            ("192.0.2.5", "error", &[]),
        ] {
            let answer = world.answer(&subject(client), &Question::Fcrdns).await;
            assert_eq!(answer, Answer::from(Lookup { result, values: names.map_owned() }), "{client}");
        }
    }

    #[tokio::test]
    async fn checks_are_answered_as_far_as_the_session_has_come() {
        let (_responder, world) = world(zone()).await;
        let early = subject("192.0.2.9");
        assert_eq!(world.answer(&early, &Question::HeloSpf).await, Spf::default().into());
        assert_eq!(world.answer(&early, &Question::Dkim).await, Answer::Dkim(Arc::default()));
        assert_eq!(world.answer(&early, &Question::Dmarc).await, Dmarc::default().into());
        let late = Subject { helo: Some("mail.example".into()), sender: Some(ReversePath::Null), ..early };
        let spf = Spf {
            result: CheckResult::Fail,
            domain: "mail.example".into(),
            record: "v=spf1 -all".into(),
            mechanism: "-all".into(),
            ..Spf::default()
        };
        for (question, answer) in [
            (Question::Spf, spf.clone().into()),
            (Question::HeloSpf, spf.into()),
            (Question::Now, Answer::Now(1_800_000_000)),
        ] {
            let mut found = world.answer(&late, &question).await;
            if let Answer::Spf(spf) = &mut found {
                assert_eq!(spf.lookups.len(), 1);
                Arc::make_mut(spf).lookups.clear();
            }
            assert_eq!(found, answer, "{question:?}");
        }
    }

    #[test]
    fn chance_is_a_fraction() {
        let drawn: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(drawn.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(drawn.iter().any(|number| *number > 0.5) && drawn.iter().any(|number| *number < 0.5));
    }
}
