//! What led to a decision, gathered while a session goes on: each stage at which policies were asked, and what became of each
//! recipient. A refusal or the end of a transaction makes a [`Decision`] of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::record::{Client, Deciding, Decision, Kind, Login, Mail, Rcpt, Recipient, StageRecord, Tls};
use super::recorder::Headers;
use super::stages;
use crate::policy::scene::{
    Address, AuthScene, MailScene, MessageScene, Moment, RcptScene, Scene, SessionScene, TlsScene,
};
use crate::policy::{Judgement, Policies};
use crate::session;
use crate::session::stage::{Reason, Source, Stage};
use crate::session::{Grounds, SetAside};
use crate::smtp::auth;
use crate::smtp::params::Param;
use crate::smtp::path::ForwardPath;
use crate::smtp::reply::{Class, Reply};

/// Stages that are kept of a session outside its transaction, and of a transaction: most have eight.
const MAX_STAGES: usize = 64;
/// Recipients that are kept of a transaction.
const MAX_RECIPIENTS: usize = 100;

/// The file on one session. It is opened with its first stage.
#[derive(Debug)]
pub struct Dossier {
    headers: Headers,
    /// The session as the last stage saw it.
    seen: Arc<SessionScene>,
    /// The generation that was asked last.
    generation: Arc<str>,
    /// Stages outside any transaction.
    session: Vec<StageRecord>,
    /// The logins that those stages saw, each once.
    logins: Vec<String>,
    transaction: Transaction,
}

/// What is gathered within a transaction.
#[derive(Debug, Default)]
struct Transaction {
    mail: Option<Arc<MailScene>>,
    stages: Vec<StageRecord>,
    /// The recipient that policies were asked about last, until it has its answer.
    open: Option<Arc<RcptScene>>,
    refused: Vec<Recipient>,
    /// The recipients that were not refused, as they were when it was last looked at.
    taken: Vec<Recipient>,
    message: Option<Arc<MessageScene>>,
    truncated: bool,
    /// It is over, and the reply that says why is still to come.
    over: bool,
}

/// One stage at which policies were asked.
#[derive(Debug)]
pub struct Hearing<'a> {
    /// What policies saw.
    pub scene: Scene,
    /// Who was asked.
    pub policies: &'a Policies,
    /// What they said.
    pub judgement: &'a Judgement,
    /// What the clock said before.
    pub at: SystemTime,
    /// How long it took, facts included.
    pub took: Duration,
}

impl Dossier {
    /// The file on the session of this first stage, with so much of the headers of its messages.
    pub fn open(headers: Headers, hearing: &Hearing<'_>) -> Self {
        Self {
            headers,
            seen: Arc::clone(&hearing.scene.session),
            generation: Arc::clone(hearing.policies.generation()),
            session: Vec::new(),
            logins: Vec::new(),
            transaction: Transaction::default(),
        }
    }

    /// Policies were asked at a stage.
    pub fn add(&mut self, hearing: Hearing<'_>) {
        self.forget();
        let record = stages::record(&hearing);
        self.generation = Arc::clone(hearing.policies.generation());
        let stage = hearing.scene.moment.stage();
        self.seen = hearing.scene.session;
        match &hearing.scene.moment {
            Moment::Connect => {
                // The first, or another client that a hop speaks for from here on.
                self.session.clear();
                self.logins.clear();
                self.transaction = Transaction::default();
            }
            Moment::Helo => {
                // A new HELO drops what the last one left (RFC 3207 4.2).
                self.session.retain(|old| old.stage != Stage::Helo.name());
                self.transaction = Transaction::default();
            }
            Moment::Mail(mail) => {
                self.transaction = Transaction { mail: Some(Arc::clone(mail)), ..Transaction::default() };
            }
            Moment::Rcpt(mail, rcpt) => {
                self.transaction.mail = Some(Arc::clone(mail));
                self.transaction.open = Some(Arc::clone(rcpt));
            }
            Moment::Data(mail) => self.transaction.mail = Some(Arc::clone(mail)),
            Moment::Message(mail, message) => {
                self.transaction.mail = Some(Arc::clone(mail));
                self.transaction.message = Some(Arc::clone(message));
            }
            Moment::Auth | Moment::Violation(_) | Moment::Close => {}
        }
        note_login(&mut self.logins, &self.seen.auth.user);
        let within = matches!(stage, Stage::Mail | Stage::Rcpt | Stage::Data | Stage::Message);
        let stages = if within { &mut self.transaction.stages } else { &mut self.session };
        if stages.len() < MAX_STAGES {
            stages.push(record);
        } else {
            self.transaction.truncated = true;
        }
    }

    /// Something was granted: the recipient in question, if there is one, is accepted.
    pub fn settle(&mut self) {
        self.transaction.open = None;
        self.forget();
    }

