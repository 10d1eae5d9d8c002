//! `check_host()` (RFC 7208 4): a policy is read, its mechanisms are asked in order, the first match decides.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::time::Instant;

use super::macros::{MacroString, Place, Values};
use super::name::Name;
use super::record::{Broken, Directive, Hosts, MAX_BREADTH, Mechanism, Record, policies};
use crate::checks::names::is_domain;
use crate::checks::results::CheckResult;
use crate::checks::trace::Trace;
use crate::dns::{Answers, Exchange, Failure, Found, Kind, Records, Resolver, reverse_name};
use crate::serial::REDACTED;

/// RFC 7208 4.6.4: terms that need a look-up.
const MAX_TERMS: usize = 10;
/// RFC 7208 4.6.4: terms whose look-up finds nothing.
const MAX_VOIDS: usize = 2;
/// RFC 7208 4.6.4: hosts of one `mx`, and names of a client.
const MAX_HOSTS: usize = 10;
/// Names that are looked up in all: ten terms of ten hosts each would be a hundred, and nobody who means well comes near.
const MAX_NAMES: usize = 40;
/// What all texts at a name may have, in octets. RFC 7208 3.4 hopes for 450; nobody who means well comes near.
const MAX_TEXTS: usize = 32 << 10;
/// What of an explanation is kept, in octets: it is meant for one line of a reply.
const MAX_EXPLANATION: usize = 256;

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub(super) client: IpAddr,
    pub(super) helo: &'a str,
    pub(super) local: &'a str,
    pub(super) domain: &'a str,
}

/// What is known of us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiver<'a> {
    pub(super) hostname: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// What came out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    pub(super) result: CheckResult,
    /// The directive that decided, as published.
    pub(super) mechanism: String,
    /// What the domain says about a failure, in its own words: printable ASCII.
    pub(super) explanation: Option<Name>,
}

/// What is known so far, also of an evaluation that does not come to its end.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The record of the sender's own domain, as published.
    pub(super) record: String,
    /// How many addresses the records so far let send.
    pub(super) breadth: u64,
    pub(super) trace: Trace,
}

pub(super) fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One evaluation with what it has spent. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Evaluation<'a> {
    dns: &'a Resolver,
    sender: Sender<'a>,
    receiver: Receiver<'a>,
    terms: usize,
    voids: usize,
    names: usize,
    /// The client's verified names, once they are known.
    client_names: Option<Vec<String>>,
    progress: Arc<Mutex<Progress>>,
}

/// The evaluation ends with an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Temporary,
    Permanent,
}

impl From<Broken> for Stop {
    fn from(Broken: Broken) -> Self {
        Self::Permanent
    }
}

impl From<Stop> for CheckResult {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Temporary => Self::TempError,
            Stop::Permanent => Self::PermError,
        }
    }
}

type Step<'b, T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send + 'b>>;

/// What one domain's policy says, and who said it in the end.
#[derive(Debug)]
struct Finding {
    result: CheckResult,
    mechanism: String,
    /// `exp=` of the record that decided, and its domain.
    explanation: Option<(MacroString, Name)>,
}

