//! The one door for replies: each is counted, each refusal gets its id and its line in the books.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::journal::{Effect, Entry, Origin, Refused, Shadow, TransactionEntry};
use super::judge::Checked;
use super::{Id, Listener, Peer};
use crate::checks::results::{Dmarc, DmarcPolicy, Spf};
use crate::log;
use crate::metrics::{self, ListenerMetrics, RuleLabels};
use crate::policy::Judgement;
use crate::policy::judgement::{Action, Mode};

use crate::session::stage::{Reason, Source, Stage};
use crate::session::{Finished, Outcome};
use crate::smtp::reply::{Class, Code, EnhancedCode, Reply};

/// A session's side of metrics and journal.
#[derive(Debug)]
pub(super) struct Books {
    listener: Arc<Listener>,
    began: Instant,
    /// When the message's final dot came.
    dot: Option<Instant>,
    /// How long the upstream took to take the message.
    upstream: Duration,
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
    /// The reply to a client for which there is no room at all, counted like any other refusal, and booked where it is `told`:
    /// a flood is to fill neither the journal nor the log.
    pub fn turn_away(self: &Arc<Self>, peer: Peer, limit: &str, told: bool) -> Reply {
        let refusal = Reply::new(
            Code::literal::<421>(),
            Some(EnhancedCode::new(4, 7, 0)),
            "too many connections: try again later",
        );
        let origin = Origin { session: "", listener: &self.name, client: peer.ip, helo: "", tls: None };
        let reason = Reason::new(Source::Limit, limit);
        let books = Books::new(Arc::clone(self));
        if told {
            books.refused(origin, refusal, Stage::Connect, &reason)
        } else {
            books.count_refusal(refusal, Stage::Connect, &reason).1
        }
    }
}

impl Listener {
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
        Self { listener, began: Instant::now(), dot: None, upstream: Duration::ZERO }
    }

    pub(super) fn begin_transaction(&mut self) {
        self.began = Instant::now();
        self.dot = None;
        self.upstream = Duration::ZERO;
    }

    /// The message is all there.
    pub(super) fn message_complete(&mut self) {
        self.dot = Some(Instant::now());
    }

    /// The upstream has answered for the message that was sent to it at `since`.
    pub(super) fn upstream_took(&mut self, since: Instant) {
        self.upstream = since.elapsed();
    }

    /// A reply that grants something.
    pub(super) fn granted(&self, reply: &Reply) {
        self.listener.metrics.reply(reply.code().get());
    }

    /// A refusal, with its id from here on. The upstream's own words stay as they are.
    pub(super) fn refused(&self, origin: Origin<'_>, reply: Reply, stage: Stage, reason: &Reason) -> Reply {
        let (id, reply) = self.count_refusal(reply, stage, reason);
        self.listener.journal.record(&Entry::Refused(Refused { origin, id, stage, reply: &reply, reason }));
        reply
    }

    fn count_refusal(&self, reply: Reply, stage: Stage, reason: &Reason) -> (Option<Id>, Reply) {
        let code = reply.code().get();
        self.listener.metrics.reply(code);
        self.listener.metrics.rejection(stage.name(), reason.source.name(), &reason.rule, code);
        if reason.source == Source::Limit {
            self.listener.metrics.limit(&reason.rule);
        }
        if stage == Stage::Rcpt {
            self.listener.metrics.recipient(label(refused_outcome(&reply)));
        }
        if reason.source == Source::Upstream {
            return (None, reply);
        }
        let id = Id::fresh();
        (Some(id), reply.with_suffix(&format!("(gp {id})")))
    }

    /// A transaction is over, whose recipients belonged to the upstream `route`. Gives the reply to its message as it is to be sent.
    pub(super) fn finished(
        &self,
        origin: Origin<'_>,
        id: &str,
        route: Option<&str>,
        finished: &Finished,
        checked: &Checked,
        size: u64,
    ) -> Option<Reply> {
        let (decision, reply) = match (&finished.reply, &finished.reason) {
            (Some(reply), Some(reason)) if reply.code().class() != Class::Completed => {
                let (id, reply) = self.count_refusal(reply.clone(), Stage::Message, reason);
                (id, Some(reply))
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
        let unchecked = Spf::default();
        self.listener.journal.record(&Entry::Transaction(Box::new(TransactionEntry {
            origin,
            id,
            decision,
            finished,
            reply: reply.as_ref(),
            size,
            spf: (
                checked.helo_spf.as_ref().unwrap_or(&unchecked),
                checked.spf.as_ref().unwrap_or(&unchecked),
            ),
            results: checked.message.as_deref(),
            route,
            took: self.began.elapsed(),
            upstream: self.upstream,
        })));
        reply
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
    pub(super) fn judged(&self, origin: Origin<'_>, stage: Stage, judgement: &Judgement) {
        let metrics = &self.listener.policy_metrics;
        for event in &judgement.events {
            self.count_decision(stage, &event.rule, event.action, event.mode);
            match event.mode {
                Mode::Shadow => self.record_shadow(origin, stage, Shadow::Rule(event)),
                // A verdict has its place with the refusal or the transaction.
                _ if event.action.is_verdict() => {}
                _ => self.listener.journal.record(&Entry::Effect(origin, stage, Effect::Rule(event))),
            }
        }
        for applied in &judgement.applied {
            self.count_decision(stage, &applied.by, applied.action, Mode::Enforce);
            self.listener.journal.record(&Entry::Effect(origin, stage, Effect::Policy(applied)));
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
            self.listener.journal.record(&Entry::Fault(origin, stage, fault));
        }
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

    fn record_shadow(&self, origin: Origin<'_>, stage: Stage, shadow: Shadow<'_>) {
        self.listener.journal.record(&Entry::Shadow(origin, stage, shadow));
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
