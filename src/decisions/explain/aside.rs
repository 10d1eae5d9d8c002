//! Recipients whose copy went elsewhere than to the upstream: a message that was accepted was not so for them.

use super::rule::Spoken;
use super::sentence;
use crate::decisions::record::{Decision, Kind};

/// Rules that are explained, and recipients of each that are named; the decision lists all.
const SHOWN: usize = 3;

/// The recipients that one rule set aside.
pub(super) struct Aside<'d> {
    decision: &'d Decision,
    /// `discarded` or `quarantined`.
    outcome: &'static str,
    /// `policy.rule`.
    rule: &'d str,
    /// `file:line`.
    place: &'d str,
    order: &'d str,
    recipients: Vec<&'d str>,
}

/// What the rules other than `deciding` set aside, where the message came to its end.
pub(super) fn of<'d>(decision: &'d Decision, deciding: Option<&str>) -> Vec<Aside<'d>> {
    let ended = matches!(decision.outcome, "accepted" | "discarded" | "quarantined");
    let mut all: Vec<Aside<'d>> = Vec::new();
    let aside = decision.recipients.iter().filter(|recipient| recipient.is_set_aside());
    for recipient in aside.filter(|_| ended && decision.kind == Kind::Transaction) {
        let is_of = |known: &&mut Aside<'d>| {
            (known.outcome, known.rule, known.place)
                == (recipient.outcome, &*recipient.rule, &*recipient.place)
        };
        match all.iter_mut().find(is_of) {
            Some(known) => known.recipients.push(&recipient.rcpt.address),
            None => all.push(Aside {
                decision,
                outcome: recipient.outcome,
                rule: &recipient.rule,
                place: &recipient.place,
                order: &recipient.order,
                recipients: vec![&recipient.rcpt.address],
            }),
        }
    }
    all.retain(|aside| deciding != Some(aside.rule));
    all
}

/// How many recipients were not among those that the message was accepted for, as the end of a sentence; empty where there are none.
pub(super) fn counted(decision: &Decision) -> String {
    let all = of(decision, None);
    let count = |outcome: &str| {
        let of_outcome = all.iter().filter(|aside| aside.outcome == outcome);
        of_outcome.map(|aside| aside.recipients.len()).sum::<usize>()
    };
    let told = ["discarded", "quarantined"].map(|outcome| (count(outcome), outcome));
    let told: Vec<_> =
        told.into_iter().filter(|(number, _)| *number > 0).map(|told| words(told.0, told.1)).collect();
    if told.is_empty() { String::new() } else { format!(", but not for everybody: {}", told.join(" and ")) }
}

fn words(number: usize, outcome: &str) -> String {
    match number {
        1 => format!("1 recipient was {outcome}"),
        _ => format!("{number} recipients were {outcome}"),
    }
}

/// Whom which rule set aside, and why.
pub(super) fn why(all: &[Aside<'_>]) -> Vec<String> {
    let more = all.len().saturating_sub(SHOWN);
    let more = match more {
        0 => None,
        1 => Some("One more rule set recipients aside: it stands below.".to_owned()),
        _ => Some(format!("{more} more rules set recipients aside: they stand below.")),
    };
    all.iter().take(SHOWN).flat_map(Aside::why).chain(more).collect()
}

/// What would have had to be different for them to get it.
pub(super) fn otherwise(all: &[Aside<'_>]) -> Vec<String> {
    let spoken = all.iter().take(SHOWN).map(Aside::spoken);
    spoken.map(|spoken| spoken.needed()).collect()
}

/// What to do if they should have got it.
pub(super) fn advice(all: &[Aside<'_>]) -> Vec<String> {
    all.iter().take(SHOWN).flat_map(|aside| aside.spoken().advice()).collect()
}

impl Aside<'_> {
    fn spoken(&self) -> Spoken<'_> {
        Spoken::of(self.decision, self.rule, self.place)
    }

    fn why(&self) -> Vec<String> {
        let named = self.recipients.iter().take(SHOWN).map(|rcpt| format!("<{rcpt}>"));
        let mut named = named.collect::<Vec<_>>().join(", ");
        let more = self.recipients.len().saturating_sub(SHOWN);
        if more > 0 {
            named.push_str(&format!(" and {more} more"));
        }
        let be = if self.recipients.len() == 1 { "was" } else { "were" };
        let Self { outcome, rule, place, order, .. } = self;
        let mut lines = vec![format!("{named} {be} {outcome} by the rule {rule} ({place}).")];
        lines.extend(Some(*order).filter(|order| !order.is_empty()).map(sentence));
        lines.extend(self.spoken().why());
        lines
    }
}
