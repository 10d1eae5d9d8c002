//! What a replay reads of a decision: what policies saw, the facts that they got, and what they said.
//!
//! More than half of a line is told to people only: rules that had no objection, settings that were read, what each policy cost. A
//! replay passes over that.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::record::{Checks, Client, Fact, Header, Login, Mail, Rcpt, Recipient, Tls, VerdictRecord};
use crate::serial::{Word, time, word};

/// A [`Decision`](super::super::Decision), as far as it is judged again; the keys are the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Recorded {
    /// Its id, to show it as an example.
    pub id: String,
    pub(super) transaction: String,
    pub(super) session: String,
    pub(super) listener: Arc<str>,
    pub(super) hostname: Arc<str>,
    pub(super) server_ip: Option<IpAddr>,
    pub(super) client: Client,
    pub(super) helo: String,
    #[serde(deserialize_with = "word::deserialize")]
    pub(super) helo_verb: Word,
    pub(super) tls: Option<Tls>,
    pub(super) auth: Option<Login>,
    pub(super) mail: Option<Mail>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) size: u64,
    pub(super) checks: Checks,
    pub(super) header: Option<Header>,
    pub(super) stages: Vec<RecordedStage>,
    pub(super) truncated: bool,
    pub(super) redacted: bool,
}

/// One of its stages.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct RecordedStage {
    #[serde(deserialize_with = "word::deserialize")]
    pub(super) stage: Word,
    #[serde(with = "time")]
    pub(super) at: Timestamp,
    #[serde(deserialize_with = "word::deserialize")]
    pub(super) event: Word,
    pub(super) tls: bool,
    pub(super) helo: bool,
    pub(super) auth: bool,
    pub(super) errors: u64,
    pub(super) recipients_refused: u64,
    pub(super) transactions: u64,
    pub(super) rcpt: Option<Rcpt>,
    pub(super) accepted: usize,
    pub(super) facts: Vec<Fact>,
    pub(super) verdict: VerdictRecord,
}
