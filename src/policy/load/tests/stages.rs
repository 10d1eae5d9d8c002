//! Where each of the host's words can be said, and that it is refused elsewhere.

use super::*;
use crate::policy::language;

/// A call of a word that is not for every stage, with the objects that the stage has.
fn sample(receiver: Option<&str>, name: &str) -> Option<&'static str> {
    Some(match (receiver, name) {
        (None, "reject") => "reject(\"r\", \"no\")",
        (None, "defer") => "defer(\"r\", \"no\")",
        (None, "disconnect") => "disconnect(\"r\", \"no\")",
        (None, "discard") => "discard(\"r\", \"no\")",
        (None, "quarantine") => "quarantine(\"r\", \"no\")",
        (None, "skip") => "skip(\"later\")",
        (None, "note") => "note(\"k\", 1)",
        (None, "tag") => "tag(\"k\", \"v\")",
        (None, "limit_size") => "limit_size(\"r\", 5)",
        (None, "remember") => "remember(\"n\", \"k\", \"1h\")",
        (None, "override_dmarc") => "override_dmarc(\"other\")",
        (None, "hold") => "hold(\"r\", RCPT, \"why\")",
        (None, "drop") => "drop(\"r\", RCPT, \"why\")",
        (None, "score") => "score(\"r\", 1)",
        (None, "tarpit") => "tarpit(\"1s\")",
        (Some("Rcpt"), "redirect") => "RCPT.redirect(\"a@example.org\")",
        (Some("Mail"), "redirect") => "mail.redirect(RCPT, \"a@example.org\")",
        (Some("Mail"), "add_recipient") => "mail.add_recipient(\"a@example.org\")",
        (Some("Mail"), "remove_recipient") => "mail.remove_recipient(RCPT)",
        (Some("Message"), "prepend_header") => "message.prepend_header(\"X-A\", \"b\")",
        (Some("Message"), "append_header") => "message.append_header(\"X-A\", \"b\")",
        (Some("Message"), "remove_header") => "message.remove_header(\"X-A\")",
        _ => return None,
    })
}

/// What loading says where the function of `stage` is this call.
fn said(stage: Stage, call: &str) -> Vec<String> {
    let parameters = language::parameters(stage);
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
    // An object that the stage does not have is any: whether the word can be said there does not depend on it.
    let call = call.replace("RCPT", if names.contains(&"rcpt") { "rcpt" } else { "mail.recipients[0]" });
    let call = if names.contains(&"mail") { call } else { call.replace("mail.", "session.") };
    let call = if names.contains(&"message") { call } else { call.replace("message.", "session.") };
    let script = format!("fn {stage}({}) {{ {call}; }}", names.join(", "));
    let later = "fn violation(session, event) { } fn message(session, mail, message) { tag(\"a\", \"b\"); }";
    let (dir, mut sources) = folder(&[("10-x.rhai", &script), ("20-later.rhai", later)]);
    sources.quarantine = true;
    sources.redirect_domains = ["example.org".to_owned()].into_iter().collect();
    errors(&sources, dir.path())
}

#[test]
fn every_verdict_and_effect_loads_where_it_is_allowed_and_nowhere_else() {
    let mut tried = 0;
    for word in language::functions() {
        let orders = matches!(
            word.nature,
            language::Nature::Verdict(_) | language::Nature::Effect | language::Nature::Order(_)
        );
        if !orders {
            continue;
        }
        let call = sample(word.receiver, word.name).unwrap_or_else(|| panic!("no sample of {}", word.name));
        for stage in Stage::ALL {
            let errors = said(stage, call);
            let is_refused =
                errors.iter().any(|error| error.contains(&format!("has no effect at stage `{stage}`")));
            if word.stages.contains(&stage) {
                assert_eq!(errors, Vec::<String>::new(), "{call} at {stage}");
            } else {
                assert!(is_refused, "{call} at {stage}: {errors:?}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 22 * Stage::ALL.len(), "{tried}");
}