    /// The transaction is over. If the client was not `told` so, the refusal that comes next is about it.
    pub fn end_transaction(&mut self, told: bool) {
        self.transaction.over = true;
        if told {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if self.transaction.over {
            self.transaction = Transaction::default();
        }
    }

    /// Looks at the open transaction: whom it is for by now.
    pub fn look(&mut self, open: &session::Transaction) {
        let accepted = open.recipients.iter().map(|rcpt| self.taken(&rcpt.path, "accepted"));
        let discarded = open.discarded.iter().map(|aside| self.set_aside(aside, "discarded"));
        let quarantined = open.quarantined.iter().map(|aside| self.set_aside(aside, "quarantined"));
        let taken = accepted.chain(discarded).chain(quarantined).take(MAX_RECIPIENTS).collect();
        self.transaction.taken = taken;
        let all = open.recipients.len() + open.discarded.len() + open.quarantined.len();
        self.transaction.truncated |= all > MAX_RECIPIENTS;
    }

    /// A decision about the command that was refused last.
    pub fn refusal(&mut self, id: &str, grounds: &Grounds, reply: &Reply) -> Decision {
        let Grounds { stage, reason, .. } = grounds;
        let outcome = if reply.code().class() == Class::Permanent { "rejected" } else { "deferred" };
        let open = self.transaction.open.take();
        let mut decision = self.decision();
        name_sender(&mut decision, grounds);
        decision.tried = grounds.login.as_ref().map(tried);
        // No stage has seen the one that the upstream refused, but what it said may be repeated.
        grounds.login.iter().for_each(|login| note_login(&mut self.logins, &login.user));
        decision.id = id.to_owned();
        decision.kind = Kind::Refusal;
        decision.outcome = outcome;
        decision.deciding = Some(deciding(*stage, reason));
        decision.reply = reply.to_string();
        let judged = open.filter(|_| *stage == Stage::Rcpt);
        if judged.is_some() {
            // Its own decision has the stage; in that of the transaction only those count that were accepted.
            self.transaction.stages.pop_if(|stage| stage.rcpt.is_some());
        }
        let unjudged = || grounds.recipient.as_ref().map(stages::unjudged);
        if let Some(rcpt) = judged.as_deref().map(stages::rcpt).or_else(unjudged) {
            let refused = Recipient {
                rcpt,
                outcome,
                rule: Arc::clone(&reason.rule),
                place: reason.place.clone().unwrap_or_default(),
                decision: id.to_owned(),
                reply: decision.reply.clone(),
                ..Recipient::default()
            };
            decision.recipients.push(refused.clone());
            self.refuse_recipient(refused);
        }
        if reason.source == Source::Protocol {
            // It was no policy that decided, and whoever breaks the protocol does so again and again.
            decision.stages = Vec::new();
        }
        self.forget();
        decision
    }

    fn refuse_recipient(&mut self, refused: Recipient) {
        if self.transaction.refused.len() < MAX_RECIPIENTS {
            self.transaction.refused.push(refused);
        } else {
            self.transaction.truncated = true;
        }
    }

    /// What is known by now, with the recipients that were not refused so far. Who decided what, and when, is for the caller to add.
    pub fn decision(&self) -> Decision {
        let session = &self.seen;
        let transaction = &self.transaction;
        let mut decision = Decision {
            session: session.id.clone(),
            listener: Arc::clone(&session.listener),
            hostname: Arc::clone(&session.hostname),
            server_ip: session.server_ip,
            client: client(session),
            helo: session.helo.clone(),
            helo_verb: session.helo_verb,
            tls: session.tls.as_ref().map(tls),
            auth: login(&session.auth),
            logins: self.logins.clone(),
            stages: self.session.iter().chain(&transaction.stages).cloned().collect(),
            generation: Arc::clone(&self.generation),
            truncated: transaction.truncated,
            ..Decision::default()
        };
        if let Some(mail) = &transaction.mail {
            decision.transaction.clone_from(&mail.id);
            decision.mail = Some(self::mail(mail));
            decision.recipients.clone_from(&transaction.taken);
        }
        if let Some(message) = &transaction.message {
            decision.size = message.size;
            decision.header = stages::header(message, self.headers);
            let authors = message.header.from_addresses().list;
            decision.authors = authors.into_iter().map(|author| author.address).collect();
        }
        decision
    }

    /// The same about the whole transaction: every recipient is in it.
    pub fn whole(&mut self, transaction: &session::Transaction) -> Decision {
        self.look(transaction);
        let mut decision = self.decision();
        decision.kind = Kind::Transaction;
        decision.recipients.append(&mut self.transaction.refused);
        decision
    }

    /// A recipient whose copy goes elsewhere, with the rule that said so.
    fn set_aside(&self, aside: &SetAside, outcome: &'static str) -> Recipient {
        let SetAside { rcpt, reason } = aside;
        Recipient {
            rule: Arc::clone(&reason.rule),
            place: reason.place.clone().unwrap_or_default(),
            order: reason.detail.clone(),
            ..self.taken(&rcpt.path, outcome)
        }
    }

    /// A recipient that was not refused, as policies saw it.
    fn taken(&self, path: &ForwardPath, outcome: &'static str) -> Recipient {
        let address = Address::from(path).original().to_owned();
        let mut asked = self.transaction.stages.iter().filter_map(|stage| stage.rcpt.as_ref());
        let asked = asked.find(|rcpt| rcpt.address == address).cloned();
        let seen = || {
            let mail = self.transaction.mail.as_deref()?;
            let mut all = mail.recipients.iter().chain(&mail.discarded).chain(&mail.quarantined);
            all.find(|rcpt| rcpt.address.original() == address).map(|rcpt| stages::rcpt(rcpt))
        };
        let rcpt = asked.or_else(seen).unwrap_or_else(|| Rcpt { address, ..Rcpt::default() });
        Recipient { rcpt, outcome, ..Recipient::default() }
    }
}

/// Adds a login unless it is there, or there are as many as stages are kept.
fn note_login(logins: &mut Vec<String>, user: &str) {
    if !user.is_empty() && logins.len() < MAX_STAGES && logins.iter().all(|known| known != user) {
        logins.push(user.to_owned());
    }
}

/// Puts in the sender of a MAIL that was refused before policies were asked: what is known of a transaction is of another one.
fn name_sender(decision: &mut Decision, grounds: &Grounds) {
    let Some(sender) = grounds.sender.as_ref().filter(|_| grounds.stage == Stage::Mail) else { return };
    let sender = Address::from(sender).original().to_owned();
    if decision.mail.as_ref().is_none_or(|mail| mail.sender != sender) {
        decision.mail = Some(Mail { sender, ..Mail::default() });
        decision.transaction = String::new();
        decision.recipients = Vec::new();
    }
}

/// Now, or as near to it as can be written.
pub fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_default()
}

