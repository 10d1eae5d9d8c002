//! How policy is asked: a stage is run, stopped for the facts that it wants, and run on until it has a judgement.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::fetching::Fetching;
use super::reverse::Reverse;
use super::scene::Connection;
use super::{Facts, Listener, routes};
use crate::checks::MessageCheck;
use crate::checks::results::{CheckResult, Dkim, DmarcPolicy, Iprev, MessageResults, Spf};
use crate::facts::{self, Envelope, Letter, Subject};
use crate::log;
use crate::policy::judgement::{HeaderEdit, Withheld};
use crate::policy::question::{Answer, Known, Question};
use crate::policy::scene::{Address, Moment, Scene};
use crate::policy::{Judgement, Memory, Policies, StageRun, Step};
use crate::session::Transaction;
use crate::session::stage::{Refusal, Stage, Verdict};
use crate::smtp::path::{ForwardPath, ReversePath};
use crate::smtp::reply::Class;

/// Policy's side of one session: its generation, its memory, and what it has been told.
#[derive(Debug)]
pub(super) struct Judge {
    listener: Arc<Listener>,
    /// The generation that judges the open transaction. Without one nothing is held, so that what is replaced can go.
    policies: Option<Arc<Policies>>,
    memory: Memory,
    /// Apart, so that an idle session is small.
    subject: Box<Subject>,
    checked: Checked,
    reverse: Reverse,
}

/// Results of checks that were done once and serve policies, the stamp and the log alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) helo_spf: Option<Arc<Spf>>,
    pub(super) spf: Option<Arc<Spf>>,
    pub(super) message: Option<Arc<MessageResults>>,
    /// What the policies did with the message on DMARC's account.
    pub(super) disposition: DmarcPolicy,
}

/// What is known when a stage begins.
#[derive(Debug)]
struct AtHand {
    facts: Arc<dyn Facts>,
    checked: Checked,
    iprev: Option<Iprev>,
}

impl Known for AtHand {
    fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Fcrdns => self.iprev.as_ref().map(|iprev| facts::fcrdns(iprev).into()),
            _ => self.checked.known(question).or_else(|| self.facts.known(question)),
        }
    }
}

impl Judge {
    /// The judge of a connection's client, whoever that is by now.
    pub(super) fn new(listener: Arc<Listener>, connection: &Connection) -> Self {
        let Connection { peer, name, .. } = connection;
        let subject = Box::new(Subject::new(peer.ip));
        let reverse = match peer.named {
            true if name.is_empty() => Reverse::begin(&listener.facts, peer.ip),
            true => Reverse::told(name),
            // The address is the hop's: its name says nothing about the client.
            false => Reverse::nobody(),
        };
        let (memory, checked) = (Memory::default(), Checked::default());
        Self { listener, policies: None, memory, subject, checked, reverse }
    }

    /// The client's name, and whether it can be relied on.
    pub(super) const fn reverse(&mut self) -> &mut Reverse {
        &mut self.reverse
    }

    /// The client's verified name, if it is known by now.
    pub(super) fn client_name(&self) -> Option<&str> {
        self.reverse.verified()
    }

    /// Whether the client's name leads back to it, if that is known by now.
    pub(super) const fn iprev(&self) -> Option<&Iprev> {
        self.reverse.result()
    }

