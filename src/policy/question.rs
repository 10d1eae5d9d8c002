//! What a script may ask of the world outside, and the shape of the answers.

mod answer;
mod state;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, HttpReply, Listed, Lookup, Rspamd, Scan};
pub use self::state::{Ask, GreylistAnswer, RateAnswer, RateLimit, StateQuestion, lasting};
use crate::checks::results::{ArcChain, CheckResult, Dkim, Dmarc, Spf};

/// What is known of the world without waiting for it.
pub trait Known: fmt::Debug + Send + Sync {
    /// The answer to `question`, if it is there at this moment. Asked while a script runs: it takes no time, nothing happens by it, and
    /// what can only be found out by waiting is `None`.
    fn known(&self, question: &Question) -> Option<Answer>;
}

/// A fact that a script asked for.
///
/// Equal questions have equal answers, for as long as the session's [`Memory`](super::Memory) keeps them.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A DNS look-up; the name in lower case, in A-labels, without a trailing dot (`dns_ptr` of an address: that address).
    Dns(RecordType, String),
    /// `mail_hosts(domain)`: where mail for this domain goes (RFC 5321 5.1, RFC 7505).
    MailHosts(String),
    /// `fcrdns(session)`: does the client's name lead back to it?
    Fcrdns,
    /// SPF of the HELO identity.
    HeloSpf,
    /// SPF of the MAIL FROM identity.
    Spf,
    /// All DKIM signatures of the message.
    Dkim,
    /// DMARC of the message.
    Dmarc,
    /// ARC of the message.
    Arc,
    /// `rate`, `greylist`, `remember` and `remembered`.
    State(StateQuestion),
    /// `now()`: seconds since 1970.
    Now,
    /// `random()`: from 0 up to 1.
    Random,
    /// `dnsbl` and `dnswl`: which of these lists have which of these on them (RFC 5782).
    Listed(Vec<Listable>, Vec<Zone>),
    /// `http_get(url)`.
    HttpGet(String),
    /// `http_post(url, map)`, which happens once each time that a policy comes by.
    HttpPost {
        /// Where to.
        url: String,
        /// The JSON document.
        body: String,
        /// The policy that posts.
        policy: Arc<str>,
        /// Which of its equal posts at this stage it is, from 0.
        nth: u32,
    },
    /// `clamd(message)`.
    Clamd,
    /// `rspamd(message)`.
    Rspamd,
    /// What the message holds: parts, attachments, URLs.
    Contents,
}

/// Subjects that one question about lists may have: as many as a message has URLs.
pub const MAX_SUBJECTS: usize = crate::message::mime::MAX_URLS;
/// Lists that one question may ask.
pub const MAX_ZONES: usize = 16;

/// What can be on a list.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listable {
    /// An address (RFC 5782 2).
    Address(IpAddr),
    /// A domain (RFC 5782 3), in lower case.
    Domain(String),
}

impl fmt::Display for Listable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Domain(domain) => f.write_str(domain),
        }
    }
}

/// A list.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    /// Its zone, in lower case.
    pub name: String,
    /// Whether it stands in a script or a setting, so that it may be a label.
    pub known: bool,
}

/// The record types that scripts can ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers, best first.
    Mx,
    /// Texts, the strings of each record joined.
    Txt,
    /// Names of an address.
    Ptr,
}

/// What is kept for each of some questions. They are few, whoever chooses them, so that the hash may be a fast one.
pub(super) type ByQuestion<T> = HashMap<Question, T, foldhash::fast::RandomState>;

