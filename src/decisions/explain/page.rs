//! The page that a person reads.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::super::record::{Decision, Fact, Login, StageRecord};
use super::Explanation;
use crate::log::safe;

/// How wide the page is.
const WIDTH: usize = 100;

pub(super) fn write(explanation: &Explanation<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let decision = explanation.decision;
    if decision.rehearsal {
        writeln!(
            f,
            "A rehearsal: nobody sent this message, nothing was delivered, and nothing of it is kept.\n"
        )?;
    }
    wrapped(f, "", "", &explanation.headline)?;
    if !decision.reply.is_empty() {
        let heard = if decision.rehearsal { "the client would hear" } else { "the client heard" };
        writeln!(f, "  {heard}: {}", safe(&decision.reply))?;
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
    row("time", &format!("{:.3}, after {}", decision.at, lasted(decision.took)))?;
    row("listener", &decision.listener)?;
    row("client", &client(decision))?;
    row("tls", &tls(decision))?;
    let login = |login: &Login| format!("{} ({})", login.user, login.mechanism).trim_start().to_owned();
    row("login", &decision.auth.as_ref().map(login).unwrap_or_default())?;
    let refused = decision.tried.as_ref().map(|tried| format!("{}, refused", login(tried)));
    row("login", &refused.unwrap_or_default())?;
    if let Some(mail) = &decision.mail {
        row("sender", format!("<{}> {}", mail.sender, mail.parameters.join(" ")).trim_end())?;
    }
    for recipient in &decision.recipients {
        let mut text = format!("<{}> {}", recipient.rcpt.address, recipient.outcome);
        if !recipient.rule.is_empty() {
            let _ = write!(text, " by {}", recipient.rule);
        }
        if recipient.is_set_aside() && !recipient.place.is_empty() {
            let _ = write!(text, " ({})", recipient.place);
        }
        if !recipient.decision.is_empty() && !decision.rehearsal {
            let _ = write!(text, " (gp {})", recipient.decision);
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

/// The ids by which it can be asked for.
fn ids(decision: &Decision) -> String {
    if decision.rehearsal {
        return String::new();
    }
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

/// A duration in the largest unit of which there is one.
fn lasted(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
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
    let cost: Duration = stage.policies.iter().map(|policy| policy.spent).sum();
    let (took, cost) = (lasted(stage.took), lasted(cost));
    writeln!(f, "  {}{subject}: {} ({took}, scripts {cost})", stage.stage, stage.verdict.action)?;
    for rule in &stage.rules {
        let mode = match rule.mode {
            _ if rule.mode == rule.outcome => String::new(),
            "enforce" => String::new(),
            mode => format!(" [{mode}]"),
        };
        let place = if rule.place.is_empty() { String::new() } else { format!("  {}", rule.place) };
        writeln!(f, "    {:<32} {}{mode}{place}", rule.rule, rule.outcome)?;
    }
    stage.facts.iter().try_for_each(|fact| fact_line(f, fact))?;
    for read in &stage.reads {
        let reader = named(" by", std::iter::once(&read.policy));
        writeln!(f, "    read{reader} {}: {}", safe(&read.what), safe(&read.value))?;
    }
    for effect in &stage.effects {
        let shadow = if effect.shadow { " (in shadow, not applied)" } else { "" };
        writeln!(f, "    effect of {}: {}{shadow}", effect.by, safe(&effect.effect))?;
    }
    stage.faults.iter().try_for_each(|fault| {
        writeln!(f, "    failed: {} at {}: {}", fault.policy, safe(&fault.place), safe(&fault.message))
    })
}

fn fact_line(f: &mut fmt::Formatter<'_>, fact: &Fact) -> fmt::Result {
    let answer = fact.answer.as_ref().map_or_else(|| "see the checks".to_owned(), |answer| answer.summary());
    let call = format!("{} {}", fact.question.word(), fact.question.arguments());
    let askers = named(" for", std::iter::once(&fact.policy).chain(&fact.also));
    writeln!(f, "    fact{askers} {}: {} ({})", safe(call.trim()), safe(&answer), lasted(fact.took))
}

/// Whose something was, as ` by spf, dmarc:`; empty where nobody is named.
fn named<'d>(word: &str, policies: impl Iterator<Item = &'d Arc<str>>) -> String {
    let names: Vec<&str> = policies.map(AsRef::as_ref).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { String::new() } else { format!("{word} {}:", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_alike() {
        let micros = [0, 273, 1_000, 12_345, 2_500_000, 312_000_000].map(Duration::from_micros);
        assert_eq!(micros.map(lasted), ["0 µs", "273 µs", "1.0 ms", "12.3 ms", "2.5 s", "312.0 s"]);
    }
}
