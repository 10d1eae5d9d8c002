//! What the checks found, in words.

use crate::checks::results::{ArcChain, CheckResult, Dkim, Dmarc, Spf};

use super::super::record::Decision;

/// Every check that was made, one line each: those that DMARC stands on behind it.
pub(super) fn words(decision: &Decision) -> Vec<String> {
    let checks = &decision.checks;
    let mut lines = Vec::new();
    if let Some(message) = &checks.message {
        lines.push(dmarc(&message.dmarc, checks.spf.as_deref(), &message.dkim));
        lines.extend(message.dkim.iter().map(dkim));
        lines.extend(arc(&message.arc));
    }
    lines.extend(checks.spf.as_ref().and_then(|found| spf("SPF", found)));
    lines.extend(checks.helo_spf.as_ref().and_then(|found| spf("SPF of the HELO name", found)));
    if let Some(iprev) = &checks.iprev {
        let names = iprev.names.join(", ");
        lines.extend(match iprev.result {
            CheckResult::Pass => Some(format!("The client's name {names} leads back to its address.")),
            CheckResult::Fail => {
                Some(format!("The client's name {names} does not lead back to its address."))
            }
            CheckResult::TempError => Some("The client's name could not be looked up.".to_owned()),
            CheckResult::None if !decision.client.ip.is_loopback() => {
                Some("The client's address has no name.".to_owned())
            }
            _ => None,
        });
    }
    lines
}

/// DMARC and everything that it stands on, in one sentence: `DMARC fail: bank.example publishes p=reject; SPF passed for
/// example.net, which is not aligned; the DKIM body hash differs`.
pub(super) fn dmarc(dmarc: &Dmarc, spf: Option<&Spf>, signatures: &[Dkim]) -> String {
    let Dmarc { result, domain, reason, .. } = dmarc;
    match *reason {
        "no_record" => return format!("DMARC {result}: {domain} publishes no DMARC record."),
        "lookup" => return format!("DMARC {result}: the DMARC record of {domain} could not be looked up."),
        "no_author" => return format!("DMARC {result}: the message names no author (no usable From field)."),
        "several_authors" => return format!("DMARC {result}: the message names several authors."),
        "ambiguous_author" => {
            return format!("DMARC {result}: programs would read different authors in the From field.");
        }
        "" => return format!("DMARC {result}."),
        _ => {}
    }
    let mut parts = vec![format!(
        "{domain} publishes p={}{}",
        dmarc.policy.name(),
        if dmarc.testing { " (testing, t=y)" } else { "" }
    )];
    parts.extend(spf.map(|spf| spf_for_dmarc(spf, dmarc)));
    if signatures.is_empty() {
        parts.push("there is no DKIM signature".to_owned());
    }
    parts.extend(signatures.iter().map(|signature| dkim_for_dmarc(signature, dmarc)));
    format!("DMARC {result}: {}.", parts.join("; "))
}

fn spf_for_dmarc(spf: &Spf, dmarc: &Dmarc) -> String {
    match spf.result {
        CheckResult::Pass if matches!(dmarc.reason, "spf" | "dkim_and_spf") => {
            format!("SPF passed for {}, which is aligned", spf.domain)
        }
        CheckResult::Pass => format!("SPF passed for {}, which is not aligned", spf.domain),
        CheckResult::None => format!("SPF had nothing to go by for {}", or_nobody(&spf.domain)),
        other => format!("SPF gave {other} for {}", spf.domain),
    }
}

fn dkim_for_dmarc(dkim: &Dkim, dmarc: &Dmarc) -> String {
    let aligned = matches!(dmarc.reason, "dkim" | "dkim_and_spf");
    match dkim.result {
        CheckResult::Pass if aligned => format!("the DKIM signature of {} is good", dkim.domain),
        CheckResult::Pass => format!("the DKIM signature of {} is good, but not aligned", dkim.domain),
        _ => dkim_failure(dkim),
    }
}

/// What is wrong with a signature.
fn dkim_failure(dkim: &Dkim) -> String {
    let Dkim { domain, selector, bits, .. } = dkim;
    let whose = format!("in the signature of {domain} (selector {selector})");
    match dkim.reason {
        "body_changed" => format!("the DKIM body hash differs {whose}: the body was changed on the way"),
        "signature_mismatch" => {
            format!("the DKIM signature does not match {whose}: a signed field was changed on the way")
        }
        "no_key" => format!("{domain} publishes no DKIM key under the selector {selector}"),
        "key_unusable" => format!("the DKIM key of {domain} (selector {selector}) cannot be used"),
        "key_size" => format!("the DKIM key of {domain} (selector {selector}) has {bits} bits, too few"),
        "key_revoked" => format!("the DKIM key of {domain} (selector {selector}) is revoked"),
        "key_lookup" => format!("the DKIM key of {domain} (selector {selector}) could not be looked up"),
        "expired" => format!("the DKIM signature has expired {whose}"),
        "from_not_signed" => format!("the From field is not signed {whose}"),
        "partial_body" => format!("only a part of the body is signed (l=) {whose}"),
        "identity" => format!("the identity (i=) does not belong to the domain {whose}"),
        "too_many" => format!("the signature of {domain} was not looked at: the message has too many"),
        reason => format!("the DKIM signature cannot be used ({}) {whose}", or_nobody(reason)),
    }
}

fn dkim(dkim: &Dkim) -> String {
    match dkim.result {
        CheckResult::Pass => {
            format!(
                "DKIM pass: the signature of {} (selector {}, {}) is good.",
                dkim.domain, dkim.selector, dkim.algorithm
            )
        }
        result => format!("DKIM {result}: {}.", dkim_failure(dkim)),
    }
}

fn spf(what: &str, spf: &Spf) -> Option<String> {
    let Spf { result, domain, record, mechanism, .. } = spf;
    let decided = if mechanism.is_empty() { String::new() } else { format!(" by `{mechanism}`") };
    let published =
        if record.is_empty() { String::new() } else { format!(" ({domain} publishes `{record}`)") };
    Some(match result {
        CheckResult::None if domain.is_empty() => return None,
        CheckResult::None => format!("{what} none: {domain} publishes no SPF record."),
        CheckResult::Pass => format!("{what} pass: {domain} lets this client send{decided}{published}."),
        CheckResult::Fail => {
            format!("{what} fail: {domain} does not let this client send{decided}{published}.")
        }
        CheckResult::SoftFail => format!(
            "{what} softfail: {domain} says that this client is probably not one of its own{decided}{published}."
        ),
        CheckResult::TempError => format!("{what} temperror: the record of {domain} could not be looked up."),
        CheckResult::PermError => {
            format!("{what} permerror: the record of {domain} cannot be used{published}.")
        }
        other => format!("{what} {other}: {domain} says nothing about this client{decided}{published}."),
    })
}

fn arc(chain: &ArcChain) -> Option<String> {
    let sealers = chain.sealers.join(", ");
    match chain.result {
        CheckResult::None => None,
        CheckResult::Pass if chain.trusted => Some(format!(
            "ARC pass: sealed by {sealers}, all of them trusted; the first one saw DMARC {}.",
            or_nobody(&chain.original_dmarc)
        )),
        CheckResult::Pass => Some(format!("ARC pass: sealed by {sealers}, not all of them trusted.")),
        result => Some(format!("ARC {result}: {}.", chain.reason.replace('_', " "))),
    }
}

fn or_nobody(text: &str) -> &str {
    if text.is_empty() { "nobody" } else { text }
}
