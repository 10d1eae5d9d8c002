//! The one door for replies: each is counted, each refusal gets its id and its line in the books.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::{Effect, Entry, LoggedIn, Origin, Refused, Shadow, TransactionEntry};
use super::judge::Judge;
use super::queue_id::queue_id;
use super::{Id, Listener, Peer};
use crate::checks::results::{Dmarc, DmarcPolicy, Spf};
use crate::decisions::{self, Decision, Dossier, Hearing, UpstreamPart, deciding, timestamp};
use crate::metrics::{self, ListenerMetrics, RuleLabels};
use crate::policy::SizeLimit;
use crate::policy::judgement::{Action, Mode};
use crate::session::stage::{Reason, Source, Stage};
use crate::session::{Finished, Grounds, Outcome, Transaction};
use crate::smtp::reply::{Class, Code, EnhancedCode, Reply};
use crate::{log, tap};

/// Entries of one session that are logged, beside its messages: whoever talks much is to fill neither the log nor its reader's day.
const LOGGED: u64 = 24;

/// A session's side of metrics, journal and decisions.
#[derive(Debug)]
pub(super) struct Books {
    listener: Arc<Listener>,
    /// When the message's final dot came.
    dot: Option<Instant>,
    /// How long the upstream took to take the message.
    upstream: Duration,
    /// What is gathered; most sessions wait for a client most of the time, and are to be small.
    gathered: Box<Gathered>,
}

/// What is gathered in a session for its journal and its decisions.
#[derive(Debug)]
struct Gathered {
    /// When the transaction began, or the session.
    began: Instant,
    /// What led to the next decision; none before the first stage, or where nobody keeps decisions.
    dossier: Option<Dossier>,
    /// Entries beside messages.
    entries: u64,
    /// A transaction began, and what is said next belongs to it: it is open, or ended without a word of its own.
    in_transaction: bool,
    /// The size limit of a rule in shadow, for the open transaction.
    shadow_limit: Option<SizeLimit>,
}

/// Where the session stands when something is booked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) judge: &'a Judge,
    /// The id of the transaction that began last.
    pub(super) transaction: &'a str,
    /// The open transaction.
    pub(super) open: Option<&'a Transaction>,
    /// The name of the upstream that the session is connected to.
    pub(super) upstream: Option<&'a str>,
}

/// An open session in the metrics, until it is dropped: also by a panic, or by the end of the process.
#[derive(Debug)]
pub(super) struct Counted {
    metrics: ListenerMetrics,
    began: Instant,
}

impl Counted {
    pub(super) fn begin(metrics: ListenerMetrics) -> Self {
        metrics.session_started();
        Self { metrics, began: Instant::now() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.session_ended(self.began.elapsed());
    }
}

impl Listener {
    /// The reply to a client for which there is no room at all, counted like any other refusal, with the `figures` that
    /// the operator reads, and booked where it is `told`: a flood is to fill neither the journal nor the log.
    pub fn turn_away(self: &Arc<Self>, peer: Peer, limit: &str, figures: String, told: bool) -> Reply {
        let refusal = Reply::new(
            Code::literal::<421>(),
            Some(EnhancedCode::new(4, 7, 0)),
            "too many connections: try again later",
        );
        let reason = Reason::new(Source::Limit, limit).with_detail(figures);
        let (id, reply) = Books::new(Arc::clone(self)).count_refusal(refusal, Stage::Connect, &reason);
        if told {
            self.book_turned_away(peer, id, &reply, &reason);
        }
        reply
    }
}

impl Listener {
    fn book_turned_away(&self, peer: Peer, id: Id, reply: &Reply, reason: &Reason) {
        let origin = Origin { listener: &self.name, ..Origin::of(peer.ip) };
        let refused = Refused {
            origin,
            id,
            transaction: None,
            stage: Stage::Connect,
            sender: None,
            recipient: None,
            reply,
            reason,
        };
        self.journal.record(&Entry::Refused(refused));
        if self.journal.keeps_decisions().is_some() {
            self.journal.keep(Box::new(Decision {
                id: id.to_string(),
                at: timestamp(self.facts.now()),
                listener: Arc::clone(&self.name),
                hostname: self.terms.hostname.as_str().into(),
                server_ip: peer.server_ip(),
                client: decisions::Client { ip: peer.ip, port: peer.port, ..decisions::Client::default() },
                outcome: "deferred",
                deciding: Some(deciding(Stage::Connect, reason)),
                reply: reply.to_string(),
                generation: Arc::clone(self.policies.load().generation()),
                ..Decision::default()
            }));
        }
    }

