//! The journal: what was refused, what became of each transaction, and what policies in shadow would have done.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Id;
use crate::checks::results::{MessageResults, Spf};
use crate::decisions::{Decision, Headers, Recorder, UpstreamPart};
use crate::log::safe;
use crate::policy::judgement::{Applied, RuleEvent, ScriptFault, Withheld};
use crate::session::stage::{Reason, Source, Stage};
use crate::session::{Finished, SetAside};
use crate::smtp::auth::Login;
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::reply::Reply;
use crate::tls;

/// Where entries go. Called on the path of a session: an implementation must not block.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Takes one entry.
    fn record(&self, entry: &Entry<'_>);

    /// What decisions are to hold of the headers of messages; `None` when nobody keeps decisions, so that none are made.
    fn keeps_decisions(&self) -> Option<Headers> {
        None
    }

    /// Takes a decision.
    fn keep(&self, _: Box<Decision>) {}
}

/// Writes entries to the log, and keeps decisions.
#[derive(Debug)]
pub struct Ledger(pub Arc<Recorder>);

impl Journal for Ledger {
    fn record(&self, entry: &Entry<'_>) {
        Tracing.record(entry);
    }

    fn keeps_decisions(&self) -> Option<Headers> {
        let settings = self.0.settings();
        settings.wanted().then_some(settings.headers)
    }

    fn keep(&self, decision: Box<Decision>) {
        self.0.keep(decision);
    }
}

/// One line of the journal.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A command was refused.
    Refused(Refused<'a>),
    /// A transaction is over.
    Transaction(Box<TransactionEntry<'a>>),
    /// A policy or rule in shadow spoke, and nothing came of it.
    Shadow(Origin<'a>, Stage, Shadow<'a>),
    /// An effect was applied that changes who gets the mail, how it is rated or how long a reply takes.
    Effect(Origin<'a>, Stage, Effect<'a>),
    /// A script failed.
    Fault(Origin<'a>, Stage, &'a ScriptFault),
    /// A session is over, of which so many entries were not logged.
    Silenced(Origin<'a>, u64),
}

/// Which session an entry is from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The session's id.
    pub session: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// Its verified name, as far as it is known by now; else empty.
    pub client_name: &'a str,
    /// What the client calls itself; empty before HELO.
    pub helo: &'a str,
    /// What was negotiated with it; `None` in the clear.
    pub tls: Option<&'a tls::Info>,
    /// Who has logged in, or tried to where that was refused.
    pub login: Option<LoggedIn<'a>>,
    /// The session has filled its part of the log: only its messages are logged from here on.
    pub quiet: bool,
}

/// A login.
#[derive(Clone, Copy, Debug)]
pub struct LoggedIn<'a> {
    /// The name as it was said; empty where the mechanism does not show it.
    pub user: &'a str,
    /// The SASL mechanism in capitals; `XCLIENT` where a hop told us.
    pub mechanism: &'a str,
}

impl<'a> From<&'a Login> for LoggedIn<'a> {
    fn from(login: &'a Login) -> Self {
        Self { user: &login.user, mechanism: login.mechanism.name() }
    }
}

impl Origin<'_> {
    /// A client of which nothing but its address is known.
    pub const fn of(client: IpAddr) -> Self {
        Self {
            session: "",
            listener: "",
            client,
            client_name: "",
            helo: "",
            tls: None,
            login: None,
            quiet: false,
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct Refused<'a> {
    /// Where it happened.
    pub origin: Origin<'a>,
    /// The decision's id.
    pub id: Id,
    /// The id of the transaction that it belongs to.
    pub transaction: Option<&'a str>,
    /// The stage at which it was said.
    pub stage: Stage,
    /// The sender of that transaction, or the one that MAIL named.
    pub sender: Option<&'a ReversePath>,
    /// The recipient that RCPT named.
    pub recipient: Option<&'a ForwardPath>,
    /// What the client heard, with the id.
    pub reply: &'a Reply,
    /// Why.
    pub reason: &'a Reason,
}

impl Refused<'_> {
    /// The id that the client was told; none in the upstream's own words.
    pub fn said(&self) -> Option<Id> {
        Some(self.id).filter(|_| self.reason.source != Source::Upstream)
    }
}