impl Finding {
    const fn nothing(result: CheckResult) -> Self {
        Self { result, mechanism: String::new(), explanation: None }
    }
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        dns: &'a Resolver,
        sender: Sender<'a>,
        receiver: Receiver<'a>,
        progress: Arc<Mutex<Progress>>,
    ) -> Self {
        Self { dns, sender, receiver, terms: 0, voids: 0, names: 0, client_names: None, progress }
    }

    /// Runs to its end. It is the caller's to limit the time.
    pub(super) async fn run(mut self) -> Outcome {
        let found = self.check_host(self.sender.domain.to_owned().into()).await;
        let found = found.unwrap_or_else(|stop| Finding::nothing(stop.into()));
        let explanation = match (found.result, found.explanation) {
            (CheckResult::Fail, Some((place, domain))) => self.explain(&place, &domain).await,
            _ => None,
        };
        Outcome { result: found.result, mechanism: found.mechanism, explanation }
    }

    /// What `domain` says about the client. `none` when it says nothing.
    fn check_host(&mut self, domain: Name) -> Step<'_, Finding> {
        Box::pin(async move {
            let Some(record) = self.policy(&domain).await? else {
                return Ok(Finding::nothing(CheckResult::None));
            };
            for directive in &record.directives {
                if self.matches(&directive.mechanism, &domain).await? {
                    return Ok(decided(directive, &record, domain));
                }
            }
            match &record.redirect {
                Some(target) => self.redirected(target, &domain).await,
                None => Ok(Finding::nothing(CheckResult::Neutral)),
            }
        })
    }

    /// RFC 7208 6.1: the other domain's answer is the answer; that it has none is an error.
    async fn redirected(&mut self, target: &MacroString, domain: &Name) -> Result<Finding, Stop> {
        self.count_term()?;
        let target = self.name(target, domain).await;
        let found = self.check_host(target).await?;
        if found.result == CheckResult::None { Err(Stop::Permanent) } else { Ok(found) }
    }

    /// The one policy of a domain (RFC 7208 4.4, 4.5).
    async fn policy(&mut self, domain: &Name) -> Result<Option<Record>, Stop> {
        if !is_domain(&domain.whole) {
            return Ok(None);
        }
        self.count_names(1)?;
        let answers = match self.ask(Kind::Txt, domain).await {
            Ok(answers) => answers,
            Err(Failure::Temporary(_)) => return Err(Stop::Temporary),
            Err(Failure::NoData | Failure::NxDomain) => {
                self.count_void()?;
                return Ok(None);
            }
        };
        let texts = answers.records.texts();
        if texts.iter().map(Vec::len).sum::<usize>() > MAX_TEXTS {
            return Err(Stop::Permanent);
        }
        let mut found = policies(texts);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(policy), None) => {
                let mut progress = lock(&self.progress);
                if progress.record.is_empty() {
                    progress.record = String::from_utf8_lossy(policy).into_owned();
                }
                let record = Record::parse(policy)?;
                let breadth = record.breadth(self.sender.client.is_ipv4());
                progress.breadth = progress.breadth.saturating_add(breadth).min(MAX_BREADTH);
                drop(progress);
                Ok(Some(record))
            }
            (Some(_), Some(_)) => Err(Stop::Permanent),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &Name) -> Result<bool, Stop> {
        if !matches!(mechanism, Mechanism::All | Mechanism::Ip(_)) {
            self.count_term()?;
        }
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(network) => Ok(network.contains(&self.sender.client)),
            Mechanism::Include(target) => self.included(target, domain).await,
            Mechanism::A(hosts) => self.is_address_of(hosts, domain).await,
            Mechanism::Mx(hosts) => self.is_exchanger_of(hosts, domain).await,
            Mechanism::Ptr(target) => self.is_named(target.as_ref(), domain).await,
            Mechanism::Exists(target) => {
                let name = self.name(target, domain).await;
                Ok(self.lookup(Kind::A, &name).await?.is_some())
            }
        }
    }

    /// RFC 7208 5.2.
    async fn included(&mut self, target: &MacroString, domain: &Name) -> Result<bool, Stop> {
        let target = self.name(target, domain).await;
        match self.check_host(target).await?.result {
            CheckResult::Pass => Ok(true),
            CheckResult::Fail | CheckResult::SoftFail | CheckResult::Neutral => Ok(false),
            CheckResult::None | CheckResult::Policy | CheckResult::PermError => Err(Stop::Permanent),
            CheckResult::TempError => Err(Stop::Temporary),
        }
    }

    /// RFC 7208 5.3.
    async fn is_address_of(&mut self, hosts: &Hosts, domain: &Name) -> Result<bool, Stop> {
        let name = self.name_or(hosts.name.as_ref(), domain).await;
        let found = self.lookup(self.address_kind(), &name).await?;
        Ok(found.is_some_and(|found| self.is_among(&found, hosts)))
    }

    /// RFC 7208 5.4: hosts in the order of their preference.
    async fn is_exchanger_of(&mut self, hosts: &Hosts, domain: &Name) -> Result<bool, Stop> {
        let name = self.name_or(hosts.name.as_ref(), domain).await;
        let Some(found) = self.lookup(Kind::Mx, &name).await? else { return Ok(false) };
        let Records::Mx(exchanges) = &found.records else { return Ok(false) };
        if exchanges.len() > MAX_HOSTS {
            return Err(Stop::Permanent);
        }
        let kind = self.address_kind();
        let asks =
            exchanges.iter().filter(|mx| !mx.host.is_empty()).map(|mx: &Exchange| (kind, mx.host.clone()));
        let asks: Vec<_> = asks.collect();
        self.count_names(asks.len())?;
        let answers = self.ask_all(asks.clone()).await;
        for ask in &asks {
            match answers.iter().find(|(asked, _)| asked == ask).map(|(_, found)| found) {
                Some(Ok(found)) if self.is_among(found, hosts) => return Ok(true),
                Some(Err(Failure::Temporary(_))) => return Err(Stop::Temporary),
                _ => {}
            }
        }
        Ok(false)
    }

    /// RFC 7208 5.5: whether a verified name of the client is the domain or below it.
    async fn is_named(&mut self, target: Option<&MacroString>, domain: &Name) -> Result<bool, Stop> {
        let target = self.name_or(target, domain).await;
        let names = self.client_names().await;
        Ok(names.iter().any(|name| is_below(name, &target.whole)))
    }

    /// The names of the client that lead back to it (RFC 7208 5.5). Failures are as if there were none.
    async fn client_names(&mut self) -> Vec<String> {
        if let Some(names) = &self.client_names {
            return names.clone();
        }
        let client = self.sender.client;
        let found = self.ask(Kind::Ptr, &reverse_name(client).into()).await;
        let named = found.map(|found| found.records.to_texts()).unwrap_or_default();
        let kind = self.address_kind();
        let asks: Vec<_> = named.into_iter().take(MAX_HOSTS).map(|name| (kind, name)).collect();
        let answers = self.ask_all(asks).await;
        let leads_back = |found: &Arc<Answers>| found.records.addresses().contains(&client);
        let names: Vec<String> = answers
            .into_iter()
            .filter(|(_, found)| found.as_ref().is_ok_and(leads_back))
            .map(|((_, name), _)| name)
            .collect();
        self.client_names = Some(names.clone());
        names
    }

    /// RFC 7208 6.2. Whatever goes wrong, there is no explanation.
    async fn explain(&mut self, place: &MacroString, domain: &Name) -> Option<Name> {
        let name = self.name(place, domain).await;
        let found = self.ask(Kind::Txt, &name).await.ok()?;
        let [text] = found.records.texts() else { return None };
        let text = std::str::from_utf8(text).ok()?;
        let text = MacroString::parse(text, Place::Explanation).ok()?;
        let mut explanation = self.expand(&text, domain, MacroString::expand).await;
        for text in [Some(&mut explanation.whole), explanation.less.as_mut()].into_iter().flatten() {
            text.retain(|c| c == ' ' || c.is_ascii_graphic());
            text.truncate(MAX_EXPLANATION);
        }
        Some(explanation)
    }

    async fn ask(&self, kind: Kind, name: &Name) -> Found {
        let begin = Instant::now();
        let found = self.dns.lookup(kind, &name.whole).await;
        let trace = lock(&self.progress).trace.clone();
        trace.add_less(kind, &name.whole, name.less.as_deref(), &found, begin.elapsed());
        found
    }

    async fn ask_all(&self, asks: Vec<(Kind, String)>) -> Vec<((Kind, String), Found)> {
        let begin = Instant::now();
        let found = self.dns.lookup_all(asks).await;
        let trace = lock(&self.progress).trace.clone();
        found.iter().for_each(|((kind, name), found)| trace.add(*kind, name, found, begin.elapsed()));
        found
    }

    /// What the DNS says, or that it says nothing.
    async fn lookup(&mut self, kind: Kind, name: &Name) -> Result<Option<Arc<Answers>>, Stop> {
        self.count_names(1)?;
        match self.ask(kind, name).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Temporary(_)) => Err(Stop::Temporary),
            Err(Failure::NoData | Failure::NxDomain) => {
                self.count_void()?;
                Ok(None)
            }
        }
    }

    const fn count_term(&mut self) -> Result<(), Stop> {
        self.terms += 1;
        if self.terms > MAX_TERMS { Err(Stop::Permanent) } else { Ok(()) }
    }

    const fn count_names(&mut self, more: usize) -> Result<(), Stop> {
        self.names += more;
        if self.names > MAX_NAMES { Err(Stop::Permanent) } else { Ok(()) }
    }

    const fn count_void(&mut self) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids > MAX_VOIDS { Err(Stop::Permanent) } else { Ok(()) }
    }

    const fn address_kind(&self) -> Kind {
        if self.sender.client.is_ipv4() { Kind::A } else { Kind::Aaaa }
    }

    fn is_among(&self, found: &Answers, hosts: &Hosts) -> bool {
        found.records.addresses().into_iter().any(|address| {
            let bits = if address.is_ipv4() { hosts.ipv4_bits } else { hosts.ipv6_bits };
            IpNet::new(address, bits).is_ok_and(|network| network.contains(&self.sender.client))
        })
    }

    async fn name_or(&mut self, name: Option<&MacroString>, domain: &Name) -> Name {
        match name {
            Some(name) => self.name(name, domain).await,
            None => domain.clone(),
        }
    }

    async fn name(&mut self, name: &MacroString, domain: &Name) -> Name {
        self.expand(name, domain, MacroString::name).await
    }

    async fn expand(
        &mut self,
        text: &MacroString,
        domain: &Name,
        expand: impl Fn(&MacroString, &Values<'_>) -> String,
    ) -> Name {
        let names = if text.wants_client_name() { self.client_names().await } else { Vec::new() };
        let values = Values {
            client: self.sender.client,
            helo: self.sender.helo,
            local: self.sender.local,
            sender_domain: self.sender.domain,
            domain: &domain.whole,
            client_name: best_name(&names, &domain.whole),
            receiver: self.receiver.hostname,
            now: self.receiver.now,
        };
        let tells = text.wants_local_part() || (text.wants_domain() && domain.less.is_some());
        let less = Values { local: REDACTED, domain: domain.shown(), ..values };
        Name { whole: expand(text, &values), less: tells.then(|| expand(text, &less)) }
    }
}

fn decided(directive: &Directive, record: &Record, domain: Name) -> Finding {
    Finding {
        result: directive.result,
        mechanism: directive.text.clone(),
        explanation: record.explanation.clone().map(|place| (place, domain)),
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.to_ascii_lowercase(), domain.to_ascii_lowercase());
    name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// RFC 7208 7.3: the domain itself, else a name below it, else any.
fn best_name<'n>(names: &'n [String], domain: &str) -> &'n str {
    let equal = names.iter().find(|name| name.eq_ignore_ascii_case(domain));
    let below = || names.iter().find(|name| is_below(name, domain));
    equal.or_else(below).or_else(|| names.first()).map_or("unknown", String::as_str)
}