    pub(super) const fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) const fn checked(&self) -> &Checked {
        &self.checked
    }

    pub(super) const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Lets go of the policies: no transaction is open.
    pub(super) fn rest(&mut self) {
        self.policies = None;
    }

    /// Whether the policies of the open transaction are to go.
    pub(super) fn is_retired(&self) -> bool {
        self.policies.as_ref().is_some_and(|policies| policies.is_retired())
    }

    /// The policies of the open transaction, else those of now.
    pub(super) fn policies(&self) -> Arc<Policies> {
        self.policies.clone().unwrap_or_else(|| self.listener.policies.load_full())
    }

    /// Looks whether one verdict can speak for the recipients of `transaction` and for this one.
    ///
    /// # Errors
    /// It cannot: one of them is at a domain whose own policies judge whole messages.
    pub(super) fn admit(&self, transaction: &Transaction, rcpt: &ForwardPath) -> Result<(), Refusal> {
        let policies = self.policies();
        let speaker = |path: &ForwardPath| {
            policies.speaker(&self.listener.name, Address::from(path).domain()).map(str::to_owned)
        };
        match transaction.recipients.first() {
            Some(first) if speaker(&first.path) != speaker(rcpt) => Err(routes::other_policies()),
            _ => Ok(()),
        }
    }

    /// A new HELO, or STARTTLS: what was learnt from the last one is forgotten (RFC 3207 4.2).
    pub(super) fn begin_helo(&mut self, helo: Option<String>) {
        self.memory.forget_helo();
        self.subject.helo = helo;
        self.checked.helo_spf = None;
        self.end_transaction();
    }

    pub(super) fn begin_transaction(&mut self, sender: &ReversePath) {
        self.end_transaction();
        self.policies = Some(self.listener.policies.load_full());
        self.subject.sender = Some(sender.clone());
    }

    pub(super) fn end_transaction(&mut self) {
        self.memory.end_transaction();
        self.subject.sender = None;
        self.checked = Checked { helo_spf: self.checked.helo_spf.take(), ..Checked::default() };
    }

    /// Concludes every check of a message that is all there: whatever policies ask about it later is known.
    pub(super) async fn examine(&mut self, check: MessageCheck) {
        self.checked.answer(&self.listener, &self.subject, &Question::HeloSpf).await;
        self.checked.answer(&self.listener, &self.subject, &Question::Spf).await;
        let spf = self.checked.spf.clone().unwrap_or_default();
        let results = self.listener.facts.conclude(check, &spf).await;
        self.count_dkim(&results.dkim);
        self.checked.message = Some(Arc::new(results));
        // For `Received`. It was begun with the session, so that it is there by now or given up.
        self.reverse.found().await;
    }

    /// One for each signature, and one for a message that has none.
    fn count_dkim(&self, signatures: &[Dkim]) {
        let metrics = &self.listener.check_metrics;
        for dkim in signatures {
            metrics.dkim(dkim.result.name(), dkim.reason_label());
        }
        if signatures.is_empty() {
            metrics.dkim(CheckResult::None.name(), "none");
        }
    }

    fn at_hand(&self) -> AtHand {
        let (checked, iprev) = (self.checked.clone(), self.reverse.result().cloned());
        AtHand { facts: Arc::clone(&self.listener.facts), checked, iprev }
    }

    /// The answer that the run cannot go on without. Others that arrive meanwhile are handed in.
    async fn needed(&mut self, run: &mut StageRun, fetching: &mut Fetching, needed: &Question) -> Answer {
        if *needed == Question::Fcrdns {
            return facts::fcrdns(self.reverse.found().await).into();
        }
        if fetching.is_idle() {
            return self.checked.answer(&self.listener, &self.subject, needed).await;
        }
        if let Some(answer) = self.checked.known(needed) {
            return answer;
        }
        fetching.begin(&self.listener.facts, &self.subject, needed.clone());
        while let Some((question, answer, took)) = fetching.next().await {
            self.checked.keep(&self.listener, &question, &answer);
            if question == *needed {
                return answer;
            }
            run.answer(question, answer, took);
        }
        needed.unanswered()
    }

    /// What the policies of now say about `scene`. `letter` is the message when it is all there.
    pub(super) async fn judge(&mut self, scene: Scene, letter: Option<Letter>) -> Judgement {
        let moment = scene.moment.clone();
        self.subject.envelope = envelope(&scene);
        self.subject.letter = letter;
        let until = Instant::now() + patience(moment.stage());
        let mut run = self.policies().begin_knowing(scene, &self.memory, || Arc::new(self.at_hand()));
        let mut fetching = Fetching::default();
        while let Step::Ask(questions) = run.step() {
            let mut questions = questions.into_iter();
            let Some(needed) = questions.next() else { break };
            // The client's name is being looked up since the connection was made.
            let ahead = questions.filter(|question| *question != Question::Fcrdns);
            for question in ahead.filter(|question| self.checked.known(question).is_none()) {
                fetching.begin(&self.listener.facts, &self.subject, question);
            }
            let asked = Instant::now();
            let answer = timeout_at(until, self.needed(&mut run, &mut fetching, &needed)).await;
            run.answer(needed.clone(), answer.unwrap_or_else(|_| needed.unanswered()), asked.elapsed());
        }
        let mut judgement = run.finish(&mut self.memory);
        // What is kept of the message goes when the message goes.
        self.subject.letter = None;
        if let Moment::Message(mail, _) = &moment {
            self.checked.disposition = disposition(&judgement, &self.memory.tags(mail));
            if let Some(results) = &self.checked.message {
                warn_of_broken_signatures(&mail.id, &mut judgement, &results.dkim);
            }
        }
        judgement
    }
}

