//! The page that a person reads.

use std::fmt::{self, Write};

use super::super::record::{Decision, StageRecord};
use super::Explanation;
use crate::log::safe;

/// How wide the page is.
const WIDTH: usize = 100;

pub(super) fn write(explanation: &Explanation<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let decision = explanation.decision;
    wrapped(f, "", "", &explanation.headline)?;
    if !decision.reply.is_empty() {
        writeln!(f, "  the client heard: {}", safe(&decision.reply))?;
    }
    section(f, "Why", &explanation.why)?;
    section(f, "What would have had to be different", &explanation.otherwise)?;
    section(f, "If the sender is legitimate", &explanation.advice)?;
    about(f, decision)?;
    stages(f, decision)
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| wrapped(f, "  - ", "    ", line))
}

/// The line in words, with strangers' text made harmless.
fn wrapped(f: &mut fmt::Formatter<'_>, first: &str, next: &str, text: &str) -> fmt::Result {
    let (mut line, mut empty) = (first.to_owned(), true);
    for word in text.split_whitespace() {
        let word = safe(word).to_string();
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            (line, empty) = (next.to_owned(), true);
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(&word);
        empty = false;
    }
    writeln!(f, "{line}")
}

fn about(f: &mut fmt::Formatter<'_>, decision: &Decision) -> fmt::Result {
    writeln!(f, "\nAbout")?;
    let mut row = |name: &str, value: &str| -> fmt::Result {
        if value.is_empty() { Ok(()) } else { writeln!(f, "  {name:<11} {}", safe(value)) }
    };
    row("decision", &ids(decision))?;
    row("time", &format!("{:.3}, after {:.1?}", decision.at, decision.took))?;
    row("listener", &decision.listener)?;
    row("client", &client(decision))?;
    row("tls", &tls(decision))?;
    row(
        "login",
        &decision.auth.as_ref().map(|auth| format!("{} ({})", auth.user, auth.mechanism)).unwrap_or_default(),
    )?;
    if let Some(mail) = &decision.mail {
        row("sender", format!("<{}> {}", mail.sender, mail.parameters.join(" ")).trim_end())?;
    }
    for recipient in &decision.recipients {
        let mut text = format!("<{}> {}", recipient.rcpt.address, recipient.outcome);
        if !recipient.rule.is_empty() {
            let _ = write!(text, " by {} (gp {})", recipient.rule, recipient.decision);
        }
        row("recipient", &text)?;
    }
    if decision.size > 0 {
        row("size", &format!("{} octets", decision.size))?;
    }
    if let Some(upstream) = &decision.upstream {
        row("upstream", &format!("{} {}", upstream.name, upstream.reply))?;
    }
    row("policies", &decision.generation)
}

fn ids(decision: &Decision) -> String {
    let mut text = decision.id.clone();
    if !decision.transaction.is_empty() && decision.transaction != decision.id {
        let _ = write!(text, ", transaction {}", decision.transaction);
    }
    if !decision.session.is_empty() {
        let _ = write!(text, ", session {}", decision.session);
    }
    text
}

fn client(decision: &Decision) -> String {
    let client = &decision.client;
    let mut text = format!("{} port {}", client.ip, client.port);
    if !client.name.is_empty() {
        let _ = write!(text, " ({})", client.name);
    }
    if client.trusted {
        text.push_str(", trusted");
    }
    if !decision.helo.is_empty() {
        let _ = write!(text, ", {} {}", decision.helo_verb, decision.helo);
    }
    text
}

fn tls(decision: &Decision) -> String {
    decision
        .tls
        .as_ref()
        .map(|tls| format!("{} {} {}", tls.version, tls.cipher, tls.group))
        .unwrap_or_default()
}

/// Every stage with the rules that said something, the facts, the effects and the cost.
fn stages(f: &mut fmt::Formatter<'_>, decision: &Decision) -> fmt::Result {
    if decision.stages.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nPolicies asked")?;
    decision.stages.iter().try_for_each(|stage| stage_lines(f, stage))
}

fn stage_lines(f: &mut fmt::Formatter<'_>, stage: &StageRecord) -> fmt::Result {
    let subject = match (&stage.rcpt, stage.event) {
        (Some(rcpt), _) => format!(" <{}>", safe(&rcpt.address)),
        (None, "") => String::new(),
        (None, event) => format!(" {event}"),
    };
    let cost: u128 = stage.policies.iter().map(|policy| policy.spent.as_micros()).sum();
    let action = stage.verdict.action;
    writeln!(f, "  {}{subject}: {action} ({:.1?}, scripts {cost} µs)", stage.stage, stage.took)?;
    for rule in &stage.rules {
        let mode = match rule.mode {
            _ if rule.mode == rule.outcome => String::new(),
            "enforce" => String::new(),
            mode => format!(" [{mode}]"),
        };
        let place = if rule.place.is_empty() { String::new() } else { format!("  {}", rule.place) };
        writeln!(f, "    {:<32} {}{mode}{place}", rule.rule, rule.outcome)?;
    }
    for fact in &stage.facts {
        let answer =
            fact.answer.as_ref().map_or_else(|| "see the checks".to_owned(), |answer| answer.summary());
        let call = format!("{} {}", fact.question.word(), fact.question.arguments());
        writeln!(f, "    fact {}: {} ({:.1?})", safe(call.trim()), safe(&answer), fact.took)?;
    }
    for read in &stage.reads {
        writeln!(f, "    read {}: {}", safe(&read.what), safe(&read.value))?;
    }
    for effect in &stage.effects {
        let shadow = if effect.shadow { " (in shadow, not applied)" } else { "" };
        writeln!(f, "    effect of {}: {}{shadow}", effect.by, safe(&effect.effect))?;
    }
    stage.faults.iter().try_for_each(|fault| {
        writeln!(f, "    failed: {} at {}: {}", fault.policy, safe(&fault.place), safe(&fault.message))
    })
}