/// Why something was refused, as it is kept.
pub fn deciding(stage: Stage, reason: &Reason) -> Deciding {
    Deciding {
        source: reason.source.name(),
        rule: Arc::clone(&reason.rule),
        stage: stage.name(),
        place: reason.place.clone().unwrap_or_default(),
        detail: reason.detail.clone(),
        said: reason.command().unwrap_or_default().to_owned(),
    }
}

fn client(session: &SessionScene) -> Client {
    Client {
        ip: session.client.ip,
        port: session.client.port,
        name: session.client.name.clone(),
        told_name: session.client.name.clone(),
        trusted: session.trusted,
    }
}

fn tls(tls: &TlsScene) -> Tls {
    Tls {
        version: tls.version.clone(),
        cipher: tls.cipher.clone(),
        group: tls.group.clone(),
        sni: tls.sni.clone(),
        client_name: tls.client_name.clone(),
        client_subject: tls.client_subject.clone(),
        client_fingerprint: tls.client_fingerprint.clone(),
        verified: tls.verified,
    }
}

fn login(auth: &AuthScene) -> Option<Login> {
    let login = || Login { user: auth.user.clone(), mechanism: auth.mechanism.clone() };
    (!auth.mechanism.is_empty()).then(login)
}

/// A login that was refused, as policies would have seen it.
fn tried(login: &auth::Login) -> Login {
    Login { user: login.user.clone(), mechanism: login.mechanism.name().to_lowercase() }
}

fn mail(mail: &MailScene) -> Mail {
    Mail {
        sender: mail.sender.original().to_owned(),
        size: declared(mail),
        body: mail.body,
        smtputf8: mail.smtputf8,
        requiretls: mail.requiretls,
        ret: mail.ret,
        envid: mail.envid.clone(),
        parameters: mail.parameters.iter().map(parameter).collect(),
    }
}

/// SIZE as it was declared: at `message`, policies see the true size in its place.
fn declared(mail: &MailScene) -> u64 {
    let size = mail.parameters.iter().find(|param| param.keyword == "SIZE");
    size.and_then(|size| size.value.as_ref()?.parse().ok()).unwrap_or_default()
}

fn parameter(param: &Param) -> String {
    match &param.value {
        Some(value) => format!("{}={value}", param.keyword),
        None => param.keyword.clone(),
    }
}

impl From<&RcptScene> for Rcpt {
    fn from(rcpt: &RcptScene) -> Self {
        Self {
            address: rcpt.address.original().to_owned(),
            is_ours: rcpt.is_ours,
            notify: rcpt.notify.clone(),
            orcpt: rcpt.orcpt.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_noted_once_and_not_without_end() {
        let mut logins = Vec::new();
        for user in ["joe", "", "suzie", "joe"] {
            note_login(&mut logins, user);
        }
        assert_eq!(logins, ["joe", "suzie"]);
        (0..2 * MAX_STAGES).for_each(|user| note_login(&mut logins, &user.to_string()));
        assert_eq!(logins.len(), MAX_STAGES);
    }
}