    /// A handshake that came to nothing, counted and logged with its reason. `session` is empty where there is none yet.
    pub fn no_handshake(&self, session: &str, peer: Peer, error: &io::Error) {
        self.metrics.tls_failed();
        tracing::info!(
            event = "tls_failed",
            session,
            listener = &*self.name,
            client = %peer.ip,
            reason = %log::safe(&error.to_string()),
            "no handshake"
        );
    }
}

impl Books {
    pub(super) fn new(listener: Arc<Listener>) -> Self {
        let gathered = Gathered {
            began: Instant::now(),
            dossier: None,
            entries: 0,
            in_transaction: false,
            shadow_limit: None,
        };
        Self { listener, dot: None, upstream: Duration::ZERO, gathered: Box::new(gathered) }
    }

    pub(super) fn begin_transaction(&mut self) {
        self.gathered.began = Instant::now();
        self.gathered.in_transaction = true;
        self.gathered.shadow_limit = None;
        self.dot = None;
        self.upstream = Duration::ZERO;
    }

    /// What a rule in shadow would have limited the message to.
    pub(super) fn limit_in_shadow(&mut self, limit: Option<SizeLimit>) {
        self.gathered.shadow_limit = limit;
    }

    /// The message is all there.
    pub(super) fn message_complete(&mut self) {
        self.dot = Some(Instant::now());
    }

    /// The upstream has answered for the message that was sent to it at `since`.
    pub(super) fn upstream_took(&mut self, since: Instant) {
        self.upstream = since.elapsed();
    }

    /// A reply is out: with it ends what ended before, unless a transaction is `open`.
    pub(super) fn replied(&mut self, open: bool) {
        self.gathered.in_transaction &= open;
    }

    /// A reply that grants something.
    pub(super) fn granted(&mut self, reply: &Reply) {
        self.listener.metrics.reply(reply.code().get());
        if let Some(dossier) = &mut self.gathered.dossier {
            dossier.settle();
        }
    }

    /// A refusal, with its id from here on. The upstream's own words stay as they are.
    pub(super) fn refused(&mut self, here: Here<'_>, reply: Reply, grounds: &Grounds) -> Reply {
        let Grounds { stage, reason, sender, recipient, login } = grounds;
        let (id, reply) = self.count_refusal(reply, *stage, reason);
        let refused = Refused {
            origin: Origin {
                login: login.as_ref().map(LoggedIn::from).or(here.origin.login),
                ..self.entry(here.origin)
            },
            id,
            transaction: Some(here.transaction).filter(|_| self.gathered.in_transaction),
            stage: *stage,
            sender: sender.as_ref(),
            recipient: recipient.as_ref(),
            reply: &reply,
            reason,
        };
        tell_refusal(&reply, reason);
        self.listener.journal.record(&Entry::Refused(refused));
        if let Some(dossier) = &mut self.gathered.dossier {
            if let Some(open) = here.open {
                dossier.look(open);
            }
            let decision = dossier.refusal(&id.to_string(), grounds, &reply);
            self.decide(here, decision, reason.of_upstream());
        }
        reply
    }

