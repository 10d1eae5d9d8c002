//! Why something was decided as it was, in words: what decided first, what would have had to be different, what to do about it.

mod aside;
mod breaches;
mod checks;
mod files;
mod limits;
mod lists;
mod page;
mod protocol;
mod rule;
mod upstream;

use std::fmt;

use serde::Serialize;

use self::breaches::Breach;
use self::limits::Limit;
use self::rule::Spoken;
use super::record::{Deciding, Decision, Kind};

/// What decided, by the name under which the operator finds it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Item {
    /// A rule of a policy.
    Rule {
        /// `policy.rule`.
        rule: String,
        /// `file:line`.
        place: String,
    },
    /// A policy that failed.
    Fault {
        /// The policy.
        policy: String,
        /// `file:line:column`.
        place: String,
    },
    /// A limit.
    Limit {
        /// Its name in the metrics.
        limit: String,
        /// The key of the configuration that sets it; empty for one that is fixed.
        key: String,
    },
    /// A breach of the protocol.
    Protocol {
        /// Its name.
        event: String,
        /// The clause that says how it should be.
        clause: String,
    },
    /// The upstream's own words.
    Upstream {
        /// Its name in the configuration; empty where none was chosen.
        upstream: String,
        /// The step that it answered: `mail`, `rcpt`, `data`, `end-of-data`, `auth`, `inquiry` and the like.
        step: String,
        /// What it said.
        reply: String,
    },
    /// Trouble of our own, or with the upstream.
    Internal {
        /// Its name.
        trouble: String,
    },
    /// Nobody objected.
    Nobody,
}

/// A decision in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation<'d> {
    /// The decision itself.
    pub decision: &'d Decision,
    /// What decided.
    pub deciding: Item,
    /// What happened, in one sentence.
    pub headline: String,
    /// Why, most telling first.
    pub why: Vec<String>,
    /// What would have had to be different.
    pub otherwise: Vec<String>,
    /// What to do if the sender is legitimate.
    pub advice: Vec<String>,
}

/// Explains a decision.
pub fn explain(decision: &Decision) -> Explanation<'_> {
    let deciding = Item::of(decision);
    Explanation {
        headline: headline(decision, &deciding),
        why: why(decision, &deciding),
        otherwise: otherwise(decision, &deciding),
        advice: advice(decision, &deciding),
        deciding,
        decision,
    }
}

/// The page that a person reads.
impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        page::write(self, f)
    }
}

impl Item {
    /// What decided. Only what this program does not know comes out without a key, a clause or a place.
    pub fn of(decision: &Decision) -> Self {
        let Some(deciding) = decision.deciding.as_ref().filter(|_| decision.outcome != "accepted") else {
            return Self::Nobody;
        };
        let rule = deciding.rule.to_string();
        match deciding.source {
            "policy" => match rule.strip_suffix(".error") {
                Some(policy) => Self::Fault { policy: policy.to_owned(), place: deciding.place.to_string() },
                None => Self::Rule { rule, place: deciding.place.to_string() },
            },
            "limit" => {
                let key = Limit::named(&rule).map(|limit| limit.key(&decision.listener)).unwrap_or_default();
                Self::Limit { limit: rule, key }
            }
            "protocol" => {
                let clause = Breach::of_protocol(&rule).map_or("", |breach| breach.clause).to_owned();
                Self::Protocol { event: rule, clause }
            }
            "upstream" => Self::Upstream {
                upstream: decision
                    .upstream
                    .as_ref()
                    .map(|upstream| upstream.name.clone())
                    .unwrap_or_default(),
                step: rule,
                reply: upstream::said(decision).to_owned(),
            },
            _ => Self::Internal { trouble: rule },
        }
    }

    /// The rule, where it was one that decided.
    fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// Whether this program has words for it, so that an operator learns more than its name.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Rule { place, .. } | Self::Fault { place, .. } => !place.is_empty(),
            Self::Limit { limit, .. } => Limit::named(limit).is_some(),
            Self::Protocol { event, .. } => Breach::of_protocol(event).is_some(),
            Self::Upstream { reply, .. } => !reply.is_empty(),
            Self::Internal { trouble } => Breach::of_ours(trouble).is_some(),
            Self::Nobody => true,
        }
    }
}

fn headline(decision: &Decision, item: &Item) -> String {
    let what = match (decision.kind, decision.outcome) {
        (Kind::Transaction, "none") => "The transaction ended without a message".to_owned(),
        (Kind::Transaction, outcome) => format!("The message was {outcome}"),
        (Kind::Refusal, outcome) => {
            let stage = decision.deciding.as_ref().map_or("", |deciding| deciding.stage);
            let whom = decision.recipients.last().filter(|recipient| recipient.decision == decision.id);
            match whom {
                Some(recipient) => format!("The recipient <{}> was {outcome}", recipient.rcpt.address),
                None => format!("{} {outcome} {}", who(decision), at(stage)),
            }
        }
    };
    match item {
        Item::Rule { rule, place } => format!("{what} by the rule {rule} ({place})."),
        Item::Fault { policy, place } => format!("{what} because the policy {policy} failed ({place})."),
        Item::Limit { limit, key } if key.is_empty() => {
            let whose = Limit::named(limit).map_or("", Limit::whose);
            format!("{what} by the limit {limit}, {whose}.")
        }
        Item::Limit { limit, key } => format!("{what} by the limit {limit}, configured as `{key}`."),
        Item::Protocol { event, clause } if clause.is_empty() => format!("{what}: {event}."),
        Item::Protocol { event, clause } => format!("{what}: {event} ({clause})."),
        Item::Upstream { upstream, step, .. } => upstream::headline(&what, upstream, step),
        Item::Internal { trouble } => format!("{what} because Gatepost could not go on: {trouble}."),
        Item::Nobody => nobody(decision, &what),
    }
}