/// A field that a good signature covers is taken out: those behind us will not find it good. It is the operator's order, and told.
fn warn_of_broken_signatures(transaction: &str, judgement: &mut Judgement, dkim: &[Dkim]) {
    for (field, domain) in broken_signatures(&judgement.effects.headers, dkim) {
        tracing::warn!(
            event = "signature_broken",
            transaction,
            field,
            domain = %log::safe(domain),
            "a policy removes a field that a good signature covers"
        );
        let effect =
            format!("remove_header {field}: it is covered by the signature of {domain}, which breaks");
        judgement.ordered.push(Withheld { by: "dkim".into(), effect, action: None });
    }
}

/// Fields that are removed although a signature that passed covers them, with the domain of that.
fn broken_signatures<'d>(edits: &[HeaderEdit], dkim: &'d [Dkim]) -> Vec<(&'d str, &'d str)> {
    let removed = |field: &str| {
        let is_it =
            |edit: &HeaderEdit| matches!(edit, HeaderEdit::Remove(name) if name.eq_ignore_ascii_case(field));
        edits.iter().any(is_it)
    };
    let good = dkim.iter().filter(|dkim| dkim.result == CheckResult::Pass);
    let covered =
        good.flat_map(|dkim| dkim.fields.iter().map(|field| (field.as_str(), dkim.domain.as_str())));
    covered.filter(|(field, _)| removed(field)).collect()
}

/// What all facts of a stage together may take: the client's own patience with the command has to be enough for the upstream
/// too.
const fn patience(stage: Stage) -> Duration {
    match stage {
        Stage::Message => Duration::from_secs(120),
        _ => Duration::from_secs(30),
    }
}

fn envelope(scene: &Scene) -> Envelope {
    let login = scene.session.auth.user.clone();
    let Some(mail) = scene.moment.mail() else { return Envelope { login, ..Envelope::default() } };
    let recipients = mail.recipients.iter().map(|rcpt| rcpt.address.original().to_owned()).collect();
    Envelope { id: mail.id.clone(), recipients, login }
}

/// What was done with a message on DMARC's account: the policy of that name refused it, or had it tagged for the upstream's
/// filter.
fn disposition(judgement: &Judgement, tags: &[(String, String)]) -> DmarcPolicy {
    let refused = matches!(&judgement.verdict, Verdict::Refuse(refusal) | Verdict::Disconnect(refusal)
        if refusal.reason.rule.starts_with("dmarc.") && refusal.reply.code().class() == Class::Permanent);
    let kept = matches!(&judgement.verdict, Verdict::Quarantine(reason) if reason.rule.starts_with("dmarc."));
    let quarantine = |(name, value): &(String, String)| name == "dmarc" && value == "quarantine";
    if refused {
        DmarcPolicy::Reject
    } else if kept || tags.iter().any(quarantine) {
        DmarcPolicy::Quarantine
    } else {
        DmarcPolicy::None
    }
}