    /// An entry beside messages, of which a session has so many in the log.
    fn entry<'a>(&mut self, origin: Origin<'a>) -> Origin<'a> {
        self.gathered.entries = self.gathered.entries.saturating_add(1);
        Origin { quiet: self.gathered.entries > LOGGED, ..origin }
    }

    /// The session is over.
    pub(super) fn session_over(&self, origin: Origin<'_>) {
        if self.gathered.entries > LOGGED {
            self.listener.journal.record(&Entry::Silenced(origin, self.gathered.entries - LOGGED));
        }
    }

    /// Hands a decision on, with what is known here, and what the upstream said where the client was told something else.
    fn decide(&self, here: Here<'_>, mut decision: Decision, heard: Option<&Reply>) {
        let checked = here.judge.checked();
        decision.at = timestamp(self.listener.facts.now());
        decision.took = self.gathered.began.elapsed();
        decision.checks = decisions::Checks {
            helo_spf: checked.helo_spf.clone(),
            spf: checked.spf.clone(),
            message: checked.message.clone(),
            iprev: here.judge.iprev().cloned(),
        };
        if let Some(name) = here.judge.client_name() {
            name.clone_into(&mut decision.client.name);
        }
        if let (None, Some(name)) = (&decision.upstream, here.upstream) {
            decision.upstream = Some(UpstreamPart { name: name.to_owned(), ..UpstreamPart::default() });
        }
        let of_upstream =
            decision.deciding.as_ref().is_some_and(|deciding| deciding.source == Source::Upstream.name());
        if let Some(upstream) =
            decision.upstream.as_mut().filter(|upstream| of_upstream && upstream.reply.is_empty())
        {
            upstream.reply = heard.map_or_else(|| decision.reply.clone(), ToString::to_string);
        }
        self.listener.journal.keep(Box::new(decision));
    }

    /// Counts a refusal. Its reply has the id, unless it is the upstream's.
    fn count_refusal(&self, reply: Reply, stage: Stage, reason: &Reason) -> (Id, Reply) {
        let code = reply.code().get();
        self.listener.metrics.reply(code);
        self.listener.metrics.rejection(stage.name(), reason.source.name(), &reason.rule, code);
        if reason.source == Source::Limit {
            self.listener.metrics.limit(&reason.rule);
        }
        if stage == Stage::Rcpt {
            self.listener.metrics.recipient(label(refused_outcome(&reply)));
        }
        let id = Id::fresh();
        match reason.source {
            Source::Upstream => (id, reply),
            _ => (id, reply.with_suffix(&format!("(gp {id})"))),
        }
    }

    /// A transaction is over, whose recipients belonged to the upstream `route`. Gives the reply to its message as it is to be sent.
    pub(super) fn finished(
        &mut self,
        here: Here<'_>,
        route: Option<&str>,
        finished: &Finished,
        size: u64,
    ) -> Option<Reply> {
        let checked = here.judge.checked();
        let (decision, reply) = match (&finished.reply, &finished.reason) {
            (Some(reply), Some(reason)) if reply.code().class() != Class::Completed => {
                tell_refusal(reply, reason);
                let (id, reply) = self.count_refusal(reply.clone(), Stage::Message, reason);
                (Some(id).filter(|_| reason.source != Source::Upstream), Some(reply))
            }
            (Some(reply), _) => {
                self.granted(reply);
                (None, Some(reply.clone()))
            }
            (None, _) => (None, None),
        };
        self.count_message(finished, size);
        if let Some(results) = &checked.message {
            self.count_dmarc(&results.dmarc, checked.disposition);
            self.listener.check_metrics.arc(results.arc.result.name(), results.arc.trusted);
        }
        let origin = if finished.outcome.is_some() { here.origin } else { self.entry(here.origin) };
        let unchecked = Spf::default();
        let upstream = route.map(|name| self.upstream_part(name, finished));
        let entry = TransactionEntry {
            origin,
            id: here.transaction,
            decision,
            finished,
            reply: reply.as_ref(),
            size,
            spf: (
                checked.helo_spf.as_deref().unwrap_or(&unchecked),
                checked.spf.as_deref().unwrap_or(&unchecked),
            ),
            results: checked.message.as_deref(),
            upstream: upstream.as_ref(),
            took: self.gathered.began.elapsed(),
        };
        self.listener.journal.record(&Entry::Transaction(Box::new(entry)));
        self.gathered.in_transaction &= reply.is_none();
        self.decide_transaction(here, decision, upstream, finished, reply.as_ref(), size);
        reply
    }

    /// The decision about a whole transaction. Its id is the refusal's, else the transaction's own.
    fn decide_transaction(
        &mut self,
        here: Here<'_>,
        refusal: Option<Id>,
        upstream: Option<UpstreamPart>,
        finished: &Finished,
        reply: Option<&Reply>,
        size: u64,
    ) {
        let Some(mut dossier) = self.gathered.dossier.take() else { return };
        let mut decision = dossier.whole(&finished.transaction);
        decision.id = refusal.map_or_else(|| here.transaction.to_owned(), |id| id.to_string());
        here.transaction.clone_into(&mut decision.transaction);
        decision.size = size;
        decision.outcome = finished.outcome.map_or("none", Outcome::name);
        decision.deciding = finished.reason.as_ref().map(|reason| deciding(Stage::Message, reason));
        decision.reply = reply.map(ToString::to_string).unwrap_or_default();
        decision.upstream = upstream;
        dossier.end_transaction(finished.reply.is_some());
        self.gathered.dossier = Some(dossier);
        let heard = finished.reason.as_ref().and_then(Reason::of_upstream);
        self.decide(here, decision, heard);
    }

    fn upstream_part(&self, name: &str, finished: &Finished) -> UpstreamPart {
        let taken = finished.reply.as_ref().filter(|_| finished.outcome == Some(Outcome::Accepted));
        UpstreamPart {
            name: name.to_owned(),
            reply: taken.map(ToString::to_string).unwrap_or_default(),
            queue_id: taken.and_then(queue_id).unwrap_or_default(),
            took: self.upstream,
        }
    }

    fn count_message(&self, finished: &Finished, size: u64) {
        let books = &self.listener.metrics;
        let transaction = &finished.transaction;
        let held = match finished.outcome {
            // There is no copy: their RCPT was accepted, and so the message was not.
            Some(Outcome::Rejected | Outcome::Deferred | Outcome::Aborted) => metrics::Outcome::Accepted,
            _ => metrics::Outcome::Quarantined,
        };
        transaction.recipients.iter().for_each(|_| books.recipient(metrics::Outcome::Accepted));
        transaction.quarantined.iter().for_each(|_| books.recipient(held));
        transaction.discarded.iter().for_each(|_| books.recipient(metrics::Outcome::Discarded));
        let Some(outcome) = finished.outcome else { return };
        if let (Some((_, limit)), Some(reason)) = (&transaction.size_limit, &finished.reason)
            && limit == reason
        {
            self.count_size_limit(reason);
        }
        if let Some(limit) = self.gathered.shadow_limit.as_ref().filter(|limit| size > limit.octets) {
            self.count_decision(Stage::Message, &limit.rule, Action::LimitSize, Mode::Shadow);
        }
        let outcome = label(outcome);
        books.message(outcome);
        books.message_size(outcome, size);
        books.message_recipients(outcome, transaction.recipients.len() + transaction.quarantined.len());
        if let Some(dot) = self.dot {
            books.added_latency(dot.elapsed().saturating_sub(self.upstream));
        }
    }

    /// A message was larger than a policy's limit: the limit was set long before, and decides only now.
    fn count_size_limit(&self, reason: &Reason) {
        self.count_decision(Stage::Message, &reason.rule, Action::LimitSize, Mode::Enforce);
    }

    /// DMARC, with what came of it for the message (RFC 8601 has no word for that; reports do).
    fn count_dmarc(&self, dmarc: &Dmarc, disposition: DmarcPolicy) {
        self.listener.check_metrics.dmarc(dmarc.result.name(), dmarc.policy.name(), disposition.name());
    }

    /// What the policies of one stage did.
    pub(super) fn judged(&mut self, origin: Origin<'_>, hearing: Hearing<'_>) {
        let (stage, judgement) = (hearing.scene.moment.stage(), hearing.judgement);
        let metrics = self.listener.policy_metrics.clone();
        for event in &judgement.events {
            self.count_decision(stage, &event.rule, event.action, event.mode);
            tap::tell(|| tap::What::Rule {
                rule: event.rule.to_string(),
                verdict: event.action.name_in(event.mode).to_owned(),
                place: event.place.to_string(),
            });
            match event.mode {
                Mode::Shadow => self.record_shadow(origin, stage, Shadow::Rule(event)),
                // A verdict has its place with the refusal or the transaction.
                _ if event.action.is_verdict() => {}
                _ => self.record_effect(origin, stage, Effect::Rule(event)),
            }
        }
        for applied in &judgement.applied {
            self.count_decision(stage, &applied.by, applied.action, Mode::Enforce);
            self.record_effect(origin, stage, Effect::Policy(applied));
        }
        for withheld in &judgement.withheld {
            if let Some(action) = withheld.action {
                self.count_decision(stage, &withheld.by, action, Mode::Shadow);
            }
            self.record_shadow(origin, stage, Shadow::Effect(withheld));
        }
        for timing in &judgement.timings {
            metrics.duration(stage.name(), &timing.policy, timing.spent);
        }
        for fault in &judgement.errors {
            metrics.error(&fault.policy, stage.name(), fault.kind.name());
            let origin = self.entry(origin);
            self.listener.journal.record(&Entry::Fault(origin, stage, fault));
        }
        self.gather(hearing);
    }

    /// Keeps what was heard for the decisions to come.
    fn gather(&mut self, hearing: Hearing<'_>) {
        let Some(headers) = self.listener.journal.keeps_decisions() else { return };
        let open = || Dossier::open(headers, &hearing);
        self.gathered.dossier.get_or_insert_with(open).add(hearing);
    }

    fn count_decision(&self, stage: Stage, rule: &str, action: Action, mode: Mode) {
        self.listener.policy_metrics.decision(RuleLabels {
            listener: &self.listener.name,
            stage: stage.name(),
            rule,
            action: action.name_in(mode),
            mode: mode.name(),
        });
    }

    fn record_effect(&mut self, origin: Origin<'_>, stage: Stage, effect: Effect<'_>) {
        let origin = self.entry(origin);
        self.listener.journal.record(&Entry::Effect(origin, stage, effect));
    }

    fn record_shadow(&mut self, origin: Origin<'_>, stage: Stage, shadow: Shadow<'_>) {
        let origin = self.entry(origin);
        self.listener.journal.record(&Entry::Shadow(origin, stage, shadow));
    }
}

