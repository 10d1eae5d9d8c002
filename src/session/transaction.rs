//! What the client announced between MAIL and the end of its message (RFC 5321 3.3).

use super::stage::{Reason, RecipientChange};
use crate::smtp::command::{MailCommand, RcptCommand};
use crate::smtp::params::RcptParams;
use crate::smtp::path::{Domain, ForwardPath};
use crate::smtp::reply::Reply;

/// One mail transaction. It exists from an accepted MAIL until its message is answered or it is given up.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The MAIL command that began it.
    pub mail: MailCommand,
    /// The recipients that the upstream accepted, in order; behind the changes that policy ordered, those that are to get the
    /// message.
    pub recipients: Vec<RcptCommand>,
    /// The recipients whose copy vanishes by order of policy.
    pub discarded: Vec<SetAside>,
    /// The recipients whose copy goes to the quarantine.
    pub quarantined: Vec<SetAside>,
    /// Who gets the message in place of the quarantined ones, where the quarantine is an address.
    pub stand_in: Option<Box<RcptCommand>>,
    /// Whether the recipients are others than those that the upstream accepted.
    pub rearranged: bool,
    /// How many recipients were refused.
    pub refused: usize,
    /// Policy ordered to discard the whole transaction, and why.
    pub discard: Option<Box<Reason>>,
    /// Policy ordered to quarantine the whole message, and why.
    pub quarantine: Option<Box<Reason>>,
    /// The smallest size limit that policy set for this transaction, and the rule that did.
    pub size_limit: Option<(u64, Reason)>,
}

impl Transaction {
    pub(super) fn new(mail: MailCommand, discard: Option<Reason>) -> Self {
        Self {
            mail,
            recipients: Vec::new(),
            discarded: Vec::new(),
            quarantined: Vec::new(),
            stand_in: None,
            rearranged: false,
            refused: 0,
            discard: discard.map(Box::new),
            quarantine: None,
            size_limit: None,
        }
    }

    /// Whether there is anybody to take the message, be it the quarantine or the void.
    pub const fn has_recipients(&self) -> bool {
        self.recipient_count() > 0
    }

    pub(super) const fn recipient_count(&self) -> usize {
        self.recipients.len() + self.discarded.len() + self.quarantined.len()
    }

    /// Everybody to whom the upstream is to bring the message.
    pub fn bound_for(&self) -> impl Iterator<Item = &RcptCommand> {
        self.recipients.iter().chain(self.stand_in.as_deref())
    }

    /// Does what policy ordered about single recipients, in this order: one that was set aside stays where it is. Nobody is to
    /// get the message twice.
    pub(super) fn rearrange(&mut self, changes: Vec<RecipientChange>) {
        if changes.is_empty() {
            return;
        }
        self.rearranged = true;
        let mut places: Vec<_> = self.recipients.drain(..).map(Some).collect();
        let mut added = Vec::new();
        for change in changes {
            match change {
                RecipientChange::Quarantine(place, reason) => {
                    let taken = places.get_mut(place).and_then(Option::take);
                    self.quarantined.extend(taken.map(|rcpt| SetAside { rcpt, reason }));
                }
                RecipientChange::Discard(place, reason) => {
                    let taken = places.get_mut(place).and_then(Option::take);
                    self.discarded.extend(taken.map(|rcpt| SetAside { rcpt, reason }));
                }
                RecipientChange::Redirect(place, path) => {
                    if let Some(Some(rcpt)) = places.get_mut(place) {
                        rcpt.path = path;
                    }
                }
                RecipientChange::Remove(place) => _ = places.get_mut(place).and_then(Option::take),
                RecipientChange::Add(path) => added.push(RcptCommand { path, params: RcptParams::default() }),
            }
        }
        for rcpt in places.into_iter().flatten().chain(added) {
            if !self.recipients.iter().any(|known| is_same(&known.path, &rcpt.path)) {
                self.recipients.push(rcpt);
            }
        }
    }

    /// The whole message is for the quarantine.
    pub(super) fn quarantine_all(&mut self, reason: &Reason) {
        let all = self.recipients.drain(..).map(|rcpt| SetAside { rcpt, reason: reason.clone() });
        self.quarantined.extend(all);
        self.rearranged = true;
    }
}

/// A recipient whose copy policy ordered to go elsewhere, and why.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// The recipient.
    pub rcpt: RcptCommand,
    /// The rule that said so.
    pub reason: Reason,
}

/// Whether two paths lead to one mailbox, as far as it can be told from here: local parts are the upstream's to compare.
fn is_same(one: &ForwardPath, other: &ForwardPath) -> bool {
    match (one, other) {
        (ForwardPath::Mailbox(one), ForwardPath::Mailbox(other)) => {
            let domains = match (one.domain(), other.domain()) {
                (Domain::Name(one), Domain::Name(other)) => one.ascii() == other.ascii(),
                (one, other) => one == other,
            };
            domains && one.local().unquoted() == other.local().unquoted()
        }
        (one, other) => one == other,
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
    /// The quarantine has it, and nobody else.
    Quarantined,
    /// The client went away, or broke the framing, before its message was complete.
    Aborted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Rejected, Self::Deferred, Self::Discarded, Self::Quarantined, Self::Aborted];

    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Discarded => "discarded",
            Self::Quarantined => "quarantined",
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
    /// Why it was refused, discarded or quarantined.
    pub reason: Option<Reason>,
}
