//! What a script may ask of the world outside, and the shape of the answers.

mod state;

use std::fmt::Write as _;
use std::sync::Arc;

pub use self::state::{Ask, GreylistAnswer, RateAnswer, RateLimit, StateQuestion, lasting};
use crate::checks::results::{ArcChain, CheckResult, Dkim, Dmarc, Spf};

/// A fact that a script asked for.
///
/// Equal questions have equal answers, for as long as the session's [`Memory`](super::Memory) keeps them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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
}

/// The record types that scripts can ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
        }
    }

    /// What it is about, as the script gave it; empty where the session says it. It may hold text of the client's.
    pub fn arguments(&self) -> String {
        match self {
            Self::Dns(_, name) | Self::MailHosts(name) => name.clone(),
            Self::State(question) => question.ask.arguments(),
            Self::Fcrdns
            | Self::HeloSpf
            | Self::Spf
            | Self::Dkim
            | Self::Dmarc
            | Self::Arc
            | Self::Now
            | Self::Random => String::new(),
        }
    }

    /// Whether asking it changes nothing anywhere, so that it may be asked before a script gets there.
    pub const fn is_pure(&self) -> bool {
        match self {
            Self::Dns(..)
            | Self::MailHosts(_)
            | Self::Fcrdns
            | Self::HeloSpf
            | Self::Spf
            | Self::Dkim
            | Self::Dmarc
            | Self::Arc
            | Self::Now
            | Self::Random => true,
            Self::State(_) => false,
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

/// The answer to a [`Question`] of the same kind. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To `Dns`, `MailHosts` and `Fcrdns`.
    Lookup(Arc<Lookup>),
    /// To `HeloSpf` and `Spf`.
    Spf(Arc<Spf>),
    /// To `Dkim`.
    Dkim(Arc<Vec<Dkim>>),
    /// To `Dmarc`.
    Dmarc(Arc<Dmarc>),
    /// To `Arc`.
    Arc(Arc<ArcChain>),
    /// To `State` with a `Rate`.
    Rate(RateAnswer),
    /// To `State` with a `Greylist`.
    Greylist(GreylistAnswer),
    /// To `State` with a `Remember` (`ok` or `error`) or `Remembered` (`yes`, `no` or `error`).
    Remembered(&'static str),
    /// To `Now`.
    Now(i64),
    /// To `Random`.
    Random(f64),
}

impl Answer {
    /// Whether somebody could not be asked, which may be over soon.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Lookup(lookup) => lookup.result == "error",
            Self::Spf(spf) => spf.result == CheckResult::TempError,
            Self::Dmarc(dmarc) => dmarc.result == CheckResult::TempError,
            Self::Arc(chain) => chain.result == CheckResult::TempError,
            Self::Rate(rate) => rate.result == "error",
            Self::Greylist(seen) => seen.result == "error",
            Self::Remembered(result) => *result == "error",
            Self::Dkim(_) | Self::Now(_) | Self::Random(_) => false,
        }
    }

    /// The result in the words of scripts, with the values that explain it. It may hold text of others'.
    pub fn summary(&self) -> String {
        match self {
            Self::Lookup(lookup) => with_values(lookup.result, &lookup.values),
            Self::Spf(spf) => with_values(spf.result.name(), [&spf.domain]),
            Self::Dkim(signatures) => {
                let one = |dkim: &Dkim| with_values(dkim.result.name(), [&dkim.domain]);
                signatures.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            Self::Dmarc(dmarc) => with_values(dmarc.result.name(), [&dmarc.domain]),
            Self::Arc(chain) => with_values(chain.result.name(), &chain.sealers),
            Self::Rate(rate) => with_values(rate.result, [&rate.count.to_string()]),
            Self::Greylist(seen) if seen.remaining > 0 => {
                with_values(seen.result, [&format!("{}s left", seen.remaining)])
            }
            Self::Greylist(seen) => seen.result.to_owned(),
            Self::Remembered(result) => (*result).to_owned(),
            Self::Now(seconds) => seconds.to_string(),
            Self::Random(number) => number.to_string(),
        }
    }
}

impl From<Lookup> for Answer {
    fn from(lookup: Lookup) -> Self {
        Self::Lookup(Arc::new(lookup))
    }
}

impl From<Spf> for Answer {
    fn from(spf: Spf) -> Self {
        Self::Spf(Arc::new(spf))
    }
}

impl From<Vec<Dkim>> for Answer {
    fn from(signatures: Vec<Dkim>) -> Self {
        Self::Dkim(Arc::new(signatures))
    }
}

impl From<Dmarc> for Answer {
    fn from(dmarc: Dmarc) -> Self {
        Self::Dmarc(Arc::new(dmarc))
    }
}

impl From<ArcChain> for Answer {
    fn from(chain: ArcChain) -> Self {
        Self::Arc(Arc::new(chain))
    }
}

/// Values that a summary shows at most.
const MAX_SHOWN: usize = 8;

/// `result` with what there is beside it, in brackets.
fn with_values<'v>(result: &str, values: impl IntoIterator<Item = &'v String>) -> String {
    let mut text = result.to_owned();
    let mut values = values.into_iter().filter(|value| !value.is_empty());
    let shown: Vec<_> = values.by_ref().take(MAX_SHOWN).map(String::as_str).collect();
    if !shown.is_empty() {
        let more = if values.next().is_some() { ", ..." } else { "" };
        _ = write!(text, " ({}{more})", shown.join(", "));
    }
    text
}

/// A look-up's result and the values that it brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lookup {
    /// A word of the closed set that the question has (`ok`, `none`, `nxdomain`, `null_mx`, `pass`, `fail`, `error`).
    pub result: &'static str,
    /// Addresses, names or texts.
    pub values: Vec<String>,
}