/// What somebody in shadow would have done.
#[derive(Clone, Copy, Debug)]
pub enum Shadow<'a> {
    /// A rule would have given its verdict, or set its limit.
    Rule(&'a RuleEvent),
    /// An effect would have been applied.
    Effect(&'a Withheld),
}

/// An effect that was applied.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// In the name of a rule.
    Rule(&'a RuleEvent),
    /// In the name of a policy.
    Policy(&'a Applied),
}

impl Effect<'_> {
    /// `policy.rule`, or the policy alone.
    pub fn rule(&self) -> &str {
        match self {
            Self::Rule(event) => &event.rule,
            Self::Policy(applied) => &applied.by,
        }
    }
}

/// A transaction with everything that it came to.
#[derive(Debug)]
pub struct TransactionEntry<'a> {
    /// Where it happened.
    pub origin: Origin<'a>,
    /// The transaction's id, as in the `Received` field.
    pub id: &'a str,
    /// The decision's id, where Gatepost refused the message.
    pub decision: Option<Id>,
    /// What the session says of it.
    pub finished: &'a Finished,
    /// The reply as it was sent.
    pub reply: Option<&'a Reply>,
    /// The size of the message, as far as it arrived.
    pub size: u64,
    /// SPF of both identities, as far as they were checked.
    pub spf: (&'a Spf, &'a Spf),
    /// DKIM and DMARC, once the message was complete.
    pub results: Option<&'a MessageResults>,
    /// The part of the upstream that its accepted recipients belong to.
    pub upstream: Option<&'a UpstreamPart>,
    /// From MAIL to the end.
    pub took: Duration,
}

/// Writes every entry to the log: one line for each refusal, transaction, word in shadow and failed script.
#[derive(Debug)]
pub struct Tracing;

impl Journal for Tracing {
    fn record(&self, entry: &Entry<'_>) {
        match entry {
            Entry::Refused(refused) if !refused.origin.quiet => log_refusal(refused),
            Entry::Transaction(transaction)
                if !transaction.origin.quiet || transaction.finished.outcome.is_some() =>
            {
                log_lookups(transaction);
                log_transaction(transaction);
            }
            Entry::Shadow(origin, stage, shadow) if !origin.quiet => log_shadow(origin, *stage, *shadow),
            Entry::Effect(origin, stage, effect) if !origin.quiet => log_effect(origin, *stage, *effect),
            Entry::Fault(origin, stage, fault) if !origin.quiet => log_fault(origin, *stage, fault),
            Entry::Silenced(origin, number) => log_silence(origin, *number),
            Entry::Refused(_)
            | Entry::Transaction(_)
            | Entry::Shadow(..)
            | Entry::Effect(..)
            | Entry::Fault(..) => {}
        }
    }
}

fn log_refusal(refused: &Refused<'_>) {
    let Refused { origin, stage, reply, reason, .. } = refused;
    tracing::info!(
        event = "refused",
        session = origin.session,
        listener = origin.listener,
        client = %origin.client,
        client_name = known(origin.client_name),
        helo = %safe(origin.helo),
        user = origin.login.and_then(|login| known(login.user)),
        mechanism = origin.login.map(|login| login.mechanism),
        id = refused.said().map(tracing::field::display),
        decision = %refused.id,
        transaction = refused.transaction,
        stage = stage.name(),
        sender = refused.sender.map(path),
        recipient = refused.recipient.map(path),
        source = reason.source.name(),
        rule = &*reason.rule,
        place = reason.place.as_deref(),
        detail = %safe(&reason.detail),
        reply = %safe(&reply.to_string()),
        "refused"
    );
}

fn log_transaction(entry: &TransactionEntry<'_>) {
    let Finished { transaction, outcome, reason, .. } = entry.finished;
    let (helo_spf, spf) = entry.spf;
    tracing::info!(
        event = "transaction",
        session = entry.origin.session,
        listener = entry.origin.listener,
        client = %entry.origin.client,
        client_name = known(entry.origin.client_name),
        helo = %safe(entry.origin.helo),
        tls = entry.origin.tls.map(tracing::field::display),
        user = entry.origin.login.and_then(|login| known(login.user)),
        mechanism = entry.origin.login.map(|login| login.mechanism),
        id = entry.id,
        decision = entry.decision.map_or_else(|| entry.id.to_owned(), |id| id.to_string()),
        sender = %safe(&transaction.mail.path.to_string()),
        recipients = %safe(&recipients(entry)),
        quarantined = set_aside(&transaction.quarantined),
        discarded = set_aside(&transaction.discarded),
        refused = transaction.refused,
        size = entry.size,
        helo_spf = helo_spf.result.name(),
        spf = spf.result.name(),
        dkim = %safe(&dkim(entry)),
        dmarc = entry.results.map(|results| results.dmarc.result.name()),
        arc = entry.results.map(|results| results.arc.result.name()),
        outcome = outcome.map_or("none", |outcome| outcome.name()),
        source = reason.as_ref().map(|reason| reason.source.name()),
        rule = reason.as_ref().map(|reason| &*reason.rule),
        place = reason.as_ref().and_then(|reason| reason.place.as_deref()),
        detail = reason.as_ref().map(|reason| tracing::field::display(safe(&reason.detail))),
        reply = entry.reply.map(|reply| tracing::field::display(safe(&reply.to_string()).to_string())),
        upstream = entry.upstream.map(|upstream| &*upstream.name),
        queue_id = entry.upstream.and_then(|upstream| known(&upstream.queue_id)),
        took_ms = millis(entry.took),
        upstream_ms = entry.upstream.map_or(0.0, |upstream| millis(upstream.took)),
        "transaction"
    );
}

