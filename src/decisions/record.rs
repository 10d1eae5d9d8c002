//! A decision as it is kept: the schema of the JSON lines, which `config/decisions.md` explains.
//!
//! Names and meanings of keys are stable within a version; new keys may come. What is empty is left out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checks::results::{Iprev, MessageResults, Spf};
use crate::serial::{Word, is_default, micros, time, word};

mod stage;

pub use stage::{Cost, Effect, Fact, Fault, Read, Rule, StageRecord, VerdictRecord};

/// The version of the schema.
pub const VERSION: u32 = 1;

/// What was decided, and everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decision {
    /// The version of the schema: [`VERSION`].
    pub version: u32,
    /// Ten base32 characters: in the refusal's reply, or in the `Received` field of a message.
    pub id: String,
    /// What was decided about.
    pub kind: Kind,
    /// The id of the transaction that it belongs to, as in the `Received` field; empty outside a transaction.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub transaction: String,
    /// The session's id.
    pub session: String,
    /// When it was decided.
    #[serde(with = "time")]
    pub at: Timestamp,
    /// From MAIL, or from the connection where there was no MAIL, to the decision.
    #[serde(rename = "took_us", with = "micros")]
    pub took: Duration,
    /// The listener's name.
    pub listener: Arc<str>,
    /// Our own host name.
    pub hostname: Arc<str>,
    /// Our own address, to which the client connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_ip: Option<IpAddr>,
    /// Who connected.
    pub client: Client,
    /// What the client calls itself, in lower case; empty before HELO.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub helo: String,
    /// `HELO` or `EHLO`; empty before.
    #[serde(skip_serializing_if = "str::is_empty", deserialize_with = "word::deserialize")]
    pub helo_verb: Word,
    /// The TLS connection; absent in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who logged in; absent without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Login>,
    /// The login that was refused; absent where it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Login>,
    /// The MAIL command; absent outside a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// The recipients with what became of each, at most a hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Recipient>,
    /// Octets of the message, as far as it arrived.
    #[serde(skip_serializing_if = "is_default")]
    pub size: u64,
    /// What the checks found, as far as they were asked.
    #[serde(skip_serializing_if = "is_default")]
    pub checks: Checks,
    /// What is kept of the message's header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The addresses of From, until the decision is kept: what is redacted has to be known, whatever is kept of the header.
    #[serde(skip)]
    pub authors: Vec<String>,
    /// Logins of the session by then, refused ones among them, until the decision is kept: what earlier stages asked and heard is in it.
    #[serde(skip)]
    pub logins: Vec<String>,
    /// The stages at which policies were asked, in order. Of earlier recipients only those that were accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecord>,
    /// More stages or recipients than are kept: a replay does not know all.
    #[serde(skip_serializing_if = "is_default")]
    pub truncated: bool,
    /// `rejected`, `deferred`, `accepted`, `discarded`, `quarantined`, `aborted`, or `none` for a transaction without a message.
    #[serde(deserialize_with = "word::deserialize")]
    pub outcome: Word,
    /// Whose word it was; absent where nobody objected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Deciding>,
    /// What the client was told, with code and id; empty when nothing was said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// The upstream's part in it; absent when none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamPart>,
    /// The generation of policies: the beginning of its fingerprint.
    pub generation: Arc<str>,
    /// Local parts of addresses were taken out before it was kept.
    #[serde(skip_serializing_if = "is_default")]
    pub redacted: bool,
    /// Nobody sent the message: it was judged as if it had come, and the decision is kept nowhere.
    #[serde(skip_serializing_if = "is_default")]
    pub rehearsal: bool,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One command that was refused.
    #[default]
    Refusal,
    /// A whole transaction, refused or not.
    Transaction,
}

/// Who connected.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its verified name, as far as it was known by then.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The verified name that a hop told, which policies see without asking.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub told_name: String,
    /// Whether it is in one of the trusted networks.
    #[serde(skip_serializing_if = "is_default")]
    pub trusted: bool,
}

/// The TLS connection of a client.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// The key exchange group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The server name that the client asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sni: String,
    /// The first name in the client's certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// The subject of that certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_subject: String,
    /// Its SHA-256 fingerprint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_fingerprint: String,
    /// Whether it was issued by the listener's authority.
    #[serde(skip_serializing_if = "is_default")]
    pub verified: bool,
}

/// Who logged in.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Login {
    /// The login as it was said; empty where the mechanism does not show it.
    pub user: String,
    /// The SASL mechanism in lower case.
    pub mechanism: String,
}

/// MAIL with what it declared.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mail {
    /// The sender; empty for `<>`.
    pub sender: String,
    /// SIZE as declared; 0 when it was not.
    #[serde(skip_serializing_if = "is_default")]
    pub size: u64,
    /// `7bit`, `8bitmime` or `binarymime`.
    #[serde(deserialize_with = "word::deserialize")]
    pub body: Word,
    /// SMTPUTF8 was declared.
    #[serde(skip_serializing_if = "is_default")]
    pub smtputf8: bool,
    /// REQUIRETLS was declared.
    #[serde(skip_serializing_if = "is_default")]
    pub requiretls: bool,
    /// RET: `full`, `hdrs` or empty.
    #[serde(skip_serializing_if = "str::is_empty", deserialize_with = "word::deserialize")]
    pub ret: Word,
    /// ENVID in xtext.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub envid: String,
    /// Every parameter as it was written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

