//! What the world outside answers.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{GreylistAnswer, RateAnswer};
use crate::checks::results::{ArcChain, CheckResult, Dkim, Dmarc, Spf};
use crate::message::mime::Contents;
use crate::serial::{Word, word};

/// The answer to a [`Question`](super::Question) of the same kind. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    Remembered(#[serde(deserialize_with = "word::deserialize")] Word),
    /// To `Now`.
    Now(i64),
    /// To `Random`.
    Random(f64),
    /// To `Listed`: one for each subject and list.
    Listed(Arc<Vec<Listed>>),
    /// To `HttpGet` and `HttpPost`.
    Http(Arc<HttpReply>),
    /// To `Clamd`.
    Scan(Arc<Scan>),
    /// To `Rspamd`.
    Rspamd(Arc<Rspamd>),
    /// To `Contents`; `None` if the message could not be read.
    Contents(Option<Arc<Contents>>),
}

impl Answer {
    /// Whether somebody could not be asked, which may be over soon.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Lookup(lookup) => lookup.result == "error",
            Self::Spf(spf) => spf.result == CheckResult::TempError,
            Self::Dmarc(dmarc) => dmarc.result == CheckResult::TempError,
            Self::Arc(chain) => chain.result == CheckResult::TempError,
            Self::Listed(listed) => listed.iter().any(|listed| listed.error.is_some()),
            Self::Http(reply) => reply.result == "error",
            Self::Scan(scan) => scan.result == "error",
            Self::Rspamd(found) => found.result == "error",
            Self::Contents(contents) => contents.is_none(),
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
            Self::Listed(listed) => listed_summary(listed),
            Self::Http(reply) => format!("{} ({})", reply.result, reply.status),
            Self::Scan(scan) => with_values(scan.result, [&scan.name]),
            Self::Rspamd(found) => format!("{} ({} {})", found.result, found.action, found.score),
            Self::Contents(None) => "error".to_owned(),
            Self::Contents(Some(contents)) => {
                format!("{} parts, {} URLs", contents.parts.len(), contents.urls.len())
            }
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

/// The lists that know something, or failed.
fn listed_summary(listed: &[Listed]) -> String {
    let one = |listed: &Listed| match &listed.error {
        Some(error) => Some(format!("{} {}: {error}", listed.zone, listed.subject)),
        None if listed.codes.is_empty() => None,
        None => {
            let codes: Vec<_> = listed.codes.iter().map(ToString::to_string).collect();
            Some(format!("{} {}: {}", listed.zone, listed.subject, codes.join(", ")))
        }
    };
    let told: Vec<_> = listed.iter().filter_map(one).collect();
    if told.is_empty() { "not_listed".to_owned() } else { with_values("told", &told) }
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
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lookup {
    /// A word of the closed set that the question has (`ok`, `none`, `nxdomain`, `null_mx`, `pass`, `fail`, `error`).
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// Addresses, names or texts.
    pub values: Vec<String>,
}

/// What a list said about a subject.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The list.
    pub zone: String,
    /// What was asked about.
    pub subject: String,
    /// The addresses in 127.0.0.0/8 that it answered with; none if the subject is not listed.
    pub codes: Vec<Ipv4Addr>,
    /// Why it could not be asked, or its answer is none.
    pub error: Option<String>,
}

/// What a web service answered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HttpReply {
    /// `ok` for a 2xx that came whole, else `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// 0 if none came.
    pub status: u16,
    /// The body; where none came, why.
    pub body: String,
}

impl Default for HttpReply {
    fn default() -> Self {
        Self { result: "error", status: 0, body: String::new() }
    }
}

/// What a virus scanner said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    /// `clean`, `infected` or `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// What it is infected with; why it could not be scanned.
    pub name: String,
}

impl Default for Scan {
    fn default() -> Self {
        Self { result: "error", name: String::new() }
    }
}

/// What rspamd said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rspamd {
    /// `ok` or `error`.
    #[serde(deserialize_with = "word::deserialize")]
    pub result: Word,
    /// What it would do, in its own words (`reject`, `add header`, `no action`...); empty after an error.
    pub action: String,
    /// The score.
    pub score: f64,
    /// The symbols with their scores; after an error, none.
    pub symbols: Vec<(String, f64)>,
}

impl Default for Rspamd {
    fn default() -> Self {
        Self { result: "error", action: String::new(), score: 0.0, symbols: Vec::new() }
    }
}