impl Question {
    /// The word of the script API that asks it: a function, or `object.property`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Dns(record, _) => record.word(),
            Self::MailHosts(_) => "mail_hosts",
            Self::Fcrdns => "fcrdns",
            Self::HeloSpf => "mail.helo_spf",
            Self::Spf => "mail.spf",
            Self::Dkim => "message.dkim",
            Self::Dmarc => "message.dmarc",
            Self::Arc => "message.arc",
            Self::State(question) => question.ask.word(),
            Self::Now => "now",
            Self::Random => "random",
            Self::Listed(..) => "dnsbl",
            Self::HttpGet(_) => "http_get",
            Self::HttpPost { .. } => "http_post",
            Self::Clamd => "clamd",
            Self::Rspamd => "rspamd",
            Self::Contents => "message.parts",
        }
    }

    /// What it is about, as the script gave it; empty where the session says it. It may hold text of the client's.
    pub fn arguments(&self) -> String {
        match self {
            Self::Dns(_, name) | Self::MailHosts(name) => name.clone(),
            Self::State(question) => question.ask.arguments(),
            Self::HttpGet(url) | Self::HttpPost { url, .. } => url.clone(),
            Self::Listed(subjects, zones) => {
                let subjects: Vec<_> = subjects.iter().map(ToString::to_string).collect();
                let zones: Vec<_> = zones.iter().map(|zone| zone.name.as_str()).collect();
                format!("{} at {}", subjects.join(", "), zones.join(", "))
            }
            Self::Fcrdns
            | Self::HeloSpf
            | Self::Spf
            | Self::Dkim
            | Self::Dmarc
            | Self::Arc
            | Self::Now
            | Self::Random
            | Self::Clamd
            | Self::Rspamd
            | Self::Contents => String::new(),
        }
    }

    /// Whether asking it changes nothing anywhere and is cheap, so that it may be asked before a script gets there.
    pub const fn is_cheap(&self) -> bool {
        match self {
            Self::Dns(..)
            | Self::MailHosts(_)
            | Self::Fcrdns
            | Self::HeloSpf
            | Self::Spf
            | Self::Listed(..) => true,
            Self::Dkim
            | Self::Dmarc
            | Self::Arc
            | Self::Now
            | Self::Random
            | Self::State(_)
            | Self::HttpGet(_)
            | Self::HttpPost { .. }
            | Self::Clamd
            | Self::Rspamd
            | Self::Contents => false,
        }
    }

    /// Whether asking it changes nothing anywhere.
    pub const fn is_pure(&self) -> bool {
        !matches!(self, Self::State(_) | Self::HttpPost { .. })
    }

    /// The answer where none can be found, or not in time.
    pub fn unanswered(&self) -> Answer {
        match self {
            Self::Dns(..) | Self::MailHosts(_) | Self::Fcrdns => {
                Lookup { result: "error", values: Vec::new() }.into()
            }
            Self::HeloSpf | Self::Spf => Spf { result: CheckResult::TempError, ..Spf::default() }.into(),
            Self::Dkim => vec![Dkim { result: CheckResult::TempError, ..Dkim::default() }].into(),
            Self::Dmarc => Dmarc { result: CheckResult::TempError, ..Dmarc::default() }.into(),
            Self::Arc => ArcChain { result: CheckResult::TempError, ..ArcChain::default() }.into(),
            Self::Now => Answer::Now(0),
            Self::Random => Answer::Random(0.0),
            Self::Listed(subjects, zones) => {
                let one = |zone: &Zone, subject: &Listable| Listed {
                    zone: zone.name.clone(),
                    subject: subject.to_string(),
                    codes: Vec::new(),
                    error: Some("no answer in time".to_owned()),
                };
                let all =
                    zones.iter().flat_map(|zone| subjects.iter().map(move |subject| one(zone, subject)));
                Answer::Listed(Arc::new(all.collect()))
            }
            Self::HttpGet(_) | Self::HttpPost { .. } => Answer::Http(Arc::default()),
            Self::Clamd => Answer::Scan(Arc::default()),
            Self::Rspamd => Answer::Rspamd(Arc::default()),
            Self::Contents => Answer::Contents(None),
            Self::State(question) => question.ask.unanswered(),
        }
    }
}

impl RecordType {
    const fn word(self) -> &'static str {
        match self {
            Self::A => "dns_a",
            Self::Aaaa => "dns_aaaa",
            Self::Mx => "dns_mx",
            Self::Txt => "dns_txt",
            Self::Ptr => "dns_ptr",
        }
    }
}
