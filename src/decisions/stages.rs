//! One stage, as it is kept in decisions: what each rule said, which facts it had, what it cost.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dossier::{Hearing, timestamp};
use super::record::{Cost, Effect, Fact, Fault, Header, Rcpt, Read, Rule, StageRecord, VerdictRecord};
use super::recorder::Headers;
use crate::message;
use crate::policy::judgement::{FactTrace, Judgement, Mode, ReadTrace, RuleEvent};
use crate::policy::question::Answer;
use crate::policy::scene::{Address, MessageScene, Moment, RcptScene, Scene};
use crate::policy::{Policies, RuleInfo};
use crate::session::stage::{Reason, Refusal, Verdict};
use crate::smtp::path::ForwardPath;
use crate::smtp::reply::Class;

/// Octets of fields that are kept of a header where policies read some, and where all are wanted.
const MOST_READ: usize = 16 << 10;
const MOST_OF_ALL: usize = 64 << 10;
/// Octets that the answer to one question has at most, about, to be kept.
const MOST_OF_FACT: usize = 16 << 10;

/// What was asked at one stage, and what came out.
pub(super) fn record(hearing: &Hearing<'_>) -> StageRecord {
    let Hearing { scene, policies, judgement, at, took } = hearing;
    let session = &scene.session;
    let mut record = StageRecord {
        stage: scene.moment.stage().name(),
        at: timestamp(*at),
        took: *took,
        tls: session.tls.is_some(),
        helo: !session.helo_verb.is_empty(),
        auth: !session.auth.mechanism.is_empty(),
        errors: session.errors,
        recipients_refused: session.recipients_refused,
        transactions: session.transactions,
        policies: judgement
            .timings
            .iter()
            .map(|timing| Cost { policy: Arc::clone(&timing.policy), spent: timing.spent })
            .collect(),
        rules: rules(policies, scene, judgement),
        facts: judgement.facts.iter().map(fact).collect(),
        reads: judgement.reads.iter().flat_map(reads).collect(),
        effects: effects(judgement),
        faults: faults(judgement),
        verdict: verdict(judgement),
        ..StageRecord::default()
    };
    match &scene.moment {
        Moment::Rcpt(mail, rcpt) => {
            record.rcpt = Some(self::rcpt(rcpt));
            record.accepted = mail.recipients.len();
        }
        Moment::Data(mail) | Moment::Message(mail, _) => record.accepted = mail.recipients.len(),
        Moment::Violation(event) => record.event = event.name(),
        _ => {}
    }
    record
}

pub(super) fn rcpt(rcpt: &RcptScene) -> Rcpt {
    Rcpt::from(rcpt)
}

/// A recipient that policies were not asked about.
pub(super) fn unjudged(path: &ForwardPath) -> Rcpt {
    Rcpt { address: Address::from(path).original().to_owned(), ..Rcpt::default() }
}

/// Every rule of the stage with what it said; a rule that has several actions is there once, unless several spoke.
fn rules(policies: &Policies, scene: &Scene, judgement: &Judgement) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for info in policies.rules_at(&scene.session.listener, &scene.moment) {
        let spoke = |event: &&RuleEvent| event.rule == info.rule;
        match judgement.events.iter().find(spoke) {
            _ if rules.iter().any(|known| known.rule == info.rule) => {}
            Some(event) => rules.push(Rule {
                rule: Arc::clone(&info.rule),
                mode: event.mode.name(),
                gate: info.gate,
                outcome: event.action_name(),
                place: Arc::clone(&event.place),
                about: Arc::clone(&info.doc),
                words: info.words.clone(),
                after: event.after.clone(),
            }),
            None => rules.push(Rule {
                rule: Arc::clone(&info.rule),
                mode: info.mode.name(),
                gate: info.gate,
                outcome: silence(info, judgement),
                // A limit of size may speak later.
                words: info.words.clone().filter(|_| is_ordered(info, judgement)),
                ..Rule::default()
            }),
        }
    }
    rules
}

/// Whether an effect was ordered in the rule's name.
fn is_ordered(info: &RuleInfo, judgement: &Judgement) -> bool {
    judgement.ordered.iter().any(|effect| effect.by == info.rule)
}

/// Why a rule did not speak.
fn silence(info: &RuleInfo, judgement: &Judgement) -> &'static str {
    let skipped = |name: &Arc<str>| *name == info.rule || *name == info.policy;
    if info.mode == Mode::Off {
        "off"
    } else if !info.gate && judgement.skipped.iter().any(skipped) {
        "skipped"
    } else if judgement.errors.iter().any(|fault| fault.policy == info.policy) {
        "failed"
    } else if judgement.timings.iter().any(|timing| timing.policy == info.policy) {
        "passed"
    } else {
        "not_asked"
    }
}

