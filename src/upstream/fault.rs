//! What can go wrong with an upstream, and what a client hears of it.

use std::fmt;

use crate::smtp::needs::Need;
use crate::smtp::reply::{Code, EnhancedCode, Reply};

/// Why an upstream did not do what it was asked to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The upstream said no; its words go to the client as they are.
    #[error("refused: {}", one_line(&.0.reply))]
    Refused(Refused),
    /// The upstream does not offer what the client was promised when it asked. Nothing was said, the connection is in order.
    #[error("the upstream no longer offers what a parameter needs: {0:?}")]
    Withdrawn(Need),
    /// The upstream failed, or we did: the client hears a 4yz of ours.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A "no" of an upstream's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// What it answered: `mail`, `rcpt`, `data`, `end-of-data` and the like, a closed set.
    pub step: &'static str,
    /// What the client hears.
    pub reply: Reply,
    /// What it said, where the client hears another code: a 421 of the upstream's ends its own connection only.
    pub said: Option<Box<Reply>>,
}

impl Refused {
    /// The answer to `step`, which goes to the client as it is.
    pub(super) const fn new(step: &'static str, reply: Reply) -> Self {
        Self { step, reply, said: None }
    }

    /// A 421 as the client hears it: with a 451.
    pub(super) fn softened(step: &'static str, shutdown: Reply) -> Self {
        Self { step, reply: shutdown.clone().with_code(LATER), said: Some(Box::new(shutdown)) }
    }
}

impl Failure {
    /// What the client hears.
    pub fn reply(&self) -> Reply {
        match self {
            Self::Refused(refused) => refused.reply.clone(),
            Self::Withdrawn(need) => need.withdrawn(),
            Self::Fault(fault) => fault.reply(),
        }
    }
}

/// Something went wrong that is not the client's business. After a fault its connection is never used again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What went wrong, from a closed set.
    pub kind: FaultKind,
    /// For the operator: where, and what was seen. Printable ASCII.
    pub detail: String,
    /// The final dot was sent and its reply was not understood or never came: the upstream may have taken the
    /// message, and the client's next try may be a duplicate (RFC 1047).
    pub ambiguous: bool,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl Fault {
    /// A fault that leaves no doubt: the upstream does not have the message.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: printable(&detail.into()), ambiguous: false }
    }

    /// The same fault, but after the final dot.
    #[must_use]
    pub fn after_the_dot(mut self) -> Self {
        self.ambiguous = true;
        self
    }

    /// What the client hears: always 4yz, and nothing about the house behind the gate.
    pub fn reply(&self) -> Reply {
        let (code, enhanced, text) = self.kind.words();
        Reply::new(code, Some(enhanced), text)
    }
}

/// The closed set of things that go wrong, as labels of metrics and in logs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// No address could be connected to.
    Connect,
    /// The banner or the answer to EHLO was a refusal.
    Greeting,
    /// TLS was required and not to be had, or its handshake failed.
    Tls,
    /// The client's identity is to be handed over and could not be.
    Identity,
    /// A deadline passed.
    Timeout,
    /// The connection was closed or reset.
    Lost,
    /// What came was no reply, or one without end.
    Garbled,
    /// A reply of a class that does not answer the command.
    Unexpected,
    /// Bytes that answer nothing were there before a command.
    Desync,
    /// The upstream spoke before the message was complete.
    EarlyReply,
    /// After a reconnect the upstream did not take the same envelope again.
    Replay,
    /// The upstream no longer offers what the client was promised.
    Capability,
    /// The spooled message could not be read.
    Spool,
    /// The Maildir could not be written.
    Store,
    /// The Maildir's disk is full.
    NoSpace,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Greeting,
        Self::Tls,
        Self::Identity,
        Self::Timeout,
        Self::Lost,
        Self::Garbled,
        Self::Unexpected,
        Self::Desync,
        Self::EarlyReply,
        Self::Replay,
        Self::Capability,
        Self::Spool,
        Self::Store,
        Self::NoSpace,
    ];

    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "unreachable",
            Self::Greeting => "greeting",
            Self::Tls => "tls",
            Self::Identity => "identity",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Garbled => "garbled",
            Self::Unexpected => "unexpected",
            Self::Desync => "desync",
            Self::EarlyReply => "early_reply",
            Self::Replay => "replay",
            Self::Capability => "capability",
            Self::Spool => "spool",
            Self::Store => "store",
            Self::NoSpace => "no_space",
        }
    }

    /// Code, enhanced code (RFC 3463) and words for the client.
    const fn words(self) -> (Code, EnhancedCode, &'static str) {
        let (subject, detail, text) = match self {
            Self::Connect | Self::Greeting => (4, 1, "The mail server is not reachable; try again later"),
            Self::Timeout | Self::Lost | Self::Replay => {
                (4, 2, "The connection to the mail server was lost; try again later")
            }
            Self::Tls | Self::Identity | Self::Capability => {
                (3, 5, "The mail server cannot be used as configured; try again later")
            }
            Self::Garbled | Self::Unexpected | Self::Desync | Self::EarlyReply => {
                (5, 0, "The mail server gave no valid answer; try again later")
            }
            Self::Spool | Self::Store => (3, 0, "The message could not be stored; try again later"),
            Self::NoSpace => (3, 1, "Not enough space for this message; try again later"),
        };
        let code = if matches!(self, Self::NoSpace) { FULL } else { LATER };
        (code, EnhancedCode::new(4, subject, detail), text)
    }
}

const LATER: Code = Code::literal::<451>();
const FULL: Code = Code::literal::<452>();

/// A reply on one line, for a fault's detail.
pub(super) fn one_line(reply: &Reply) -> String {
    let enhanced = reply.enhanced().map_or_else(String::new, |enhanced| format!("{enhanced} "));
    format!("{} {enhanced}{}", reply.code().get(), reply.lines().join(" / "))
}

/// At most 300 characters, none of them able to forge a line of a log.
fn printable(text: &str) -> String {
    text.chars().take(300).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_transient_and_has_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for kind in FaultKind::ALL {
            let reply = Fault::new(kind, "detail").reply();
            assert!(matches!(reply.code().get(), 451 | 452), "{kind:?}");
            assert_eq!(reply.enhanced().unwrap().class, 4);
            assert!(names.insert(kind.name()));
        }
    }

    #[test]
    fn details_cannot_forge_log_lines() {
        let fault = Fault::new(FaultKind::Garbled, "a\r\nb\u{1b}[0m\u{e9}");
        assert_eq!(fault.detail, "a??b?[0m?");
    }

    #[test]
    fn a_shutdown_keeps_its_words() {
        let code = Code::new(421).unwrap();
        let shutdown = Reply::new(code, Some(EnhancedCode::new(4, 3, 2)), "going\ndown");
        let refused = Refused::softened("mail", shutdown.clone());
        assert_eq!(one_line(&refused.reply), "451 4.3.2 going / down");
        assert_eq!(refused.said, Some(Box::new(shutdown)));
    }
}