/// RCPT, as policies see it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rcpt {
    /// The recipient.
    pub address: String,
    /// Whether its domain is one of ours.
    #[serde(skip_serializing_if = "is_default")]
    pub is_ours: bool,
    /// NOTIFY in lower case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notify: String,
    /// ORCPT in xtext.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub orcpt: String,
}

/// A recipient with what became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipient {
    /// The recipient itself.
    #[serde(flatten)]
    pub rcpt: Rcpt,
    /// `accepted`, `rejected`, `deferred`, `discarded` or `quarantined`.
    #[serde(deserialize_with = "word::deserialize")]
    pub outcome: Word,
    /// The rule, limit or step that refused it, or the rule that set it aside; empty when it was accepted.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub rule: Arc<str>,
    /// `file:line` of that, for a policy.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub place: Arc<str>,
    /// What the rule that set it aside says to the operator.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// The decision that refused it; empty where none did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// What the client was told of it, where that was a refusal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply: String,
}

/// What the checks found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// SPF of the HELO identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helo_spf: Option<Arc<Spf>>,
    /// SPF of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spf: Option<Arc<Spf>>,
    /// DKIM, DMARC and ARC, once the message was complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<MessageResults>>,
    /// Whether the client's name leads back to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iprev: Option<Iprev>,
}

/// What is kept of a header.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Its octets.
    pub size: u64,
    /// How many `Received` fields it has.
    pub received: u64,
    /// The whole of it is here. Else only fields with one of `known` names are.
    pub whole: bool,
    /// The names (lower case) of which every field is here, or none was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// The fields in their order, each as it came, with its line ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// Whose word a refusal was.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deciding {
    /// `policy`, `limit`, `protocol`, `upstream` or `internal`.
    #[serde(deserialize_with = "word::deserialize")]
    pub source: Word,
    /// `policy.rule`, the limit, the breach of the protocol, or the upstream's step.
    pub rule: Arc<str>,
    /// The stage at which it was said.
    #[serde(deserialize_with = "word::deserialize")]
    pub stage: Word,
    /// `file:line`, for a policy.
    #[serde(skip_serializing_if = "str_is_empty")]
    pub place: Arc<str>,
    /// What the operator reads beyond that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The command that broke the grammar, where that was HELO, EHLO, MAIL or RCPT: escaped, and cut at 200 octets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub said: String,
}

/// The upstream's part in a decision.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamPart {
    /// Its name in the configuration.
    pub name: String,
    /// Its reply, where it has given one; of a message the one to its end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// The name under which it queued the message, as far as its reply says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub queue_id: String,
    /// How long it took to take the message.
    #[serde(rename = "took_us", with = "micros", skip_serializing_if = "Duration::is_zero")]
    pub took: Duration,
}

fn str_is_empty(text: &Arc<str>) -> bool {
    text.is_empty()
}

impl Default for Client {
    fn default() -> Self {
        Self {
            ip: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            name: String::new(),
            told_name: String::new(),
            trusted: false,
        }
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            version: VERSION,
            id: String::new(),
            kind: Kind::default(),
            transaction: String::new(),
            session: String::new(),
            at: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
            listener: Arc::default(),
            hostname: Arc::default(),
            server_ip: None,
            client: Client::default(),
            helo: String::new(),
            helo_verb: "",
            tls: None,
            auth: None,
            tried: None,
            mail: None,
            recipients: Vec::new(),
            size: 0,
            checks: Checks::default(),
            header: None,
            authors: Vec::new(),
            logins: Vec::new(),
            stages: Vec::new(),
            truncated: false,
            outcome: "none",
            deciding: None,
            reply: String::new(),
            upstream: None,
            generation: Arc::default(),
            redacted: false,
            rehearsal: false,
        }
    }
}

impl Decision {
    /// Drops what rules would have said that might have spoken later, and did not.
    pub(super) fn drop_unsaid(&mut self) {
        let decided = self.deciding.as_ref().map(|deciding| Arc::clone(&deciding.rule)).unwrap_or_default();
        let rules = self.stages.iter_mut().flat_map(|stage| &mut stage.rules);
        for rule in rules.filter(|rule| rule.place.is_empty() && rule.rule != decided) {
            rule.words = None;
        }
    }
}

impl Recipient {
    /// Whether a policy ordered its copy to go elsewhere than to the upstream.
    pub fn is_set_aside(&self) -> bool {
        matches!(self.outcome, "discarded" | "quarantined")
    }
}

impl Decision {
    /// The rule, limit, breach or step that decided; empty where nobody objected.
    pub fn rule(&self) -> &str {
        self.deciding.as_ref().map_or("", |deciding| &deciding.rule)
    }

    /// The sender; `None` outside a transaction.
    pub fn sender(&self) -> Option<&str> {
        self.mail.as_ref().map(|mail| mail.sender.as_str())
    }

    /// Who logged in, or tried to.
    pub fn login(&self) -> Option<&Login> {
        self.tried.as_ref().or(self.auth.as_ref())
    }

    /// The recipient that was refused by it, where it was one.
    pub fn refused(&self) -> Option<&Recipient> {
        self.recipients.last().filter(|recipient| self.kind == Kind::Refusal && recipient.decision == self.id)
    }
}