/// The headline where nobody objected to the message itself.
fn nobody(decision: &Decision, what: &str) -> String {
    let took = decision.upstream.as_ref().map(|upstream| match upstream.queue_id.as_str() {
        "" => format!("{} took it", upstream.name),
        queued => format!("{} queued it as {queued}", upstream.name),
    });
    let aside = aside::counted(decision);
    match (took, aside.is_empty()) {
        (Some(took), true) => format!("{what}: nobody objected, and {took}."),
        (Some(took), false) => format!("{what}, and {took}{aside}."),
        (None, true) => format!("{what}: nobody objected."),
        (None, false) => format!("{what}{aside}."),
    }
}

/// Who was refused where it was no recipient: commands that break the grammar are refused for themselves.
fn who(decision: &Decision) -> &'static str {
    let breach = decision.deciding.as_ref().is_some_and(|deciding| deciding.source == "protocol");
    if breach { "The client's command was" } else { "The client was" }
}

/// When that was, in the words of the dialogue.
const fn at(stage: &str) -> &'static str {
    match stage.as_bytes() {
        b"connect" => "when it connected",
        b"helo" => "at HELO",
        b"auth" => "at AUTH",
        b"mail" => "at MAIL",
        b"rcpt" => "at RCPT",
        b"data" => "at DATA",
        b"message" => "at the end of the message",
        _ => "during the session",
    }
}

fn why(decision: &Decision, item: &Item) -> Vec<String> {
    let mut lines = Vec::new();
    let said = match item {
        Item::Limit { limit, .. } => Limit::named(limit).map(|limit| limit.why),
        Item::Protocol { event, .. } => Breach::of_protocol(event).map(|breach| breach.why),
        Item::Internal { trouble } => Breach::of_ours(trouble).map(|breach| breach.why),
        _ => None,
    };
    lines.extend(said.map(sentence));
    if let Some(deciding) = decision.deciding.as_ref().filter(|deciding| !deciding.detail.is_empty()) {
        lines.push(sentence(&deciding.detail));
    }
    if let Some(deciding) = decision.deciding.as_ref().filter(|deciding| !deciding.said.is_empty()) {
        lines.push(format!("It said `{}`.", deciding.said));
    }
    match item {
        Item::Rule { rule, place } => lines.extend(Spoken::of(decision, rule, place).why()),
        Item::Upstream { step, reply, .. } => lines.extend(upstream::why(decision, step, reply)),
        _ => {}
    }
    let of_checks = if *item == Item::Nobody { checks::words(decision) } else { Vec::new() };
    // Two rules may stand on the same checks.
    for line in aside::why(&aside::of(decision, item.rule())).into_iter().chain(of_checks) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn otherwise(decision: &Decision, item: &Item) -> Vec<String> {
    match item {
        Item::Rule { rule, place } => Spoken::of(decision, rule, place).otherwise(),
        Item::Fault { policy, .. } => vec![format!(
            "The policy {policy} would have had to run to its end: the log and gatepost_policy_errors_total show every failure."
        )],
        Item::Limit { limit, key } => {
            Limit::named(limit).map(|limit| limit.otherwise(key)).into_iter().collect()
        }
        Item::Protocol { event, clause } => protocol::otherwise(decision, event, clause),
        Item::Upstream { .. } => {
            vec!["The upstream would have had to say yes: Gatepost adds nothing to its answer.".to_owned()]
        }
        Item::Internal { .. } => vec![
            "The same mail would pass once the trouble is over: the client keeps it and tries again."
                .to_owned(),
        ],
        Item::Nobody => aside::otherwise(&aside::of(decision, None)),
    }
}

fn advice(decision: &Decision, item: &Item) -> Vec<String> {
    let line = |text: &str| vec![text.to_owned()];
    match item {
        Item::Rule { rule, place } => {
            let own = Spoken::of(decision, rule, place).advice();
            own.into_iter().chain(about_sender(decision)).collect()
        }
        Item::Fault { place, .. } => vec![format!(
            "Mend the script at {place}; `gatepost check` says whether it loads, `gatepost test` whether it does what it should. The client keeps the mail and tries again."
        )],
        Item::Limit { limit, .. } => Limit::named(limit).map(|limit| line(limit.advice)).unwrap_or_default(),
        Item::Protocol { event, .. } => protocol::advice(decision, event),
        Item::Upstream { upstream, .. } => {
            vec![format!("Look in the log of {upstream} for the client's address and this time.")]
        }
        Item::Internal { .. } => line(
            "Nothing on the sender's side: look at the log of Gatepost and at the upstream around this time.",
        ),
        Item::Nobody => aside::advice(&aside::of(decision, None)),
    }
}

/// What else there is about a sender whose address can be copied.
fn about_sender(decision: &Decision) -> Option<String> {
    let sender = decision.sender().filter(|sender| is_plain(sender))?;
    Some(format!("What else was decided about this sender: `gatepost explain --from {sender}`."))
}

/// Whether a shell takes it for one word and nothing else: whoever copies our advice runs it, and the client chose the address.
fn is_plain(address: &str) -> bool {
    let harmless = |octet: u8| octet.is_ascii_alphanumeric() || b"@._+=-".contains(&octet);
    address.bytes().all(harmless) && address.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// With a capital and a full stop.
fn sentence(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

impl Deciding {
    /// Whether a policy decided.
    pub fn is_policy(&self) -> bool {
        self.source == "policy"
    }
}

#[cfg(test)]
mod tests;