/// A stranger's text, unless it is empty.
fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| safe(text).to_string())
}

/// A path with its angle brackets.
fn path(path: &impl fmt::Display) -> String {
    safe(&path.to_string()).to_string()
}

/// What the checks of the message asked of DNS: only for those who want to know.
fn log_lookups(entry: &TransactionEntry<'_>) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let of_sender = [("helo_spf", &entry.spf.0.lookups), ("spf", &entry.spf.1.lookups)];
    let of_message = entry.results.into_iter().flat_map(|results| {
        let keys = results.dkim.iter().map(|dkim| ("dkim", &dkim.lookups));
        keys.chain([("dmarc", &results.dmarc.lookups), ("arc", &results.arc.lookups)])
    });
    for (check, lookups) in of_sender.into_iter().chain(of_message) {
        for asked in lookups {
            tracing::debug!(
                event = "lookup",
                session = entry.origin.session,
                id = entry.id,
                check,
                kind = asked.kind,
                name = %safe(&asked.name),
                result = asked.result,
                answer = %safe(&asked.answer),
                took_ms = millis(asked.took),
                "asked of DNS"
            );
        }
    }
}

fn recipients(entry: &TransactionEntry<'_>) -> String {
    first_of(entry.finished.transaction.bound_for().map(|rcpt| rcpt.path.to_string()))
}

/// The recipients whose copy went elsewhere, with the rules that said so; nothing where there are none.
fn set_aside(recipients: &[SetAside]) -> Option<String> {
    let all = recipients.iter().map(|one| format!("{} {}", one.rcpt.path, one.reason.rule));
    (!recipients.is_empty()).then(|| safe(&first_of(all)).to_string())
}

/// The first of them, and how many more there are: a line of the log has an end.
fn first_of(all: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let mut all = all.fuse();
    let mut text = all.by_ref().take(SHOWN).collect::<Vec<_>>().join(" ");
    let more = all.count();
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn dkim(entry: &TransactionEntry<'_>) -> String {
    let signatures = entry.results.map(|results| results.dkim.as_slice()).unwrap_or_default();
    signatures.iter().map(|dkim| format!("{}={}", dkim.domain, dkim.result)).collect::<Vec<_>>().join(" ")
}

fn log_shadow(origin: &Origin<'_>, stage: Stage, shadow: Shadow<'_>) {
    let (rule, action, event) = match shadow {
        Shadow::Rule(event) => (&event.rule, event.action_name(), Some(event)),
        Shadow::Effect(withheld) => (&withheld.by, withheld.effect.as_str(), None),
    };
    tracing::info!(
        event = "shadow",
        session = origin.session,
        listener = origin.listener,
        client = %origin.client,
        helo = %safe(origin.helo),
        stage = stage.name(),
        rule = &**rule,
        action = %safe(action),
        place = event.map(|event| &*event.place),
        after = event.and_then(|event| event.after.as_deref()),
        "in shadow"
    );
}

fn log_effect(origin: &Origin<'_>, stage: Stage, effect: Effect<'_>) {
    let (rule, action, place) = match effect {
        Effect::Rule(event) => (&event.rule, event.action_name(), &event.place),
        Effect::Policy(applied) => (&applied.by, applied.effect.as_str(), &applied.place),
    };
    tracing::info!(
        event = "effect",
        session = origin.session,
        listener = origin.listener,
        client = %origin.client,
        stage = stage.name(),
        rule = &**rule,
        action = %safe(action),
        place = &**place,
        "ordered"
    );
}

fn log_fault(origin: &Origin<'_>, stage: Stage, fault: &ScriptFault) {
    tracing::error!(
        event = "policy_error",
        session = origin.session,
        listener = origin.listener,
        client = %origin.client,
        stage = stage.name(),
        policy = &*fault.policy,
        kind = fault.kind.name(),
        place = fault.place,
        detail = %safe(&fault.message),
        "a policy failed"
    );
}

fn log_silence(origin: &Origin<'_>, number: u64) {
    tracing::warn!(
        event = "silenced",
        session = origin.session,
        listener = origin.listener,
        client = %origin.client,
        helo = %safe(origin.helo),
        lines = number,
        "one session had more to log than it may"
    );
}

/// Milliseconds to the microsecond, so that they are written with three digits behind the point at most.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1000.0
}
