//! What would have had to be different, and what to do, where the protocol decided: not every client that did not come through is broken.

use super::breaches::Breach;
use crate::decisions::record::{Decision, Recipient};

/// Recipients that are named; the decision lists all.
const NAMED: usize = 3;

/// What would have had to be different.
pub(super) fn otherwise(decision: &Decision, event: &str, clause: &str) -> Vec<String> {
    let line = match event {
        "no-valid-rcpt" => "One of its recipients would have had to be accepted.".to_owned(),
        "client-gone" => "The client would have had to stay for the answer.".to_owned(),
        event if Breach::is_ending(event) && refused(decision).next().is_some() => {
            "Its recipients would have had to be accepted.".to_owned()
        }
        event if Breach::is_ending(event) => "The client would have had to send the message.".to_owned(),
        _ if clause.is_empty() => return Vec::new(),
        _ => format!("The client would have had to do as {clause} says."),
    };
    vec![line]
}

/// What to do if the sender is legitimate.
pub(super) fn advice(decision: &Decision, event: &str) -> Vec<String> {
    let listener = &decision.listener;
    let line = match event {
        "no-valid-rcpt" | "need-mail" | "need-rcpt" | "need-helo" => return after_a_refusal(decision),
        event if Breach::is_ending(event) => return ended(decision),
        "client-gone" => "Look for what cut the connection: the client, its network, or a reply that took longer than it waits.".to_owned(),
        "no-auth" => format!("If users log in here: `listeners.{listener}.auth: relay`."),
        "auth-needs-tls" => "The user's program has to be told to use STARTTLS, or TLS from the first octet.".to_owned(),
        "no-tls" => format!("To offer STARTTLS, the listener needs a certificate: `listeners.{listener}.tls`."),
        "inquiry-off" => format!("To let the upstream answer: `listeners.{listener}.inquiries`."),
        "no-xclient" => format!("If it is a hop of yours, name it in `listeners.{listener}.xclient`."),
        event if event.ends_with("-not-offered") || event == "no-auth-now" => {
            "The mail server behind Gatepost would have to offer it: what that offers, Gatepost passes on.".to_owned()
        }
        "bare-cr" | "bare-lf" => "If it is a device that cannot do better, name its network in `bare_newlines.normalise` of the listener; nobody else's may be.".to_owned(),
        _ => "The client's software has to be mended: what it did cannot be allowed, or would harm others.".to_owned(),
    };
    vec![line]
}

/// The transaction ended by the client's wish, which often follows from a refusal.
fn ended(decision: &Decision) -> Vec<String> {
    let lines = named(decision);
    if lines.is_empty() {
        vec!["Nothing was refused: it was the client's own wish.".to_owned()]
    } else {
        lines
    }
}

/// The command came too early, perhaps because one before it had been refused: with pipelining a client cannot know.
fn after_a_refusal(decision: &Decision) -> Vec<String> {
    let mut lines = named(decision);
    if lines.is_empty() {
        let all = match decision.session.as_str() {
            "" => format!("--client {}", decision.client.ip),
            session => session.to_owned(),
        };
        lines.push(match decision.rule() {
            "no-valid-rcpt" => format!("Why they were refused: `gatepost explain {all}`."),
            _ => format!(
                "If a command before it was refused, that is what to look at: `gatepost explain {all}`. Else the client's software has to be mended."
            ),
        });
    }
    lines
}

fn named(decision: &Decision) -> Vec<String> {
    let lines = refused(decision).take(NAMED).map(|recipient| {
        let Recipient { rcpt, rule, decision, .. } = recipient;
        match decision.as_str() {
            "" => format!("<{}> was refused by {rule}.", rcpt.address),
            id => format!("<{}> was refused by {rule}: `gatepost explain {id}`.", rcpt.address),
        }
    });
    lines.collect()
}

/// Those that were refused before; not the one that this very decision refused.
fn refused(decision: &Decision) -> impl Iterator<Item = &Recipient> {
    let before = decision.recipients.iter().filter(|recipient| recipient.decision != decision.id);
    before.filter(|recipient| matches!(recipient.outcome, "rejected" | "deferred"))
}
