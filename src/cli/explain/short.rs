//! Several decisions, one line each.

use crate::decisions::Decision;
use crate::log::safe;

/// Recipients of one decision that its line names.
const NAMED: usize = 2;

/// When, which id, what became of what was sent by whom to whom, and who said so.
pub(super) fn line(decision: &Decision) -> String {
    let Decision { at, id, outcome, client, .. } = decision;
    let by = match decision.rule() {
        "" => String::new(),
        rule => format!(" by {rule}"),
    };
    let sender = decision.sender().map(|sender| format!(" from <{sender}>")).unwrap_or_default();
    let line = format!("{at:.0}  {id}  {outcome}{by}  {}{sender}{}", client.ip, recipients(decision));
    safe(&line).to_string()
}

fn recipients(decision: &Decision) -> String {
    let mut all = decision.addressees();
    let named: Vec<_> = all.by_ref().take(NAMED).map(|rcpt| format!("<{rcpt}>")).collect();
    match all.count() {
        _ if named.is_empty() => String::new(),
        0 => format!(" to {}", named.join(", ")),
        more => format!(" to {} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::{Deciding, Mail, Rcpt, Recipient};

    #[test]
    fn a_line_has_all_by_which_a_decision_is_recognized() {
        let mut decision = Decision {
            id: "7f3k2a7q4d".into(),
            at: "2026-11-29T12:00:00.123Z".parse().unwrap(),
            outcome: "rejected",
            ..Decision::default()
        };
        decision.client.ip = "192.0.2.9".parse().unwrap();
        assert_eq!(line(&decision), "2026-11-29T12:00:00Z  7f3k2a7q4d  rejected  192.0.2.9");
        decision.deciding = Some(Deciding { rule: "relay.denied".into(), ..Deciding::default() });
        decision.mail = Some(Mail { sender: "joe@\u{1b}[31mx.example".into(), ..Mail::default() });
        for address in ["a@example.org", "b@example.org", "c@example.org"] {
            let rcpt = Rcpt { address: address.into(), ..Rcpt::default() };
            decision.recipients.push(Recipient { rcpt, ..Recipient::default() });
        }
        let line = line(&decision);
        assert!(line.contains("rejected by relay.denied  192.0.2.9 from <joe@"), "{line}");
        assert!(line.ends_with(" to <a@example.org>, <b@example.org> and 1 more"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}
