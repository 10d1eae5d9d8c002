//! The books of a transcript: what was decided, kept to be asked about.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decisions::{Decision, Headers};
use crate::policy::scene::Address;
use crate::proxy::{Entry, Journal, Shadow, TransactionEntry};
use crate::session::stage::Reason;
use crate::session::{Finished, Outcome, SetAside};
use crate::smtp::reply::Reply;

/// What the runner remembers of the journal's entries.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<Vec<Note>>, Mutex<Vec<Decision>>);

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Note {
    /// A command or a message was refused: the decision's id (none for the upstream's words), the rule, and its place.
    Refused(Option<String>, String, String),
    /// Something was discarded or quarantined by order of a policy.
    Ordered(Order),
    /// A message came to an end. With a 2yz reply to the client, that is what it was told.
    Ended { outcome: Outcome, granted: bool },
    /// A rule spoke in shadow.
    Shadow(String),
    /// An effect was applied, in the name of a rule or a policy.
    Effect(String),
    /// A script failed: where, and why.
    Failed(String),
}

/// What a policy ordered without a word to the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Order {
    /// The decision's id.
    pub(super) id: String,
    /// The recipient that it was about; empty where it was the whole message.
    pub(super) rcpt: String,
    /// The rule.
    pub(super) rule: String,
    /// `file:line`.
    pub(super) place: String,
}

impl Order {
    fn new(id: &str, rcpt: String, reason: &Reason) -> Self {
        let place = reason.place.as_deref().unwrap_or_default().to_owned();
        Self { id: id.to_owned(), rcpt, rule: reason.rule.to_string(), place }
    }

    /// Everything that was ordered about this transaction.
    fn of<'a>(ended: &'a TransactionEntry<'_>) -> impl Iterator<Item = Self> + use<'a> {
        let id = ended.decision.map_or_else(|| ended.id.to_owned(), |id| id.to_string());
        let Finished { transaction, reply, reason, .. } = ended.finished;
        let granted = reply.as_ref().is_some_and(Reply::is_completed);
        let whole = reason.as_ref().filter(|_| granted).map(|reason| Self::new(&id, String::new(), reason));
        let aside = transaction.discarded.iter().chain(&transaction.quarantined);
        let each = aside.map(move |SetAside { rcpt, reason }| {
            Self::new(&id, Address::from(&rcpt.path).original().to_owned(), reason)
        });
        whole.into_iter().chain(each)
    }
}

impl Journal for Books {
    fn keeps_decisions(&self) -> Option<Headers> {
        Some(Headers::Read)
    }

    fn keep(&self, decision: Box<Decision>) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push(*decision);
    }

    fn record(&self, entry: &Entry<'_>) {
        let mut notes = self.notes();
        match entry {
            Entry::Refused(refused) => {
                let id = refused.said().map(|id| id.to_string());
                notes.push(refusal(id, refused.reason));
            }
            Entry::Transaction(ended) => {
                let refused = ended.reply.is_some_and(|reply| !reply.is_completed());
                if let Some(reason) = ended.finished.reason.as_ref().filter(|_| refused) {
                    notes.push(refusal(ended.decision.map(|id| id.to_string()), reason));
                }
                notes.extend(Order::of(ended).map(Note::Ordered));
                if let Some(outcome) = ended.finished.outcome {
                    let granted = ended.reply.is_some_and(Reply::is_completed);
                    notes.push(Note::Ended { outcome, granted });
                }
            }
            Entry::Shadow(_, _, Shadow::Rule(event)) => notes.push(Note::Shadow(event.rule.to_string())),
            Entry::Shadow(_, _, Shadow::Effect(withheld)) => {
                notes.push(Note::Shadow(withheld.by.to_string()));
            }
            Entry::Effect(_, _, effect) => notes.push(Note::Effect(effect.rule().to_owned())),
            Entry::Silenced(..) => {}
            Entry::Fault(_, stage, fault) => {
                notes.push(Note::Failed(format!("{} at {stage}: {}", fault.place, fault.message)));
            }
        }
    }
}

fn refusal(id: Option<String>, reason: &Reason) -> Note {
    Note::Refused(id, reason.rule.to_string(), reason.place.as_deref().unwrap_or_default().to_owned())
}

impl Books {
    /// Every decision so far.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rule of the decision with this id.
    pub(super) fn rule(&self, id: &str) -> Option<String> {
        self.notes().iter().rev().find_map(|note| match note {
            Note::Refused(Some(known), rule, _) if known == id => Some(rule.clone()),
            _ => None,
        })
    }

    /// Every refusal: the decision's id (none for the upstream's words), the rule, and its place.
    pub(super) fn refusals(&self) -> Vec<(Option<String>, String, String)> {
        let refused = |note: &Note| match note {
            Note::Refused(id, rule, place) => Some((id.clone(), rule.clone(), place.clone())),
            _ => None,
        };
        self.notes().iter().filter_map(refused).collect()
    }

    /// Everything that policies ordered in silence.
    pub(super) fn orders(&self) -> Vec<Order> {
        let ordered = |note: &Note| match note {
            Note::Ordered(order) => Some(order.clone()),
            _ => None,
        };
        self.notes().iter().filter_map(ordered).collect()
    }

    /// What became of the last message.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.ended().last().map(|(outcome, _)| *outcome)
    }

    /// What became of each message, and whether its client was told that all is well.
    pub(super) fn ended(&self) -> Vec<(Outcome, bool)> {
        let ended = |note: &Note| match note {
            Note::Ended { outcome, granted } => Some((*outcome, *granted)),
            _ => None,
        };
        self.notes().iter().filter_map(ended).collect()
    }

    /// Whether this rule has spoken in shadow.
    pub(super) fn has_shadow(&self, rule: &str) -> bool {
        self.notes().iter().any(|note| matches!(note, Note::Shadow(known) if known == rule))
    }

    /// Whether an effect was applied in the name of this rule or policy.
    pub(super) fn has_effect(&self, rule: &str) -> bool {
        self.notes().iter().any(|note| matches!(note, Note::Effect(known) if known == rule))
    }

    /// The scripts that failed.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = |note: &Note| match note {
            Note::Failed(text) => Some(text.clone()),
            _ => None,
        };
        self.notes().iter().filter_map(failed).collect()
    }

    fn notes(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
