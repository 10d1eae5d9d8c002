//! What the client announced between MAIL and the end of its message (RFC 5321 3.3).

use super::stage::Reason;
use crate::smtp::command::{MailCommand, RcptCommand};
use crate::smtp::path::ForwardPath;
use crate::smtp::reply::Reply;

/// One mail transaction. It exists from an accepted MAIL until its message is answered or it is given up.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The MAIL command that began it.
    pub mail: MailCommand,
    /// The recipients that the upstream accepted, in order.
    pub recipients: Vec<RcptCommand>,
    /// The recipients that policy ordered to discard.
    pub discarded: Vec<ForwardPath>,
    /// How many recipients were refused.
    pub refused: usize,
    /// Policy ordered to discard the whole transaction, and why.
    pub discard: Option<Reason>,
    /// The smallest size limit that policy set for this transaction, and the rule that did.
    pub size_limit: Option<(u64, Reason)>,
}

impl Transaction {
    pub(super) const fn new(mail: MailCommand, discard: Option<Reason>) -> Self {
        Self { mail, recipients: Vec::new(), discarded: Vec::new(), refused: 0, discard, size_limit: None }
    }

    /// Whether there is anybody to take the message, be it the void.
    pub const fn has_recipients(&self) -> bool {
        !self.recipients.is_empty() || !self.discarded.is_empty()
    }

    pub(super) const fn recipient_count(&self) -> usize {
        self.recipients.len() + self.discarded.len()
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The upstream or a durable store has it.
    Accepted,
    /// 5yz.
    Rejected,
    /// 4yz: the client keeps it.
    Deferred,
    /// A policy ordered it to vanish.
    Discarded,
    /// The client went away, or broke the framing, before its message was complete.
    Aborted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Rejected, Self::Deferred, Self::Discarded, Self::Aborted];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Discarded => "discarded",
            Self::Aborted => "aborted",
        }
    }
}

/// A transaction that is over, with everything that it came to.
#[derive(Debug)]
pub struct Finished {
    /// The transaction.
    pub transaction: Transaction,
    /// What became of its message; `None` when it ended before the message began.
    pub outcome: Option<Outcome>,
    /// The reply to its message, where there was one.
    pub reply: Option<Reply>,
    /// Why it was refused or discarded.
    pub reason: Option<Reason>,
}
