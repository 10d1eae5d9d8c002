//! What the upstream said no to: not always the command that the client heard it at.

use super::super::record::Decision;

/// What the upstream said, or else what the client heard.
pub(super) fn said(decision: &Decision) -> &str {
    let said =
        decision.upstream.as_ref().map(|upstream| upstream.reply.as_str()).filter(|said| !said.is_empty());
    said.unwrap_or(&decision.reply)
}

/// The first sentence: what became of what, and at which command of Gatepost's.
pub(super) fn headline(what: &str, upstream: &str, step: &str) -> String {
    match step {
        "mail" => format!("{what} because the upstream {upstream} refused the sender, in its own words."),
        "rcpt" | "end-of-data" | "auth" | "inquiry" => {
            format!("{what} by the upstream {upstream}, in its own words.")
        }
        _ => format!("{what} because the upstream {upstream} refused {}, in its own words.", asked(step)),
    }
}

/// What it answered with which words, and why the client heard it where it did.
pub(super) fn why(decision: &Decision, step: &str, said: &str) -> Vec<String> {
    let answered = match step {
        "banner" => format!("It greeted Gatepost with `{said}`."),
        _ => format!("It answered {} with `{said}`.", asked(step)),
    };
    let placed = match step {
        "mail" => {
            "Gatepost says MAIL to the upstream with the first recipient, so that each recipient of the message hears the answer."
        }
        "data" | "bdat" => {
            "The client had been told to send its message by then, and heard the answer at the end of it."
        }
        "banner" | "ehlo" | "starttls" | "xclient" | "xforward" => {
            "Gatepost connects to the upstream when it has something to ask it: the client heard the answer there."
        }
        _ => "",
    };
    // Where the decision is about a transaction that ended with the session, nothing was said to the client in it.
    let changed = match said.get(..3) {
        Some("421") if decision.reply.starts_with("451") => {
            "With 421 the upstream ends its own connection. The client's goes on, and so it heard 451 with the same text."
        }
        Some(code) if code != "421" && decision.reply.starts_with("421") => {
            "The login went with the upstream's connection, and so the client heard 421 with the same text."
        }
        _ => "",
    };
    let more = [placed, changed].into_iter().filter(|line| !line.is_empty()).map(str::to_owned);
    std::iter::once(answered).chain(more).collect()
}

/// What was asked of it, in the words of the dialogue.
fn asked(step: &str) -> String {
    match step {
        "end-of-data" => "the message".to_owned(),
        "inquiry" => "VRFY or EXPN".to_owned(),
        "banner" => "the connection".to_owned(),
        command => command.to_uppercase(),
    }
}