fn reads(trace: &ReadTrace) -> impl Iterator<Item = Read> {
    trace.reads.iter().map(|read| Read {
        policy: Arc::clone(&trace.policy),
        what: read.what.clone(),
        value: read.value.clone(),
    })
}

/// The results of checks are in the decision once, and not with each question. An answer that is too large is not kept: whoever asks
/// other policies about the decision finds that it is missing.
fn fact(fact: &FactTrace) -> Fact {
    let of_check =
        matches!(fact.answer, Answer::Spf(_) | Answer::Dkim(_) | Answer::Dmarc(_) | Answer::Arc(_));
    Fact {
        policy: Arc::clone(&fact.policy),
        also: fact.also.clone(),
        question: fact.question.clone(),
        answer: (!of_check && weight(&fact.answer) <= MOST_OF_FACT).then(|| fact.answer.clone()),
        took: fact.took.unwrap_or_default(),
    }
}

/// Octets of an answer, about, where somebody else says how many they are.
fn weight(answer: &Answer) -> usize {
    match answer {
        Answer::Http(reply) => reply.body.len(),
        Answer::Rspamd(found) => found.symbols.iter().map(|(symbol, _)| symbol.len() + 16).sum(),
        Answer::Contents(Some(contents)) => {
            let parts = contents.parts.iter().map(|part| {
                let entries = part.entries.iter().map(|entry| entry.name.len() + 64).sum::<usize>();
                part.name.len() + part.content_type.len() + 256 + entries
            });
            let urls = contents.urls.iter().map(|url| url.url.len() + url.host.len());
            parts.chain(urls).sum()
        }
        _ => 0,
    }
}

fn effects(judgement: &Judgement) -> Vec<Effect> {
    let all = judgement.ordered.iter().map(|effect| (effect, false));
    let all = all.chain(judgement.withheld.iter().map(|effect| (effect, true)));
    all.map(|(effect, shadow)| Effect { by: Arc::clone(&effect.by), effect: effect.effect.clone(), shadow })
        .collect()
}

fn faults(judgement: &Judgement) -> Vec<Fault> {
    let fault = |fault: &crate::policy::judgement::ScriptFault| Fault {
        policy: Arc::clone(&fault.policy),
        kind: fault.kind.name(),
        place: fault.place.clone(),
        message: fault.message.clone(),
    };
    judgement.errors.iter().map(fault).collect()
}

/// A verdict in one word, with its rule.
pub(super) fn verdict(judgement: &Judgement) -> VerdictRecord {
    match &judgement.verdict {
        Verdict::Pass => VerdictRecord { action: "pass", ..VerdictRecord::default() },
        Verdict::Discard(reason) => silent("discard", reason),
        Verdict::Quarantine(reason) => silent("quarantine", reason),
        Verdict::Disconnect(refusal) => spoken("disconnect", refusal),
        Verdict::Refuse(refusal) if refusal.reply.code().class() == Class::Permanent => {
            spoken("reject", refusal)
        }
        Verdict::Refuse(refusal) => spoken("defer", refusal),
    }
}

fn silent(action: &'static str, reason: &Reason) -> VerdictRecord {
    VerdictRecord { action, rule: Arc::clone(&reason.rule), reply: String::new() }
}

fn spoken(action: &'static str, refusal: &Refusal) -> VerdictRecord {
    VerdictRecord { reply: refusal.reply.to_string(), ..silent(action, &refusal.reason) }
}

/// What is kept of a message's header: the fields that were read, or all.
pub(super) fn header(message: &MessageScene, wanted: Headers) -> Option<Header> {
    let header = &message.header;
    let mut kept =
        Header { size: header.len() as u64, received: header.count("received") as u64, ..Header::default() };
    match wanted {
        Headers::None => {}
        Headers::Read => {
            keep_read(&mut kept, header, message.fields_read());
        }
        Headers::All => kept.whole = keep_all(&mut kept, header),
    }
    Some(kept)
}

/// Fields of one name are kept together or not at all: who reads them is to see all of them, as they came.
fn keep_read(kept: &mut Header, header: &message::header::Header, names: BTreeSet<String>) {
    let mut left = MOST_READ;
    for name in names {
        let octets: usize = header.named(&name).map(|field| field.whole().len()).sum();
        if octets <= left && header.named(&name).all(|field| std::str::from_utf8(field.whole()).is_ok()) {
            left -= octets;
            kept.known.push(name);
        }
    }
    let known = |name: &str| kept.known.iter().any(|known| known == name);
    kept.fields =
        header.fields().filter(|field| known(field.name())).map(|field| text(field.whole())).collect();
}

fn keep_all(kept: &mut Header, header: &message::header::Header) -> bool {
    if header.len() > MOST_OF_ALL || std::str::from_utf8(header.as_bytes()).is_err() {
        return false;
    }
    kept.fields = header.fields().map(|field| text(field.whole())).collect();
    true
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
