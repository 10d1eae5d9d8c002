//! The points at which policy is asked, and the answers that it can give.

use std::fmt;
use std::sync::Arc;

use crate::smtp::path::ForwardPath;
use crate::smtp::reply::Reply;

/// A point in the dialogue at which policy is asked.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// The connection was accepted; the banner is not out yet.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// The upstream accepted AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// One RCPT TO.
    Rcpt,
    /// DATA or the first BDAT, before the body.
    Data,
    /// The whole message is there.
    Message,
    /// The client broke the protocol, or a login of its was refused.
    Violation,
    /// The session ended; no answer counts.
    Close,
}

impl Stage {
    /// Every stage, in the order of a session.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Helo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Message,
        Self::Violation,
        Self::Close,
    ];

    /// The name of the stage, which is also the name of its function in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Message => "message",
            Self::Violation => "violation",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the client broke the protocol, or was refused a login: the closed set of events for which policy is asked at
/// [`Stage::Violation`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Violation {
    /// It spoke before the banner.
    Pregreet,
    /// It sent the message ahead of our 354 (RFC 2920 3.1).
    Pipelining,
    /// It sent commands ahead of a reply that it had to wait for (RFC 2920 3.1), or without having been told that it may.
    EarlyCommands,
    /// It speaks another protocol, such as HTTP.
    ForeignCommand,
    /// Too many of its commands failed.
    TooManyErrors,
    /// Too many NOOP, RSET, VRFY and the like without mail.
    JunkCommands,
    /// The upstream refused a login with a 5yz: its password may be a guess.
    AuthFailed,
}

impl Violation {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Pregreet,
        Self::Pipelining,
        Self::EarlyCommands,
        Self::ForeignCommand,
        Self::TooManyErrors,
        Self::JunkCommands,
        Self::AuthFailed,
    ];

    /// The name that scripts and metrics know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pregreet => "pregreet",
            Self::Pipelining => "pipelining",
            Self::EarlyCommands => "early_commands",
            Self::ForeignCommand => "foreign_command",
            Self::TooManyErrors => "too_many_errors",
            Self::JunkCommands => "junk_commands",
            Self::AuthFailed => "auth_failed",
        }
    }
}

/// Policy's answer at one [`Stage`].
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// No objection.
    Pass,
    /// No, or not now: the refusal's reply is a 5yz or a 4yz.
    Refuse(Refusal),
    /// No, and hang up after saying so.
    Disconnect(Refusal),
    /// Say 250 and let it vanish: the operator's explicit order.
    Discard(Reason),
    /// Say 250 once it is safe where its recipients do not find it. At [`Stage::Rcpt`], [`Stage::Data`] and [`Stage::Message`].
    Quarantine(Reason),
}

/// What becomes of one recipient of a message, by order of policy. A recipient is known by its place among those of the
/// [`Transaction`](super::Transaction).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecipientChange {
    /// Its copy goes to the quarantine.
    Quarantine(usize, Reason),
    /// Its copy vanishes.
    Discard(usize, Reason),
    /// The message goes to another address in its place.
    Redirect(usize, ForwardPath),
    /// The message does not go there.
    Remove(usize),
    /// The message goes to this address too.
    Add(ForwardPath),
}

/// A "no" with its two texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What the client hears. The decision id is added when it is sent.
    pub reply: Reply,
    /// What the operator reads.
    pub reason: Reason,
}

/// Whose "no" it was.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// A rule of a policy, or a policy that failed.
    Policy,
    /// A configured limit.
    Limit,
    /// The client's grammar or order of commands.
    Protocol,
    /// The upstream's own answer, relayed word by word.
    Upstream,
    /// Gatepost itself could not go on: an upstream that is away, a full disk.
    Internal,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Policy, Self::Limit, Self::Protocol, Self::Upstream, Self::Internal];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

/// Why something was refused: what leads from a reply back to its cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Whose "no" it was.
    pub source: Source,
    /// A stable, bounded name: `helo.bare-ip` for a rule, `message_size` for a limit, `bare-lf` for the protocol. Never text of
    /// the client's.
    pub rule: Arc<str>,
    /// `file:line` of the verdict, for a policy.
    pub place: Option<Arc<str>>,
    /// What the operator reads beyond that; empty when the rule says it all.
    pub detail: String,
    /// What was said that is not in the reply to the client.
    pub said: Option<Box<Said>>,
}

/// What the operator reads of what the client or the upstream said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Said {
    /// The command that broke the grammar, escaped and cut; only HELO, EHLO, MAIL and RCPT, which hold no secrets.
    Command(String),
    /// What the upstream said, where the client hears it with another code.
    Upstream(Reply),
}

impl Reason {
    /// A reason without place and detail.
    pub fn new(source: Source, rule: &str) -> Self {
        Self { source, rule: rule.into(), place: None, detail: String::new(), said: None }
    }

    /// The command that broke the grammar.
    pub fn command(&self) -> Option<&str> {
        match self.said.as_deref() {
            Some(Said::Command(line)) => Some(line),
            Some(Said::Upstream(_)) | None => None,
        }
    }

    /// What the upstream said, where the client hears it with another code.
    pub fn of_upstream(&self) -> Option<&Reply> {
        match self.said.as_deref() {
            Some(Said::Upstream(reply)) => Some(reply),
            Some(Said::Command(_)) | None => None,
        }
    }

    /// The same reason with more to read.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}
