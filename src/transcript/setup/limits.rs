//! Limits and times of a session's and the upstream's, as a transcript sets them.

use std::time::Duration;

use super::super::words::{Mistake, Word, Words};
use crate::smtp::text_line::TEXT_LINE;
use crate::upstream::Timeouts;

/// A limit or a time of the session's or the upstream's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::transcript) enum Limit {
    MessageSize(u64),
    HeaderSize(usize),
    Recipients(usize),
    Errors(u32),
    /// Failed logins.
    AuthFailures(u32),
    /// RSET, NOOP and the like without a message between them.
    Junk(u32),
    Transactions(u32),
    /// Octets of a line of a message, without its CRLF.
    TextLine(Option<usize>),
    /// Octets of a message a second.
    MinDataRate(u64),
    Command(Duration),
    Data(Duration),
    Session(Duration),
    Upstream(UpstreamStep, Duration),
    /// Sessions whose replies are delayed at once.
    Tarpits(usize),
}

/// What the upstream may take some time for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::transcript) enum UpstreamStep {
    Connect,
    Reply,
    EndOfData,
}

impl UpstreamStep {
    pub(in crate::transcript) const fn set(self, timeouts: &mut Timeouts, time: Duration) {
        match self {
            Self::Connect => timeouts.connect = time,
            Self::Reply => timeouts.reply = time,
            Self::EndOfData => timeouts.end_of_data = time,
        }
    }
}

/// `limit errors 3`.
pub(super) fn limit(words: &mut Words<'_>) -> Result<Limit, Mistake> {
    type Value = fn(Word<'_>) -> Result<Limit, Mistake>;
    const LIMITS: [(&str, Value); 16] = [
        ("message_size", |word| word.bytes().map(Limit::MessageSize)),
        ("header_size", |word| {
            word.bytes().map(|octets| Limit::HeaderSize(octets.try_into().unwrap_or(usize::MAX)))
        }),
        ("recipients", |word| word.parse("a number").map(Limit::Recipients)),
        ("errors", |word| word.parse("a number").map(Limit::Errors)),
        ("auth_failures", |word| word.parse("a number").map(Limit::AuthFailures)),
        ("junk", |word| word.parse("a number").map(Limit::Junk)),
        ("transactions", |word| word.parse("a number").map(Limit::Transactions)),
        ("line_length", |word| {
            let choice = [("off", None), ("reject", Some(TEXT_LINE))];
            word.choose("line length", &choice).map(Limit::TextLine)
        }),
        ("min_data_rate", |word| word.bytes().map(Limit::MinDataRate)),
        ("tarpits", |word| word.parse("a number").map(Limit::Tarpits)),
        ("command", |word| word.duration().map(Limit::Command)),
        ("data", |word| word.duration().map(Limit::Data)),
        ("session", |word| word.duration().map(Limit::Session)),
        ("upstream_connect", |word| Ok(Limit::Upstream(UpstreamStep::Connect, word.duration()?))),
        ("upstream_reply", |word| Ok(Limit::Upstream(UpstreamStep::Reply, word.duration()?))),
        ("upstream_end_of_data", |word| Ok(Limit::Upstream(UpstreamStep::EndOfData, word.duration()?))),
    ];
    let read = words.expect("the limit's name")?.choose("limit", &LIMITS)?;
    read(words.expect("the limit's value")?)
}