/// Tells those who listen what refused that is no rule: rules speak for themselves.
fn tell_refusal(reply: &Reply, reason: &Reason) {
    if reason.source != Source::Policy {
        tap::tell(|| tap::What::Rule {
            rule: reason.rule.to_string(),
            verdict: refused_outcome(reply).name().to_owned(),
            place: String::new(),
        });
    }
}

fn refused_outcome(reply: &Reply) -> Outcome {
    if reply.code().class() == Class::Permanent { Outcome::Rejected } else { Outcome::Deferred }
}

/// A session's outcome as a label of metrics.
const fn label(outcome: Outcome) -> metrics::Outcome {
    match outcome {
        Outcome::Accepted => metrics::Outcome::Accepted,
        Outcome::Rejected => metrics::Outcome::Rejected,
        Outcome::Deferred => metrics::Outcome::Deferred,
        Outcome::Discarded => metrics::Outcome::Discarded,
        Outcome::Quarantined => metrics::Outcome::Quarantined,
        Outcome::Aborted => metrics::Outcome::Aborted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_session_that_breaks_down_is_not_counted_as_open_for_ever() {
        let metrics = Metrics::new();
        let active = || {
            let exposition = metrics.encode().unwrap();
            let line = exposition.lines().find(|line| line.starts_with("gatepost_sessions_active{"));
            line.unwrap().to_owned()
        };
        let listener = metrics.listener("mx");
        let session = tokio::spawn(async move {
            let _open = Counted::begin(listener);
            tokio::task::yield_now().await;
            panic!("a session that breaks down")
        });
        assert!(session.await.unwrap_err().is_panic());
        assert!(active().ends_with(" 0"), "{}", active());
    }
}