impl Checked {
    /// The answer to `question`, from what is known or from the world.
    async fn answer(&mut self, listener: &Listener, subject: &Subject, question: &Question) -> Answer {
        if let Some(answer) = self.known(question) {
            return answer;
        }
        let answer = listener.facts.answer(subject, question).await;
        self.keep(listener, question, &answer);
        answer
    }

    /// Counts and keeps the result of a check.
    fn keep(&mut self, listener: &Listener, question: &Question, answer: &Answer) {
        match (question, answer) {
            (Question::HeloSpf, Answer::Spf(spf)) => {
                listener.check_metrics.spf("helo", spf.result.name());
                self.helo_spf = Some(Arc::clone(spf));
            }
            (Question::Spf, Answer::Spf(spf)) => {
                listener.check_metrics.spf("mailfrom", spf.result.name());
                self.spf = Some(Arc::clone(spf));
            }
            _ => {}
        }
    }

    fn known(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::HeloSpf => self.helo_spf.clone().map(Answer::Spf),
            Question::Spf => self.spf.clone().map(Answer::Spf),
            Question::Dkim => self.message.as_ref().map(|results| results.dkim.clone().into()),
            Question::Dmarc => self.message.as_ref().map(|results| results.dmarc.clone().into()),
            Question::Arc => self.message.as_ref().map(|results| results.arc.clone().into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::judgement::Effects;
    use crate::session::stage::{Reason, Refusal, Source};
    use crate::smtp::reply::{Code, Reply};

    fn judgement(verdict: Verdict) -> Judgement {
        let effects = Effects::default();
        Judgement { verdict, effects, ..Judgement::pass() }
    }

    fn refusal(code: u16, rule: &str) -> Refusal {
        let reply = Reply::new(Code::new(code).unwrap(), None, "no");
        Refusal { reply, reason: Reason::new(Source::Policy, rule) }
    }

    #[test]
    fn a_removed_field_breaks_the_good_signatures_that_cover_it() {
        let signature = |result, domain: &str| Dkim {
            result,
            domain: domain.to_owned(),
            fields: vec!["from".to_owned(), "subject".to_owned()],
            ..Dkim::default()
        };
        let dkim = [signature(CheckResult::Pass, "a.test"), signature(CheckResult::Fail, "b.test")];
        let edits = ["Subject", "x-other"].map(|name| HeaderEdit::Remove(name.to_lowercase()));
        assert_eq!(broken_signatures(&edits, &dkim), [("subject", "a.test")]);
        assert!(broken_signatures(&[], &dkim).is_empty());
        let mut judged = judgement(Verdict::Pass);
        judged.effects.headers = edits.to_vec();
        warn_of_broken_signatures("t", &mut judged, &dkim);
        assert_eq!(judged.ordered.len(), 1);
    }

    #[test]
    fn what_was_done_on_dmarcs_account() {
        let tag = |value: &str| vec![("dmarc".to_owned(), value.to_owned())];
        for (verdict, tags, done) in [
            (Verdict::Pass, Vec::new(), DmarcPolicy::None),
            (Verdict::Pass, tag("quarantine"), DmarcPolicy::Quarantine),
            (Verdict::Pass, tag("none"), DmarcPolicy::None),
            (Verdict::Refuse(refusal(550, "dmarc.reject")), Vec::new(), DmarcPolicy::Reject),
            (Verdict::Disconnect(refusal(550, "dmarc.reject")), tag("quarantine"), DmarcPolicy::Reject),
            (
                Verdict::Quarantine(Reason::new(Source::Policy, "dmarc.q")),
                Vec::new(),
                DmarcPolicy::Quarantine,
            ),
            (Verdict::Quarantine(Reason::new(Source::Policy, "spam.q")), Vec::new(), DmarcPolicy::None),
            (Verdict::Refuse(refusal(451, "dmarc.temperror")), Vec::new(), DmarcPolicy::None),
            (Verdict::Refuse(refusal(550, "headers.one-from")), Vec::new(), DmarcPolicy::None),
        ] {
            assert_eq!(disposition(&judgement(verdict.clone()), &tags), done, "{verdict:?} {tags:?}");
        }
    }
}
